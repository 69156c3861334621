//! Natural batching: whatever was asked while a query's last statement ran goes
//! into its next one.
//!
//! No timer: a lone request goes at once, and under load the statements grow by
//! themselves. Each query has its own queue, so a slow one stops no other. A
//! waiter that gave up is left out before the statement is built.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::fault::{Reason, SourceError};
use super::mapping::Limits;
use super::query::Query;
use super::rows::{PersonsRow, RowCounts, Rows};
use super::{Key, Source};
use crate::clock;
use crate::domain::item::ItemSet;

/// Statements of one query under way at once, at most; never more than half the
/// pool, so that a slow query leaves connections to the others.
const UNDER_WAY: usize = 2;

/// Statements at most in which the people of one that cannot be believed are asked
/// about apart: enough for eight such people in 256, too few to be a way of
/// keeping a database busy.
const STATEMENTS_APART: usize = 128;

/// Requests that may wait for one query.
const QUEUE: usize = 4096;

pub(super) type Reply = Result<PersonsRow, Reason>;

/// One request's question to one query.
struct Waiter {
    person: Key,
    wanted: ItemSet,
    deadline: Instant,
    reply: oneshot::Sender<Reply>,
}

/// The near end of a query's queue.
#[derive(Debug)]
pub(super) struct Batcher {
    asker: Arc<Asker>,
    queue: mpsc::Sender<Waiter>,
}

/// What every statement of a query needs.
struct Asker {
    /// The query's place in the mapping.
    place: usize,
    query: Query,
    source: Arc<dyn Source>,
    limits: Limits,
    counts: RowCounts,
    statements: AtomicU64,
    failed: AtomicU64,
    /// The source holds numbers that no question finds, so that an empty answer proves
    /// nothing.
    doubtful: AtomicBool,
    /// How the last statement ended: 0 for well, else the reason and one.
    state: AtomicU8,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Asker").field(&self.query.name).finish()
    }
}

impl Batcher {
    /// Starts a query's queue; it ends when the batcher is dropped.
    pub fn start(place: usize, query: Query, source: Arc<dyn Source>, limits: Limits) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let asker = Arc::new(Asker {
            place,
            query,
            source,
            limits,
            counts: RowCounts::default(),
            statements: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            doubtful: AtomicBool::new(false),
            state: AtomicU8::new(0),
        });
        tokio::spawn(run(Arc::clone(&asker), waiting));
        Self { asker, queue }
    }

    pub fn query(&self) -> &Query {
        &self.asker.query
    }

    pub fn counts(&self) -> &RowCounts {
        &self.asker.counts
    }

    /// Statements sent so far.
    pub fn statements(&self) -> u64 {
        self.asker.statements.load(Ordering::Relaxed)
    }

    /// Whether nobody can be said to have no record, since the source holds numbers that
    /// no question finds.
    pub fn doubt(&self, doubtful: bool) {
        self.asker.doubtful.store(doubtful, Ordering::Relaxed);
    }

    /// Statements that failed so far.
    pub fn failed(&self) -> u64 {
        self.asker.failed.load(Ordering::Relaxed)
    }

    /// Queues a question. The answer comes when it comes; whoever no longer wants
    /// it drops the receiver.
    pub fn ask(
        &self,
        person: Key,
        wanted: ItemSet,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Reply>, Reason> {
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter { person, wanted, deadline, reply };
        self.queue.try_send(waiter).map_err(|_| Reason::Overloaded)?;
        Ok(answer)
    }
}

async fn run(asker: Arc<Asker>, mut waiting: mpsc::Receiver<Waiter>) {
    let slots = Arc::new(Semaphore::new(UNDER_WAY.min(asker.limits.pool / 2).max(1)));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        let Some(first) = waiting.recv().await else {
            return;
        };
        // Whoever is ready to ask now may do so before the statement is closed.
        tokio::task::yield_now().await;
        let mut batch = Batch::default();
        batch.add(first);
        // Room for every form of every number in one statement.
        let most = (asker.limits.max_batch / asker.query.subject.most()).max(1);
        while batch.people.len() < most {
            match waiting.try_recv() {
                Ok(waiter) => batch.add(waiter),
                Err(_) => break,
            }
        }
        if batch.people.is_empty() {
            continue;
        }
        let asker = Arc::clone(&asker);
        tokio::spawn(async move {
            batch.run(&asker).await;
            drop(slot);
        });
    }
}

impl Asker {
    /// Asks for all that the subject column may hold for these people.
    async fn rows(
        &self,
        people: &[Key],
        until: Instant,
        rows: &mut Rows<'_>,
    ) -> Result<(), SourceError> {
        let forms: Vec<Key> =
            people.iter().flat_map(|key| self.query.subject.asked(key.expose())).collect();
        for forms in forms.chunks(self.limits.max_batch.max(1)) {
            self.source.rows(self.place, forms, until, rows).await?;
        }
        Ok(())
    }

