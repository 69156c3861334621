//! SQLite as a source: statements of bound placeholders over connections that read only.
//!
//! Its values have kinds of their own, whatever their column was declared as.

mod session;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{
    AssertSqlSafe, Column as _, Decode, Executor, Row as _, SqlSafeStr, Sqlite as Driver,
    Statement as _, TypeInfo, ValueRef,
};

use super::cell::Cell;
use super::fault::{Reason, SourceError};
use super::lanes::{Lanes, Lease};
use super::mapping::{Mapping, Query};
use super::review::{Kind, Plan, Review};
use super::rows::MAX_ROWS_EACH;
use super::statements::{Dialect, Texts, numbers};
use super::within::within;
use super::{Key, RowSink, Source};
use crate::config::mapping::SubjectType;

use session::Sessions;

/// An SQLite database, asked with a mapping's queries.
pub(super) struct Sqlite {
    lanes: Lanes<Sessions>,
    queries: Vec<Texts>,
}

impl Sqlite {
    pub fn new(mapping: &Mapping, path: &Path) -> Self {
        let limits = mapping.limits;
        let texts = |query: &Query| Texts::new(query, limits.max_batch, Dialect::Sqlite);
        let queries: Vec<Texts> = mapping.queries.iter().map(texts).collect();
        let statements = queries.iter().map(Texts::len).sum();
        // A statement's every row: its thread need not wait for us between them.
        let rows = limits.max_batch.saturating_mul(MAX_ROWS_EACH) + 2;
        let sessions = Sessions::new(path, statements, rows, limits.statement_timeout);
        Self { lanes: Lanes::new(sessions, limits.pool), queries }
    }

    /// A connection whose statements are interrupted at `until`.
    async fn lease(&self, until: Instant) -> Result<Lease<'_, Sessions>, SourceError> {
        let lease = self.lanes.lease(until).await?;
        lease.connection.stop_at(until);
        Ok(lease)
    }

    fn texts(&self, query: usize) -> Result<&Texts, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.queries.get(query).ok_or_else(unknown)
    }
}

impl Source for Sqlite {
    fn rows<'a>(
        &'a self,
        query: usize,
        people: &'a [Key],
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let texts = self.texts(query)?;
            let numbers = match texts.subjects {
                SubjectType::Text => None,
                SubjectType::Integer => Some(numbers(people)),
            };
            let count = numbers.as_ref().map_or(people.len(), Vec::len);
            if count == 0 {
                return Ok(());
            }
            let many = || SourceError::new(Reason::Schema, "no statement for so many people");
            let (text, places) = texts.padded(count).ok_or_else(many)?;
            let mut statement = sqlx::query::<Driver>(AssertSqlSafe(Arc::clone(text)));
            // The last one again until the places are full.
            match &numbers {
                None => {
                    let padding = people.last().into_iter().cycle();
                    for person in people.iter().chain(padding).take(places) {
                        statement = statement.bind(Arc::clone(person.expose()));
                    }
                }
                Some(numbers) => {
                    let padding = numbers.last().into_iter().cycle();
                    for person in numbers.iter().chain(padding).take(places) {
                        statement = statement.bind(*person);
                    }
                }
            }
            let mut lease = self.lease(until).await?;
            let ended = {
                let mut rows = statement.fetch(&mut lease.connection.connection);
                loop {
                    match rows.try_next().await {
                        Ok(Some(row)) => {
                            if give(&row, sink).is_break() {
                                break Ok(false);
                            }
                        }
                        Ok(None) => break Ok(true),
                        Err(error) => break Err(fault(&error)),
                    }
                }
            };
            if ended? {
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
            let texts = self.texts(query)?;
            let mut lease = self.lease(until).await?;
            let text = AssertSqlSafe(Arc::clone(&texts.whole)).into_sql_str();
            let prepared =
                lease.connection.connection.prepare(text).await.map_err(|error| fault(&error))?;
            let names: Vec<&str> = prepared.columns().iter().map(|column| column.name()).collect();
            let missing = texts.missing(&names, str::eq_ignore_ascii_case);
            let errors = missing.into_iter().map(|text| SourceError::new(Reason::Schema, text));
            let errors = errors.collect();
            lease.keep();
            Ok(errors)
        })
    }

    fn review<'a>(
        &'a self,
        query: usize,
        until: Instant,
    ) -> BoxFuture<'a, Result<Review, SourceError>> {
        within(until, async move {
            let texts = self.texts(query)?;
            let mut lease = self.lease(until).await?;
            let text = AssertSqlSafe(Arc::clone(&texts.whole)).into_sql_str();
            let prepared =
                lease.connection.connection.prepare(text).await.map_err(|error| fault(&error))?;
            // A column's declared type binds none of its values.
            let names = prepared.columns().iter();
            let columns = names.map(|column| (column.name().to_owned(), Kind::Unknown)).collect();
            drop(prepared);
            lease.keep();
            // A statement that lacks a column has no plan.
            Ok(Review { columns, plan: self.plan(texts, until).await.ok() })
        })
    }

    fn probe<'a>(&'a self, until: Instant) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let mut lease = self.lease(until).await?;
            let looked = sqlx::query::<Driver>("select 1 from sqlite_schema limit 1")
                .fetch_optional(&mut lease.connection.connection)
                .await;
            looked.map_err(|error| fault(&error))?;
            lease.keep();
            Ok(())
        })
    }
}

