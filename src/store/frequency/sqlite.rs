//! Counters in a file of SQLite.
//!
//! Write-ahead log with `synchronous = FULL`: a commit is on disk when it returns.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use super::batch::{Released, State};
use super::tables::{Tables, TablesError, UPGRADE};
use super::writer::{BATCH, KEEP, PRUNE_ROWS, latest};
use super::{CounterError, Job, Release};

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

pub(super) struct File {
    database: SqliteConnection,
    /// For 1, 2, 4, 8 … uses.
    by_power: Vec<Statements>,
}

/// The statements for so many uses at most. A place that stays unbound is NULL, and
/// NULL is nobody's key, so that SQLite sees few texts and prepares each once.
struct Statements {
    uses: Arc<str>,
    releases: Arc<str>,
    begin: Arc<str>,
    count: Arc<str>,
    remember: Arc<str>,
}

/// For what is rare: a grant that was issued again with another end, and a request
/// that is repeated.
const EXTEND: &str = "update uses set used = $2, expires = $3 where grant_window = $1";
const REPEAT: &str = "update releases set times = $2 where request = $1";

/// Pages in SQLite's log before they are copied into the file, 32 MiB: a page that is
/// written by many transactions is then copied once.
const LOG_PAGES: &str = "8192";

impl Statements {
    /// How many they are.
    const EACH: usize = 5;

    fn new(most: usize) -> Self {
        let places = |one: &str| vec![one; most].join(",");
        let (keys, twos) = (places("?"), places("(?,?)"));
        let (threes, fours) = (places("(?,?,?)"), places("(?,?,?,?)"));
        Self {
            uses: format!(
                "select grant_window, used, expires from uses where grant_window in ({keys})"
            )
            .into(),
            releases: format!(
                "select request, digest, first, times from releases where request in ({keys})"
            )
            .into(),
            // OR FAIL: no copy of each page for taking a single statement back. What
            // fails takes back its transaction.
            begin: format!(
                "insert or fail into uses (grant_window, used, expires) \
                 select column1, column2, column3 from (values {threes}) where column1 is not null"
            )
            .into(),
            count: format!(
                "update or fail uses set used = new.column2 from (values {twos}) as new \
                 where grant_window = new.column1"
            )
            .into(),
            remember: format!(
                "insert or fail into releases (request, digest, first, times) \
                 select column1, column2, column3, column4 from (values {fours}) \
                 where column1 is not null"
            )
            .into(),
        }
    }
}

impl File {
    pub(super) async fn open(file: &Path) -> Result<Self, CounterError> {
        let powers = 0..=BATCH.next_power_of_two().trailing_zeros();
        let by_power: Vec<_> = powers.map(|power| Statements::new(1 << power)).collect();
        let mut database = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(2))
            .statement_cache_capacity(by_power.len() * Statements::EACH + 8)
            .row_buffer_size(BATCH + 2)
            .pragma("wal_autocheckpoint", LOG_PAGES)
            .disable_statement_logging()
            .connect()
            .await?;
        tables(&mut database).await?;
        Ok(Self { database, by_power })
    }

    pub(super) async fn count(
        &mut self,
        batch: &[Job],
        prune: bool,
    ) -> Result<Vec<Release>, CounterError> {
        let power = batch.len().next_power_of_two().trailing_zeros();
        let statements = usize::try_from(power).ok().and_then(|power| self.by_power.get(power));
        let statements = statements.ok_or(CounterError::Overloaded)?;
        // Immediate: another process on the same file waits its turn.
        let mut transaction = self.database.begin_with("begin immediate").await?;
        let before = read(&mut transaction, statements, batch).await?;
        let mut state = before.clone();
        let outcomes = batch.iter().map(|job| state.count(job)).collect();
        write_uses(&mut transaction, statements, &before, &state).await?;
        write_releases(&mut transaction, statements, &before, &state).await?;
        if prune {
            forget(&mut transaction, latest(batch)).await?;
        }
        transaction.commit().await?;
        Ok(outcomes)
    }

    pub(super) async fn close(self) {
        let _ = self.database.close().await;
    }
}

