//! The statements on PostgreSQL.

use std::collections::HashMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Row};

use super::CounterError;
use super::batch::{Released, State};
use super::retention;
use super::tables::{Tables, TablesError, UPGRADE};

/// Replicas that start together look after the tables one after the other. A table
/// of many rows takes longer to change than to use.
const ALONE: &str = "set local statement_timeout = '60s'; set local lock_timeout = '60s'; \
     select pg_advisory_xact_lock(8391152213746912);";

const SCHEMA: &str = "
create table if not exists uses (
  grant_window bytea primary key, used bigint not null, expires bigint not null
);
create table if not exists releases (
  request bytea primary key, digest bytea not null, first bigint not null, times bigint not null
);
create index if not exists uses_expires on uses (expires);
create index if not exists releases_first on releases (first);
";

/// Makes the tables, or makes an older version's ours, unless they are there: who
/// made them for us need not let us.
pub(super) async fn tables(database: &mut PgConnection) -> Result<(), CounterError> {
    if found(database).await? == Tables::Ours {
        return Ok(());
    }
    let mut transaction = database.begin().await?;
    sqlx::raw_sql(ALONE).execute(&mut *transaction).await?;
    let found = found(&mut transaction).await?;
    let statements = match found {
        Tables::Ours => return Ok(transaction.rollback().await?),
        Tables::Foreign => return Err(TablesError::Foreign.into()),
        Tables::None => SCHEMA,
        Tables::Older => UPGRADE,
    };
    if let Err(error) = sqlx::raw_sql(statements).execute(&mut *transaction).await {
        let code = error.as_database_error().and_then(|error| error.code());
        // Insufficient privilege.
        if found == Tables::Older && code.as_deref() == Some("42501") {
            return Err(TablesError::Older.into());
        }
        return Err(error.into());
    }
    transaction.commit().await?;
    Ok(())
}

async fn found(database: &mut PgConnection) -> Result<Tables, sqlx::Error> {
    let columns = "select attname::text from pg_attribute where attrelid = to_regclass('uses') \
                   and attnum > 0 and not attisdropped order by attnum";
    let columns: Vec<String> = sqlx::query_scalar(columns).fetch_all(database).await?;
    Ok(Tables::of(&columns))
}

/// Makes the rows that are lacking, in order. A row that another replica is making
/// is waited for.
pub(super) async fn make(
    database: &mut PgConnection,
    keys: &[Vec<u8>],
    requests: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    for (statement, keys) in [
        (
            "insert into uses (grant_window, used, expires) \
             select key, 0, 0 from unnest($1::bytea[]) as key order by key \
             on conflict do nothing",
            keys,
        ),
        (
            "insert into releases (request, digest, first, times) \
             select key, '', 0, 0 from unnest($1::bytea[]) as key order by key \
             on conflict do nothing",
            requests,
        ),
    ] {
        sqlx::query(statement).bind(keys).execute(&mut *database).await?;
    }
    Ok(())
}

/// Locks the rows in order, and reads them as they then are. A row that is lacking
/// was deleted as old in between.
pub(super) async fn lock(
    database: &mut PgConnection,
    keys: &[Vec<u8>],
    requests: &[Vec<u8>],
) -> Result<State, sqlx::Error> {
    let mut state = State::default();
    let uses = sqlx::query(
        "select grant_window, used, expires from uses where grant_window = any($1) \
         order by grant_window for update",
    )
    .bind(keys)
    .fetch_all(&mut *database)
    .await?;
    let releases = sqlx::query(
        "select request, digest, first, times from releases where request = any($1) \
         order by request for update",
    )
    .bind(requests)
    .fetch_all(&mut *database)
    .await?;
    if (uses.len(), releases.len()) != (keys.len(), requests.len()) {
        return Err(sqlx::Error::RowNotFound);
    }
    for row in &uses {
        state.used.insert(key(row, 0)?, (number(row, 1)?, row.try_get(2)?));
    }
    for row in &releases {
        let times = number(row, 3)?;
        // Ours, just made.
        if times == 0 {
            continue;
        }
        let released = Released { digest: key(row, 1)?, at: row.try_get(2)?, times };
        state.released.insert(key(row, 0)?, released);
    }
    Ok(state)
}

