//! SQLite as a source: statements of bound placeholders over connections that read only.
//!
//! Its values have kinds of their own, whatever their column was declared as.

mod block;
mod session;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use rusqlite::{Connection, Error, params_from_iter};

use super::fault::{Reason, SourceError};
use super::introspection::{Kind, Plan, Review};
use super::mapping::{Mapping, Query};
use super::rows::MAX_ROWS_EACH;
use super::statements::{Dialect, Texts, numbers};
use super::within::within;
use super::{Key, RowSink, Source};
use crate::config::mapping::SubjectType;

use block::Block;
use session::Sessions;

pub(super) use session::read_only;

/// An SQLite database, asked with a mapping's queries.
pub(super) struct Sqlite {
    sessions: Sessions,
    queries: Vec<Texts>,
}

impl Sqlite {
    pub fn new(mapping: &Mapping, path: &Path) -> Self {
        let limits = mapping.limits;
        let texts = |query: &Query| Texts::new(query, limits.max_batch, Dialect::Sqlite);
        let queries: Vec<Texts> = mapping.queries.iter().map(texts).collect();
        let statements = queries.iter().map(Texts::len).sum();
        let sessions = Sessions::new(path, limits.pool, statements, limits.statement_timeout);
        Self { sessions, queries }
    }

    fn texts(&self, query: usize) -> Result<&Texts, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.queries.get(query).ok_or_else(unknown)
    }
}

/// People as a statement takes them.
enum People {
    Texts(Vec<Key>),
    Numbers(Vec<i64>),
}

impl People {
    fn new(people: &[Key], kind: SubjectType) -> Self {
        match kind {
            SubjectType::Text => Self::Texts(people.to_vec()),
            SubjectType::Integer => Self::Numbers(numbers(people)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Texts(people) => people.len(),
            Self::Numbers(people) => people.len(),
        }
    }

    /// Asks for them, the last one again until the places are full. Blocking.
    fn ask(
        &self,
        connection: &Connection,
        (text, places): (&str, usize),
        most: usize,
    ) -> rusqlite::Result<Block> {
        let mut statement = connection.prepare_cached(text)?;
        let columns = statement.column_count();
        let rows = match self {
            Self::Texts(people) => {
                let padded = people.iter().chain(people.last().into_iter().cycle()).take(places);
                statement.query(params_from_iter(padded.map(|person| &**person.expose())))?
            }
            Self::Numbers(people) => {
                let padded = people.iter().chain(people.last().into_iter().cycle()).take(places);
                statement.query(params_from_iter(padded))?
            }
        };
        Block::read(rows, columns, most)
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
            let most = people.len().saturating_mul(MAX_ROWS_EACH);
            let people = People::new(people, texts.subjects);
            if people.len() == 0 {
                return Ok(());
            }
            let many = || SourceError::new(Reason::Schema, "no statement for so many people");
            let (text, places) = texts.padded(people.len()).ok_or_else(many)?;
            let text = Arc::clone(text);
            let asked = self.sessions.run(until, move |connection| {
                people.ask(connection, (&text, places), most).map_err(|error| fault(&error))
            });
            asked.await?.give(sink);
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
            let whole = Arc::clone(&texts.whole);
            let names = self.sessions.run(until, move |connection| {
                columns(connection, &whole).map_err(|error| fault(&error))
            });
            let names = names.await?;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let missing = texts.missing(&names, str::eq_ignore_ascii_case);
            Ok(missing.into_iter().map(|text| SourceError::new(Reason::Schema, text)).collect())
        })
    }

    fn review<'a>(
        &'a self,
        query: usize,
        until: Instant,
    ) -> BoxFuture<'a, Result<Review, SourceError>> {
        within(until, async move {
            let texts = self.texts(query)?;
            let whole = Arc::clone(&texts.whole);
            let one = texts.padded(1).map(|(text, _)| Arc::clone(text));
            let reviewed = self.sessions.run(until, move |connection| {
                // A column's declared type binds none of its values.
                let names = columns(connection, &whole).map_err(|error| fault(&error))?;
                let columns = names.into_iter().map(|name| (name, Kind::Unknown)).collect();
                // A statement that lacks a column has no plan.
                let plan = one.map_or_else(|| Ok(Plan::default()), |text| plan(connection, &text));
                Ok(Review { columns, plan: plan.ok() })
            });
            reviewed.await
        })
    }

    fn probe<'a>(&'a self, until: Instant) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let looked = self.sessions.run(until, |connection| {
                let looked = connection
                    .prepare_cached("select 1 from sqlite_schema limit 1")
                    .and_then(|mut look| look.exists([]));
                looked.map_err(|error| fault(&error))
            });
            looked.await.map(|_| ())
        })
    }
}

/// The columns of a statement. Blocking.
fn columns(connection: &Connection, text: &str) -> rusqlite::Result<Vec<String>> {
    let prepared = connection.prepare(text)?;
    Ok(prepared.column_names().into_iter().map(str::to_owned).collect())
}

/// How SQLite would run a query. Blocking.
fn plan(connection: &Connection, text: &str) -> rusqlite::Result<Plan> {
    let mut plan = Plan::default();
    let mut explain = connection.prepare(&format!("explain query plan {text}"))?;
    let mut steps = explain.query(["nobody"])?;
    while let Some(step) = steps.next()? {
        let detail: String = step.get("detail")?;
        // https://www.sqlite.org/eqp.html: SCAN reads all, SEARCH by an index.
        let table = detail.strip_prefix("SCAN ").filter(|rest| !rest.contains("USING"));
        if let Some(table) = table.filter(|table| !table.starts_with(['(', 'C', 'S'])) {
            plan.whole.push(table.to_owned());
        }
    }
    Ok(plan)
}

/// Sorts an error of the driver. SQLite's texts can quote what a statement
/// computed with, so only those about the statement itself are repeated.
pub(super) fn fault(error: &Error) -> SourceError {
    let (code, message) = match error {
        Error::SqliteFailure(code, message) => (code, message.as_deref().unwrap_or_default()),
        Error::SqlInputError { error, msg, .. } => (error, msg.as_str()),
        Error::InvalidParameterCount(..) => {
            let detail = "SQLite takes the people nowhere in the statement, or wants more than \
                          them: write `{subjects}` outside comments, and no other parameter";
            return SourceError::new(Reason::Schema, detail);
        }
        Error::MultipleStatement | Error::NulError(_) => {
            let detail = "this is not one statement: write one, and no zero byte in it";
            return SourceError::new(Reason::Schema, detail);
        }
        _ => return SourceError::new(Reason::Down, "the connection failed"),
    };
    let code = code.extended_code;
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
