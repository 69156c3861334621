//! What time it is, by two clocks of which either may be wrong: the wall clock, which
//! somebody may set, and the time that has elapsed since an anchor, which nobody can.
//!
//! Neither is taken for right. What ends is judged by the later of the two and what begins
//! by the earlier, so that an error of either refuses and revives nothing; once they agree
//! again everything is as before. The anchor is where the wall clock stood at the start, and
//! never before what is known to have been. It is moved for signed times alone: a wall clock
//! that agrees with nobody moves nothing.
//!
//! Pure: who reads the clocks is [`crate::clock`].

use time::{Duration, OffsetDateTime};

/// How far apart the two may be without anybody being told. It is counted from the anchor,
/// so that small steps add up.
pub const LEEWAY: Duration = Duration::seconds(5);

/// What a machine's clocks say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub utc: OffsetDateTime,
    /// Since some fixed moment; it runs on while the machine is suspended.
    pub elapsed: Duration,
}

/// The present. Where both clocks agree, the two ends are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// It may be no later: what holds from a moment on is held against this.
    pub earliest: OffsetDateTime,
    /// It may be as late as this: what holds until a moment is held against this.
    pub latest: OffsetDateTime,
}

impl From<OffsetDateTime> for Now {
    fn from(time: OffsetDateTime) -> Self {
        Self { earliest: time, latest: time }
    }
}

/// That the two clocks are further apart than [`LEEWAY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// By how much the wall clock is ahead of elapsed time; negative where it is behind.
    pub ahead: Duration,
}

/// The way of time since the anchor.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    anchor: Reading,
    /// What is known to have been before the start.
    known: OffsetDateTime,
}

impl Course {
    /// Begins at a reading. `known` is a time that has been, such as that of the last record
    /// of a log: a clock that was set back before the start revives nothing.
    pub fn begin(reading: Reading, known: OffsetDateTime) -> Self {
        Self { anchor: Reading { utc: reading.utc.max(known), ..reading }, known }
    }

    /// The time by the anchor and what has elapsed since.
    pub fn steady(&self, reading: Reading) -> OffsetDateTime {
        self.anchor.utc.saturating_add(reading.elapsed - self.anchor.elapsed)
    }

    /// The present.
    pub fn now(&self, reading: Reading) -> Now {
        let steady = self.steady(reading);
        Now { earliest: reading.utc.min(steady), latest: reading.utc.max(steady) }
    }

    /// Whether the clocks are too far apart, and how far.
    pub fn doubt(&self, reading: Reading) -> Option<Doubt> {
        let ahead = reading.utc - self.steady(reading);
        (ahead.abs() > LEEWAY).then_some(Doubt { ahead })
    }

    /// The time for a record: the wall clock's, and while that is in doubt the other, so
    /// that a log does not end in a future that never was.
    pub fn recorded(&self, reading: Reading) -> OffsetDateTime {
        match self.doubt(reading) {
            None => reading.utc,
            Some(_) => self.steady(reading),
        }
    }

