//! What a running process does not take: a change of it is told once, with the remedy.
//!
//! [Operations](../../../docs/operations.md) lists the keys; whatever is not here is hot.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::app::standing::{Heard, News};
use crate::app::watching::Rounds;
use crate::config::agency::AgencyConfig;
use crate::config::audit::AuditConfig;
use crate::config::gateway::GatewayConfig;
use crate::domain::reason::Reason;
use crate::service::audit::recorder::Recorder;

/// A key, or a section, and what it says, to be compared alone.
type Key = (&'static str, String);

/// What a gateway does not take while it runs.
pub(in crate::app) fn of_gateway(config: &GatewayConfig) -> Vec<Key> {
    let mut keys = of_log(&config.audit);
    keys.push(("listen", config.listen.to_string()));
    keys.push(("telemetry", format!("{:?}", config.telemetry)));
    keys.push(("grants.cache", config.grants.cache.to_string()));
    keys
}

/// What an agency does not take while it runs.
pub(in crate::app) fn of_agency(config: &AgencyConfig) -> Vec<Key> {
    let mut keys = of_log(&config.audit);
    keys.push(("id", config.id.to_string()));
    keys.push(("listen", config.listen.to_string()));
    keys.push(("telemetry", format!("{:?}", config.telemetry)));
    keys.push(("grants.cache", config.grants.cache.to_string()));
    keys.push(("counters", hashed(&config.counters)));
    keys.push(("subject", format!("{:?}", config.subject)));
    keys
}

/// Of what may have a password in it.
fn hashed(section: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    section.hash(&mut hasher);
    hasher.finish().to_string()
}

/// Where the log is: another place is the business of [`super::turn`], with all that belongs
/// to a log.
const PLACE: &str = "audit.folder";
const OF_PLACE: [&str; 5] =
    ["audit.origin", "audit.key", "audit.mirror", "audit.store", "audit.peers_folder"];

fn of_log(audit: &AuditConfig) -> Vec<Key> {
    vec![
        (PLACE, audit.folder.display().to_string()),
        ("audit.origin", audit.origin.clone()),
        ("audit.key", audit.key.display().to_string()),
        ("audit.tag_key", format!("{:?}", audit.tag_key)),
        ("audit.mirror", format!("{:?}", audit.mirror)),
        ("audit.store", format!("{:?}", audit.store)),
        ("audit.peers_folder", format!("{:?}", audit.peers_folder)),
        ("audit.look_every", format!("{:?}", audit.look_every)),
        ("audit.on_contradiction", format!("{:?}", audit.on_contradiction)),
    ]
}

/// Tells of changes that only a restart takes.
pub(in crate::app) struct Telling {
    news: News,
    keys: Fixed,
}

impl Telling {
    /// What is in force is what was read at the start. The process listens at `bound`, whatever
    /// port was asked for.
    pub(in crate::app) fn of(news: News, bound: SocketAddr) -> Self {
        let keys = Fixed::new(&news.now().fixed, ("listen", bound.to_string()));
        Self { news, keys }
    }

    /// Tells from now on; the log may turn meanwhile.
    pub(in crate::app) fn keep(self, recorder: &Arc<Recorder>, rounds: &Rounds) {
        let Self { mut news, mut keys } = self;
        // Weak, for the log is closed when its recorder goes.
        let recorder = Arc::downgrade(recorder);
        rounds.keep_looking(move || {
            if let Some(recorder) = recorder.upgrade() {
                keys.log_is_in(&recorder.log().folder().dir.display().to_string());
            }
            let Some(Heard::Changed(now)) = news.take() else { return };
            match keys.hear(&now.fixed) {
                None => {}
                Some(changed) if changed.is_empty() => {
                    tracing::info!("every key that takes a restart is as it is in force again");
                }
                Some(changed) => tracing::warn!(
                    reason = %Reason::RestartNeeded,
                    keys = changed.join(", "),
                    "changed keys are not in force, whatever else is: restart the process, or put \
                     them back"
                ),
            }
        });
    }
}

/// What is in force, and what was heard last.
struct Fixed {
    in_force: Vec<Key>,
    heard: Vec<Key>,
    bound: Key,
}

impl Fixed {
    fn new(first: &[Key], bound: Key) -> Self {
        Self { in_force: first.to_vec(), heard: first.to_vec(), bound }
    }

    /// A log that has turned to the folder that was heard of brought its other keys into force.
    fn log_is_in(&mut self, folder: &str) {
        let is_there = |keys: &[Key]| keys.iter().any(|key| key.0 == PLACE && key.1 == folder);
        if is_there(&self.in_force) || !is_there(&self.heard) {
            return;
        }
        for (was, is) in self.in_force.iter_mut().zip(&self.heard) {
            if is.0 == PLACE || OF_PLACE.contains(&is.0) {
                was.clone_from(is);
            }
        }
    }

    /// Which keys are not in force, if that is news.
    fn hear(&mut self, now: &[Key]) -> Option<Vec<&'static str>> {
        if now == self.heard {
            return None;
        }
        self.heard = now.to_vec();
        let changed = self.in_force.iter().zip(now);
        let changed = changed.filter(|(was, is)| was != is && **is != self.bound);
        let mut changed: Vec<&str> = changed.map(|((key, _), _)| *key).collect();
        if changed.contains(&PLACE) {
            changed.retain(|key| *key != PLACE && !OF_PLACE.contains(key));
        }
        Some(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(folder: &str, key: &str, tag: &str) -> Vec<Key> {
        let named = [(PLACE, folder), ("audit.key", key), ("audit.tag_key", tag)];
        named.map(|(name, value)| (name, value.to_owned())).to_vec()
    }

    #[test]
    fn keys_of_the_next_log_are_told_of_once_the_log_has_turned() {
        let mut fixed = Fixed::new(&keys("old", "k", "t"), ("listen", String::new()));
        assert_eq!(fixed.hear(&keys("old", "k2", "t")), Some(vec!["audit.key"]));
        assert_eq!(fixed.hear(&keys("old", "k2", "t")), None, "told once");
        assert_eq!(fixed.hear(&keys("old", "k", "t")), Some(vec![]));
        // The turn is another's to tell of, and what belongs to it.
        assert_eq!(fixed.hear(&keys("new", "k2", "t")), Some(vec![]));
        fixed.log_is_in("old");
        assert_eq!(fixed.hear(&keys("new", "k3", "t2")), Some(vec!["audit.tag_key"]));
        fixed.log_is_in("new");
        assert_eq!(fixed.hear(&keys("new", "k4", "t")), Some(vec!["audit.key"]));
        fixed.log_is_in("new");
        assert_eq!(fixed.hear(&keys("new", "k3", "t")), Some(vec![]), "as it is in force");
        // Back to the old one is no key to restart for: the log is kept, and says so.
        assert_eq!(fixed.hear(&keys("old", "k", "t")), Some(vec![]));
    }
}
