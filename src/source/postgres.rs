//! PostgreSQL as a source: one statement with one array of people, in a session
//! that reads only and has a time limit of its own.

mod cells;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode, Postgres as Driver};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Executor, Row as _, SqlSafeStr, Statement as _,
    TypeInfo,
};

use super::fault::{Reason, SourceError};
use super::lanes::{Connect, Lanes, Lease, secret};
use super::mapping::{Mapping, Query};
use super::review::{Kind, Plan, Review};
use super::statements::{Dialect, Texts, numbers};
use super::within::within;
use super::{Key, RowSink, Source};
use crate::config::mapping::{SecretEntry, Server, SubjectType, TlsMode};

/// A PostgreSQL database, asked with a mapping's queries.
pub(super) struct Postgres {
    lanes: Lanes<Sessions>,
    queries: Vec<Texts>,
}

/// What every session is made from.
pub(super) struct Sessions {
    options: PgConnectOptions,
    password: Option<SecretEntry>,
    setup: Arc<str>,
}

/// Reads a server's entry.
///
/// # Errors
/// The address is none.
pub(super) fn options(server: &Server) -> Result<PgConnectOptions, sqlx::Error> {
    let mut options = server
        .url
        .expose()
        .parse::<PgConnectOptions>()?
        .application_name("tributary-agency")
        .disable_statement_logging()
        .ssl_mode(match server.tls {
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::Off => PgSslMode::Disable,
        });
    if let Some(ca) = &server.ca {
        options = options.ssl_root_cert(ca);
    }
    if let Some((certificate, key)) = &server.identity {
        options = options.ssl_client_cert(certificate).ssl_client_key(key);
    }
    Ok(options)
}

impl Postgres {
    pub fn new(
        mapping: &Mapping,
        options: &PgConnectOptions,
        password: Option<&SecretEntry>,
    ) -> Self {
        let limits = mapping.limits;
        let texts = |query: &Query| Texts::new(query, limits.max_batch, Dialect::Postgres);
        let queries: Vec<Texts> = mapping.queries.iter().map(texts).collect();
        let connect = Sessions {
            options: options.clone().statement_cache_capacity(queries.len() + 8),
            password: password.cloned(),
            setup: setup(limits.statement_timeout).into(),
        };
        Self { lanes: Lanes::new(connect, limits.pool), queries }
    }

    fn texts(&self, query: usize) -> Result<&Texts, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.queries.get(query).ok_or_else(unknown)
    }
}

/// What a session is told before it is asked anything.
fn setup(timeout: Duration) -> String {
    let milliseconds = timeout.as_millis();
    format!(
        "set session characteristics as transaction read only; \
         set statement_timeout = {milliseconds}; set lock_timeout = {milliseconds}; \
         set idle_in_transaction_session_timeout = {milliseconds}"
    )
}

impl Connect for Sessions {
    type Connection = PgConnection;

    fn connect(&self) -> BoxFuture<'_, Result<PgConnection, SourceError>> {
        async move {
            let password = secret(self.password.as_ref()).await?;
            let options = match &password {
                Some(password) => self.options.clone().password(password.expose()),
                None => self.options.clone(),
            };
            let mut connection = options.connect().await.map_err(|error| fault(&error))?;
            let setup = sqlx::raw_sql(AssertSqlSafe(Arc::clone(&self.setup)));
            connection.execute(setup).await.map_err(|error| fault(&error))?;
            Ok(connection)
        }
        .boxed()
    }
}

/// People as a statement takes them.
enum People<'a> {
    Texts(Vec<&'a str>),
    Numbers(Vec<i64>),
}