impl Sqlite {
    /// How SQLite would run a query.
    async fn plan(&self, texts: &Texts, until: Instant) -> Result<Plan, SourceError> {
        let mut plan = Plan::default();
        let Some((text, _)) = texts.padded(1) else {
            return Ok(plan);
        };
        let mut lease = self.lease(until).await?;
        let explain: Arc<str> = format!("explain query plan {text}").into();
        let statement = sqlx::query::<Driver>(AssertSqlSafe(explain)).persistent(false);
        let steps = statement.bind("nobody").fetch_all(&mut lease.connection.connection).await;
        for step in steps.map_err(|error| fault(&error))? {
            let detail: &str = step.try_get("detail").unwrap_or_default();
            // https://www.sqlite.org/eqp.html: SCAN reads all, SEARCH by an index.
            let table = detail.strip_prefix("SCAN ").filter(|rest| !rest.contains("USING"));
            if let Some(table) = table.filter(|table| !table.starts_with(['(', 'C', 'S'])) {
                plan.whole.push(table.to_owned());
            }
        }
        lease.keep();
        Ok(plan)
    }
}

fn give(row: &SqliteRow, sink: &mut dyn RowSink) -> ControlFlow<()> {
    let cells: Vec<Cell<'_>> =
        (0..row.len()).map(|at| row.try_get_raw(at).map_or(Cell::Other, cell)).collect();
    sink.row(&cells)
}

fn cell(value: SqliteValueRef<'_>) -> Cell<'_> {
    if value.is_null() {
        return Cell::Null;
    }
    // The kind of the value itself: SQLite's column types bind nothing.
    let kind = value.type_info();
    match kind.name() {
        "INTEGER" => <i64 as Decode<Driver>>::decode(value).map_or(Cell::Other, Cell::Integer),
        "REAL" => <f64 as Decode<Driver>>::decode(value).map_or(Cell::Other, Cell::Real),
        "TEXT" => <&str as Decode<Driver>>::decode(value).map_or(Cell::Other, Cell::Text),
        _ => Cell::Other,
    }
}

/// Sorts an error of the driver. SQLite's texts can quote what a statement
/// computed with, so only those about the statement itself are repeated.
pub(super) fn fault(error: &sqlx::Error) -> SourceError {
    let database = match error {
        sqlx::Error::Database(database) => database,
        sqlx::Error::Protocol(_) => {
            let detail = "the driver refuses the statement: use no parameter but `{subjects}`";
            return SourceError::new(Reason::Schema, detail);
        }
        _ => return SourceError::new(Reason::Down, "the connection failed"),
    };
    let code: i32 = database.code().and_then(|code| code.parse().ok()).unwrap_or_default();
    let message = database.message();
    let schema = ["no such ", "near \"", "ambiguous column", "incomplete input", "wrong number"];
    // https://www.sqlite.org/rescode.html: the low byte is the primary code.
    match code & 0xff {
        1 if schema.iter().any(|start| message.starts_with(start)) => {
            SourceError::new(Reason::Schema, message)
        }
        9 => SourceError::new(Reason::Timeout, "the statement was interrupted at its deadline"),
        5 | 6 => SourceError::new(Reason::Down, "the database is locked by a writer"),
        8 => SourceError::new(Reason::Schema, "the statement tries to write"),
        14 => SourceError::new(Reason::Down, "the database file cannot be opened"),
        26 => SourceError::new(Reason::Down, "the file is not an SQLite database"),
        1 | 18 | 20 => {
            let detail = format!("SQLite could not compute the answer (code {code})");
            SourceError::new(Reason::Invalid, detail)
        }
        _ => SourceError::new(Reason::Down, format!("SQLite failed (code {code})")),
    }
}

#[cfg(test)]
mod tests;
