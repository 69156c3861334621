//! What a batch of uses comes to, given what the database knows: pure, in the
//! order in which the uses came.

use std::collections::HashMap;

use super::recorded::Recorded;
use super::{Job, RELEASES, REPEAT_WITHIN, Release};
use crate::domain::audit::Counted;

/// Uses of one transaction at most.
pub(super) const BATCH: usize = 1024;

/// A request that was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Released {
    pub(super) digest: [u8; 32],
    /// When it was first released.
    pub(super) at: i64,
    pub(super) times: u32,
}

/// What the database knows of a batch's grants and requests, and then what it
/// must know.
#[derive(Debug, Default, Clone)]
pub(super) struct State {
    /// Uses by grant and window; when the grant expires.
    pub(super) used: HashMap<[u8; 32], (u32, i64)>,
    /// Releases by request.
    pub(super) released: HashMap<[u8; 32], Released>,
}

impl State {
    /// Counts one use.
    pub(super) fn count(&mut self, job: &Job) -> Release {
        if let Some(known) = self.released.get_mut(&job.request) {
            let same = known.digest == job.digest;
            let soon = job.at.saturating_sub(known.at) <= REPEAT_WITHIN;
            if !(same && soon && known.times < RELEASES) {
                return Release::Conflict;
            }
            known.times += 1;
            return Release::Repeated { times: known.times };
        }
        let (used, expires) = self.used.entry(job.key).or_default();
        *expires = (*expires).max(job.expires);
        if *used >= job.limit {
            return Release::Exhausted;
        }
        *used += 1;
        let used = *used;
        let released = Released { digest: job.digest, at: job.at, times: 1 };
        self.released.insert(job.request, released);
        Release::Counted { used }
    }

    /// Counts again what a record says was counted; what is known stays known.
    pub(super) fn learn(&mut self, one: &Recorded) {
        let Recorded { digest, at, .. } = *one;
        let released = |times| Released { digest, at, times };
        match one.counted {
            Counted::Use(number) => {
                let (used, expires) = self.used.entry(one.key).or_default();
                *used = (*used).max(number);
                *expires = (*expires).max(one.expires);
                self.released.entry(one.request).or_insert(released(1));
            }
            Counted::Repeat(number) => {
                let known = self.released.entry(one.request).or_insert(released(number));
                known.times = known.times.max(number);
            }
        }
    }
}
