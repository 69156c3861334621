//! A time of day that never goes back, so that what has expired stays expired
//! when a clock is set back (fault 36).
//!
//! The price: after a clock ran ahead, time stands still here until the clock
//! has caught up, and status lists of that while look stale. It fails closed.

use std::sync::atomic::{AtomicI64, Ordering};

use time::OffsetDateTime;

/// The latest second that was seen. Shared by reference.
#[derive(Debug)]
pub struct HighWater(AtomicI64);

impl HighWater {
    /// Starts at a time known from before, such as that of the last record of
    /// the audit log; a restart then revives nothing either.
    pub fn starting_at(known: OffsetDateTime) -> Self {
        Self(AtomicI64::new(known.unix_timestamp()))
    }

    /// Takes note of the clock's reading and gives the later of it and all
    /// earlier ones, in whole seconds.
    pub fn observe(&self, reading: OffsetDateTime) -> OffsetDateTime {
        let seconds = reading.unix_timestamp();
        let latest = self.0.fetch_max(seconds, Ordering::Relaxed).max(seconds);
        OffsetDateTime::from_unix_timestamp(latest).unwrap_or(reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_36_time_for_grants_does_not_go_back() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let time = HighWater::starting_at(at(1_000));
        assert_eq!(time.observe(at(900)), at(1_000));
        assert_eq!(time.observe(at(4_600)), at(4_600));
        assert_eq!(time.observe(at(1_001)), at(4_600));
        assert_eq!(time.observe(at(4_601)), at(4_601));
    }
}
