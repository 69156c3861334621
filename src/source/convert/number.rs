//! Numbers: exact, in the form that the mapping states.

use std::borrow::Cow;

use rust_decimal::{Decimal, RoundingStrategy};

use crate::source::cell::{Cell, Digits, Unfit};

/// Digits that a binary fraction of 64 bits gives back for certain. What has more is
/// the nearest fraction to a number that nobody can tell any more.
const CERTAIN_DIGITS: usize = 15;

/// How a column writes numbers.
#[derive(Debug, Clone, Default)]
pub(in crate::source) struct NumberForm {
    /// Decimal places by which numbers are shifted.
    pub scale: u32,
    /// Decimal places to which they are rounded.
    pub places: Option<u32>,
    /// What stands between thousands.
    pub thousands: Option<char>,
    /// What stands before the decimal places, if no point.
    pub decimal: Option<char>,
    /// What stands before or behind the number.
    pub symbol: Option<Box<str>>,
    /// Texts are hundredths that end in a per cent sign.
    pub percent: bool,
}

impl NumberForm {
    /// A whole number.
    pub fn integer(&self, cell: Cell<'_>) -> Result<i64, Unfit> {
        // Beyond this, a binary fraction no longer says which whole number is meant.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match cell {
            Cell::Integer(number) => Ok(number),
            Cell::Text(text) => {
                let text = self.plain(text)?;
                let digits = text.strip_prefix('-').unwrap_or(&text);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    let fraction = digits.split_once('.').is_some() && plain_decimal(&text).is_ok();
                    return Err(if fraction { Unfit::Fraction } else { Unfit::Number });
                }
                text.parse().map_err(|_| Unfit::Digits)
            }
            Cell::Real(number) if !number.is_finite() => Err(Unfit::NotFinite),
            Cell::Real(number) if number.fract() != 0.0 => Err(Unfit::Fraction),
            Cell::Real(number) if number.abs() >= EXACT => Err(Unfit::Digits),
            #[allow(clippy::cast_possible_truncation, reason = "whole and within 53 bits")]
            Cell::Real(number) => Ok(number as i64),
            Cell::Decimal(number) if !number.is_integer() => Err(Unfit::Fraction),
            Cell::Decimal(number) => i64::try_from(number.trunc()).map_err(|_| Unfit::Digits),
            Cell::Broken(reason) => Err(reason),
            Cell::Null => Err(Unfit::Empty),
            Cell::Bool(_) | Cell::Date(_) | Cell::Moment(_) | Cell::Other => Err(Unfit::Kind),
        }
    }

    /// A decimal number.
    pub fn decimal(&self, cell: Cell<'_>) -> Result<Decimal, Unfit> {
        let mut number = match cell {
            Cell::Integer(number) => Decimal::from(number),
            Cell::Decimal(number) => number,
            Cell::Text(text) => plain_decimal(&self.plain(text)?)?,
            Cell::Real(number) => self.real(number)?,
            Cell::Broken(reason) => return Err(reason),
            Cell::Null => return Err(Unfit::Empty),
            Cell::Bool(_) | Cell::Date(_) | Cell::Moment(_) | Cell::Other => {
                return Err(Unfit::Kind);
            }
        };
        let hundredths = if self.percent && matches!(cell, Cell::Text(_)) { 2 } else { 0 };
        let shift = self.scale.saturating_add(hundredths);
        if shift > 0 {
            let places = number.scale().checked_add(shift).ok_or(Unfit::Digits)?;
            number.set_scale(places).map_err(|_| Unfit::Digits)?;
        }
        if let Some(places) = self.places {
            number = number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
        }
        Ok(if number.is_zero() { Decimal::ZERO } else { number })
    }

    /// The shortest digits that give this fraction back: what its writer meant, if
    /// there are no more than a fraction holds for certain.
    fn real(&self, number: f64) -> Result<Decimal, Unfit> {
        if !number.is_finite() {
            return Err(Unfit::NotFinite);
        }
        let digits = Digits::of(number)?;
        let significant = digits.as_str().trim_start_matches(['-', '0', '.']);
        let count = significant.bytes().filter(u8::is_ascii_digit).count();
        if count > CERTAIN_DIGITS && number.fract() != 0.0 && self.places.is_none() {
            return Err(Unfit::Noise);
        }
        plain_decimal(digits.as_str())
    }

    /// The text as a number in plain digits with a point.
    fn plain<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, Unfit> {
        let mut text = text;
        if self.percent {
            text = text.strip_suffix(['%', '\u{ff05}']).ok_or(Unfit::Number)?.trim_end();
        }
        let mut negative = false;
        if let Some(symbol) = &self.symbol {
            let unsigned = text.strip_prefix('-');
            let number = unsigned.unwrap_or(text);
            let bare = number
                .strip_prefix(&**symbol)
                .map(str::trim_start)
                .or_else(|| number.strip_suffix(&**symbol).map(str::trim_end));
            if let Some(bare) = bare {
                (text, negative) = (bare, unsigned.is_some());
            }
        }
        if self.thousands.is_none() && self.decimal.is_none() && !negative {
            return Ok(Cow::Borrowed(text));
        }
        let (sign, number) = match text.strip_prefix('-') {
            // Two signs are none.
            Some(_) if negative => return Err(Unfit::Number),
            Some(number) => ("-", number),
            None => (if negative { "-" } else { "" }, text),
        };
        let decimal = self.decimal.unwrap_or('.');
        let (whole, fraction) = match number.split_once(decimal) {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (number, None),
        };
        let mut plain = String::from(sign);
        let mark = self.thousands.filter(|mark| whole.contains(*mark));
        for (at, group) in whole.split(|c| Some(c) == mark).enumerate() {
            let fits = match (mark, at) {
                (None, _) => true,
                (Some(_), 0) => (1..=3).contains(&group.len()),
                (Some(_), _) => group.len() == 3,
            };
            // A point is none here where the mapping states another sign.
            if !fits || !group.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Unfit::Number);
            }
            plain.push_str(group);
        }
        if let Some(fraction) = fraction {
            plain.push('.');
            plain.push_str(fraction);
        }
        Ok(Cow::Owned(plain))
    }
}

/// A number in plain digits, with a point before its decimal places.
pub(in crate::source) fn plain_decimal(text: &str) -> Result<Decimal, Unfit> {
    // The library's parser takes more, such as underscores and a bare point.
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err(Unfit::Number);
    }
    Decimal::from_str_exact(text).map_err(|_| Unfit::Digits)
}
