//! The index's file: its tables, how it is opened and how it goes.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::IndexError;
use crate::files;

/// How long another process on the same file may keep us waiting.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
create table if not exists reach (
  one integer primary key check (one = 1), origin text not null, size integer not null,
  root blob not null
);
create table if not exists entry (
  idx integer primary key, leaf blob not null, kind integer not null, time integer,
  request text, peer text, agency text, tag blob
);
create index if not exists entry_name on entry (idx) where kind = 1;
create index if not exists entry_request on entry (request) where request is not null;
create index if not exists entry_peer on entry (peer, idx) where peer is not null;
create index if not exists entry_agency on entry (agency, idx) where agency is not null;
create index if not exists entry_tag on entry (tag) where tag is not null;
create index if not exists entry_time on entry (time) where time is not null;
";

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
