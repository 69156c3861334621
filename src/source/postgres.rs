//! PostgreSQL as a source: one statement with one array of people, in a transaction
//! that reads only and has limits of its own.
//!
//! Statements have no name, so that a pooler that gives the session to others between
//! transactions can mix none up, and nothing stays in a session when a transaction ends.

pub(super) mod address;
mod cells;
pub(super) mod fault;
mod transaction;

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgTypeInfo, Postgres as Driver};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Executor, Row as _, SqlSafeStr as _,
    Statement as _, TypeInfo as _,
};

use super::cell::Cell;
use super::fault::SourceError;
use super::introspection::Plan;
use super::mapping::Mapping;
use super::place::ServerPlace;
use super::pool::{Connect, secret};
use super::proof::{self, Answer, Proving};
use super::rows::RowSink;
use super::server::{Afterwards, BoundPeople, Columns, DatabaseServer, Speaks, not_let_in};
use super::statements::{Dialect, Statement, Texts};
use crate::config::mapping::{RowSecurity, SecretEntry, SubjectType};

/// A PostgreSQL database, asked with a mapping's queries.
pub(super) type Postgres = DatabaseServer<PostgresSessions>;

/// What every session is made from.
pub(super) struct PostgresSessions {
    options: PgConnectOptions,
    password: Option<SecretEntry>,
    begin: Arc<str>,
}

/// A connection, and how each transaction on it begins.
pub(super) struct Session {
    connection: PgConnection,
    begin: Arc<str>,
}

/// Opens a mapping's database. No connection is made before the first question.
pub(super) fn open(mapping: &Mapping, place: &ServerPlace<PgConnectOptions>) -> Postgres {
    let (queries, limits) = (&mapping.queries, mapping.limits);
    let meant = place.row_security == RowSecurity::Meant;
    let begin = transaction::begin(limits.statement_timeout, mapping.zone.as_ref(), meant);
    DatabaseServer::new(queries, limits, place.account_may_write, |_| PostgresSessions {
        options: place.options.clone().statement_cache_capacity(0),
        password: place.password.clone(),
        begin: begin.into(),
    })
}

impl Session {
    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let begin = sqlx::raw_sql(AssertSqlSafe(Arc::clone(&self.begin)));
        self.connection.execute(begin).await.map(drop)
    }

    async fn ask(
        &mut self,
        statement: &Statement,
        people: &BoundPeople<'_>,
        answer: &mut dyn Answer,
    ) -> Result<Afterwards, sqlx::Error> {
        self.begin().await?;
        let mut query = unnamed(&statement.text);
        if let Some(nonce) = answer.nonce() {
            query = query.bind(nonce);
        }
        let query = match people {
            BoundPeople::Texts(texts) => query.bind(texts.as_slice()),
            BoundPeople::Numbers(numbers) => query.bind(numbers.as_slice()),
            BoundPeople::None => query,
        };
        let mut rows = query.fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await? {
            answer.described(&mut row.columns().iter().map(|column| column.name()));
            if cells::give(&row, answer).is_break() {
                return Ok(Afterwards::Close);
            }
        }
        drop(rows);
        // The answer is whole; if this fails, only the connection is lost.
        let ended = self.end().await;
        Ok(if ended.is_ok() { Afterwards::Keep } else { Afterwards::Close })
    }

    /// A row of a query's own statement, whatever is in it.
    async fn describe(&mut self, texts: &Texts) -> Result<PgRow, sqlx::Error> {
        self.begin().await?;
        let query = about_nobody(unnamed(&texts.whole).bind(0_i64), texts.subjects);
        let row = query.fetch_one(&mut self.connection).await?;
        self.end().await?;
        Ok(row)
    }

    async fn end(&mut self) -> Result<(), sqlx::Error> {
        self.connection.execute(sqlx::raw_sql(transaction::END)).await.map(drop)
    }
}

impl Connect for PostgresSessions {
    type Connection = Session;

    fn connect(&self) -> BoxFuture<'_, Result<Session, SourceError>> {
        async move {
            let password = secret(self.password.as_ref()).await?;
            let options = match &password {
                Some(password) => self.options.clone().password(password.expose()),
                None => self.options.clone(),
            };
            let connection = options.connect().await;
            let connection = connection.map_err(|error| not_let_in(&error, fault::fault))?;
            Ok(Session { connection, begin: Arc::clone(&self.begin) })
        }
        .boxed()
    }
}

impl Speaks for PostgresSessions {
    const DIALECT: Dialect = Dialect::Postgres;

    fn same_name(left: &str, right: &str) -> bool {
        left == right
    }

    /// Nobody has a NUL in the number, since no text of PostgreSQL has; one bound
    /// would fail the statement for all.
    fn binds(person: &str) -> bool {
        !person.contains('\0')
    }