impl<'a> People<'a> {
    /// Nobody has a NUL in the number, since no text of PostgreSQL has; one bound
    /// would fail the statement for all.
    fn new(people: &'a [Key], kind: SubjectType) -> Self {
        match kind {
            SubjectType::Integer => Self::Numbers(numbers(people)),
            SubjectType::Text => {
                let texts = people.iter().map(|key| &**key.expose());
                Self::Texts(texts.filter(|text| !text.contains('\0')).collect())
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Texts(texts) => texts.is_empty(),
            Self::Numbers(numbers) => numbers.is_empty(),
        }
    }
}

async fn ask(
    connection: &mut PgConnection,
    text: &Arc<str>,
    people: &People<'_>,
    sink: &mut dyn RowSink,
    given: &mut bool,
) -> Result<bool, sqlx::Error> {
    let statement = sqlx::query::<Driver>(AssertSqlSafe(Arc::clone(text)));
    let statement = match people {
        People::Texts(texts) => statement.bind(texts.as_slice()),
        People::Numbers(numbers) => statement.bind(numbers.as_slice()),
    };
    let mut rows = statement.fetch(connection);
    while let Some(row) = rows.try_next().await? {
        *given = true;
        if cells::give(&row, sink).is_break() {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Source for Postgres {
    fn rows<'a>(
        &'a self,
        query: usize,
        people: &'a [Key],
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let texts = self.texts(query)?;
            let people = People::new(people, texts.subjects);
            let Some(text) = texts.array().filter(|_| !people.is_empty()) else {
                return Ok(());
            };
            let mut lease = self.lanes.lease(until).await?;
            let mut given = false;
            let mut ended = ask(&mut lease.connection, text, &people, sink, &mut given).await;
            if let Err(error) = &ended
                && !lease.fresh
                && !given
                && stale(error)
            {
                lease.renew(until).await?;
                ended = ask(&mut lease.connection, text, &people, sink, &mut given).await;
            }
            if ended.map_err(|error| fault(&error))? {
                lease.keep();
            }
            Ok(())
        })
    }

    fn missing_columns<'a>(
        &'a self,
        query: usize,
        until: Instant,
    ) -> BoxFuture<'a, Result<Vec<SourceError>, SourceError>> {
        within(until, async move {
            let seen = self.columns(query, until).await?;
            let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
            let missing = self.texts(query)?.missing(&names, str::eq);
            Ok(missing.into_iter().map(|text| SourceError::new(Reason::Schema, text)).collect())
        })
    }

    fn probe<'a>(&'a self, until: Instant) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let mut lease = self.lanes.lease(until).await?;
            let mut looked = lease.connection.execute("select 1").await;
            if !lease.fresh && looked.is_err() {
                lease.renew(until).await?;
                looked = lease.connection.execute("select 1").await;
            }
            looked.map_err(|error| fault(&error))?;
            lease.keep();
            Ok(())
        })
    }

    fn review<'a>(
        &'a self,
        query: usize,
        until: Instant,
    ) -> BoxFuture<'a, Result<Review, SourceError>> {
        within(until, async move {
            let columns = self.columns(query, until).await?;
            let mut lease = self.lanes.lease(until).await?;
            // A statement that lacks a column has no plan.
            let plan = self.plan(query, &mut lease).await.ok();
            if plan.is_some() {
                lease.keep();
            }
            Ok(Review { columns, plan: plan.flatten() })
        })
    }

    fn writable<'a>(
        &'a self,
        until: Instant,
    ) -> BoxFuture<'a, Result<Option<String>, SourceError>> {
        within(until, async move {
            let mut lease = self.lanes.lease(until).await?;
            let rights: Vec<String> = sqlx::query_scalar(RIGHTS)
                .fetch_all(&mut lease.connection)
                .await
                .map_err(|error| fault(&error))?;
            lease.keep();
            Ok((!rights.is_empty()).then(|| rights.join(", ")))
        })
    }
}

/// What the account may write, at most four of each kind.
const RIGHTS: &str = "
select 'it is a superuser' from pg_roles where rolname = current_user and rolsuper
union all
select * from (select 'it may write table ' || c.oid::regclass::text from pg_class c
  where c.relkind in ('r', 'p') and c.relnamespace not in
    (select oid from pg_namespace where nspname like 'pg\\_%' or nspname = 'information_schema')
  and has_table_privilege(c.oid, 'insert, update, delete, truncate') order by 1 limit 4) as tables
union all
select * from (select 'it may create in schema ' || nspname from pg_namespace
  where nspname not like 'pg\\_%' and has_schema_privilege(oid, 'create')
  order by 1 limit 4) as schemas";

