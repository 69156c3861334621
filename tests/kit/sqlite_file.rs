//! An SQLite file from outside: what a test writes into it and reads out of it. Each
//! call is of a moment, so that a test may make it where it may not wait.

#![allow(dead_code, reason = "each suite uses what it needs")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

/// Runs statements on a file, which is made if it is not there.
pub fn run(file: &Path, statements: &str) {
    Connection::open(file).unwrap().execute_batch(statements).unwrap();
}

/// Opens a file that is there, to read alone.
pub fn reader(file: &Path) -> Connection {
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// The file, which nobody else can read until this is dropped.
pub fn locked(file: &Path) -> Connection {
    let locked = Connection::open(file).unwrap();
    locked.execute_batch("begin exclusive").unwrap();
    locked
}

/// The text in a person's row, if there is a row and a text.
pub fn text(file: &Path, query: &str, subject: &str) -> Option<String> {
    reader(file).query_row(query, [subject], |row| row.get(0)).optional().unwrap().flatten()
}
