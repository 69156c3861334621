//! From a database's cell to a value of the catalogue, strictly.
//!
//! Nothing is trimmed, rounded or guessed: what does not fit is no value. The
//! reason says what kind of thing is wrong and never repeats the cell.

use std::fmt::{self, Write};

use rust_decimal::Decimal;
use time::Date;

use super::column::Column;
use crate::domain::dates::DateForm;
use crate::domain::value::{Misfit, Value, ValueType};

/// Longest text that is looked at, in bytes.
pub(super) const MAX_TEXT: usize = 4096;

/// Longest reference of a person's statement, in characters.
const MAX_STATEMENT: usize = 200;

/// One cell as a source gives it. Whatever kind of source it is, its own types
/// become one of these.
#[derive(Clone, Copy)]
pub enum Cell<'a> {
    /// Nothing recorded.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A binary fraction.
    Real(f64),
    /// A decimal number.
    Decimal(Decimal),
    /// A day of the calendar.
    Date(Date),
    /// A text.
    Text(&'a str),
    /// Something that its source itself could not read.
    Broken(Unfit),
    /// Something that no item can be read from, such as a blob.
    Other,
}

impl fmt::Debug for Cell<'_> {
    // A cell belongs to a person: only its kind is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Bool(_) => "Bool",
            Self::Integer(_) => "Integer",
            Self::Real(_) => "Real",
            Self::Decimal(_) => "Decimal",
            Self::Date(_) => "Date",
            Self::Text(_) => "Text",
            Self::Broken(_) => "Broken",
            Self::Other => "Other",
        })
    }
}

/// Why a cell is not a value of its item. Says nothing of the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A kind of cell from which this type is not read.
    #[error("the cell is of a kind that the item's type is not read from")]
    Kind,
    /// Infinity or not a number.
    #[error("the number is not finite")]
    NotFinite,
    /// Not a number in plain digits.
    #[error("the text is not a number in plain digits")]
    Number,
    /// More digits than a decimal holds.
    #[error("the number has more digits than a decimal holds")]
    Digits,
    /// Not a date of the calendar.
    #[error("the cell is not a date in the form of the mapping")]
    Date,
    /// A day that has not come yet.
    #[error("the date lies in the future")]
    Future,
    /// A control character or another that cannot be seen.
    #[error("the text has a character that is not printable")]
    Unprintable,
    /// Longer than any item.
    #[error("the text is too long")]
    Length,
    /// Not a whole line.
    #[error("the line is torn")]
    Torn,
    /// Several values where one is expected.
    #[error("the path finds more than one value")]
    Several,
    /// A code that the mapping does not know.
    #[error("the code is not in the mapping")]
    Code,
    /// The value does not fit the catalogue.
    #[error(transparent)]
    Catalogue(#[from] Misfit),
}

/// Reads a cell that is not NULL as a value of the column's item.
pub(super) fn value(cell: Cell<'_>, column: &Column) -> Result<Value, Unfit> {
    match cell {
        Cell::Text(text) => clean(text)?,
        Cell::Broken(reason) => return Err(reason),
        _ => {}
    }
    let value = match &column.value_type {
        ValueType::Boolean => Value::Boolean(boolean(cell)?),
        ValueType::Integer(_) => Value::Integer(integer(cell)?),
        ValueType::Decimal(_) => Value::Decimal(decimal(cell, column.scale)?),
        ValueType::Money(..) => Value::Money(decimal(cell, column.scale)?),
        ValueType::Date => Value::Date(date(cell, column.dates)?),
        ValueType::Code(_) => Value::Code(match cell {
            Cell::Text(text) => column.code(text).ok_or(Unfit::Code)?,
            Cell::Integer(number) => {
                column.code(Digits::of(number)?.as_str()).ok_or(Unfit::Code)?
            }
            _ => return Err(Unfit::Kind),
        }),
        ValueType::Months(_) => {
            let months = integer(cell)?;
            Value::Months(u32::try_from(months).map_err(|_| Unfit::Catalogue(Misfit::Range))?)
        }
    };
    column.value_type.check(&value)?;
    Ok(value)
}

fn clean(text: &str) -> Result<(), Unfit> {
    if text.len() > MAX_TEXT {
        return Err(Unfit::Length);
    }
    if text.chars().any(char::is_control) {
        return Err(Unfit::Unprintable);
    }
    Ok(())
}

