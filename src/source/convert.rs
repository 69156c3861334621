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
use super::column::Column;
use crate::domain::section::MAX_STATEMENT_CHARS;
use crate::domain::value::{Misfit, Value, ValueType};

/// Reads a cell that is not NULL as a value of the column's item.
pub(super) fn value(cell: Cell<'_>, column: &Column) -> Result<Value, Unfit> {
    match cell {
        Cell::Text(text) => clean(text)?,
        Cell::Broken(reason) => return Err(reason),
        _ => {}
    }
    let value = match &column.value_type {
        ValueType::Boolean => Value::Boolean(column.words.read(cell)?),
        ValueType::Integer(_) => Value::Integer(column.figures.integer(cell)?),
        ValueType::Decimal(_) => Value::Decimal(column.figures.decimal(cell)?),
        ValueType::Money(..) => Value::Money(column.figures.decimal(cell)?),
        ValueType::Date => Value::Date(column.days.read(cell)?),
        ValueType::Code(_) => Value::Code(match cell {
            Cell::Text(text) => column.code(text).ok_or(Unfit::Code)?,
            Cell::Integer(number) => {
                column.code(Digits::of(number)?.as_str()).ok_or(Unfit::Code)?
            }
            _ => return Err(Unfit::Kind),
        }),
        ValueType::Months(_) => {
            let months = column.figures.integer(cell)?;
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
