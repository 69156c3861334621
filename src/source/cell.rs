//! One cell as a source gives it, and why it may be no value. What it becomes is
//! [`super::convert`]'s business.

use std::fmt::{self, Write};

use rust_decimal::Decimal;
use time::Date;

use crate::domain::value::Misfit;
use crate::domain::zone::Moment;

/// Longest text that is looked at, in bytes.
pub(super) const MAX_TEXT: usize = 4096;

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
    /// A day of the calendar, also of a moment that was written without a zone.
    Date(Date),
    /// A moment, which is a day only in a zone.
    Moment(Moment),
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
            Self::Moment(_) => "Moment",
            Self::Text(_) => "Text",
            Self::Broken(_) => "Broken",
            Self::Other => "Other",
        })
    }
}

/// Why a cell is not a value of its item. Says nothing of the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// NULL where something must be.
    #[error("the cell is empty (NULL): fill it, or leave such rows out")]
    Empty,
    /// A kind of cell from which this type is not read.
    #[error("the cell is of a kind that the item's type is not read from")]
    Kind,
    /// A fraction where a whole number belongs.
    #[error("the number is not whole: convert it in the source, or map another item")]
    Fraction,
    /// Infinity or not a number.
    #[error("the number is not finite")]
    NotFinite,
    /// Not a number in plain digits.
    #[error(
        "the text is not a number as the mapping says that it is written: plain digits, with \
         `thousands`, `decimal`, `symbol` or `percent` if it states them"
    )]
    Number,
    /// More digits than a binary fraction holds for certain.
    #[error(
        "the number has the noise of a binary fraction, as 0.1 + 0.2 has: state how many decimal \
         `places` it has"
    )]
    Noise,
    /// More digits than a decimal holds.
    #[error("the number has more digits than a decimal holds")]
    Digits,
    /// Not a date of the calendar.
    #[error("the cell is not a date in the form of the mapping")]
    Date,
    /// A moment from a source without a zone.
    #[error(
        "the cell is a moment, whose day depends on the place: state the source's `zone`, such \
         as `zone = \"Asia/Shanghai\"`"
    )]
    Zone,
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
    /// A person of the last file who is not in this one.
    #[error("the person was in the last file and is not in this one, which may be cut")]
    Unconfirmed,
    /// Several values where one is expected.
    #[error("the path finds more than one value")]
    Several,
    /// A code that the mapping does not know.
    #[error("the code is not in the mapping")]
    Code,
    /// Neither yes nor no.
    #[error(
        "the cell says neither 1 or 0 nor true or false: state what the column writes, such as \
         `true = [\"Y\"], false = [\"N\"]`"
    )]
    Word,
    /// The value does not fit the catalogue.
    #[error(transparent)]
    Catalogue(#[from] Misfit),
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
