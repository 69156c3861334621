//! A stated form of days, such as `YYYY/M/D` or `D-Mon-YY`, taken apart once and
//! then held against texts.

use time::{Date, Month};

/// Parts of a form at most.
const MAX_PARTS: usize = 16;

/// One part of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// `YYYY`.
    Year,
    /// `YY`: 00 to 68 are 2000 to 2068, 69 to 99 are 1969 to 1999.
    ShortYear,
    /// `MM`, two digits; `M`, one or two.
    Month { both: bool },
    /// `Mon`: the first three letters of the month's English name.
    Name,
    /// `DD`, two digits; `D`, one or two.
    Day { both: bool },
    /// `hh` or `h`, `mm`, `ss`: looked at, and of no weight.
    Time { most: u32, both: bool },
    /// This character.
    Literal(char),
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// A form, in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    parts: [Part; MAX_PARTS],
    used: usize,
}

impl Form {
    /// Takes a form apart. `None` when it does not say year, month and day once each,
    /// or when a number of one or two digits is followed by another number.
    pub fn new(written: &str) -> Option<Self> {
        let words: [(&str, Part); 12] = [
            ("YYYY", Part::Year),
            ("YY", Part::ShortYear),
            ("Mon", Part::Name),
            ("MM", Part::Month { both: true }),
            ("M", Part::Month { both: false }),
            ("DD", Part::Day { both: true }),
            ("D", Part::Day { both: false }),
            ("hh", Part::Time { most: 23, both: true }),
            ("h", Part::Time { most: 23, both: false }),
            ("mm", Part::Time { most: 59, both: true }),
            ("ss", Part::Time { most: 60, both: true }),
            ("T", Part::Literal('T')),
        ];
        let mut form = Self { parts: [Part::Literal(' '); MAX_PARTS], used: 0 };
        let mut rest = written;
        while let Some(next) = rest.chars().next() {
            let word =
                words.iter().find_map(|(word, part)| Some((*part, rest.strip_prefix(word)?)));
            let (part, after) = match word {
                Some(found) => found,
                None if next.is_ascii_alphanumeric() || next.is_control() => return None,
                None => (Part::Literal(next), rest.get(next.len_utf8()..)?),
            };
            *form.parts.get_mut(form.used)? = part;
            form.used += 1;
            rest = after;
        }
        form.is_sane().then_some(form)
    }

    fn parts(&self) -> &[Part] {
        self.parts.get(..self.used).unwrap_or_default()
    }

    fn is_sane(&self) -> bool {
        let count = |wanted: fn(&Part) -> bool| self.parts().iter().filter(|p| wanted(p)).count();
        let whole = count(|part| matches!(part, Part::Year | Part::ShortYear)) == 1
            && count(|part| matches!(part, Part::Month { .. } | Part::Name)) == 1
            && count(|part| matches!(part, Part::Day { .. })) == 1;
        let open = |part: &Part| {
            matches!(
                part,
                Part::Month { both: false }
                    | Part::Day { both: false }
                    | Part::Time { both: false, .. }
            )
        };
        let closed = |part: &Part| matches!(part, Part::Literal(_) | Part::Name);
        let apart = self.parts().windows(2).all(|pair| match pair {
            [one, next] => !open(one) || closed(next),
            _ => true,
        });
        whole && apart
    }

    /// Whether a whole number can be a day in this form: digits alone, the year first.
    pub fn is_counted(&self) -> bool {
        let fixed = |part: &Part| {
            matches!(part, Part::Year | Part::Month { both: true } | Part::Day { both: true })
        };
        self.parts().first() == Some(&Part::Year) && self.parts().iter().all(fixed)
    }

    /// Reads a text; `None` when it is no day of the calendar in this form.
    pub fn read(&self, text: &str) -> Option<Date> {
        let (mut year, mut month, mut day) = (0, 0, 0);
        let mut rest = text;
        for part in self.parts() {
            rest = match part {
                Part::Year => digits(rest, 4, 4, &mut year)?,
                Part::ShortYear => {
                    let after = digits(rest, 2, 2, &mut year)?;
                    year += if year <= 68 { 2000 } else { 1900 };
                    after
                }
                Part::Month { both } => digits(rest, least(*both), 2, &mut month)?,
                Part::Day { both } => digits(rest, least(*both), 2, &mut day)?,
                Part::Name => {
                    let (name, after) = rest.split_at_checked(3)?;
                    let at = MONTHS.iter().position(|known| known.eq_ignore_ascii_case(name))?;
                    month = u32::try_from(at + 1).ok()?;
                    after
                }
                Part::Time { most, both } => {
                    let mut number = 0;
                    let after = digits(rest, least(*both), 2, &mut number)?;
                    if number > *most {
                        return None;
                    }
                    after
                }
                Part::Literal(literal) => rest.strip_prefix(*literal)?,
            };
        }
        if !rest.is_empty() {
            return None;
        }
        calendar(year, month, day)
    }
}

const fn least(both: bool) -> usize {
    if both { 2 } else { 1 }
}

/// Takes digits off the front of a text.
fn digits<'a>(text: &'a str, least: usize, most: usize, into: &mut u32) -> Option<&'a str> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if count < least {
        return None;
    }
    let (number, rest) = text.split_at_checked(count)?;
    *into = number.parse().ok()?;
    Some(rest)
}

/// A day of the calendar, from the year 1 on.
pub(super) fn calendar(year: u32, month: u32, day: u32) -> Option<Date> {
    if year == 0 {
        return None;
    }
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()
}
