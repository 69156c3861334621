//! Dates in the forms that agencies write. A form is stated by the mapping and
//! never guessed: 03/04/2025 is two different days.

use serde::Deserialize;
use time::{Date, Month, OffsetDateTime};

/// How a column writes a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum DateForm {
    /// `2025-01-31`, alone or in front of a time of day (RFC 3339). The day is
    /// taken as written, whatever the offset.
    #[default]
    #[serde(rename = "YYYY-MM-DD")]
    Iso,
    /// `20250131`, as text or as a whole number.
    #[serde(rename = "YYYYMMDD")]
    Compact,
    /// `2025/01/31`.
    #[serde(rename = "YYYY/MM/DD")]
    Slashed,
    /// `31.01.2025`.
    #[serde(rename = "DD.MM.YYYY")]
    Dotted,
    /// `31/01/2025`.
    #[serde(rename = "DD/MM/YYYY")]
    DayFirst,
    /// `01/31/2025`.
    #[serde(rename = "MM/DD/YYYY")]
    MonthFirst,
    /// Seconds since 1970-01-01T00:00:00Z; the day is that of UTC.
    #[serde(rename = "unix")]
    Seconds,
    /// Milliseconds since then.
    #[serde(rename = "unix-ms")]
    Milliseconds,
}

impl DateForm {
    /// Whether whole numbers are days in this form.
    pub const fn is_counted(self) -> bool {
        matches!(self, Self::Compact | Self::Seconds | Self::Milliseconds)
    }

    /// Reads a text; `None` when it is no day of the calendar in this form.
    pub fn text(self, text: &str) -> Option<Date> {
        let (separator, order) = match self {
            Self::Iso => return iso(text),
            Self::Compact => return compact(text),
            Self::Seconds | Self::Milliseconds => return self.number(whole(text)?),
            Self::Slashed => ('/', [0, 1, 2]),
            Self::Dotted => ('.', [2, 1, 0]),
            Self::DayFirst => ('/', [2, 1, 0]),
            Self::MonthFirst => ('/', [2, 0, 1]),
        };
        let widths = if order[0] == 0 { [4, 2, 2] } else { [2, 2, 4] };
        let parts = three_numbers(text, separator, widths)?;
        let [year, month, day] = order.map(|at| parts.get(at).copied().unwrap_or_default());
        calendar(year, month, day)
    }

    /// Reads a whole number.
    pub fn number(self, number: i64) -> Option<Date> {
        let moment = match self {
            Self::Compact => return compact(&number.to_string()),
            Self::Seconds => OffsetDateTime::from_unix_timestamp(number),
            Self::Milliseconds => {
                OffsetDateTime::from_unix_timestamp_nanos(i128::from(number) * 1_000_000)
            }
            _ => return None,
        };
        moment.ok().map(OffsetDateTime::date).filter(|day| day.year() > 0)
    }
}

fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn compact(text: &str) -> Option<Date> {
    let plain = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = if plain { text.parse().ok()? } else { return None };
    let [year, month, day] = [number / 10_000, number / 100 % 100, number % 100];
    calendar(u16::try_from(year).ok()?, u16::try_from(month).ok()?, u16::try_from(day).ok()?)
}

fn iso(text: &str) -> Option<Date> {
    let (day, time) = text.split_at_checked(10)?;
    match time.as_bytes() {
        [] => {}
        [b' ' | b'T', ..] => time_of_day(time.get(1..)?)?,
        _ => return None,
    }
    let [year, month, day] = three_numbers(day, '-', [4, 2, 2])?;
    calendar(year, month, day)
}

/// `10:15:00`, with a fraction and an offset if they are there.
fn time_of_day(text: &str) -> Option<()> {
    let (clock, rest) = text.split_at_checked(8)?;
    let [hour, minute, second] = three_numbers(clock, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
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
    let offset = match rest {
        "" | "Z" => return Some(()),
        _ => rest.strip_prefix(['+', '-'])?,
    };
    let (hours, minutes) = match offset.len() {
        2 => (offset, "00"),
        _ => offset.split_once(':')?,
    };
    let two = |part: &str| (part.len() == 2).then(|| whole(part)).flatten();
    (two(hours)? <= 18 && two(minutes)? <= 59).then_some(())
}

fn calendar(year: u16, month: u16, day: u16) -> Option<Date> {
    if year == 0 {
        return None;
    }
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()
}

fn three_numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[u16; 3]> {
    let mut numbers = [0u16; 3];
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
mod tests {
    use time::macros::date;

    use super::*;

    #[test]
    fn each_form_reads_its_own_and_no_other() {
        let written = [
            (DateForm::Iso, "2025-01-31"),
            (DateForm::Compact, "20250131"),
            (DateForm::Slashed, "2025/01/31"),
            (DateForm::Dotted, "31.01.2025"),
            (DateForm::DayFirst, "31/01/2025"),
            (DateForm::MonthFirst, "01/31/2025"),
            (DateForm::Seconds, "1738281600"),
            (DateForm::Milliseconds, "1738281600000"),
        ];
        for (form, text) in written {
            assert_eq!(form.text(text), Some(date!(2025 - 01 - 31)), "{form:?}");
            for (other, _) in written {
                let also = matches!(
                    (form, other),
                    (DateForm::Seconds | DateForm::Compact, DateForm::Milliseconds)
                        | (DateForm::Milliseconds | DateForm::Compact, DateForm::Seconds)
                );
                if other != form && !also {
                    assert_eq!(other.text(text), None, "{other:?} reads {text}");
                }
            }
        }
        assert_eq!(DateForm::Compact.number(20_250_131), Some(date!(2025 - 01 - 31)));
        assert_eq!(DateForm::Iso.number(20_250_131), None);
    }

    #[test]
    fn a_moment_of_rfc_3339_is_the_day_as_written() {
        for time in ["T23:59:60", " 08:00:00", "T08:00:00Z", "T08:00:00.123+08:00", " 08:00:00+00"]
        {
            let text = format!("2025-01-31{time}");
            assert_eq!(DateForm::Iso.text(&text), Some(date!(2025 - 01 - 31)), "{text}");
        }
        for time in ["T", "T8:00:00", "T25:00:00", "T08:00", "T08:00:00.", "T08:00:00+8", "x"] {
            assert_eq!(DateForm::Iso.text(&format!("2025-01-31{time}")), None, "{time}");
        }
    }

    #[test]
    fn what_is_no_day_is_none() {
        for text in ["", "0000-00-00", "0000-01-01", "2023-02-30", "2023-13-01", "２０２３-01-01"]
        {
            assert_eq!(DateForm::Iso.text(text), None, "{text}");
        }
        for text in ["0", "00000000", "20230230", "2023013", "-2023011"] {
            assert_eq!(DateForm::Compact.text(text), None, "{text}");
        }
        for number in [i64::MAX, i64::MIN, -62_167_219_201] {
            assert_eq!(DateForm::Seconds.number(number), None);
            let _ = DateForm::Milliseconds.number(number);
        }
    }
}