/// Yes or no: 1 or 0, true or false.
pub(super) fn boolean(cell: Cell<'_>) -> Result<bool, Unfit> {
    match cell {
        Cell::Bool(value) => Ok(value),
        Cell::Integer(1) | Cell::Text("1" | "true") => Ok(true),
        Cell::Integer(0) | Cell::Text("0" | "false") => Ok(false),
        _ => Err(Unfit::Kind),
    }
}

fn integer(cell: Cell<'_>) -> Result<i64, Unfit> {
    // Beyond this, a binary fraction no longer says which whole number is meant.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match cell {
        Cell::Integer(number) => Ok(number),
        Cell::Text(text) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Unfit::Number);
            }
            text.parse().map_err(|_| Unfit::Digits)
        }
        Cell::Real(number) if !number.is_finite() => Err(Unfit::NotFinite),
        Cell::Real(number) if number.fract() != 0.0 => Err(Unfit::Number),
        Cell::Real(number) if number.abs() >= EXACT => Err(Unfit::Digits),
        #[allow(clippy::cast_possible_truncation, reason = "whole and within 53 bits")]
        Cell::Real(number) => Ok(number as i64),
        Cell::Decimal(number) if !number.is_integer() => Err(Unfit::Number),
        Cell::Decimal(number) => i64::try_from(number.trunc()).map_err(|_| Unfit::Digits),
        Cell::Broken(reason) => Err(reason),
        Cell::Null | Cell::Bool(_) | Cell::Date(_) | Cell::Other => Err(Unfit::Kind),
    }
}

fn decimal(cell: Cell<'_>, scale: u32) -> Result<Decimal, Unfit> {
    let mut number = match cell {
        Cell::Integer(number) => Decimal::from(number),
        Cell::Decimal(number) => number,
        Cell::Text(text) => plain_decimal(text)?,
        Cell::Real(number) if !number.is_finite() => return Err(Unfit::NotFinite),
        // The shortest digits that give this fraction back: what its writer meant.
        Cell::Real(number) => plain_decimal(Digits::of(number)?.as_str())?,
        Cell::Broken(reason) => return Err(reason),
        Cell::Null | Cell::Bool(_) | Cell::Date(_) | Cell::Other => return Err(Unfit::Kind),
    };
    if scale > 0 {
        let places = number.scale().checked_add(scale).ok_or(Unfit::Digits)?;
        number.set_scale(places).map_err(|_| Unfit::Digits)?;
    }
    Ok(if number.is_zero() { Decimal::ZERO } else { number })
}

pub(super) fn plain_decimal(text: &str) -> Result<Decimal, Unfit> {
    // The library's parser takes more, such as underscores and a bare point.
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err(Unfit::Number);
    }
    Decimal::from_str_exact(text).map_err(|_| Unfit::Digits)
}

/// A day, in the form that the mapping states for what is not a date by itself.
pub(super) fn date(cell: Cell<'_>, form: DateForm) -> Result<Date, Unfit> {
    match cell {
        Cell::Date(date) if date.year() > 0 => Ok(date),
        Cell::Date(_) => Err(Unfit::Date),
        Cell::Text(text) => form.text(text).ok_or(Unfit::Date),
        Cell::Integer(number) if form.is_counted() => form.number(number).ok_or(Unfit::Date),
        Cell::Broken(reason) => Err(reason),
        _ => Err(Unfit::Kind),
    }
}

/// The reference of a person's statement; an empty one is none.
pub(super) fn statement(cell: Cell<'_>) -> Result<Option<Box<str>>, Unfit> {
    let text = match cell {
        Cell::Null | Cell::Text("") => return Ok(None),
        Cell::Text(text) => text,
        _ => return Err(Unfit::Kind),
    };
    clean(text)?;
    if text.chars().count() > MAX_STATEMENT {
        return Err(Unfit::Length);
    }
    // Marks that reorder or hide what a reviewer reads.
    let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if text.chars().any(hidden) { Err(Unfit::Unprintable) } else { Ok(Some(text.into())) }
}

/// A number's digits without an allocation.
pub(super) struct Digits {
    bytes: [u8; 48],
    used: usize,
}

impl Digits {
    pub(super) fn of(number: impl fmt::Display) -> Result<Self, Unfit> {
        let mut digits = Self { bytes: [0; 48], used: 0 };
        write!(digits, "{number}").map_err(|_| Unfit::Digits)?;
        Ok(digits)
    }

    pub(super) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.used).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.used.checked_add(text.len()).ok_or(fmt::Error)?;
        let room = self.bytes.get_mut(self.used..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.used = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
