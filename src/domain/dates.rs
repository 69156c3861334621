//! Days in the forms that agencies write. A form is stated by the mapping and
//! never guessed: 03/04/2025 is two different days.
//!
//! What is written with an offset from UTC, or counted since 1970, is a moment and
//! not yet a day: [`super::zone`] says of which day it is.

mod form;

use form::{Form, calendar};
use serde::Deserialize;
use time::Date;

use super::zone::Moment;

/// How a column writes a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DateForm(Kind);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// `2025-01-31`, alone or in front of a time of day (RFC 3339).
    #[default]
    Iso,
    /// In parts such as `YYYY/M/D`.
    Stated(Form),
    /// Seconds since 1970-01-01T00:00:00Z.
    Seconds,
    /// Milliseconds since then.
    Milliseconds,
}

/// What a cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A day of the calendar. A time of day without an offset is of its own day.
    Day(Date),
    /// A moment, whose day depends on the place.
    Moment(Moment),
}

impl DateForm {
    /// Reads a form such as `YYYY-MM-DD`, `D.M.YYYY`, `D-Mon-YY`, `unix` or `unix-ms`.
    ///
    /// # Errors
    /// [`UnknownForm`].
    pub fn new(written: &str) -> Result<Self, UnknownForm> {
        let kind = match written {
            "YYYY-MM-DD" => Some(Kind::Iso),
            "unix" => Some(Kind::Seconds),
            "unix-ms" => Some(Kind::Milliseconds),
            _ => Form::new(written).map(Kind::Stated),
        };
        kind.map(Self).ok_or_else(|| UnknownForm(written.to_owned()))
    }

    /// Whether whole numbers are days or moments in this form.
    pub fn is_counted(self) -> bool {
        match self.0 {
            Kind::Iso => false,
            Kind::Stated(form) => form.is_counted(),
            Kind::Seconds | Kind::Milliseconds => true,
        }
    }

    /// Whether all that is written in this form are moments.
    pub fn is_moment(self) -> bool {
        matches!(self.0, Kind::Seconds | Kind::Milliseconds)
    }

    /// Reads a text; `None` when it is neither a day of the calendar nor a moment in
    /// this form.
    pub fn text(self, text: &str) -> Option<Written> {
        match self.0 {
            Kind::Iso => iso(text),
            Kind::Stated(form) => form.read(text).map(Written::Day),
            Kind::Seconds | Kind::Milliseconds => self.number(whole(text)?),
        }
    }

    /// Reads a whole number.
    pub fn number(self, number: i64) -> Option<Written> {
        match self.0 {
            Kind::Stated(form) if form.is_counted() => {
                form.read(&number.to_string()).map(Written::Day)
            }
            Kind::Seconds => Some(Written::Moment(Moment::from_seconds(number))),
            Kind::Milliseconds => Some(Written::Moment(Moment::from_millis(number))),
            Kind::Iso | Kind::Stated(_) => None,
        }
    }
}

impl TryFrom<String> for DateForm {
    type Error = UnknownForm;

    fn try_from(written: String) -> Result<Self, UnknownForm> {
        Self::new(&written)
    }
}

/// A form that says no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no form of days: use `unix`, `unix-ms`, or write one with YYYY or YY, with MM, M or \
     Mon, with DD or D, and what stands between them, such as `YYYY/M/D`, `DD.MM.YYYY`, \
     `D-Mon-YY` or `YYYY年M月D日`; a time of day is hh or h, mm, ss",
    .0.chars().filter(|c| !c.is_control()).take(40).collect::<String>()
)]
pub struct UnknownForm(String);

fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn iso(text: &str) -> Option<Written> {
    let (day, time) = text.split_at_checked(10)?;
    let [year, month, number] = three_numbers(day, '-', [4, 2, 2])?;
    let date = calendar(year, month, number)?;
    let offset = match time.as_bytes() {
        [] => None,
        [b' ' | b'T', ..] => {
            let (second, offset) = time_of_day(time.get(1..)?)?;
            offset.map(|offset| second - offset)
        }
        _ => return None,
    };
    let Some(seconds) = offset else { return Some(Written::Day(date)) };
    let midnight = date.midnight().assume_utc().unix_timestamp();
    Some(Written::Moment(Moment::from_seconds(midnight.checked_add(seconds)?)))
}

/// `10:15:00`, with a fraction and an offset if they are there: the second of the day,
/// and the offset from UTC in seconds.
fn time_of_day(text: &str) -> Option<(i64, Option<i64>)> {
    let (clock, rest) = text.split_at_checked(8)?;
    let [hour, minute, second] = three_numbers(clock, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // A leap second belongs to the minute that it ends.
    let of_day = i64::from(hour * 3600 + minute * 60 + second.min(59));
    let rest = match rest.strip_prefix('.') {
        None => rest,
        Some(rest) => {
            let fraction = rest.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&fraction) {
                return None;
            }
            rest.get(fraction..)?
        }
    };
    let (offset, sign) = match rest.as_bytes() {
        [] => return Some((of_day, None)),
        [b'Z'] => return Some((of_day, Some(0))),
        [b'+', ..] => (rest.get(1..)?, 1),
        [b'-', ..] => (rest.get(1..)?, -1),
        _ => return None,
    };
    let (hours, minutes) = match offset.len() {
        2 => (offset, "00"),
        4 => offset.split_at_checked(2)?,
        _ => offset.split_once(':')?,
    };
    let two = |part: &str| (part.len() == 2).then(|| whole(part)).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours <= 18 && minutes <= 59).then_some((of_day, Some(sign * (hours * 3600 + minutes * 60))))
}

fn three_numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.split(separator);
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests;