impl Postgres {
    /// The columns of the mapping's own statement.
    async fn columns(
        &self,
        query: usize,
        until: Instant,
    ) -> Result<Vec<(String, Kind)>, SourceError> {
        let texts = self.texts(query)?;
        let mut lease = self.lanes.lease(until).await?;
        if !lease.fresh {
            // What a kept connection has prepared may be older than the tables.
            lease.renew(until).await?;
        }
        let text = AssertSqlSafe(Arc::clone(&texts.whole)).into_sql_str();
        let prepared = lease.connection.prepare(text).await.map_err(|error| fault(&error))?;
        let seen = prepared
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), cells::kind(column.type_info().name())));
        let seen = seen.collect();
        drop(prepared);
        lease.keep();
        Ok(seen)
    }

    /// How the server would run a query, and what it reads whole even when told to
    /// avoid that.
    async fn plan(
        &self,
        query: usize,
        lease: &mut Lease<'_, Sessions>,
    ) -> Result<Option<Plan>, sqlx::Error> {
        let Some((texts, text)) =
            self.queries.get(query).and_then(|texts| texts.array().map(|text| (texts, text)))
        else {
            return Ok(None);
        };
        let explain: Arc<str> = format!("explain (format json) {text}").into();
        let mut explained = Vec::with_capacity(2);
        for setting in ["set enable_seqscan = on", "set enable_seqscan = off"] {
            lease.connection.execute(setting).await?;
            let statement =
                sqlx::query::<Driver>(AssertSqlSafe(Arc::clone(&explain))).persistent(false);
            let statement = match texts.subjects {
                SubjectType::Text => statement.bind(vec!["nobody".to_owned()]),
                SubjectType::Integer => statement.bind(vec![0_i64]),
            };
            let row = statement.fetch_one(&mut lease.connection).await?;
            let plan = row.try_get_raw(0)?.as_bytes().unwrap_or_default();
            explained.push(serde_json::from_slice(plan).unwrap_or(serde_json::Value::Null));
        }
        lease.connection.execute("reset enable_seqscan").await?;
        let cost = explained
            .first()
            .and_then(|plan| plan.pointer("/0/Plan/Total Cost"))
            .and_then(serde_json::Value::as_f64);
        let mut whole = Vec::new();
        if let Some(plan) = explained.last() {
            scanned(plan, &mut whole);
        }
        Ok(Some(Plan { cost, rows: None, whole }))
    }
}

/// Every table that a plan reads from end to end.
fn scanned(plan: &serde_json::Value, found: &mut Vec<String>) {
    match plan {
        serde_json::Value::Object(node) => {
            if node.get("Node Type").and_then(|kind| kind.as_str()) == Some("Seq Scan")
                && let Some(table) = node.get("Relation Name").and_then(|name| name.as_str())
                && !found.iter().any(|known| known == table)
            {
                found.push(table.to_owned());
            }
            node.values().for_each(|inner| scanned(inner, found));
        }
        serde_json::Value::Array(nodes) => nodes.iter().for_each(|node| scanned(node, found)),
        _ => {}
    }
}

/// Whether a kept connection had died, or had prepared for tables that have
/// changed since: a new one may well answer.
fn stale(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| matches!(&*code, "57P01" | "57P02" | "0A000" | "08006"))
        }
        _ => false,
    }
}

/// Sorts an error of the driver. Only the server's texts about the statement and
/// the account are repeated; others quote what it computed with.
/// Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub(super) fn fault(error: &sqlx::Error) -> SourceError {
    let database = match error {
        sqlx::Error::Database(database) => database,
        sqlx::Error::Io(io) => return SourceError::unreached(io),
        sqlx::Error::Tls(tls) => {
            let detail = format!("no trusted connection to the server: {tls}");
            return SourceError::new(Reason::Down, detail);
        }
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
            let detail = "the driver refuses the statement: use no parameter but `{subjects}`";
            return SourceError::new(Reason::Schema, detail);
        }
        _ => return SourceError::new(Reason::Down, "the connection failed"),
    };
    let code = database.code().unwrap_or_default();
    let message = database.message();
    match (code.get(..2).unwrap_or_default(), &*code) {
        (_, "57014") => SourceError::new(Reason::Timeout, "the statement ran into its time limit"),
        (_, "55P03") => SourceError::new(Reason::Timeout, "a lock was not free in time"),
        // No such operator: as of a whole number and a text.
        (_, "42883") => {
            let detail = format!(
                "{message}; if people's numbers are whole numbers there, state \
                 `subject_type = \"integer\"`"
            );
            SourceError::new(Reason::Schema, detail)
        }
        (_, "25006") => SourceError::new(Reason::Schema, "the statement tries to write"),
        ("42" | "0A" | "3F", _) => SourceError::new(Reason::Schema, message),
        ("28" | "3D", _) => {
            SourceError::new(Reason::Down, format!("the server refuses the account: {message}"))
        }
        ("21" | "22", _) => {
            let detail = format!("PostgreSQL could not compute the answer (code {code})");
            SourceError::new(Reason::Invalid, detail)
        }
        _ => SourceError::new(Reason::Down, format!("PostgreSQL failed (code {code})")),
    }
}
