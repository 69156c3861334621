//! What a batch of uses comes to, given what the database knows: pure, in the
//! order in which the uses came.

use std::collections::HashMap;

use super::{Job, RELEASES, REPEAT_WITHIN, Release};

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

/// What the database has to know at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Uses of a grant in a window.
    Uses { key: [u8; 32], used: u32, expires: i64 },
    /// A request that was released.
    Request { request: [u8; 32], released: Released },
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

    /// Learns what logs say was counted; what is known stays known. Gives whether more uses
    /// of a grant are known now.
    pub(super) fn learn(&mut self, known: &Known) -> bool {
        match *known {
            Known::Uses { key, used, expires } => {
                let (before, until) = self.used.entry(key).or_default();
                *until = (*until).max(expires);
                let is_more = used > *before;
                *before = used.max(*before);
                is_more
            }
            Known::Request { request, released } => {
                let known = self.released.entry(request).or_insert(released);
                known.times = known.times.max(released.times);
                false
            }
        }
    }
}

/// The grants and requests of which something is known, without order.
pub(super) fn keys_of(known: &[Known]) -> (Vec<[u8; 32]>, Vec<[u8; 32]>) {
    let (mut keys, mut requests) = (Vec::new(), Vec::new());
    for one in known {
        match one {
            Known::Uses { key, .. } => keys.push(*key),
            Known::Request { request, .. } => requests.push(*request),
        }
    }
    (keys, requests)
}
