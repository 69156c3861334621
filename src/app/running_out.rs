//! Warnings before something runs out: the own certificate, a revocation list, the disk of
//! the audit log. One line when there is little left, and one when there is enough again.
//! What has run out is told by whoever refuses for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::watch;

use crate::clock;
use crate::link::tls::LinkTls;
use crate::service::audit::recorder::Recorder;
use crate::store::disk::{self, Room};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Of a life, and of a disk, this part is little.
const LITTLE_LIFE: i32 = 5;
const LITTLE_ROOM: u64 = 10;

/// What there is of everything.
struct Left {
    now: OffsetDateTime,
    certificate: (OffsetDateTime, OffsetDateTime),
    lists: Vec<(String, OffsetDateTime, OffsetDateTime)>,
    room: Option<Room>,
}

/// Looks until the process stops, at first at once.
pub(super) fn watch_for(tls: LinkTls, recorder: &Arc<Recorder>, stop: &watch::Receiver<bool>) {
    let mut stop = stop.clone();
    // Weak, for the log is closed when its recorder goes.
    let recorder = Arc::downgrade(recorder);
    tokio::spawn(async move {
        let mut told = Told::default();
        loop {
            // The log may go on in another folder, on another disk.
            let Some(log) = recorder.upgrade().map(|recorder| recorder.log().folder().dir) else {
                return;
            };
            let tls = tls.clone();
            let looked = tokio::task::spawn_blocking(move || {
                let lists = tls.trust().current().lists_until().into_iter();
                Left {
                    now: clock::utc(),
                    certificate: tls.identity().validity(),
                    lists: lists.map(|(name, from, by)| (name.to_string(), from, by)).collect(),
                    room: disk::room(&log).ok(),
                }
            });
            let Ok(left) = looked.await else { return };
            for (line, little) in told.hear(&left) {
                match little {
                    true => tracing::warn!("{line}"),
                    false => tracing::info!("{line}"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    });
}

/// Of what it was told that there is little left.
#[derive(Debug, Default)]
struct Told(BTreeMap<String, bool>);

impl Told {
    /// The lines for what has changed, each with whether it is a warning.
    fn hear(&mut self, left: &Left) -> Vec<(String, bool)> {
        let mut lines = Vec::new();
        let mut hear = |what: String, little: bool, remedy: String| {
            let before = self.0.insert(what.clone(), little).unwrap_or(false);
            if little && !before {
                lines.push((format!("{what}: {remedy}"), true));
            } else if before && !little {
                lines.push((format!("{what}: there is enough again"), false));
            }
        };
        let runs_out = |from: OffsetDateTime, until: OffsetDateTime| {
            let (days, hours) = ((until - left.now).whole_days(), (until - left.now).whole_hours());
            let little = until - left.now < (until - from) / LITTLE_LIFE;
            (little, if days >= 2 { format!("{days} days") } else { format!("{hours} hours") })
        };
        let (from, until) = left.certificate;
        let (little, time) = runs_out(from, until);
        let remedy = format!("{time} are left, until {until}: replace it and its key");
        hear("the own link certificate".to_owned(), little, remedy);
        for (domain, from, by) in &left.lists {
            let (little, time) = runs_out(*from, *by);
            let remedy = format!(
                "it is to be renewed in {time}, by {by}; after that nobody of it is believed: \
                 install the next list"
            );
            hear(format!("the revocation list of `{domain}`"), little, remedy);
        }
        if let Some(Room { free, size }) = left.room {
            let mib = free / (1024 * 1024);
            let remedy = format!(
                "{mib} MiB ({free} bytes) are free, less than a tenth; once it is full every \
                 request is refused: make room"
            );
            hear("the disk of the audit log".to_owned(), free < size / LITTLE_ROOM, remedy);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn each_is_told_once_with_what_is_left_and_once_when_it_is_over() {
        let from = datetime!(2026-01-01 00:00 UTC);
        let left = |day: i64, free: u64| Left {
            now: from + time::Duration::days(day),
            certificate: (from, from + time::Duration::days(100)),
            lists: vec![("d.example".to_owned(), from, from + time::Duration::days(91))],
            room: Some(Room { free, size: 100 << 30 }),
        };
        let mut told = Told::default();
        assert_eq!(told.hear(&left(70, 50 << 30)), []);
        let lines = told.hear(&left(90, 9 << 30));
        let [certificate, list, disk] = &lines[..] else { panic!("{lines:?}") };
        assert!(certificate.0.contains("10 days are left, until 2026-04-11"), "{certificate:?}");
        assert!(list.0.contains("`d.example`: it is to be renewed in 24 hours"), "{list:?}");
        assert!(disk.0.contains("9216 MiB (9663676416 bytes) are free"), "{disk:?}");
        assert!(lines.iter().all(|(_, warning)| *warning));
        assert_eq!(told.hear(&left(90, 9 << 30)), [], "told once");
        let lines = told.hear(&left(90, 11 << 30));
        assert_eq!(lines, [("the disk of the audit log: there is enough again".to_owned(), false)]);
    }
}
