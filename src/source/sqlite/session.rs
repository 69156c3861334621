//! Connections to one SQLite file: read-only, bounded, kept while they are good, each
//! used on a thread that may wait.
//!
//! A statement changes threads once: on the other one the file is looked at, a
//! connection taken or made, the statement run and the connection given back. A
//! statement that is past its deadline, or that nobody awaits any more, is interrupted
//! inside SQLite; whatever did not run to its end closes its connection. A file that was
//! replaced (the usual way of refreshing an extract) is another target: an old
//! connection would read the deleted one for ever.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, OpenFlags};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::fault::fault;
use crate::clock;
use crate::files;
use crate::source::fault::{Reason, SourceError};

/// SQLite instructions between two looks at the clock: some tens of microseconds.
const INSTRUCTIONS: i32 = 2_000;

/// Statements beside a mapping's own that a connection keeps prepared.
const BESIDE: usize = 2;

pub(super) struct SqliteSessions {
    permits: Arc<Semaphore>,
    file: Arc<File>,
}

/// What every connection is made from, and those that nobody uses now.
struct File {
    path: PathBuf,
    statements: usize,
    busy: Duration,
    /// The last one used comes first: its statements are prepared.
    idle: Mutex<Vec<(FileId, Connection)>>,
}

impl SqliteSessions {
    /// So many connections at most, each keeping so many statements prepared.
    pub fn new(path: &Path, size: usize, statements: usize, busy: Duration) -> Self {
        let (path, idle) = (path.to_owned(), Mutex::default());
        let file = File { path, statements: statements.saturating_add(BESIDE), busy, idle };
        Self { permits: Arc::new(Semaphore::new(size)), file: Arc::new(file) }
    }

    /// Runs blocking work on a connection whose statements are interrupted at `until`,
    /// and as soon as this future is dropped.
    pub async fn run<T: Send + 'static>(
        &self,
        until: Instant,
        work: impl FnOnce(&Connection) -> Result<T, SourceError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let closed = |_| SourceError::new(Reason::Down, "the pool is closed");
        let busy = |_| SourceError::new(Reason::Timeout, "no connection was free in time");
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit =
            tokio::time::timeout_at(until.into(), permit).await.map_err(busy)?.map_err(closed)?;
        let file = Arc::clone(&self.file);
        let awaited = Arc::new(());
        let asker = Arc::downgrade(&awaited);
        let ran = tokio::task::spawn_blocking(move || {
            let ran = file.run(until, asker, work);
            // Only now: a dropped future leaves the statement its place until it ended.
            drop(permit);
            ran
        });
        let ran = ran.await;
        drop(awaited);
        ran.map_err(|_| SourceError::new(Reason::Down, "the statement was cut off"))?
    }
}

impl Drop for SqliteSessions {
    fn drop(&mut self) {
        let idle = std::mem::take(&mut *self.file.lock());
        // Closing a file may wait too.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(idle));
        }
    }
}

impl File {
    fn run<T>(
        &self,
        until: Instant,
        asker: Weak<()>,
        work: impl FnOnce(&Connection) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let target = FileId::of(&self.path)?;
        let connection = match self.kept(target) {
            Some(connection) => connection,
            None => self.connect().map_err(|error| fault(&error))?,
        };
        let asking = asker.clone();
        let late = move || clock::now() >= until || asking.strong_count() == 0;
        connection.progress_handler(INSTRUCTIONS, Some(late)).map_err(|error| fault(&error))?;
        let done = work(&connection)?;
        if asker.strong_count() > 0 {
            self.lock().push((target, connection));
        }
        Ok(done)
    }

    fn kept(&self, target: FileId) -> Option<Connection> {
        let mut idle = self.lock();
        idle.retain(|(led, _)| *led == target);
        idle.pop().map(|(_, connection)| connection)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(FileId, Connection)>> {
        self.idle.lock()
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = read_only(&self.path)?;
        connection.busy_timeout(self.busy)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.set_prepared_statement_cache_capacity(self.statements);
        Ok(connection)
    }
}

/// Opens a file that is there, to read alone. Blocking.
pub(in crate::source) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

/// Which file a path names now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    /// One look at the directory for each statement. Blocking: a network's file system
    /// may take its time.
    fn of(path: &Path) -> Result<Self, SourceError> {
        let found = files::expect_file(path).and_then(|()| std::fs::metadata(path));
        let found = found.map_err(|error| {
            let detail = format!("the database file cannot be opened: {}", files::why(&error));
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
