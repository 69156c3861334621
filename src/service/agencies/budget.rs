//! How many questions may be put again: a tenth of those that were put, and a burst.
//!
//! Pure: time is an argument.

use std::time::Instant;

/// What one question adds to the budget.
const SHARE: f64 = 0.1;

/// What every second adds, so that an agency that is asked rarely is asked again too.
const PER_SECOND: f64 = 10.0;

/// The most that is saved up.
const BURST: f64 = 100.0;

/// A budget of attempts beside the first.
#[derive(Debug)]
pub struct Budget {
    saved: f64,
    seen: Instant,
}

impl Budget {
    /// A budget that has its whole burst.
    pub const fn new(now: Instant) -> Self {
        Self { saved: BURST, seen: now }
    }

    /// A question is put for the first time.
    pub fn asked(&mut self, now: Instant) {
        self.advance(now);
        self.saved = (self.saved + SHARE).min(BURST);
    }

    /// Takes one more attempt, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        self.advance(now);
        let may = self.saved >= 1.0;
        if may {
            self.saved -= 1.0;
        }
        may
    }

    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.seen = self.seen.max(now);
        self.saved = passed.mul_add(PER_SECOND, self.saved).min(BURST);
    }
}
