//! Counters on a PostgreSQL server, which several replicas may share.
//!
//! Each transaction first makes the rows that it lacks, then locks all of its rows,
//! both in the order of their keys, so that replicas wait for each other in one
//! order and each reads what the last one committed; READ COMMITTED is enough.
//! Rows that were made and not needed are deleted again before the commit.
//!
//! A connection is kept only after a transaction that went well. While the server
//! is away each batch fails, and the next one connects anew.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use super::batch::{BATCH, Known, State, keys_of};
use super::postgres_rows::{forget, lock, make, tables, write};
use super::retention::old;
use super::{CounterError, Job, Release};
use crate::domain::sensitive::Sensitive;

/// Longest time for one statement, which the server keeps.
const STATEMENT: &str = "2s";

/// Longest time for a connection and for a transaction, which we keep, lest the
/// server does not answer at all.
const CONNECT: Duration = Duration::from_secs(3);
const TRANSACTION: Duration = Duration::from_secs(5);

/// The server's own number, the database's and the table's.
const NAME: &str = "select (select system_identifier from pg_control_system())::text || '/' \
     || (select oid from pg_database where datname = current_database())::text || '/' \
     || to_regclass('uses')::oid::text";

/// Longest time for making the tables, or for changing an older version's.
const TABLES: Duration = Duration::from_secs(90);

pub(super) struct Server {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

/// The rows of a transaction, in order.
struct Rows {
    keys: Vec<Vec<u8>>,
    requests: Vec<Vec<u8>>,
    /// Rows that ended before are deleted.
    old: Option<i64>,
}

/// Why a transaction did not go well.
struct Fault {
    error: CounterError,
    /// Nothing of it can have been committed, and trying again may help.
    again: bool,
}

impl Server {
    pub(super) async fn open(url: &Sensitive<String>) -> Result<Self, CounterError> {
        let options = url
            .expose()
            .parse::<PgConnectOptions>()?
            .application_name("tributary-counters")
            .options([
                ("statement_timeout", STATEMENT),
                ("lock_timeout", STATEMENT),
                ("idle_in_transaction_session_timeout", "10s"),
            ])
            .disable_statement_logging();
        let mut connection = connect(&options).await?;
        timeout(TABLES, tables(&mut connection)).await.map_err(|_| CounterError::Timeout)??;
        Ok(Self { options, connection: Some(connection) })
    }

    /// Names the tables that are counted in, among all databases of all servers.
    pub(super) async fn name(&mut self) -> Result<String, CounterError> {
        let mut connection = self.connection().await?;
        let name = sqlx::query_scalar(NAME).fetch_one(&mut connection);
        let name = timeout(CONNECT, name).await.map_err(|_| CounterError::Timeout)??;
        self.connection = Some(connection);
        Ok(name)
    }

    /// Counts a batch; once more when the connection had died or a deadlock was
    /// broken before anything was committed.
    pub(super) async fn count(
        &mut self,
        batch: &[Job],
        prune: bool,
    ) -> Result<Vec<Release>, CounterError> {
        let old = prune.then(|| old(batch));
        let keys = sorted(batch.iter().map(|job| job.key));
        let requests = sorted(batch.iter().map(|job| job.request));
        let change = |state: &mut State| batch.iter().map(|job| state.count(job)).collect();
        self.change(&Rows { keys, requests, old }, &change).await
    }

    /// Counts what logs say was counted; gives of how many windows uses were lacking.
    pub(super) async fn learn(&mut self, known: &[Known]) -> Result<u64, CounterError> {
        let mut lacking = 0;
        for some in known.chunks(BATCH) {
            let (keys, requests) = keys_of(some);
            let (keys, requests) = (sorted(keys.into_iter()), sorted(requests.into_iter()));
            let change = |state: &mut State| -> u64 {
                some.iter().map(|one| u64::from(state.learn(one))).sum()
            };
            lacking += self.change(&Rows { keys, requests, old: None }, &change).await?;
        }
        Ok(lacking)
    }

    /// Whether nothing was ever counted here.
    pub(super) async fn holds_nothing(&mut self) -> Result<bool, CounterError> {
        let mut connection = self.connection().await?;
        let rows = "select not (exists (select 1 from uses) or exists (select 1 from releases))";
        let none = sqlx::query_scalar(rows).fetch_one(&mut connection);
        let none = timeout(CONNECT, none).await.map_err(|_| CounterError::Timeout)??;
        self.connection = Some(connection);
        Ok(none)
    }

    /// Changes what is known of some rows in one transaction, or not.
    async fn change<T>(
        &mut self,
        rows: &Rows,
        change: &(dyn Fn(&mut State) -> T + Sync),
    ) -> Result<T, CounterError> {
        match self.attempt(rows, change).await {
            Err(Fault { again: true, .. }) => self.attempt(rows, change).await,
            result => result,
        }
        .map_err(|fault| fault.error)
    }

    async fn connection(&mut self) -> Result<PgConnection, CounterError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => connect(&self.options).await,
        }
    }

    async fn attempt<T>(
        &mut self,
        rows: &Rows,
        change: &(dyn Fn(&mut State) -> T + Sync),
    ) -> Result<T, Fault> {
        let mut connection =
            self.connection().await.map_err(|error| Fault { error, again: false })?;
        let mut committing = false;
        let work = transact(&mut connection, rows, change, &mut committing);
        match timeout(TRANSACTION, work).await {
            Ok(Ok(outcomes)) => {
                self.connection = Some(connection);
                Ok(outcomes)
            }
            Ok(Err(error)) => {
                let again = !committing && passes(&error);
                Err(Fault { error: error.into(), again })
            }
            Err(_) => Err(Fault { error: CounterError::Timeout, again: false }),
        }
    }

    pub(super) async fn close(self) {
        if let Some(connection) = self.connection {
            let _ = timeout(CONNECT, connection.close()).await;
        }
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, CounterError> {
    let connecting = async {
        let mut connection = options.connect().await?;
        // Whatever the account's default is, a commit is on disk when it returns.
        sqlx::query(
            "select set_config('synchronous_commit', 'on', false) \
             where current_setting('synchronous_commit') = 'off'",
        )
        .execute(&mut connection)
        .await?;
        Ok::<_, sqlx::Error>(connection)
    };
    Ok(timeout(CONNECT, connecting).await.map_err(|_| CounterError::Timeout)??)
}

async fn transact<T>(
    connection: &mut PgConnection,
    rows: &Rows,
    change: &(dyn Fn(&mut State) -> T + Sync),
    committing: &mut bool,
) -> Result<T, sqlx::Error> {
    let Rows { keys, requests, old } = rows;
    let mut transaction = connection.begin_with("begin isolation level read committed").await?;
    make(&mut transaction, keys, requests).await?;
    let before = lock(&mut transaction, keys, requests).await?;
    let mut state = before.clone();
    let changed = change(&mut state);
    write(&mut transaction, &before, &state, keys, requests).await?;
    if let Some(old) = old {
        forget(&mut transaction, *old).await?;
    }
    *committing = true;
    transaction.commit().await?;
    Ok(changed)
}

fn sorted(keys: impl Iterator<Item = [u8; 32]>) -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = keys.map(|key| key.to_vec()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Whether the fault may be gone at once: a dead connection, a server that ended
/// it, a broken deadlock, or a row that was pruned under our eyes.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::RowNotFound => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| matches!(&*code, "40001" | "40P01" | "57P01"))
        }
        _ => false,
    }
}
