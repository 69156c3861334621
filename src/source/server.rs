//! A database server as a source, whichever it is: when a kept connection is asked
//! again on a new one, and when it is given back.
//!
//! What a server is told and how it answers is [`Speaks`], which `postgres` and
//! `mysql` fill in.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sqlx::error::DatabaseError;

use super::fault::{Reason, SourceError};
use super::introspection::{Kind, Plan, Review};
use super::mapping::Limits;
use super::pool::{Connect, Lease, Pool};
use super::proof::{self, Answer, Proving};
use super::query::Query;
use super::statements::{Dialect, Statement, Texts, numbers};
use super::unwrapped::Named;
use super::within::within;
use super::{Key, RowSink, Source};
use crate::clock;
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

    /// Asks about these people, and says what is to become of the connection.
    fn ask<'a>(
        connection: &'a mut Self::Connection,
        statement: &'a Statement,
        people: &'a BoundPeople<'a>,
        answer: &'a mut dyn Answer,
    ) -> BoxFuture<'a, Result<Afterwards, sqlx::Error>>;

    /// The columns of a query's own statement.
    fn columns<'a>(
        connection: &'a mut Self::Connection,
        texts: &'a Texts,
    ) -> BoxFuture<'a, Result<Columns, sqlx::Error>>;

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

    /// Whether the server says that it had ended this session from outside, whatever
    /// was asked on it.
    fn ended(error: &dyn DatabaseError) -> bool;

    /// Whether the server says that the session had prepared for tables that have
    /// changed since.
    fn outdated(error: &dyn DatabaseError) -> bool;
}

/// What becomes of a connection once it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// The answer was read to its end: the next may ask.
    Keep,
    /// Something is left on it: it is closed.
    Close,
}

/// People as a statement takes them.
pub(super) enum BoundPeople<'a> {
    Texts(Vec<&'a str>),
    Numbers(Vec<i64>),
    /// A statement of ours that is about nobody.
    None,
}

impl<'a> BoundPeople<'a> {
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
            Self::None => 0,
        }
    }
}

/// A database server, asked with a mapping's queries.
pub(super) struct DatabaseServer<S: Speaks> {
    pool: Pool<S>,
    queries: Vec<Texts>,
    account_may_write: bool,
    /// When the account was last seen to be one that only reads.
    account_seen: Mutex<Option<Instant>>,
}

/// After this, whether the account can write is looked at again.
const ACCOUNT_SEEN_FOR: Duration = Duration::from_secs(60);

impl<S: Speaks> DatabaseServer<S> {
    /// Asks with these queries, over connections that `connect` makes for so many
    /// statements.
    pub fn new(
        queries: &[Query],
        limits: Limits,
        account_may_write: bool,
        connect: impl FnOnce(usize) -> S,
    ) -> Self {
        let texts = |(number, query)| Texts::new(number, query, limits.max_batch, S::DIALECT);
        let queries: Vec<Texts> = queries.iter().enumerate().map(texts).collect();
        let statements = queries.iter().map(Texts::len).sum();
        let pool = Pool::new(connect(statements), limits.pool);
        Self { pool, queries, account_may_write, account_seen: Mutex::default() }
    }

    fn texts(&self, query: usize) -> Result<&Texts, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.queries.get(query).ok_or_else(unknown)
    }

    /// The columns of the mapping's own statement.
    async fn columns(&self, query: usize, until: Instant) -> Result<Columns, SourceError> {
        let texts = self.texts(query)?;
        // What a kept connection has prepared may be older than the tables.
        let mut lease = self.pool.lease_new(until).await?;
        let seen = S::columns(&mut lease.connection, texts).await;
        let seen = seen.map_err(|error| S::fault(&error))?;
        if texts.wrapped {
            lease.keep();
        }
        Ok(seen)
    }

    /// A connection for a question about people: one of its own for a statement that
    /// proves nothing, and none at all for an account that can write.
    async fn lease(
        &self,
        statement: &Statement,
        until: Instant,
    ) -> Result<Lease<'_, S>, SourceError> {
        let mut lease = match &statement.mark {
            Some(_) => self.pool.lease(until).await?,
            None => self.pool.lease_new(until).await?,
        };
        let seen = *self.account_seen.lock();
        let now = clock::now();
        let lately = seen.is_some_and(|seen| now.duration_since(seen) < ACCOUNT_SEEN_FOR);
        if self.account_may_write || lately {
            return Ok(lease);
        }
        let mut rights = S::rights(&mut lease.connection).await;
        if let Err(error) = &rights
            && lost::<S>(error, &lease)
        {
            lease.renew(until).await?;
            rights = S::rights(&mut lease.connection).await;
        }
        let rights = rights.map_err(|error| S::fault(&error))?;
        if !rights.is_empty() {
            return Err(SourceError::can_write(&rights.join(", ")));
        }
        *self.account_seen.lock() = Some(now);
        Ok(lease)
    }

    /// Asks on a connection, and once more on a new one if the first was lost, or gave
    /// an answer to something else, before any row was passed on.
    async fn ask(
        &self,
        (texts, statement): (&Texts, &Statement),
        people: &BoundPeople<'_>,
        until: Instant,
        sink: &mut dyn RowSink,
    ) -> Result<(), SourceError> {
        let mut lease = self.lease(statement, until).await?;
        let mut again = true;
        loop {
            let (mut proving, mut named);
            let answer: &mut dyn Answer = match &statement.mark {
                Some(_) => {
                    proving = Proving::new(statement, proof::nonce()?, &mut *sink);
                    &mut proving
                }
                None => {
                    named = Named::new(&texts.selected, S::same_name, &mut *sink);
                    &mut named
                }
            };
            let asked = S::ask(&mut lease.connection, statement, people, answer).await;
            let lost = match &asked {
                Ok(_) => answer.finish().is_err(),
                Err(error) => lost::<S>(error, &lease),
            };
            if again && lost && !answer.given() {
                again = false;
                lease.renew(until).await?;
                continue;
            }
            let afterwards = asked.map_err(|error| S::fault(&error))?;
            answer.finish()?;
            if afterwards == Afterwards::Keep && statement.mark.is_some() {
                lease.keep();
            }
            return Ok(());
        }
    }
}

