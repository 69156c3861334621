//! SQLite as a source: statements of bound placeholders over connections that read only.
//!
//! Its values have kinds of their own, whatever their column was declared as.

mod block;
pub(super) mod fault;
pub(super) mod session;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, params_from_iter};

use super::fault::{Reason, SourceError};
use super::introspection::{Kind, Plan, Review};
use super::mapping::Limits;
use super::proof::{self, Proving};
use super::query::Query;
use super::rows::MAX_ROWS_EACH;
use super::sample::SAMPLED_ROWS;
use super::statements::{Dialect, Statement, Texts, numbers};
use super::unwrapped::Named;
use super::within::within;
use super::{Key, RowSink, Source};
use crate::config::mapping::SubjectType;

use block::Block;
use fault::fault;
use session::SqliteSessions;

/// An SQLite database, asked with a mapping's queries.
pub(super) struct Sqlite {
    sessions: SqliteSessions,
    queries: Vec<Texts>,
}

impl Sqlite {
    pub fn new(queries: &[Query], limits: Limits, path: &Path) -> Self {
        let texts = |(number, query)| Texts::new(number, query, limits.max_batch, Dialect::Sqlite);
        let queries: Vec<Texts> = queries.iter().enumerate().map(texts).collect();
        let statements = queries.iter().map(Texts::len).sum();
        let sessions = SqliteSessions::new(path, limits.pool, statements, limits.statement_timeout);
        Self { sessions, queries }
    }

    fn texts(&self, query: usize) -> Result<&Texts, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.queries.get(query).ok_or_else(unknown)
    }

    /// Asks, and passes on what proves to be the answer: `most` rows and one more.
    async fn ask(
        &self,
        (selected, statement): (&[Box<str>], Statement),
        people: People,
        most: usize,
        until: Instant,
        sink: &mut dyn RowSink,
    ) -> Result<(), SourceError> {
        let nonce = statement.mark.as_ref().map(|_| proof::nonce()).transpose()?;
        let asked = statement.clone();
        let answer = self.sessions.run(until, move |connection| {
            people.ask(connection, &asked, nonce, most).map_err(|error| fault(&error))
        });
        let answer = answer.await?;
        match nonce {
            Some(nonce) => answer.give(&mut Proving::new(&statement, nonce, sink)),
            None => answer.give(&mut Named::new(selected, str::eq_ignore_ascii_case, sink)),
        }
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
        asked: &Statement,
        nonce: Option<i64>,
        most: usize,
    ) -> rusqlite::Result<Block> {
        let mut statement = connection.prepare_cached(&asked.text)?;
        let columns = statement.column_names().into_iter().map(str::to_owned).collect();
        let nonce = nonce.map(ToSqlOutput::from).into_iter();
        let rows = match self {
            Self::Texts(people) => {
                let padded = people.iter().chain(people.last().into_iter().cycle());
                let padded = padded.map(|person| ToSqlOutput::from(&**person.expose()));
                statement.query(params_from_iter(nonce.chain(padded.take(asked.places))))?
            }
            Self::Numbers(people) => {
                let padded = people.iter().chain(people.last().into_iter().cycle());
                let padded = padded.map(|person| ToSqlOutput::from(*person));
                statement.query(params_from_iter(nonce.chain(padded.take(asked.places))))?
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
            let statement = texts.statement(people.len()).ok_or_else(many)?.clone();
            self.ask((&texts.selected, statement), people, most, until, sink).await
        })
    }

    fn sample<'a>(
        &'a self,
        query: usize,
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<bool, SourceError>> {
        within(until, async move {
            let texts = self.texts(query)?;
            let Some(statement) = texts.sample.clone() else { return Ok(false) };
            let nobody = People::Numbers(vec![0]);
            self.ask((&texts.selected, statement), nobody, SAMPLED_ROWS, until, sink).await?;
            Ok(true)
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
            let one = texts.statement(1).map(|statement| Arc::clone(&statement.text));
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
    let mut steps = explain.query((0, "nobody"))?;
    while let Some(step) = steps.next()? {
        let detail: String = step.get("detail")?;
        // https://www.sqlite.org/eqp.html: SCAN reads all, SEARCH by an index.
        let Some(table) = detail.strip_prefix("SCAN ") else { continue };
        let table = table.strip_suffix(" LEFT-JOIN").unwrap_or(table);
        // What the wrapping reads is no table.
        let ours = ["CONSTANT ROW", "proof", "answer", "asked"].contains(&table);
        if !ours && !table.starts_with('(') && !table.contains(" USING ") {
            plan.whole.push(table.to_owned());
        }
    }
    Ok(plan)
}

#[cfg(test)]
mod tests;
