//! Yes and no, as a column writes them.

use rust_decimal::Decimal;

use crate::source::cell::{Cell, Digits, Unfit};

/// What a column writes for yes and for no; nothing stated means 1 and 0, true and
/// false in either case.
#[derive(Debug, Clone, Default)]
pub(in crate::source) struct Words(Vec<(Box<str>, bool)>);

impl Words {
    /// Stated words, in place of the usual ones.
    pub fn new(stated: Vec<(Box<str>, bool)>) -> Self {
        Self(stated)
    }

    /// Whether the mapping states any.
    pub fn are_stated(&self) -> bool {
        !self.0.is_empty()
    }

    /// Yes or no.
    pub fn read(&self, cell: Cell<'_>) -> Result<bool, Unfit> {
        match cell {
            Cell::Bool(value) => Ok(value),
            Cell::Text(text) => self.word(text),
            Cell::Integer(number) => self.word(Digits::of(number)?.as_str()),
            Cell::Decimal(number) if number == Decimal::ONE => self.word("1"),
            Cell::Decimal(number) if number.is_zero() => self.word("0"),
            Cell::Decimal(_) => Err(Unfit::Word),
            Cell::Broken(reason) => Err(reason),
            Cell::Null => Err(Unfit::Empty),
            Cell::Real(_) | Cell::Date(_) | Cell::Moment(_) | Cell::Other => Err(Unfit::Kind),
        }
    }

    fn word(&self, text: &str) -> Result<bool, Unfit> {
        if self.are_stated() {
            let found = self.0.iter().find(|(word, _)| **word == *text);
            return found.map(|(_, means)| *means).ok_or(Unfit::Code);
        }
        match text {
            "1" => Ok(true),
            "0" => Ok(false),
            _ if text.eq_ignore_ascii_case("true") => Ok(true),
            _ if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(Unfit::Word),
        }
    }
}
