//! Connections to one SQLite file: bounded, read-only, each with a deadline that
//! stops its statement.
//!
//! Our own rather than the driver's pool, for two things that it does not do: a
//! statement that is past its deadline is interrupted inside SQLite, so that no
//! thread stays busy for an answer that nobody awaits; and a file that was
//! replaced (the usual way of refreshing an extract) is opened anew, where an old
//! connection would read the deleted one for ever.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::fault::{Reason, SourceError};
use super::sqlite::fault;
use crate::clock;

/// SQLite instructions between two looks at the clock: some tens of microseconds.
const INSTRUCTIONS: i32 = 2_000;

pub(super) struct Pool {
    path: PathBuf,
    options: SqliteConnectOptions,
    /// What deadlines are counted from.
    start: Instant,
    permits: Semaphore,
    /// The last one used comes first: its statements are prepared.
    idle: Mutex<Vec<Lane>>,
}

/// One connection.
struct Lane {
    connection: SqliteConnection,
    /// Nanoseconds from the pool's start at which its statement is interrupted.
    until: Arc<AtomicU64>,
    file: FileId,
}

/// A connection in use. It goes back only by `keep`: whatever ends otherwise, by
/// an error or a dropped future, closes it.
pub(super) struct Lease<'a> {
    lane: Lane,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub fn new(path: &Path, size: usize, statements: usize, busy: Duration) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .create_if_missing(false)
            .pragma("query_only", "on")
            .busy_timeout(busy)
            .statement_cache_capacity(statements)
            .disable_statement_logging();
        Self {
            path: path.to_owned(),
            options,
            start: clock::now(),
            permits: Semaphore::new(size),
            idle: Mutex::default(),
        }
    }

    /// A connection whose statements are interrupted at `until`.
    pub async fn lease(&self, until: Instant) -> Result<Lease<'_>, SourceError> {
        let closed = |_| SourceError::new(Reason::Down, "the pool is closed");
        let busy = |_| SourceError::new(Reason::Timeout, "no connection was free in time");
        let permit = tokio::time::timeout_at(until.into(), self.permits.acquire())
            .await
            .map_err(busy)?
            .map_err(closed)?;
        let file = FileId::of(&self.path).await?;
        let lane = match self.take_idle(file) {
            Some(lane) => lane,
            None => self.connect(file).await.map_err(|error| fault(&error))?,
        };
        let nanos = until.saturating_duration_since(self.start).as_nanos();
        lane.until.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(Lease { lane, pool: self, _permit: permit })
    }

    fn take_idle(&self, file: FileId) -> Option<Lane> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.iter().any(|lane| lane.file != file) {
            idle.retain(|lane| lane.file == file);
        }
        idle.pop()
    }

    async fn connect(&self, file: FileId) -> Result<Lane, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        let until = Arc::new(AtomicU64::new(u64::MAX));
        let (start, limit) = (self.start, Arc::clone(&until));
        connection.lock_handle().await?.set_progress_handler(INSTRUCTIONS, move || {
            let now = clock::now().saturating_duration_since(start).as_nanos();
            now < u128::from(limit.load(Ordering::Relaxed))
        });
        Ok(Lane { connection, until, file })
    }
}

impl Lease<'_> {
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.lane.connection
    }

    /// Gives the connection back after a statement that ran to its end.
    pub fn keep(self) {
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(self.lane);
    }
}

/// Which file a path names now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

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
