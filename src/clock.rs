//! The one place that reads the machine's clocks.
//!
//! Rules take time as an argument; the services get it here, so that a search
//! for this module's name finds every place where time enters.

use std::time::{Instant, SystemTime};

use time::{Date, OffsetDateTime};

/// A reading of the monotonic clock, for deadlines and durations.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day in UTC, for certificates and records.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub fn utc() -> OffsetDateTime {
    OffsetDateTime::from(SystemTime::now())
}

/// Today's date in UTC, for horizons that are counted in months.
pub fn today() -> Date {
    utc().date()
}