fn key(row: &PgRow, column: usize) -> Result<[u8; 32], sqlx::Error> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| sqlx::Error::Protocol("a key of another length".into()))
}

fn number(row: &PgRow, column: usize) -> Result<u32, sqlx::Error> {
    Ok(u32::try_from(row.try_get::<i64, _>(column)?).unwrap_or(u32::MAX))
}

/// Writes what changed, and deletes the rows that were made and not needed.
pub(super) async fn write(
    database: &mut PgConnection,
    before: &State,
    state: &State,
    keys: &[Vec<u8>],
    requests: &[Vec<u8>],
) -> Result<(), sqlx::Error> {
    let used = changed(&before.used, &state.used);
    if !used.is_empty() {
        let (mut names, mut counts, mut moments) = (Vec::new(), Vec::new(), Vec::new());
        for (key, (count, expires)) in &used {
            names.push(key.to_vec());
            counts.push(i64::from(*count));
            moments.push(*expires);
        }
        let done = sqlx::query(
            "update uses set used = new.used, expires = new.expires \
             from unnest($1::bytea[], $2::bigint[], $3::bigint[]) as new (key, used, expires) \
             where grant_window = new.key",
        )
        .bind(names)
        .bind(counts)
        .bind(moments)
        .execute(&mut *database)
        .await?;
        all(done.rows_affected(), used.len())?;
    }
    let released = changed(&before.released, &state.released);
    if !released.is_empty() {
        let (mut names, mut digests) = (Vec::new(), Vec::new());
        let (mut moments, mut counts) = (Vec::new(), Vec::new());
        for (key, one) in &released {
            names.push(key.to_vec());
            digests.push(one.digest.to_vec());
            moments.push(one.at);
            counts.push(i64::from(one.times));
        }
        let done = sqlx::query(
            "update releases set digest = new.digest, first = new.first, times = new.times \
             from unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[]) \
             as new (key, digest, first, times) where request = new.key",
        )
        .bind(names)
        .bind(digests)
        .bind(moments)
        .bind(counts)
        .execute(&mut *database)
        .await?;
        all(done.rows_affected(), released.len())?;
    }
    if state.released.len() < requests.len() {
        let statement = "delete from releases where request = any($1) and times = 0";
        sqlx::query(statement).bind(requests).execute(&mut *database).await?;
    }
    if state.used.values().any(|(used, _)| *used == 0) {
        let statement = "delete from uses where grant_window = any($1) and used = 0";
        sqlx::query(statement).bind(keys).execute(&mut *database).await?;
    }
    Ok(())
}

fn changed<'a, V: PartialEq>(
    before: &HashMap<[u8; 32], V>,
    after: &'a HashMap<[u8; 32], V>,
) -> Vec<(&'a [u8; 32], &'a V)> {
    after.iter().filter(|(key, value)| before.get(*key) != Some(*value)).collect()
}

/// Locked rows are there; if not, nothing is committed.
fn all(affected: u64, expected: usize) -> Result<(), sqlx::Error> {
    if affected == expected as u64 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// Deletes rows that had ended before `old` and that nobody is using, and waits for none.
pub(super) async fn forget(database: &mut PgConnection, old: i64) -> Result<(), sqlx::Error> {
    for statement in [
        "delete from releases where request in (select request from releases \
             where first < $1 and times > 0 limit $2 for update skip locked)",
        "delete from uses where grant_window in (select grant_window from uses \
             where expires < $1 and used > 0 limit $2 for update skip locked)",
    ] {
        sqlx::query(statement).bind(old).bind(retention::ROWS).execute(&mut *database).await?;
    }
    Ok(())
}
