//! Counters in a file of SQLite, on a thread of their own: a batch changes threads
//! once, and its statements run one after the other.
//!
//! A commit is in SQLite's write-ahead log when it returns, which a killed process
//! leaves behind whole. Every tenth of a second one is synced, and all before it with it; what
//! a failing machine loses since then, the audit log gives back.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Statement};

use super::batch::{BATCH, Known, Released, State, keys_of};
use super::recent::{self, Recent};
use super::retention::{self, old};
use super::tables::{Tables, TablesError, UPGRADE};
use super::{CounterError, Job, Release, SYNC_EVERY};
use crate::clock;
use crate::files::expect_file;

const SCHEMA: &str = "
create table if not exists uses (
  grant_window blob primary key, used integer not null, expires integer not null
) without rowid;
create table if not exists releases (
  request blob primary key, digest blob not null, first integer not null, times integer not null
) without rowid;
create index if not exists uses_expires on uses (expires);
create index if not exists releases_first on releases (first);
";

/// How long another process on the same file may keep us waiting.
const BUSY: Duration = Duration::from_secs(2);

/// Pages in SQLite's log before they are copied into the file, 32 MiB: a page that is
/// written by many transactions is then copied once.
const LOG_PAGES: i64 = 8192;

/// Grants with their windows, and requests.
type Keys<'k> = (&'k [[u8; 32]], &'k [[u8; 32]]);

/// The statements of a batch, prepared once. Each is of one row: on one thread a step
/// costs less than what a text for many rows would have SQLite build.
pub(super) struct Statements<'c> {
    database: &'c Connection,
    begin: Statement<'c>,
    commit: Statement<'c>,
    use_of: Statement<'c>,
    release_of: Statement<'c>,
    recent: Recent<'c>,
    forget_releases: Statement<'c>,
    forget_uses: Statement<'c>,
    /// When a commit is to be synced again.
    sync_at: Instant,
}

/// Opens the file, or makes it. Blocking.
pub(super) fn open(file: &Path) -> Result<Connection, CounterError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    expect_file(file).map_err(|error| CounterError::Database(Arc::new(error)))?;
    let database = Connection::open_with_flags(file, flags)?;
    database.busy_timeout(BUSY)?;
    database.pragma_update(None, "journal_mode", "wal")?;
    database.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    tables(&database)?;
    Ok(database)
}

impl<'c> Statements<'c> {
    pub(super) fn new(database: &'c Connection) -> Result<Self, CounterError> {
        let prepare = |text| recent::prepare(database, text);
        Ok(Self {
            // Immediate: another process on the same file waits its turn.
            begin: prepare("begin immediate")?,
            commit: prepare("commit")?,
            use_of: prepare("select used, expires from uses where grant_window = ?1")?,
            release_of: prepare("select digest, first, times from releases where request = ?1")?,
            recent: Recent::new(database)?,
            forget_releases: prepare(
                "delete from releases where request in \
                 (select request from releases where first < ?1 limit ?2)",
            )?,
            forget_uses: prepare(
                "delete from uses where grant_window in \
                 (select grant_window from uses where expires < ?1 limit ?2)",
            )?,
            sync_at: clock::now(),
            database,
        })
    }

    /// Counts a batch in one transaction, or nothing of it. Blocking.
    pub(super) fn count(
        &mut self,
        batch: &[Job],
        prune: bool,
    ) -> Result<Vec<Release>, CounterError> {
        let old = prune.then(|| old(batch));
        let (keys, requests): (Vec<_>, Vec<_>) =
            batch.iter().map(|job| (job.key, job.request)).unzip();
        self.transact((&keys, &requests), old, |state| {
            batch.iter().map(|job| state.count(job)).collect()
        })
    }

    /// Counts what logs say was counted; gives of how many windows uses were lacking.
    /// Blocking.
    pub(super) fn learn(&mut self, known: &[Known]) -> Result<u64, CounterError> {
        let mut lacking = 0;
        for some in known.chunks(BATCH) {
            let (keys, requests) = keys_of(some);
            lacking += self.transact((&keys, &requests), None, |state| {
                some.iter().map(|one| u64::from(state.learn(one))).sum::<u64>()
            })?;
        }
        Ok(lacking)
    }

