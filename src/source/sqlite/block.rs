//! What a statement gave, in one piece that can change threads.

use rusqlite::Rows;
use rusqlite::types::ValueRef;

use crate::source::cell::{Cell, MAX_TEXT};
use crate::source::fault::SourceError;
use crate::source::proof::Answer;

/// Rows of one width. Holds people's values: never printed.
pub(super) struct Block {
    columns: Vec<String>,
    flats: Vec<Flat>,
    texts: String,
}

/// A cell, whose text lies in the block.
enum Flat {
    Null,
    Integer(i64),
    Real(f64),
    Text { from: usize, to: usize },
    Other,
}

impl Block {
    /// Reads a statement's rows to their end, or until there are more than `most`: one
    /// more, so that whoever takes them sees it. Blocking.
    pub fn read(mut rows: Rows<'_>, columns: Vec<String>, most: usize) -> rusqlite::Result<Self> {
        let mut block = Self { columns, flats: Vec::new(), texts: String::new() };
        let mut count = 0;
        while count <= most
            && let Some(row) = rows.next()?
        {
            for column in 0..block.columns.len() {
                let flat = block.flat(row.get_ref(column)?);
                block.flats.push(flat);
            }
            count += 1;
        }
        Ok(block)
    }

    /// The kind of the value itself: SQLite's column types bind nothing.
    fn flat(&mut self, value: ValueRef<'_>) -> Flat {
        match value {
            ValueRef::Null => Flat::Null,
            ValueRef::Integer(number) => Flat::Integer(number),
            ValueRef::Real(number) => Flat::Real(number),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => {
                    let from = self.texts.len();
                    self.texts.push_str(looked_at(text));
                    Flat::Text { from, to: self.texts.len() }
                }
                Err(_) => Flat::Other,
            },
            ValueRef::Blob(_) => Flat::Other,
        }
    }

    /// Gives the rows, one by one, while they are wanted.
    ///
    /// # Errors
    /// Why the whole is no answer.
    pub fn give(&self, answer: &mut dyn Answer) -> Result<(), SourceError> {
        answer.described(&mut self.columns.iter().map(String::as_str));
        let cell = |flat: &Flat| match *flat {
            Flat::Null => Cell::Null,
            Flat::Integer(number) => Cell::Integer(number),
            Flat::Real(number) => Cell::Real(number),
            Flat::Text { from, to } => Cell::Text(self.texts.get(from..to).unwrap_or_default()),
            Flat::Other => Cell::Other,
        };
        let cells: Vec<Cell<'_>> = self.flats.iter().map(cell).collect();
        for row in cells.chunks(self.columns.len().max(1)) {
            if answer.row(row).is_break() {
                break;
            }
        }
        answer.finish()
    }
}

/// As much of a text as is looked at, and still too long if it was.
fn looked_at(text: &str) -> &str {
    if text.len() <= MAX_TEXT {
        return text;
    }
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at > MAX_TEXT);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}
