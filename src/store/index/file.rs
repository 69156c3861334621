//! The index's file: its tables, how it is opened and how it goes.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};

use super::IndexError;

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

/// Opens the file, or makes it, readable by its owner alone.
pub(super) async fn connect(file: &Path) -> Result<SqliteConnection, IndexError> {
    // SQLite gives its helper files the mode of the database.
    std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(file)
        .map_err(|source| IndexError::File { path: file.to_owned(), source })?;
    let mut database = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
        .connect()
        .await?;
    sqlx::raw_sql(SCHEMA).execute(&mut database).await?;
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
