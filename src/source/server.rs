//! A database server as a source, whichever it is: when a kept connection is asked
//! again on a new one, and when it is given back.
//!
//! What a server is told and how it answers is [`Speaks`], which `postgres` and
//! `mysql` fill in.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use sqlx::error::DatabaseError;

use super::fault::{Reason, SourceError};
use super::introspection::{Kind, Plan, Review};
use super::mapping::{Limits, Query};
use super::pool::{Connect, Lanes};
use super::statements::{Dialect, Texts, numbers};
use super::within::within;
use super::{Key, RowSink, Source};
use crate::config::mapping::SubjectType;

/// A server's columns, each with the kind of value it holds.
pub(super) type Columns = Vec<(String, Kind)>;

/// What differs from server to server.
pub(super) trait Speaks: Connect + 'static {
    /// How it takes people.
    const DIALECT: Dialect;

    /// Whether two names of a column are one.
    fn same_name(left: &str, right: &str) -> bool;

    /// Whether a person's number can be bound as a text.
    fn binds(person: &str) -> bool;

    /// The statement for so many people, and its number of places.
    fn statement(texts: &Texts, people: usize) -> Option<(&Arc<str>, usize)>;

    /// Asks, and says whether the answer was read to its end.
    fn ask<'a>(
        connection: &'a mut Self::Connection,
        statement: (&'a Arc<str>, usize),
        people: &'a People<'a>,
        answer: &'a mut Answer<'_>,
    ) -> BoxFuture<'a, Result<bool, sqlx::Error>>;

    /// Asks for nothing.
    fn look(connection: &mut Self::Connection) -> BoxFuture<'_, Result<(), sqlx::Error>>;

    /// The columns of a statement.
    fn columns(
        connection: &mut Self::Connection,
        whole: Arc<str>,
    ) -> BoxFuture<'_, Result<Columns, sqlx::Error>>;

    /// How the server would run a query.
    fn plan<'a>(
        connection: &'a mut Self::Connection,
        texts: &'a Texts,
    ) -> BoxFuture<'a, Result<Option<Plan>, sqlx::Error>>;

    /// What the account may write, a line each.
    fn rights(connection: &mut Self::Connection)
    -> BoxFuture<'_, Result<Vec<String>, sqlx::Error>>;

    /// Sorts an error of the driver.
    fn fault(error: &sqlx::Error) -> SourceError;

    /// Whether the server says that a kept connection had ended, or had prepared
    /// for tables that have changed since: a new one may well answer.
    fn outdated(error: &dyn DatabaseError) -> bool;
}

/// People as a statement takes them.
pub(super) enum People<'a> {
    Texts(Vec<&'a str>),
    Numbers(Vec<i64>),
}

impl<'a> People<'a> {
    fn new(people: &'a [Key], kind: SubjectType, binds: fn(&str) -> bool) -> Self {
        match kind {
            SubjectType::Integer => Self::Numbers(numbers(people)),
            SubjectType::Text => {
                let texts = people.iter().map(|key| &**key.expose());
                Self::Texts(texts.filter(|text| binds(text)).collect())
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }
}

/// Where rows go.
pub(super) struct Answer<'a> {
    pub sink: &'a mut dyn RowSink,
    /// A row came: the statement cannot be asked again.
    pub given: bool,
}

/// A database server, asked with a mapping's queries.
pub(super) struct SqlServer<S: Speaks> {
    lanes: Lanes<S>,
    queries: Vec<Texts>,
}

impl<S: Speaks> SqlServer<S> {
    /// Asks with these queries, over connections that `connect` makes for so many
    /// statements.
    pub fn new(queries: &[Query], limits: Limits, connect: impl FnOnce(usize) -> S) -> Self {
        let texts = |query: &Query| Texts::new(query, limits.max_batch, S::DIALECT);
        let queries: Vec<Texts> = queries.iter().map(texts).collect();
        let statements = queries.iter().map(Texts::len).sum();
        Self { lanes: Lanes::new(connect(statements), limits.pool), queries }
    }

    fn texts(&self, query: usize) -> Result<&Texts, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.queries.get(query).ok_or_else(unknown)
    }

    /// The columns of the mapping's own statement.
    async fn columns(&self, query: usize, until: Instant) -> Result<Columns, SourceError> {
        let texts = self.texts(query)?;
        let mut lease = self.lanes.lease(until).await?;
        if !lease.fresh {
            // What a kept connection has prepared may be older than the tables.
            lease.renew(until).await?;
        }
        let seen = S::columns(&mut lease.connection, Arc::clone(&texts.whole)).await;
        let seen = seen.map_err(|error| S::fault(&error))?;
        lease.keep();
        Ok(seen)
    }
}

impl<S: Speaks> Source for SqlServer<S> {
    fn rows<'a>(
        &'a self,
        query: usize,
        people: &'a [Key],
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let texts = self.texts(query)?;
            let people = People::new(people, texts.subjects, S::binds);
            if people.len() == 0 {
                return Ok(());
            }
            let many = || SourceError::new(Reason::Schema, "no statement for so many people");
            let statement = S::statement(texts, people.len()).ok_or_else(many)?;
            let mut lease = self.lanes.lease(until).await?;
            let mut answer = Answer { sink, given: false };
            let mut ended = S::ask(&mut lease.connection, statement, &people, &mut answer).await;
            if let Err(error) = &ended
                && !lease.fresh
                && !answer.given
                && stale::<S>(error)
            {
                lease.renew(until).await?;
                ended = S::ask(&mut lease.connection, statement, &people, &mut answer).await;
            }
            if ended.map_err(|error| S::fault(&error))? {
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
            let missing = self.texts(query)?.missing(&names, S::same_name);
            Ok(missing.into_iter().map(|text| SourceError::new(Reason::Schema, text)).collect())
        })
    }

    fn probe<'a>(&'a self, until: Instant) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let mut lease = self.lanes.lease(until).await?;
            let mut looked = S::look(&mut lease.connection).await;
            if !lease.fresh && looked.is_err() {
                lease.renew(until).await?;
                looked = S::look(&mut lease.connection).await;
            }
            looked.map_err(|error| S::fault(&error))?;
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
            let plan = S::plan(&mut lease.connection, self.texts(query)?).await.ok();
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
            let rights = S::rights(&mut lease.connection).await;
            let rights = rights.map_err(|error| S::fault(&error))?;
            lease.keep();
            Ok((!rights.is_empty()).then(|| rights.join(", ")))
        })
    }
}

/// Whether a kept connection had died, or is outdated.
fn stale<S: Speaks>(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => S::outdated(&**error),
        _ => false,
    }
}

/// What the server itself said, or what else went wrong.
pub(super) fn said(error: &sqlx::Error) -> Result<&dyn DatabaseError, SourceError> {
    Err(match error {
        sqlx::Error::Database(database) => return Ok(&**database),
        sqlx::Error::Io(io) => SourceError::unreached(io),
        sqlx::Error::Tls(tls) => {
            let detail = format!("no trusted connection to the server: {tls}");
            SourceError::new(Reason::Down, detail)
        }
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_) => {
            let detail = "the driver refuses the statement: use no parameter but `{subjects}`";
            SourceError::new(Reason::Schema, detail)
        }
        _ => SourceError::new(Reason::Down, "the connection failed"),
    })
}
