//! A fact before an agency writes it down, and how a second agency comes to hold
//! another one.

use rust_decimal::Decimal;
use time::{Date, Duration};

use super::super::people::Draw;
use crate::domain::catalogue::Item;

/// A fact, in the catalogue's terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) enum Fact {
    Flag(bool),
    /// A count, months or whole CNY.
    Whole(i64),
    /// A share, a rate, or an amount with decimals.
    Number(Decimal),
    Day(Date),
    /// A code of the item's list.
    Code(&'static str),
    /// A code by its place in the item's list.
    Nth(i64),
}

pub(super) fn flag(is: bool) -> Option<Fact> {
    Some(Fact::Flag(is))
}

pub(super) fn whole(number: i64) -> Option<Fact> {
    Some(Fact::Whole(number.max(0)))
}

pub(super) fn code(code: &'static str) -> Option<Fact> {
    Some(Fact::Code(code))
}

pub(super) fn nth(place: i64) -> Option<Fact> {
    Some(Fact::Nth(place))
}

pub(super) fn day(day: Date) -> Option<Fact> {
    Some(Fact::Day(day))
}

/// A number given in hundredths.
pub(super) fn cents(hundredths: i64) -> Option<Fact> {
    Some(Fact::Number(Decimal::new(hundredths, 2)))
}

/// One number over another, as a ratio.
pub(super) fn ratio(of: i64, all: i64) -> Option<Fact> {
    (all > 0).then(|| Fact::Number((Decimal::from(of) / Decimal::from(all)).round_dp(2)))
}

/// What another office would hold where it has not heard the news, or counts in
/// another way: near, and not the same.
pub(in super::super) fn shifted(fact: Fact, item: &Item, draw: &mut Draw) -> Fact {
    match fact {
        Fact::Flag(is) => Fact::Flag(!is),
        Fact::Whole(0) => Fact::Whole(1),
        Fact::Whole(number) if number < 100 => Fact::Whole(number - draw.between(1, 3).min(number)),
        Fact::Whole(number) => Fact::Whole(number - number * draw.between(1, 6) / 100 - 1),
        Fact::Number(number) => {
            Fact::Number((number * Decimal::new(draw.between(90, 98), 2)).round_dp(2))
        }
        Fact::Day(day) => Fact::Day(day.saturating_add(Duration::days(-draw.between(3, 60)))),
        Fact::Code(_) | Fact::Nth(_) => {
            let count = i64::try_from(item.codes.len()).unwrap_or(1).max(1);
            Fact::Nth((fact.place_in(item) + 1) % count)
        }
    }
}

impl Fact {
    /// The place of a code in an item's list.
    fn place_in(self, item: &Item) -> i64 {
        match self {
            Self::Nth(place) => place,
            Self::Code(code) => {
                let found = item.codes.iter().position(|known| *known.code == *code);
                found.and_then(|at| i64::try_from(at).ok()).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// The code that it is, if the item is one of codes.
    pub(in super::super) fn code_of(self, item: &Item) -> Option<&str> {
        let at = usize::try_from(self.place_in(item)).ok()?;
        item.codes.get(at).map(|known| &*known.code)
    }
}
