//! Connections to one SQLite file: read-only, each with a deadline that stops its
//! statement.
//!
//! A statement that is past its deadline is interrupted inside SQLite, so that no
//! thread stays busy for an answer that nobody awaits. A file that was replaced (the
//! usual way of refreshing an extract) is another target: an old connection would
//! read the deleted one for ever.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::fault;
use crate::clock;
use crate::source::fault::{Reason, SourceError};
use crate::source::lanes::Connect;

/// SQLite instructions between two looks at the clock: some tens of microseconds.
const INSTRUCTIONS: i32 = 2_000;

/// What every connection is made from.
pub(super) struct Sessions {
    path: PathBuf,
    options: SqliteConnectOptions,
}

/// One connection.
pub(super) struct Session {
    pub connection: SqliteConnection,
    start: Instant,
    /// Nanoseconds from the start at which its statement is interrupted.
    until: Arc<AtomicU64>,
}

impl Sessions {
    /// Connections that keep so many statements prepared, and read so many rows ahead.
    pub fn new(path: &Path, statements: usize, rows: usize, busy: Duration) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .create_if_missing(false)
            .pragma("query_only", "on")
            .busy_timeout(busy)
            .statement_cache_capacity(statements)
            .row_buffer_size(rows)
            .disable_statement_logging();
        Self { path: path.to_owned(), options }
    }
}

impl Session {
    /// Interrupts a statement that runs at this moment.
    pub fn stop_at(&self, until: Instant) {
        let nanos = until.saturating_duration_since(self.start).as_nanos();
        self.until.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Connect for Sessions {
    type Connection = Session;
    type Target = FileId;

    fn target(&self) -> BoxFuture<'_, Result<FileId, SourceError>> {
        FileId::of(&self.path).boxed()
    }

    fn connect(&self) -> BoxFuture<'_, Result<Session, SourceError>> {
        async {
            let mut connection = self.options.connect().await.map_err(|error| fault(&error))?;
            let until = Arc::new(AtomicU64::new(u64::MAX));
            let (start, limit) = (clock::now(), Arc::clone(&until));
            let mut handle = connection.lock_handle().await.map_err(|error| fault(&error))?;
            handle.set_progress_handler(INSTRUCTIONS, move || {
                let now = clock::now().saturating_duration_since(start).as_nanos();
                now < u128::from(limit.load(Ordering::Relaxed))
            });
            drop(handle);
            Ok(Session { connection, start, until })
        }
        .boxed()
    }
}

/// Which file a path names now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    /// One look at the directory for each statement, off the runtime's threads: a
    /// network's file system may take its time.
    async fn of(path: &Path) -> Result<Self, SourceError> {
        let found = tokio::fs::metadata(path).await.map_err(|error| {
            let detail = format!("the database file cannot be opened: {}", error.kind());
            SourceError::new(Reason::Down, detail)
        })?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Ok(Self(found.dev(), found.ino()))
        }
        #[cfg(not(unix))]
        {
            Ok(Self(0, found.len()))
        }
    }
}
