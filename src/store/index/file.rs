//! The index's file: its tables, how it is opened and how it goes.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::IndexError;
use crate::files;

/// How long another process on the same file may keep us waiting.
const BUSY: Duration = Duration::from_secs(5);

/// Most bytes of SQLite's log once it was taken into the file.
const LOG_BYTES: i64 = 4 << 20;

/// Pages held in memory, in KiB.
const CACHE_KIB: i64 = 16 << 10;

/// A row of `bundle` says of each bundle of the log its root and its records' times, one
/// of `name` where a name stands, and one of `key` that what has this hash is in that
/// bundle.
const SCHEMA: &str = "
create table if not exists reach (
  one integer primary key check (one = 1), origin text not null, size integer not null,
  root blob not null, keys integer not null
);
create table if not exists bundle (
  n integer primary key, root blob not null, first integer, last integer
);
create table if not exists name (idx integer primary key);
create table if not exists key (
  hash integer not null, n integer not null, primary key (hash, n)
) without rowid;
";

/// The table of an older form, which had a row for each entry.
const OLDER: &str = "select count(*) from sqlite_master where type = 'table' and name = 'entry'";

/// Whether a file is of an older form.
pub(super) fn is_older(database: &Connection) -> rusqlite::Result<bool> {
    database.query_row(OLDER, [], |row| row.get::<_, i64>(0)).map(|tables| tables > 0)
}

/// Opens the file, or makes it, readable by its owner alone. Blocking.
pub(super) fn connect(file: &Path) -> Result<Connection, IndexError> {
    // SQLite gives its helper files the mode of the database.
    let failed = |source| IndexError::File { path: file.to_owned(), source };
    files::expect_file(file).map_err(failed)?;
    std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(file)
        .map_err(failed)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(file, flags)?;
    database.busy_timeout(BUSY)?;
    database.pragma_update(None, "journal_mode", "wal")?;
    database.pragma_update(None, "synchronous", "normal")?;
    database.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    database.pragma_update(None, "cache_size", -CACHE_KIB)?;
    if is_older(&database)? {
        return Ok(database);
    }
    database.execute_batch(SCHEMA)?;
    Ok(database)
}

/// Removes the file and SQLite's helper files.
pub(super) fn remove(file: &Path) -> Result<(), IndexError> {
    for ending in ["", "-wal", "-shm"] {
        let mut path = file.as_os_str().to_owned();
        path.push(ending);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(IndexError::File { path: path.into(), source });
            }
            _ => {}
        }
    }
    Ok(())
}
