//! When an agency that breaks every question is left alone for a while.
//!
//! After many failures in a row it is asked no more, but for one question each
//! time the wait is over; the wait doubles with each that fails, and the first
//! answer of any kind ends it. Only lost lanes and UNAVAILABLE are failures. A
//! deadline is none: a caller with short ones must not close an agency to the
//! others.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many failures in a row open the breaker.
const FAILURES: u32 = 20;

/// How long nothing is asked: from, to.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The breaker of one agency.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Failures in a row; below [`FAILURES`] the lock is not taken.
    failures: AtomicU32,
    open: Mutex<Option<Open>>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    until: Instant,
    wait: Duration,
}

impl Breaker {
    /// Whether a question may be put now. While the breaker is open, one may each
    /// time the wait is over.
    pub fn admits(&self, now: Instant) -> bool {
        if self.failures.load(Ordering::Relaxed) < FAILURES {
            return true;
        }
        self.with(|open| match open {
            Some(state) if now < state.until => false,
            Some(state) => {
                // Should nobody ever tell of this one, another may try then.
                state.until = now + state.wait;
                true
            }
            None => true,
        })
    }

    /// The agency answered.
    pub fn answered(&self) {
        if self.failures.swap(0, Ordering::Relaxed) >= FAILURES {
            self.with(|open| *open = None);
        }
    }

    /// The question was lost. Tells whether that opened the breaker.
    pub fn failed(&self, now: Instant) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < FAILURES {
            return false;
        }
        self.with(|open| {
            let opens = open.is_none();
            let wait = open.map_or(WAIT.0, |open| (open.wait * 2).min(WAIT.1));
            *open = Some(Open { until: now + wait, wait });
            opens
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Option<Open>) -> T) -> T {
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_32_it_opens_lets_one_through_a_wait_and_closes_with_the_first_answer() {
        let breaker = Breaker::default();
        let mut now = crate::clock::now();
        for _ in 1..FAILURES {
            assert!(breaker.admits(now));
            assert!(!breaker.failed(now));
        }
        // A single answer in between, and it begins anew.
        breaker.answered();
        for nth in 1..=FAILURES {
            assert!(breaker.admits(now));
            assert_eq!(breaker.failed(now), nth == FAILURES);
        }
        let mut wait = WAIT.0;
        for _ in 0..10 {
            assert!(!breaker.admits(now));
            now += wait;
            assert!(breaker.admits(now), "one may try");
            assert!(!breaker.admits(now), "and no other");
            breaker.failed(now);
            wait = (wait * 2).min(WAIT.1);
        }
        // One that nobody tells of does not close it for ever.
        now += wait;
        assert!(breaker.admits(now));
        now += wait;
        assert!(breaker.admits(now));
        breaker.answered();
        assert!(breaker.admits(now) && breaker.admits(now));
    }
}