impl<S: Speaks> Source for DatabaseServer<S> {
    fn rows<'a>(
        &'a self,
        query: usize,
        people: &'a [Key],
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let texts = self.texts(query)?;
            let people = BoundPeople::new(people, texts.subjects, S::binds);
            if people.len() == 0 {
                return Ok(());
            }
            let many = || SourceError::new(Reason::Schema, "no statement for so many people");
            let statement = texts.statement(people.len()).ok_or_else(many)?;
            self.ask((texts, statement), &people, until, sink).await
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

    fn review<'a>(
        &'a self,
        query: usize,
        until: Instant,
    ) -> BoxFuture<'a, Result<Review, SourceError>> {
        within(until, async move {
            let columns = self.columns(query, until).await?;
            let mut lease = self.pool.lease(until).await?;
            // A statement that lacks a column has no plan.
            let plan = S::plan(&mut lease.connection, self.texts(query)?).await.ok();
            if plan.is_some() {
                lease.keep();
            }
            Ok(Review { columns, plan: plan.flatten() })
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
            let Some(statement) = &texts.sample else { return Ok(false) };
            let nobody = match texts.subjects {
                SubjectType::Text => BoundPeople::Texts(vec![""]),
                SubjectType::Integer => BoundPeople::Numbers(vec![0]),
            };
            self.ask((texts, statement), &nobody, until, sink).await?;
            Ok(true)
        })
    }

    fn writable<'a>(
        &'a self,
        until: Instant,
    ) -> BoxFuture<'a, Result<Option<String>, SourceError>> {
        within(until, async move {
            let mut lease = self.pool.lease(until).await?;
            let rights = S::rights(&mut lease.connection).await;
            let rights = rights.map_err(|error| S::fault(&error))?;
            lease.keep();
            Ok((!rights.is_empty()).then(|| rights.join(", ")))
        })
    }
}

/// Whether a connection was lost for a reason that has nothing to do with what was asked
/// on it, or had prepared for what is there no more: a new one may well answer.
fn lost<S: Speaks>(error: &sqlx::Error, lease: &Lease<'_, S>) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => !lease.fresh,
        sqlx::Error::Database(error) => {
            // A pooler gives a new connection of ours an old one of its own.
            S::ended(&**error) || (!lease.fresh && S::outdated(&**error))
        }
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

/// Why no session could be made, also where the driver does not have what the server
/// asks for. Nobody has been asked about yet: no text here is a person's.
pub(super) fn not_let_in(
    error: &sqlx::Error,
    fault: fn(&sqlx::Error) -> SourceError,
) -> SourceError {
    let sqlx::Error::Protocol(said) = error else {
        return fault(error);
    };
    let visible = |c: &char| !c.is_control();
    let said: String = said.chars().filter(visible).take(200).collect();
    // The driver puts the place in its own code behind it.
    let said = said.rsplit_once(" (sqlx").map_or(&*said, |(said, _)| said);
    let detail = match said.split_once("unknown authentication plugin: ") {
        Some((_, plugin)) => format!(
            "the server checks this account's password by `{plugin}`, which the driver does not \
             have: change the account's kind, on MariaDB by `alter user … identified via \
             mysql_native_password using password('…')`, on MySQL by `alter user … identified \
             with caching_sha2_password by '…'`"
        ),
        None => format!("the driver and the server do not understand each other: {said}"),
    };
    SourceError::new(Reason::Down, detail)
}
