//! PostgreSQL as a source: one statement with one array of people, in a session
//! that reads only and has a time limit of its own.

mod cells;

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode, Postgres as Driver};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Executor, Row as _, SqlSafeStr, Statement as _,
    TypeInfo,
};

use super::fault::{Reason, SourceError};
use super::introspection::Plan;
use super::mapping::Mapping;
use super::pool::{Connect, secret};
use super::server::{Answer, Columns, People, Speaks, SqlServer, said};
use super::statements::{Dialect, Texts};
use crate::config::mapping::{SecretEntry, Server, SubjectType, TlsMode};

/// A PostgreSQL database, asked with a mapping's queries.
pub(super) type Postgres = SqlServer<Sessions>;

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

/// Opens a mapping's database. No connection is made before the first question.
pub(super) fn open(
    mapping: &Mapping,
    options: &PgConnectOptions,
    password: Option<&SecretEntry>,
) -> Postgres {
    let limits = mapping.limits;
    SqlServer::new(&mapping.queries, limits, |statements| Sessions {
        options: options.clone().statement_cache_capacity(statements + 8),
        password: password.cloned(),
        setup: setup(limits.statement_timeout).into(),
    })
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

impl Speaks for Sessions {
    const DIALECT: Dialect = Dialect::Postgres;

    fn same_name(left: &str, right: &str) -> bool {
        left == right
    }

    /// Nobody has a NUL in the number, since no text of PostgreSQL has; one bound
    /// would fail the statement for all.
    fn binds(person: &str) -> bool {
        !person.contains('\0')
    }

    fn statement(texts: &Texts, _: usize) -> Option<(&Arc<str>, usize)> {
        texts.array().map(|text| (text, 1))
    }

    fn ask<'a>(
        connection: &'a mut PgConnection,
        (text, _): (&'a Arc<str>, usize),
        people: &'a People<'a>,
        answer: &'a mut Answer<'_>,
    ) -> BoxFuture<'a, Result<bool, sqlx::Error>> {
        async move {
            let statement = sqlx::query::<Driver>(AssertSqlSafe(Arc::clone(text)));
            let statement = match people {
                People::Texts(texts) => statement.bind(texts.as_slice()),
                People::Numbers(numbers) => statement.bind(numbers.as_slice()),
            };
            let mut rows = statement.fetch(connection);
            while let Some(row) = rows.try_next().await? {
                answer.given = true;
                if cells::give(&row, answer.sink).is_break() {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        .boxed()
    }

    fn look(connection: &mut PgConnection) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        async { connection.execute("select 1").await.map(drop) }.boxed()
    }

    fn columns(
        connection: &mut PgConnection,
        whole: Arc<str>,
    ) -> BoxFuture<'_, Result<Columns, sqlx::Error>> {
        async {
            let prepared = connection.prepare(AssertSqlSafe(whole).into_sql_str()).await?;
            let seen = prepared
                .columns()
                .iter()
                .map(|column| (column.name().to_owned(), cells::kind(column.type_info().name())));
            Ok(seen.collect())
        }
        .boxed()
    }

    /// Also what the server reads whole even when told to avoid that.
    fn plan<'a>(
        connection: &'a mut PgConnection,
        texts: &'a Texts,
    ) -> BoxFuture<'a, Result<Option<Plan>, sqlx::Error>> {
        async {
            let Some(text) = texts.array() else { return Ok(None) };
            let explain: Arc<str> = format!("explain (format json) {text}").into();
            let mut explained = Vec::with_capacity(2);
            for setting in ["set enable_seqscan = on", "set enable_seqscan = off"] {
                connection.execute(setting).await?;
                let statement =
                    sqlx::query::<Driver>(AssertSqlSafe(Arc::clone(&explain))).persistent(false);
                let statement = match texts.subjects {
                    SubjectType::Text => statement.bind(vec!["nobody".to_owned()]),
                    SubjectType::Integer => statement.bind(vec![0_i64]),
                };
                let row = statement.fetch_one(&mut *connection).await?;
                let plan = row.try_get_raw(0)?.as_bytes().unwrap_or_default();
                explained.push(serde_json::from_slice(plan).unwrap_or(serde_json::Value::Null));
            }
            connection.execute("reset enable_seqscan").await?;
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
        .boxed()
    }

    fn rights(connection: &mut PgConnection) -> BoxFuture<'_, Result<Vec<String>, sqlx::Error>> {
        sqlx::query_scalar(RIGHTS).fetch_all(connection).boxed()
    }

    fn fault(error: &sqlx::Error) -> SourceError {
        fault(error)
    }

    fn outdated(error: &dyn DatabaseError) -> bool {
        error.code().is_some_and(|code| matches!(&*code, "57P01" | "57P02" | "0A000" | "08006"))
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

/// Sorts an error of the driver. Only the server's texts about the statement and
/// the account are repeated; others quote what it computed with.
/// Codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub(super) fn fault(error: &sqlx::Error) -> SourceError {
    let database = match said(error) {
        Ok(database) => database,
        Err(fault) => return fault,
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