/// Makes the tables, or makes an older version's ours, in one transaction.
async fn tables(database: &mut SqliteConnection) -> Result<(), CounterError> {
    if found(database).await? == Tables::Ours {
        return Ok(());
    }
    let mut transaction = database.begin_with("begin immediate").await?;
    // Asked again: another process may have been first.
    let statements = match found(&mut transaction).await? {
        Tables::Ours => return Ok(transaction.rollback().await?),
        Tables::Foreign => return Err(TablesError::Foreign.into()),
        Tables::None => SCHEMA,
        Tables::Older => UPGRADE,
    };
    sqlx::raw_sql(statements).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

async fn found(database: &mut SqliteConnection) -> Result<Tables, sqlx::Error> {
    let columns = "select name from pragma_table_info('uses') order by cid";
    let columns: Vec<String> = sqlx::query_scalar(columns).fetch_all(database).await?;
    Ok(Tables::of(&columns))
}

async fn read(
    database: &mut SqliteConnection,
    statements: &Statements,
    batch: &[Job],
) -> Result<State, sqlx::Error> {
    let mut state = State::default();
    let mut uses = sqlx::query(AssertSqlSafe(Arc::clone(&statements.uses)));
    for job in batch {
        uses = uses.bind(&job.key[..]);
    }
    for row in uses.fetch_all(&mut *database).await? {
        let used = u32::try_from(row.try_get::<i64, _>(1)?).unwrap_or(u32::MAX);
        state.used.insert(key(&row, 0)?, (used, row.try_get(2)?));
    }
    let mut releases = sqlx::query(AssertSqlSafe(Arc::clone(&statements.releases)));
    for job in batch {
        releases = releases.bind(&job.request[..]);
    }
    for row in releases.fetch_all(&mut *database).await? {
        let times = u32::try_from(row.try_get::<i64, _>(3)?).unwrap_or(u32::MAX);
        let released = Released { digest: key(&row, 1)?, at: row.try_get(2)?, times };
        state.released.insert(key(&row, 0)?, released);
    }
    Ok(state)
}

fn key(row: &SqliteRow, column: usize) -> Result<[u8; 32], sqlx::Error> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| sqlx::Error::Protocol("a key of another length".into()))
}

async fn write_uses(
    database: &mut SqliteConnection,
    statements: &Statements,
    before: &State,
    state: &State,
) -> Result<(), sqlx::Error> {
    let (mut begun, mut counted) = (Vec::new(), Vec::new());
    for (key, now) in &state.used {
        match before.used.get(key) {
            None => begun.push((key, now)),
            Some(then) if then == now => {}
            // The index over ends stays as it is.
            Some((_, expires)) if *expires == now.1 => counted.push((key, now.0)),
            Some(_) => {
                let extend = sqlx::query(EXTEND).bind(&key[..]).bind(i64::from(now.0)).bind(now.1);
                extend.execute(&mut *database).await?;
            }
        }
    }
    if !begun.is_empty() {
        let mut begin = sqlx::query(AssertSqlSafe(Arc::clone(&statements.begin)));
        for (key, (used, expires)) in begun {
            begin = begin.bind(&key[..]).bind(i64::from(*used)).bind(*expires);
        }
        begin.execute(&mut *database).await?;
    }
    if !counted.is_empty() {
        let mut count = sqlx::query(AssertSqlSafe(Arc::clone(&statements.count)));
        for (key, used) in counted {
            count = count.bind(&key[..]).bind(i64::from(used));
        }
        count.execute(&mut *database).await?;
    }
    Ok(())
}

async fn write_releases(
    database: &mut SqliteConnection,
    statements: &Statements,
    before: &State,
    state: &State,
) -> Result<(), sqlx::Error> {
    let mut fresh = Vec::new();
    for (request, released) in &state.released {
        match before.released.get(request) {
            None => fresh.push((request, released)),
            Some(then) if then == released => {}
            Some(_) => {
                let times = i64::from(released.times);
                let repeat = sqlx::query(REPEAT).bind(&request[..]).bind(times);
                repeat.execute(&mut *database).await?;
            }
        }
    }
    if !fresh.is_empty() {
        let mut remember = sqlx::query(AssertSqlSafe(Arc::clone(&statements.remember)));
        for (request, released) in fresh {
            remember = remember
                .bind(&request[..])
                .bind(&released.digest[..])
                .bind(released.at)
                .bind(i64::from(released.times));
        }
        remember.execute(&mut *database).await?;
    }
    Ok(())
}

async fn forget(database: &mut SqliteConnection, now: i64) -> Result<(), sqlx::Error> {
    for statement in [
        "delete from releases where request in \
             (select request from releases where first < $1 limit $2)",
        "delete from uses where grant_window in \
             (select grant_window from uses where expires < $1 limit $2)",
    ] {
        sqlx::query(statement).bind(now - KEEP).bind(PRUNE_ROWS).execute(&mut *database).await?;
    }
    Ok(())
}
