//! How long an agency usually takes for a kind of question, to tell an agency that is
//! late from a caller that is in a hurry.
//!
//! Pure. A kind is a set of items, since those decide what the agency looks up.

use std::collections::HashMap;
use std::time::Duration;

/// Kinds that are known apart; the rest are one.
const KINDS: usize = 64;

/// Times that are remembered of a kind, and how many there must be.
const NEWEST: usize = 64;
const WARM: usize = 8;

/// How many times of the usual an agency may take before it is late, and at least.
const TIMES: u32 = 4;
const AT_LEAST: Duration = Duration::from_millis(250);

/// What an agency may take of which nothing is known.
const UNKNOWN: Duration = Duration::from_secs(2);

/// The usual times of one agency.
#[derive(Debug)]
pub struct Usual {
    kinds: HashMap<u64, Times>,
    /// The time that the agency itself gives one of its statements.
    stated: Duration,
}

#[derive(Debug, Default)]
struct Times {
    newest: Vec<Duration>,
    next: usize,
    /// The 95th percentile of the newest; none while there are too few.
    p95: Option<Duration>,
}

impl Default for Usual {
    fn default() -> Self {
        Self { kinds: HashMap::new(), stated: UNKNOWN }
    }
}

impl Usual {
    /// The agency states how long one of its statements may take.
    pub const fn state(&mut self, limit: Duration) {
        self.stated = limit;
    }

    /// An answer took so long.
    pub fn took(&mut self, kind: u64, long: Duration) {
        let kind = self.known(kind);
        self.kinds.entry(kind).or_default().add(long);
    }

    /// Within what time an agency that is well answers such a question.
    pub fn enough(&self, kind: u64) -> Duration {
        let times = self.kinds.get(&self.known(kind));
        match times.and_then(|times| times.p95) {
            Some(p95) => (p95 * TIMES).max(AT_LEAST),
            // What is kept of a deadline on the way is a tenth at most.
            None => (self.stated * 9 / 10).max(AT_LEAST),
        }
    }

    fn known(&self, kind: u64) -> u64 {
        match self.kinds.contains_key(&kind) || self.kinds.len() < KINDS {
            true => kind,
            false => 0,
        }
    }
}

impl Times {
    fn add(&mut self, long: Duration) {
        match self.newest.get_mut(self.next) {
            Some(oldest) => *oldest = long,
            None => self.newest.push(long),
        }
        self.next = (self.next + 1) % NEWEST;
        // Sorting is dear, and the figure moves slowly.
        if self.next.is_multiple_of(WARM) {
            let mut sorted = self.newest.clone();
            sorted.sort_unstable();
            self.p95 = sorted.get(sorted.len() * 95 / 100).copied();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_is_a_multiple_of_what_the_same_kind_took() {
        let mut usual = Usual::default();
        assert_eq!(usual.enough(1), UNKNOWN * 9 / 10);
        usual.state(Duration::from_millis(500));
        assert_eq!(usual.enough(1), Duration::from_millis(450));
        for _ in 0..64 {
            usual.took(1, Duration::from_millis(2));
            usual.took(2, Duration::from_millis(300));
        }
        assert_eq!(usual.enough(1), AT_LEAST);
        assert_eq!(usual.enough(2), Duration::from_millis(1_200));
        // It follows.
        for _ in 0..64 {
            usual.took(1, Duration::from_millis(100));
        }
        assert_eq!(usual.enough(1), Duration::from_millis(400));
    }

    #[test]
    fn it_is_bounded() {
        let mut usual = Usual::default();
        for nth in 0..100_000_u64 {
            usual.took(nth, Duration::from_millis(nth));
        }
        assert!(usual.kinds.len() <= KINDS + 1);
        assert!(usual.kinds.values().all(|times| times.newest.len() <= NEWEST));
    }
}
