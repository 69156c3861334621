//! From a cell to a value of the catalogue, strictly: the one conversion for every
//! kind of source, in service and in `agency check`.
//!
//! Nothing is trimmed, rounded or guessed beyond what the mapping states: what does
//! not fit is no value. The reason says what is wrong and never repeats the cell.

mod days;
mod number;
mod words;

pub(super) use days::Days;
pub(super) use number::{NumberForm, plain_decimal};
pub(super) use words::Words;

use super::cell::{Cell, Digits, MAX_TEXT, Unfit};
use crate::domain::section::MAX_STATEMENT_CHARS;
use crate::domain::value::{CodeIndex, Misfit, Value, ValueType};

/// How one item's cells are written, and what they are read as.
#[derive(Debug)]
pub(super) struct ItemForm {
    pub value_type: ValueType,
    /// What the column writes, sorted, and the code that it means.
    pub codes: Box<[(Box<str>, CodeIndex)]>,
    /// How the column writes yes and no.
    pub words: Words,
    /// How it writes numbers.
    pub figures: NumberForm,
    /// How it writes days.
    pub days: Days,
}

impl ItemForm {
    /// The code for what the column writes.
    fn code(&self, written: &str) -> Option<CodeIndex> {
        let at = self.codes.binary_search_by(|(known, _)| (**known).cmp(written)).ok()?;
        self.codes.get(at).map(|(_, code)| *code)
    }
}

/// Reads a cell that is not NULL as a value of an item of this form.
pub(super) fn value(cell: Cell<'_>, form: &ItemForm) -> Result<Value, Unfit> {
    match cell {
        Cell::Text(text) => clean(text)?,
        Cell::Broken(reason) => return Err(reason),
        _ => {}
    }
    let value = match &form.value_type {
        ValueType::Boolean => Value::Boolean(form.words.read(cell)?),
        ValueType::Integer(_) => Value::Integer(form.figures.integer(cell)?),
        ValueType::Decimal(_) => Value::Decimal(form.figures.decimal(cell)?),
        ValueType::Money(..) => Value::Money(form.figures.decimal(cell)?),
        ValueType::Date => Value::Date(form.days.read(cell)?),
        ValueType::Code(_) => Value::Code(match cell {
            Cell::Text(text) => form.code(text).ok_or(Unfit::Code)?,
            Cell::Integer(number) => form.code(Digits::of(number)?.as_str()).ok_or(Unfit::Code)?,
            _ => return Err(Unfit::Kind),
        }),
        ValueType::Months(_) => {
            let months = form.figures.integer(cell)?;
            Value::Months(u32::try_from(months).map_err(|_| Unfit::Catalogue(Misfit::Range))?)
        }
    };
    form.value_type.check(&value)?;
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

/// The reference of a person's statement; an empty one is none.
pub(super) fn statement(cell: Cell<'_>) -> Result<Option<Box<str>>, Unfit> {
    let text = match cell {
        Cell::Null | Cell::Text("") => return Ok(None),
        Cell::Text(text) => text,
        _ => return Err(Unfit::Kind),
    };
    clean(text)?;
    if text.chars().count() > MAX_STATEMENT_CHARS {
        return Err(Unfit::Length);
    }
    // Marks that reorder or hide what a reviewer reads.
    let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if text.chars().any(hidden) { Err(Unfit::Unprintable) } else { Ok(Some(text.into())) }
}

#[cfg(test)]
mod tests;
