//! SQLite as a source: statements of bound placeholders over a read-only pool.
//!
//! The mapping's text becomes a subquery, of which only the named columns are
//! read and in a known order. Its texts are made once, one for each power of two
//! of people, so that the database sees few different statements.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use futures_util::TryStreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{
    AssertSqlSafe, Column as _, Decode, Executor, Row as _, SqlSafeStr, Sqlite as Driver,
    Statement as _, TypeInfo, ValueRef,
};

use super::cell::Cell;
use super::fault::{Reason, SourceError};
use super::mapping::{Mapping, Query, SUBJECTS};
use super::pool::Pool;
use super::{Key, RowSink, Source};

/// An SQLite database, asked with a mapping's queries.
pub(super) struct Sqlite {
    pool: Pool,
    queries: Vec<Texts>,
}

/// One query's statements.
struct Texts {
    /// For 1, 2, 4, 8 … people.
    by_power: Vec<Arc<str>>,
    /// The mapping's own statement, to learn which columns it has.
    whole: Arc<str>,
    selected: Vec<Box<str>>,
}

impl Sqlite {
    pub fn new(mapping: &Mapping) -> Self {
        let limits = mapping.limits;
        let queries: Vec<Texts> =
            mapping.queries.iter().map(|query| Texts::new(query, limits.max_batch)).collect();
        let statements = queries.iter().map(|texts| texts.by_power.len()).sum();
        let busy = limits.statement_timeout;
        Self { pool: Pool::new(&mapping.database, limits.pool, statements, busy), queries }
    }

    fn texts(&self, query: usize) -> Result<&Texts, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.queries.get(query).ok_or_else(unknown)
    }
}

impl Texts {
    fn new(query: &Query, max_batch: usize) -> Self {
        // With a table's name in front, SQLite never takes an unknown column in
        // double quotes for a text.
        let columns: Vec<String> =
            query.selected.iter().map(|column| format!("asked.\"{column}\"")).collect();
        let columns = columns.join(", ");
        let selected = |people: usize| {
            // On lines of its own, in case the text ends in a comment.
            let text = with_placeholders(&query.text, people);
            format!("select {columns} from (\n{text}\n) as asked").into()
        };
        let powers = max_batch.next_power_of_two().trailing_zeros();
        Self {
            by_power: (0..=powers).map(|power| selected(1 << power)).collect(),
            whole: format!("select * from (\n{}\n)", with_placeholders(&query.text, 1)).into(),
            selected: query.selected.clone(),
        }
    }
}

fn with_placeholders(text: &str, people: usize) -> String {
    let places: Vec<String> = (1..=people).map(|place| format!("?{place}")).collect();
    text.replacen(SUBJECTS, &format!("({})", places.join(",")), 1)
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
            let power = people.len().next_power_of_two().trailing_zeros() as usize;
            let (Some(text), Some(last)) = (self.texts(query)?.by_power.get(power), people.last())
            else {
                return Err(SourceError::new(Reason::Schema, "no statement for so many people"));
            };
            let padding = std::iter::repeat_n(last, (1 << power) - people.len());
            let mut statement = sqlx::query::<Driver>(AssertSqlSafe(Arc::clone(text)));
            for person in people.iter().chain(padding) {
                statement = statement.bind(Arc::clone(person.expose()));
            }
            let mut lease = self.pool.lease(until).await?;
            let ended = {
                let mut rows = statement.fetch(lease.connection());
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
            let mut lease = self.pool.lease(until).await?;
            let text = AssertSqlSafe(Arc::clone(&texts.whole)).into_sql_str();
            let prepared = lease.connection().prepare(text).await.map_err(|error| fault(&error))?;
            let names: Vec<&str> = prepared.columns().iter().map(|column| column.name()).collect();
            let absent = texts
                .selected
                .iter()
                .filter(|wanted| !names.iter().any(|name| name.eq_ignore_ascii_case(wanted)));
            let errors = absent.map(|wanted| {
                let detail = format!(
                    "its answer has no column `{wanted}`, only {}: \
                     correct the mapping or the statement",
                    names.join(", ")
                );
                SourceError::new(Reason::Schema, detail)
            });
            let errors = errors.collect();
            lease.keep();
            Ok(errors)
        })
    }

    fn probe<'a>(&'a self, until: Instant) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let mut lease = self.pool.lease(until).await?;
            let looked = sqlx::query::<Driver>("select 1 from sqlite_schema limit 1")
                .fetch_optional(lease.connection())
                .await;
            looked.map_err(|error| fault(&error))?;
            lease.keep();
            Ok(())
        })
    }
}

/// Ends by `until`, whatever the database does: dropping the future closes its
/// connection and frees its place in the pool.
fn within<'a, T: Send + 'a>(
    until: Instant,
    asking: impl Future<Output = Result<T, SourceError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, SourceError>> {
    async move {
        let late = |_| SourceError::new(Reason::Timeout, "the statement did not end in time");
        tokio::time::timeout_at(until.into(), asking).await.map_err(late)?
    }
    .boxed()
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