    /// Changes what is known of some grants and requests in one transaction, or not.
    /// Rows that ended before `old` are deleted, if there is one.
    fn transact<T>(
        &mut self,
        keys: Keys<'_>,
        old: Option<i64>,
        change: impl FnOnce(&mut State) -> T,
    ) -> Result<T, CounterError> {
        let now = clock::now();
        if now >= self.sync_at {
            // Syncs the log as a whole, the commits before it included.
            self.database.pragma_update(None, "synchronous", "full")?;
        }
        let changed = self.try_transact(keys, old, change);
        if changed.is_err() {
            if !self.database.is_autocommit() {
                // Some errors end the transaction by themselves.
                let _ = self.database.execute_batch("rollback");
            }
            self.recent.doubt();
        } else if now >= self.sync_at {
            self.database.pragma_update(None, "synchronous", "normal")?;
            self.sync_at = now + SYNC_EVERY;
        }
        Ok(changed?)
    }

    fn try_transact<T>(
        &mut self,
        keys: Keys<'_>,
        old: Option<i64>,
        change: impl FnOnce(&mut State) -> T,
    ) -> rusqlite::Result<T> {
        self.begin.execute([])?;
        self.recent.catch_up()?;
        if old.is_some() || self.recent.is_full() {
            self.recent.take_in()?;
        }
        if let Some(old) = old {
            self.forget_releases.execute([old, retention::ROWS])?;
            self.forget_uses.execute([old, retention::ROWS])?;
        }
        let before = self.read(keys)?;
        let mut state = before.clone();
        let changed = change(&mut state);
        self.recent.add(&before, &state)?;
        self.commit.execute([])?;
        self.recent.added(state);
        Ok(changed)
    }

    /// What is known of grants and requests: the newest counts, else the tables.
    fn read(&mut self, (keys, requests): Keys<'_>) -> rusqlite::Result<State> {
        let (mut state, recent) = (State::default(), self.recent.state());
        for key in keys {
            if let Some(used) = recent.used.get(key) {
                state.used.insert(*key, *used);
            } else if !state.used.contains_key(key)
                && let Some(row) = self.use_of.query([key])?.next()?
            {
                state.used.insert(*key, (recent::count(row, 0)?, row.get(1)?));
            }
        }
        for request in requests {
            if let Some(released) = recent.released.get(request) {
                state.released.insert(*request, *released);
            } else if !state.released.contains_key(request)
                && let Some(row) = self.release_of.query([request])?.next()?
            {
                let times = recent::count(row, 2)?;
                let released = Released { digest: row.get(0)?, at: row.get(1)?, times };
                state.released.insert(*request, released);
            }
        }
        Ok(state)
    }
}

/// Whether nothing was ever counted in a file, which need not be there. Blocking.
pub(super) fn holds_nothing(file: &Path) -> Result<bool, CounterError> {
    // Opening would make it.
    if !file.exists() {
        return Ok(true);
    }
    let database = open(file)?;
    let rows = "select exists (select 1 from uses) or exists (select 1 from releases) \
                or exists (select 1 from recent)";
    Ok(!database.query_row(rows, [], |row| row.get::<_, bool>(0))?)
}

/// Makes the tables, or makes an older version's ours, in one transaction.
fn tables(database: &Connection) -> Result<(), CounterError> {
    if found(database)? == Tables::Ours && has_recent(database)? {
        return Ok(());
    }
    // What is not committed is taken back when the connection closes.
    database.execute_batch("begin immediate")?;
    // Asked again: another process may have been first.
    let statements = match found(database)? {
        Tables::Ours => "",
        Tables::Foreign => return Err(TablesError::Foreign.into()),
        Tables::None => SCHEMA,
        Tables::Older => UPGRADE,
    };
    database.execute_batch(statements)?;
    database.execute_batch(recent::SCHEMA)?;
    Ok(database.execute_batch("commit")?)
}

/// A version before this one had no table of the newest counts.
fn has_recent(database: &Connection) -> rusqlite::Result<bool> {
    let known = "select exists (select 1 from pragma_table_info('recent'))";
    database.query_row(known, [], |row| row.get(0))
}

fn found(database: &Connection) -> rusqlite::Result<Tables> {
    let columns = "select name from pragma_table_info('uses') order by cid";
    let mut columns = database.prepare(columns)?;
    let columns: Vec<String> =
        columns.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(Tables::of(&columns))
}
