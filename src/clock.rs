//! The one place that reads the machine's clocks.
//!
//! Rules take time as an argument; the services get it here, so that a search
//! for this module's name finds every place where time enters.
//!
//! The wall clock may be set, wrongly or rightly, while we run. [`Keeper`] holds it against
//! the time that has elapsed since the start ([`crate::domain::now`]); what expires is asked
//! of a keeper.

mod beat;

pub use beat::{beat, until_beat};

use std::fmt;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime};

use parking_lot::Mutex;
use time::{Date, OffsetDateTime};

use crate::domain::now::{Course, Doubt, Now, Reading};

/// A reading of the monotonic clock, for deadlines and durations.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day in UTC, as the wall clock shows it.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub fn utc() -> OffsetDateTime {
    OffsetDateTime::from(SystemTime::now())
}

/// Today's date in UTC, for horizons that are counted in months.
pub fn today() -> Date {
    utc().date()
}

/// Both clocks at this moment.
pub fn reading() -> Reading {
    Reading { utc: utc(), elapsed: elapsed() }
}

/// Since the machine was started, its suspensions included.
#[cfg(target_os = "linux")]
fn elapsed() -> time::Duration {
    let read = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let nanoseconds = i32::try_from(read.tv_nsec).unwrap_or_default();
    time::Duration::new(read.tv_sec, nanoseconds)
}

/// Since the first call. Elsewhere there may be no clock that runs on in a suspension; after
/// one the two clocks differ, and fresh signed times right them.
#[cfg(not(target_os = "linux"))]
fn elapsed() -> time::Duration {
    static FIRST: LazyLock<Instant> = LazyLock::new(now);
    let since = now().saturating_duration_since(*FIRST);
    time::Duration::try_from(since).unwrap_or(time::Duration::MAX)
}

/// Of the process: it begins with the first look at it.
static PROCESS: LazyLock<Keeper> =
    LazyLock::new(|| Keeper::starting_at(OffsetDateTime::UNIX_EPOCH));

/// The keeper of those who have no log whose last time is known: links, and the log itself.
pub fn process() -> &'static Keeper {
    &PROCESS
}

/// Holds the wall clock against elapsed time. Shared by reference.
pub struct Keeper {
    course: Mutex<Course>,
    read: Box<dyn Fn() -> Reading + Send + Sync>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keeper").field(&*self.course.lock()).finish()
    }
}

impl Keeper {
    /// Starts at the machine's clocks, not before a time that is known to have been, such
    /// as that of the last record of a log.
    pub fn starting_at(known: OffsetDateTime) -> Self {
        Self::over(known, reading)
    }

    /// The same over other clocks, for tests.
    pub fn over(known: OffsetDateTime, read: impl Fn() -> Reading + Send + Sync + 'static) -> Self {
        Self { course: Mutex::new(Course::begin(read(), known)), read: Box::new(read) }
    }

    /// The present, between the two clocks.
    pub fn now(&self) -> Now {
        let course = self.course.lock();
        course.now((self.read)())
    }

    /// What time to write into a record.
    pub fn recorded(&self) -> OffsetDateTime {
        let course = self.course.lock();
        course.recorded((self.read)())
    }

    /// Whether the clocks differ by more than they may.
    pub fn in_doubt(&self) -> Option<Doubt> {
        let course = self.course.lock();
        course.doubt((self.read)())
    }

    /// Takes note of a signed time that has only now become known. Says whether it decided
    /// between the clocks.
    pub fn signed(&self, signed: OffsetDateTime) -> bool {
        let mut course = self.course.lock();
        course.signed(signed, (self.read)())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clocks_agree_and_run() {
        let keeper = Keeper::starting_at(OffsetDateTime::UNIX_EPOCH);
        assert_eq!(keeper.in_doubt(), None);
        let (before, now) = (reading(), keeper.now());
        assert!(now.earliest <= now.latest);
        let after = reading();
        assert!(before.elapsed > time::Duration::ZERO && before.elapsed <= after.elapsed);
    }
}
