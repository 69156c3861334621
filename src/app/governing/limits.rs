//! Limits in force while a process runs: `[limits]` and `[door]`, each taken whole.
//!
//! What was let in before goes on by the limits with which it was let in. Those of an
//! agency's entry at the gateway are its client's, and come with [`crate::app::routes`].

use tokio::sync::watch;

use crate::app::standing::{Changing, Heard, News, RoleLimits};
use crate::app::watching::Rounds;
use crate::domain::reason::Reason;
use crate::link::limits::LinkLimits;

/// Requests for which the audit log's queue has places from the start on, so that their
/// number can be raised later.
const ROOM: usize = 8 * 1024;

/// For how many requests the log's queue is to have places, where so many may be under way at
/// the start. It cannot grow.
pub(in crate::app) fn room_for(requests: usize) -> usize {
    requests.max(ROOM)
}

/// Keeps to the limits in the files. `take` hands the role's own to who keeps them.
pub(in crate::app) fn keep(
    news: News,
    rounds: &Rounds,
    room: usize,
    door: watch::Sender<LinkLimits>,
    take: impl FnMut(&RoleLimits) + Send + 'static,
) {
    let in_force = news.now().limits.clone();
    let mut limited = Limited { news, room, in_force, refused: None, door, take };
    rounds.keep_looking(move || limited.look());
}

struct Limited<T> {
    news: News,
    room: usize,
    in_force: RoleLimits,
    /// What was told of and not taken.
    refused: Option<RoleLimits>,
    door: watch::Sender<LinkLimits>,
    take: T,
}

impl<T: FnMut(&RoleLimits)> Limited<T> {
    fn look(&mut self) {
        let Some(Heard::Changed(now)) = self.news.take() else { return };
        self.limits(&now);
        self.door(&now);
    }

    fn limits(&mut self, now: &Changing) {
        let limits = &now.limits;
        let (key, requests) = at_once(limits);
        if *limits == self.in_force {
            self.refused = None;
        } else if requests > self.room {
            if self.refused.as_ref() != Some(limits) {
                tracing::warn!(
                    reason = %Reason::RestartNeeded,
                    key,
                    "the changed limits are not in force: the audit log's queue was made for {} \
                     requests, not {requests}; restart the process, or ask for no more",
                    self.room,
                );
            }
            self.refused = Some(limits.clone());
        } else {
            (self.take)(limits);
            self.refused = None;
            self.in_force = limits.clone();
            tracing::info!(requests, "the changed limits are in force");
        }
    }

    fn door(&self, now: &Changing) {
        let limits = LinkLimits::from(&now.door);
        let changed = self.door.send_if_modified(|known| {
            let other = *known != limits;
            *known = limits;
            other
        });
        if changed {
            tracing::info!(
                connections = now.door.connections,
                "the changed bounds of the door are in force"
            );
        }
    }
}

/// Which key says how many requests may be under way, and how many.
const fn at_once(limits: &RoleLimits) -> (&'static str, usize) {
    match limits {
        RoleLimits::Gateway(limits) => ("limits.max_in_flight", limits.max_in_flight),
        RoleLimits::Agency(limits) => ("limits.max_total", limits.max_total),
    }
}
