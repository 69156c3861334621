//! From a moment in time to the day of the place where it happened.
//!
//! [`Zone::day`] is the only way from a [`Moment`] to a day, whatever the kind of
//! source and however it writes the moment. The rules of the zones come with the
//! program; the machine's own zone and its files are not asked.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use time::{Date, Month};

/// An instant: whole seconds since 1970-01-01T00:00:00Z. What is finer decides
/// about no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(i64);

impl Moment {
    /// From seconds since 1970.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.div_euclid(1_000))
    }

    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.div_euclid(1_000_000))
    }
}

/// A time zone of the IANA database, by its name there, such as `Asia/Shanghai`.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(TimeZone);

impl Zone {
    /// Looks a zone up by its name.
    ///
    /// # Errors
    /// [`UnknownZone`].
    pub fn new(name: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZone::get(name).map_err(|_| UnknownZone(name.to_owned()))?;
        // A zone without a name could not be stated to a database.
        zone.iana_name().ok_or_else(|| UnknownZone(name.to_owned()))?;
        Ok(Self(zone))
    }

    /// Its name in the IANA database.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The day of the calendar on which a moment happened here. `None` before the
    /// year 1 and after 9999.
    pub fn day(&self, moment: Moment) -> Option<Date> {
        let local = self.0.to_datetime(Timestamp::from_second(moment.0).ok()?);
        let month = Month::try_from(u8::try_from(local.month()).ok()?).ok()?;
        let day = u8::try_from(local.day()).ok()?;
        let date = Date::from_calendar_date(i32::from(local.year()), month, day).ok()?;
        (date.year() > 0).then_some(date)
    }
}

impl TryFrom<String> for Zone {
    type Error = UnknownZone;

    fn try_from(name: String) -> Result<Self, UnknownZone> {
        Self::new(&name)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name()).finish()
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

/// No zone has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a time zone: use a name of the IANA database, such as `Asia/Shanghai`, \
     `Europe/Berlin` or `UTC`",
    .0.escape_default()
)]
pub struct UnknownZone(String);

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn a_moment_belongs_to_the_day_of_its_place() {
        // 2024-03-04T16:30:00Z.
        let moment = Moment::from_seconds(1_709_569_800);
        for (zone, day) in [
            ("Asia/Shanghai", date!(2024 - 03 - 05)),
            ("UTC", date!(2024 - 03 - 04)),
            ("America/New_York", date!(2024 - 03 - 04)),
            ("Pacific/Kiritimati", date!(2024 - 03 - 05)),
        ] {
            assert_eq!(Zone::new(zone).unwrap().day(moment), Some(day), "{zone}");
        }
    }

    #[test]
    fn a_fraction_before_1970_belongs_to_the_second_that_it_is_in() {
        let utc = Zone::new("UTC").unwrap();
        for moment in [Moment::from_millis(-1), Moment::from_micros(-1), Moment::from_seconds(-1)] {
            assert_eq!(utc.day(moment), Some(date!(1969 - 12 - 31)));
        }
    }

    #[test]
    fn what_is_no_zone_or_no_day_is_refused() {
        for name in ["", "Asia/Beijing", "CST8", "+08:00", "asia", "../etc/passwd"] {
            assert!(Zone::new(name).is_err(), "{name}");
        }
        let zone = Zone::new("Asia/Shanghai").unwrap();
        assert_eq!(zone.name(), "Asia/Shanghai");
        for seconds in [i64::MAX, i64::MIN, -62_167_219_201 - 86_400] {
            assert_eq!(zone.day(Moment::from_seconds(seconds)), None, "{seconds}");
        }
    }
}