    fn ask<'a>(
        session: &'a mut Session,
        statement: &'a Statement,
        people: &'a BoundPeople<'a>,
        answer: &'a mut dyn Answer,
    ) -> BoxFuture<'a, Result<Afterwards, sqlx::Error>> {
        async move {
            match session.ask(statement, people, answer).await {
                Err(error) if !answer.given() && fault::forgotten(&error) => {
                    session.end().await?;
                    session.ask(statement, people, answer).await
                }
                asked => asked,
            }
        }
        .boxed()
    }

    fn columns<'a>(
        session: &'a mut Session,
        texts: &'a Texts,
    ) -> BoxFuture<'a, Result<Columns, sqlx::Error>> {
        async {
            let kind = |type_info: &PgTypeInfo| cells::kind(type_info.name());
            if !texts.wrapped {
                // Its session is its own, and ends with this.
                let whole = AssertSqlSafe(Arc::clone(&texts.whole)).into_sql_str();
                let prepared = session.connection.prepare(whole).await?;
                let seen = prepared.columns().iter();
                let seen = seen.map(|seen| (seen.name().to_owned(), kind(seen.type_info())));
                return Ok(seen.collect());
            }
            let row = match session.describe(texts).await {
                Err(error) if fault::forgotten(&error) => {
                    session.end().await?;
                    session.describe(texts).await?
                }
                described => described?,
            };
            let seen = row.columns().iter().skip(1);
            let seen = seen.map(|seen| (seen.name().to_owned(), kind(seen.type_info())));
            Ok(seen.collect())
        }
        .boxed()
    }

    /// Also what the server reads whole even when told to avoid that.
    fn plan<'a>(
        session: &'a mut Session,
        texts: &'a Texts,
    ) -> BoxFuture<'a, Result<Option<Plan>, sqlx::Error>> {
        async {
            let Some(statement) = texts.statement(1) else { return Ok(None) };
            let explain: Arc<str> = format!("explain (format json) {}", statement.text).into();
            let mut explained = Vec::with_capacity(2);
            session.begin().await?;
            for setting in ["set local enable_seqscan = on", "set local enable_seqscan = off"] {
                session.connection.execute(sqlx::raw_sql(setting)).await?;
                let query = unnamed(&explain);
                let query = if texts.wrapped { query.bind(0_i64) } else { query };
                let query = about_nobody(query, texts.subjects);
                let row = query.fetch_one(&mut session.connection).await?;
                let plan = row.try_get_raw(0)?.as_bytes().unwrap_or_default();
                explained.push(serde_json::from_slice(plan).unwrap_or(serde_json::Value::Null));
            }
            session.end().await?;
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

    fn rights(session: &mut Session) -> BoxFuture<'_, Result<Vec<String>, sqlx::Error>> {
        async {
            // Its answer is proven like any other: it is printed.
            let statement =
                Statement::wrap(Dialect::Postgres, "rights", &["what".into()], (RIGHTS, 1));
            let mut rights = Lines(Vec::new());
            let nonce = proof::nonce().map_err(|error| sqlx::Error::Protocol(error.detail))?;
            let mut answer = Proving::new(&statement, nonce, &mut rights);
            session.ask(&statement, &BoundPeople::None, &mut answer).await?;
            answer.finish().map_err(|error| sqlx::Error::Protocol(error.detail))?;
            Ok(rights.0)
        }
        .boxed()
    }

    fn fault(error: &sqlx::Error) -> SourceError {
        fault::fault(error)
    }

    fn ended(error: &dyn DatabaseError) -> bool {
        fault::ended(error)
    }

    fn outdated(error: &dyn DatabaseError) -> bool {
        // Cached plan must not change result type.
        error.code().as_deref() == Some("0A000")
    }
}

/// Rows of one text each.
struct Lines(Vec<String>);

impl RowSink for Lines {
    fn row(&mut self, cells: &[Cell<'_>]) -> ControlFlow<()> {
        if let [Cell::Text(text)] = cells {
            self.0.push((*text).to_owned());
        }
        ControlFlow::Continue(())
    }
}

type Asking<'q> = sqlx::query::Query<'q, Driver, sqlx::postgres::PgArguments>;

/// A statement without a name.
fn unnamed<'q>(text: &Arc<str>) -> Asking<'q> {
    sqlx::query::<Driver>(AssertSqlSafe(Arc::clone(text))).persistent(false)
}

fn about_nobody(query: Asking<'_>, subjects: SubjectType) -> Asking<'_> {
    match subjects {
        SubjectType::Text => query.bind(vec!["nobody".to_owned()]),
        SubjectType::Integer => query.bind(vec![0_i64]),
    }
}

/// What the account may write, at most four of each kind.
const RIGHTS: &str = "
select 'it is a superuser' as what from pg_roles where rolname = current_user and rolsuper
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
