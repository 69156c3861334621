//! What SQLite's errors mean.

use rusqlite::Error;

use crate::source::fault::{Reason, SourceError};

/// Sorts an error of the driver. SQLite's texts can quote what a statement
/// computed with, so only those about the statement itself are repeated.
pub(in crate::source) fn fault(error: &Error) -> SourceError {
    let (code, message) = match error {
        Error::SqliteFailure(code, message) => (code, message.as_deref().unwrap_or_default()),
        Error::SqlInputError { error, msg, .. } => (error, msg.as_str()),
        Error::InvalidParameterCount(..) => {
            let detail = "SQLite takes the people nowhere in the statement, or wants more than \
                          them: write `{subjects}` outside comments, and no other parameter";
            return SourceError::new(Reason::Schema, detail);
        }
        Error::MultipleStatement | Error::NulError(_) => {
            let detail = "this is not one statement: write one, and no zero byte in it";
            return SourceError::new(Reason::Schema, detail);
        }
        _ => return SourceError::new(Reason::Down, "the connection failed"),
    };
    let code = code.extended_code;
    let schema = ["no such ", "near \"", "ambiguous column", "incomplete input", "wrong number"];
    // https://www.sqlite.org/rescode.html: the low byte is the primary code.
    match code & 0xff {
        1 if schema.iter().any(|start| message.starts_with(start)) => {
            SourceError::new(Reason::Schema, message)
        }
        9 => SourceError::new(Reason::Timeout, "the statement was interrupted at its deadline"),
        5 | 6 => SourceError::new(Reason::Down, "the database is locked by a writer"),
        8 => SourceError::new(Reason::Schema, "the statement tries to write"),
        14 => SourceError::new(Reason::Down, "the database file cannot be opened"),
        26 => SourceError::new(Reason::Down, "the file is not an SQLite database"),
        1 | 18 | 20 => {
            let detail = format!("SQLite could not compute the answer (code {code})");
            SourceError::new(Reason::Invalid, detail)
        }
        _ => SourceError::new(Reason::Down, format!("SQLite failed (code {code})")),
    }
}