    /// Takes a signed time that has only now become known, and says whether the anchor was
    /// moved: where the clocks are in doubt, and the wall clock is not before the signed time
    /// and nearer to it. `known` stays the earliest that it can be moved to.
    pub fn signed(&mut self, signed: OffsetDateTime, reading: Reading) -> bool {
        if self.doubt(reading).is_none() || signed > reading.utc.saturating_add(LEEWAY) {
            return false;
        }
        let from = |time: OffsetDateTime| (time - signed).abs();
        if from(reading.utc) >= from(self.steady(reading)) {
            return false;
        }
        *self = Self::begin(reading, self.known);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_790_000_000 + seconds).unwrap()
    }

    /// The wall clock and elapsed time, each in seconds.
    fn read(utc: i64, elapsed: i64) -> Reading {
        Reading { utc: at(utc), elapsed: Duration::seconds(77 + elapsed) }
    }

    fn begun() -> Course {
        Course::begin(read(0, 0), OffsetDateTime::UNIX_EPOCH)
    }

    fn ahead(course: &Course, reading: Reading) -> Option<i64> {
        course.doubt(reading).map(|doubt| doubt.ahead.whole_seconds())
    }

    #[test]
    fn row_68_either_error_refuses_and_a_correction_heals() {
        let course = begun();
        assert_eq!(course.now(read(60, 60)), Now::from(at(60)));
        assert_eq!(ahead(&course, read(60, 60)), None);
        for step in [2 * HOUR, -2 * HOUR] {
            let stepped = read(60 + step, 60);
            let now = course.now(stepped);
            assert_eq!(now.latest, at(60).max(at(60 + step)), "what ends, ends by the later");
            assert_eq!(now.earliest, at(60).min(at(60 + step)), "what begins, by the earlier");
            assert_eq!(ahead(&course, stepped), Some(step));
            assert_eq!(course.recorded(stepped), at(60));
            // Corrected, without anything else.
            assert_eq!(course.now(read(120, 120)), Now::from(at(120)));
            assert_eq!(ahead(&course, read(120, 120)), None);
        }
    }

    #[test]
    fn row_68_three_hours_of_suspension_are_three_hours() {
        let course = begun();
        let resumed = read(3 * HOUR, 3 * HOUR);
        assert_eq!(course.now(resumed), Now::from(at(3 * HOUR)));
        assert_eq!(course.doubt(resumed), None);
        // Whoever sets the clock back meanwhile revives nothing.
        let back = read(0, 3 * HOUR);
        assert_eq!(course.now(back).latest, at(3 * HOUR));
        assert_eq!(ahead(&course, back), Some(-3 * HOUR));
    }

    #[test]
    fn row_68_small_steps_add_up() {
        let course = begun();
        let found = |step: i64| ahead(&course, read(60 * step - step, 60 * step));
        assert_eq!((1..=5).filter_map(found).count(), 0);
        assert_eq!(found(6), Some(-6));
    }

    #[test]
    fn row_68_a_wrong_clock_at_the_start_is_righted_by_signed_times() {
        for step in [2 * HOUR, -2 * HOUR, 30, -30] {
            let mut course = Course::begin(read(step, 0), OffsetDateTime::UNIX_EPOCH);
            assert!(!course.signed(at(5), read(10 + step, 10)), "nobody has corrected it");
            // Corrected: the clocks differ, and a list of now decides.
            assert_eq!(ahead(&course, read(20, 20)), Some(-step));
            assert!(course.signed(at(18), read(20, 20)));
            assert_eq!(course.now(read(21, 21)), Now::from(at(21)));
            assert_eq!(ahead(&course, read(21, 21)), None);
        }
    }

    #[test]
    fn row_68_a_right_start_and_a_wrong_clock_are_not_made_one_by_signed_times() {
        for step in [2 * HOUR, -2 * HOUR, 30, -30] {
            let mut course = begun();
            assert!(!course.signed(at(58), read(60 + step, 60)));
            assert_eq!(ahead(&course, read(60 + step, 60)), Some(step));
        }
        // Nor is anything moved while nothing is in doubt.
        let mut course = begun();
        assert!(!course.signed(at(0), read(64, 60)));
        assert_eq!(ahead(&course, read(66, 60)), Some(6));
    }

    #[test]
    fn row_68_nothing_goes_behind_what_is_known_to_have_been() {
        let mut course = Course::begin(read(0, 0), at(2 * HOUR));
        assert_eq!(course.now(read(0, 0)).latest, at(2 * HOUR));
        assert_eq!(ahead(&course, read(0, 0)), Some(-2 * HOUR));
        assert!(course.signed(at(59), read(60, 60)));
        assert_eq!(course.now(read(60, 60)).latest, at(2 * HOUR));
        // Once it has come, all is well.
        let then = read(2 * HOUR + 10, 2 * HOUR + 10);
        assert!(course.signed(at(2 * HOUR + 9), then));
        assert_eq!(course.doubt(then), None);
    }
}
