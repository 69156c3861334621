//! Counters in a file of SQLite.
//!
//! Write-ahead log with `synchronous = FULL`: a commit is on disk when it returns.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Row, Sqlite};

use super::batch::{Released, State};
use super::tables::{Tables, TablesError, UPGRADE};
use super::writer::{KEEP, PRUNE_ROWS, latest};
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
}

impl File {
    pub(super) async fn open(file: &Path) -> Result<Self, CounterError> {
        let mut database = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(2))
            .disable_statement_logging()
            .connect()
            .await?;
        tables(&mut database).await?;
        Ok(Self { database })
    }

    pub(super) async fn count(
        &mut self,
        batch: &[Job],
        prune: bool,
    ) -> Result<Vec<Release>, CounterError> {
        // Immediate: another process on the same file waits its turn.
        let mut transaction = self.database.begin_with("begin immediate").await?;
        let mut state = read(&mut transaction, batch).await?;
        let outcomes = batch.iter().map(|job| state.count(job)).collect();
        write(&mut transaction, &state).await?;
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

async fn read(database: &mut SqliteConnection, batch: &[Job]) -> Result<State, sqlx::Error> {
    let mut state = State::default();
    let mut uses = QueryBuilder::<Sqlite>::new(
        "select grant_window, used, expires from uses where grant_window in (",
    );
    bind(&mut uses, batch.iter().map(|job| &job.key));
    for row in uses.build().fetch_all(&mut *database).await? {
        let used = u32::try_from(row.try_get::<i64, _>(1)?).unwrap_or(u32::MAX);
        state.used.insert(key(&row, 0)?, (used, row.try_get(2)?));
    }
    let mut releases = QueryBuilder::<Sqlite>::new(
        "select request, digest, first, times from releases where request in (",
    );
    bind(&mut releases, batch.iter().map(|job| &job.request));
    for row in releases.build().fetch_all(&mut *database).await? {
        let times = u32::try_from(row.try_get::<i64, _>(3)?).unwrap_or(u32::MAX);
        let released = Released { digest: key(&row, 1)?, at: row.try_get(2)?, times };
        state.released.insert(key(&row, 0)?, released);
    }
    Ok(state)
}

fn bind<'a>(query: &mut QueryBuilder<Sqlite>, keys: impl Iterator<Item = &'a [u8; 32]>) {
    let mut list = query.separated(", ");
    for key in keys {
        list.push_bind(key.to_vec());
    }
    list.push_unseparated(")");
}

fn key(row: &SqliteRow, column: usize) -> Result<[u8; 32], sqlx::Error> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| sqlx::Error::Protocol("a key of another length".into()))
}

async fn write(database: &mut SqliteConnection, state: &State) -> Result<(), sqlx::Error> {
    if !state.used.is_empty() {
        let mut uses =
            QueryBuilder::<Sqlite>::new("insert into uses (grant_window, used, expires) ");
        uses.push_values(&state.used, |mut row, (key, (used, expires))| {
            row.push_bind(key.to_vec()).push_bind(i64::from(*used)).push_bind(*expires);
        });
        uses.push(
            " on conflict (grant_window) do update set used = excluded.used, expires = excluded.expires",
        );
        uses.build().execute(&mut *database).await?;
    }
    if !state.released.is_empty() {
        let mut releases =
            QueryBuilder::<Sqlite>::new("insert into releases (request, digest, first, times) ");
        releases.push_values(&state.released, |mut row, (request, released)| {
            row.push_bind(request.to_vec())
                .push_bind(released.digest.to_vec())
                .push_bind(released.at)
                .push_bind(i64::from(released.times));
        });
        releases.push(" on conflict (request) do update set times = excluded.times");
        releases.build().execute(&mut *database).await?;
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