    /// Notes how a statement ended. The detail is for the log alone, and only when
    /// it is news: a database that is down must not fill the disk.
    fn ended(&self, error: Option<&SourceError>) {
        if let Some(error) = error.filter(|error| error.reason == Reason::Invalid) {
            // One person's rows, not the source's state; said like a bad cell.
            let count = self.failed.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if count.is_power_of_two() {
                tracing::warn!(%error, count, "an answer of the source cannot be believed");
            }
            return;
        }
        if error.is_some_and(|error| error.reason == Reason::Deadline) {
            return;
        }
        let state = error.map_or(0, |error| error.reason as u8 + 1);
        let news = self.state.swap(state, Ordering::Relaxed) != state;
        match error {
            Some(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                if news {
                    tracing::warn!(%error, "the source fails");
                }
            }
            None if news => tracing::info!(query = &*self.query.name, "the source answers again"),
            None => {}
        }
    }
}

/// The people of one statement, and who waits for them.
#[derive(Default)]
struct Batch {
    people: Vec<Key>,
    /// For each person, the items that anyone wants.
    wanted: Vec<ItemSet>,
    index: HashMap<Arc<str>, usize>,
    waiters: Vec<(usize, oneshot::Sender<Reply>)>,
    /// The last moment at which anyone still waits.
    latest: Option<Instant>,
}

impl Batch {
    fn add(&mut self, waiter: Waiter) {
        if waiter.reply.is_closed() {
            return;
        }
        if waiter.deadline <= clock::now() {
            drop(waiter.reply.send(Err(Reason::Deadline)));
            return;
        }
        let next = self.people.len();
        let at = *self.index.entry(Arc::clone(waiter.person.expose())).or_insert(next);
        if at == next {
            self.people.push(waiter.person);
            self.wanted.push(ItemSet::EMPTY);
        }
        if let Some(wanted) = self.wanted.get_mut(at) {
            *wanted = wanted.or(&waiter.wanted);
        }
        self.latest = self.latest.max(Some(waiter.deadline));
        self.waiters.push((at, waiter.reply));
    }

    async fn run(self, asker: &Asker) {
        let now = clock::now();
        let limit = now + asker.limits.statement_timeout;
        let callers = self.latest.filter(|latest| *latest < limit);
        let late = callers.map_or(Reason::Timeout, |latest| {
            let given = latest.saturating_duration_since(now);
            Reason::late(given, asker.limits.statement_timeout)
        });
        let found = self.find(asker, callers.unwrap_or(limit), late).await;
        let doubtful = asker.doubtful.load(Ordering::Relaxed);
        for (at, waiter) in self.waiters {
            let found = match found.get(at).cloned() {
                Some(Ok(PersonsRow::Nothing)) if doubtful => Ok(PersonsRow::Unusable),
                Some(found) => found,
                None => Ok(PersonsRow::Unusable),
            };
            // A waiter that has gone is no one's loss.
            drop(waiter.send(found));
        }
    }

    /// What there is about each person. When an answer cannot be believed, its
    /// people are asked about in halves, so that only those are refused about whom
    /// it cannot be believed when asked alone.
    async fn find(&self, asker: &Asker, until: Instant, late: Reason) -> Vec<Reply> {
        let mut replies = vec![Err(Reason::Invalid); self.people.len()];
        let mut left = STATEMENTS_APART;
        let everyone = 0..self.people.len();
        let mut apart = Vec::from([everyone]);
        while let Some(people) = apart.pop() {
            asker.statements.fetch_add(1, Ordering::Relaxed);
            let found = self.ask(asker, people.clone(), until, late).await;
            asker.ended(found.as_ref().err());
            let failed = match found {
                Ok(found) => {
                    for (reply, found) in replies.iter_mut().skip(people.start).zip(found) {
                        *reply = Ok(found);
                    }
                    continue;
                }
                Err(error) => error,
            };
            let apart_helps = failed.reason == Reason::Invalid && !failed.of_all;
            if apart_helps && people.len() > 1 && left > 1 {
                left -= 2;
                let middle = people.start + people.len() / 2;
                apart.extend([middle..people.end, people.start..middle]);
                continue;
            }
            for reply in replies.iter_mut().skip(people.start).take(people.len()) {
                *reply = Err(failed.reason);
            }
        }
        replies
    }

    /// One statement about some of the people.
    async fn ask(
        &self,
        asker: &Asker,
        people: Range<usize>,
        until: Instant,
        late: Reason,
    ) -> Result<Vec<PersonsRow>, SourceError> {
        let query = &asker.query;
        let today = clock::today();
        let wanted = self.wanted.get(people.clone()).unwrap_or_default();
        let people = self.people.get(people).unwrap_or_default();
        let mut rows = Rows::new(query, &asker.counts, today, people, wanted);
        let asking = asker.rows(people, until, &mut rows);
        match tokio::time::timeout_at(until.into(), asking).await {
            Ok(answered) => answered.map_err(|mut error| {
                // What breaks off because of a caller's deadline is no fault of the source.
                let broken_off = matches!(error.reason, Reason::Timeout | Reason::Down);
                if broken_off && late == Reason::Deadline && clock::now() >= until {
                    error.reason = late;
                }
                error.of_query(&query.name)
            })?,
            Err(_) => {
                let detail = "the statement did not end in time";
                return Err(SourceError::new(late, detail).of_query(&query.name));
            }
        }
        rows.finish().map_err(|reason| {
            SourceError::new(reason, "its result is not bounded by the people asked about")
                .of_query(&query.name)
        })
    }
}

#[cfg(test)]
mod tests;
