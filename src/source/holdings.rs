//! What an agency holds about a person, asked of all its queries at once.
//!
//! The whole answer, a part, none, or a failure are four different things, and
//! none is made of another: a query that failed leaves its items missing, never
//! "not recorded".

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep_until};

use super::batch::{Batcher, Reply};
use super::csv::Csv;
use super::fault::{Reason, SourceError};
use super::grpc::Grpc;
use super::http::Http;
use super::introspection::Review;
use super::mapping::Mapping;
use super::mysql;
use super::person::{ItemShown, Showing};
use super::place::Place;
use super::postgres;
use super::query::Query;
use super::rows::{PersonsRow, Row, RowSink};
use super::sample::{QuerySample, Sampling};
use super::sqlite::Sqlite;
use super::{Cell, Key, Source};
use crate::clock;
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::reason;
use crate::domain::section::{Absence, HeldItem, SectionStatus};
use crate::domain::sensitive::Sensitive;
use crate::domain::subject::{Subject, SubjectFormat};
use crate::domain::value::ValueType;

/// A number that no format of ours accepts, since it has a space: nobody's.
const NOBODY: &str = "nobody at all";

/// An agency's mapped data.
pub struct Holdings {
    batchers: Vec<Batcher>,
    source: Arc<dyn Source>,
    items: ItemSet,
    statement_timeout: Duration,
}

/// What is held about one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Every query answered, and none had a row.
    NoRecord,
    /// At least a part was answered.
    Answered {
        /// The values, ascending by number.
        items: Vec<HeldItem>,
        /// Items that were asked for and have no value, ascending by number.
        missing: Vec<(ItemNumber, Absence)>,
    },
    /// Nothing was answered.
    Failed {
        /// Timeout, unavailable or invalid.
        status: SectionStatus,
        /// A stable word.
        reason: reason::Reason,
    },
}

/// What a look at the source's rows showed.
#[derive(Debug, Default)]
pub struct Looked {
    /// What an administrator must know.
    pub faults: Vec<SourceError>,
    /// Some rows could not be looked at, and may be later.
    pub again: bool,
}

/// What one query has done so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Its name in the mapping.
    pub query: Arc<str>,
    /// Statements sent.
    pub statements: u64,
    /// Statements that failed.
    pub failed: u64,
    /// Cells that did not fit their item.
    pub unfit: u64,
    /// Results discarded for a row of another person, or for too many rows.
    pub foreign: u64,
    /// Rows beyond a person's first.
    pub duplicate: u64,
    /// Rows whose as-of date, end, dispute or statement could not be read.
    pub unusable: u64,
}

impl Holdings {
    /// Opens the mapping's database. No connection is made before the first
    /// question, so a database that is down now may come up later.
    ///
    /// Call it within a tokio runtime.
    pub fn open(mapping: Mapping) -> Self {
        let source: Arc<dyn Source> = match &mapping.place {
            Place::Sqlite(path) => Arc::new(Sqlite::new(&mapping.queries, mapping.limits, path)),
            Place::Postgres(place) => Arc::new(postgres::open(&mapping, place)),
            Place::Mysql(place) => Arc::new(mysql::open(&mapping, place)),
            Place::Csv(place) => Arc::new(Csv::new(&mapping, place)),
            Place::Http(place) => Arc::new(Http::new(&mapping, place)),
            Place::Grpc(endpoint) => Arc::new(Grpc::new(&mapping, endpoint)),
        };
        Self::over(mapping, source)
    }

    /// Asks another kind of source with the same mapping.
    pub fn over(mapping: Mapping, source: Arc<dyn Source>) -> Self {
        let (items, limits) = (mapping.items(), mapping.limits);
        let start = |(place, query)| Batcher::start(place, query, Arc::clone(&source), limits);
        let batchers = mapping.queries.into_iter().enumerate().map(start).collect();
        Self { batchers, source, items, statement_timeout: limits.statement_timeout }
    }

    /// The items offered.
    pub const fn items(&self) -> ItemSet {
        self.items
    }

    /// Statements sent so far, over all queries.
    pub fn statements(&self) -> u64 {
        self.batchers.iter().map(Batcher::statements).sum()
    }

    /// What each query has done so far, in the mapping's order.
    pub fn counts(&self) -> Vec<Counts> {
        let counts = |batcher: &Batcher| {
            let (query, rows) = (batcher.query(), batcher.counts());
            Counts {
                query: Arc::clone(&query.name),
                statements: batcher.statements(),
                failed: batcher.failed(),
                unfit: query.columns.iter().map(|c| c.unfit.load(Ordering::Relaxed)).sum(),
                foreign: rows.foreign.load(Ordering::Relaxed),
                duplicate: rows.duplicate.load(Ordering::Relaxed),
                unusable: rows.unusable.load(Ordering::Relaxed),
            }
        };
        self.batchers.iter().map(counts).collect()
    }

    /// What is held about a person of these items. Only queries that hold one of
    /// them are asked, all at once, and it ends by the deadline.
    pub async fn fetch(&self, subject: &Subject, items: &ItemSet, deadline: Instant) -> Held {
        let offered = items.and(&self.items);
        let person: Key = Sensitive::new(subject.expose().into());
        let mut questions = Vec::new();
        for batcher in &self.batchers {
            let wanted = offered.and(&batcher.query().items);
            if !wanted.is_empty() {
                questions.push((wanted, batcher.ask(person.clone(), wanted, deadline)));
            }
        }
        let mut answer = Answer::new(offered.len(), questions.len());
        let mut timer = pin!(sleep_until(deadline.into()));
        let given = deadline.saturating_duration_since(clock::now());
        let late = Reason::late(given, self.statement_timeout);
        for (wanted, question) in questions {
            let reply = match question {
                Ok(question) => wait(question, &mut timer, late).await,
                Err(reason) => Err(reason),
            };
            answer.add(&wanted, reply);
        }
        answer.finish(&items.without(&self.items))
    }

    /// Holds the mapping against the live source: each query's columns, and that
    /// it finds no one when asked about nobody.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub async fn check(&self) -> Result<(), Vec<SourceError>> {
        let mut errors = Vec::new();
        for (place, batcher) in self.batchers.iter().enumerate() {
            let name = &batcher.query().name;
            match self.check_query(place).await {
                Ok(found) => errors.extend(found.into_iter().map(|error| error.of_query(name))),
                Err(error) => errors.push(error.of_query(name)),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    async fn check_query(&self, place: usize) -> Result<Vec<SourceError>, SourceError> {
        let until = || clock::now() + self.statement_timeout;
        let missing = self.source.missing_columns(place, until()).await?;
        if !missing.is_empty() {
            return Ok(missing);
        }
        Ok(self.asked_about_nobody(place).await?.into_iter().collect())
    }

    /// What is wrong with a query that finds somebody when asked about nobody.
    pub(super) async fn asked_about_nobody(
        &self,
        place: usize,
    ) -> Result<Option<SourceError>, SourceError> {
        let mut anyone = Anyone(false);
        // The second for whoever counts people in whole numbers.
        for nobody in [NOBODY, "-9223372036854775808"] {
            let nobody = [Sensitive::new(nobody.into())];
            let until = clock::now() + self.statement_timeout;
            self.source.rows(place, &nobody, until, &mut anyone).await?;
        }
        let unbounded = "it gives rows when asked about nobody: bound it by the people asked about";
        Ok(anyone.0.then(|| SourceError::new(Reason::Schema, unbounded)))
    }

    /// What the source knows of a query's answer.
    pub(super) async fn review(&self, place: usize) -> Result<Review, SourceError> {
        self.source.review(place, clock::now() + self.statement_timeout).await
    }

    /// What a sample of a query's rows shows; `None` where its source has none to give.
    pub(super) async fn sample(
        &self,
        place: usize,
        format: Option<&SubjectFormat>,
    ) -> Result<Option<QuerySample>, SourceError> {
        let Some(batcher) = self.batchers.get(place) else { return Ok(None) };
        let holds = |number: &str| format.is_none_or(|format| format.parse(number).is_ok());
        let mut sampling = Sampling::new(batcher.query(), clock::today(), &holds);
        let until = clock::now() + self.statement_timeout;
        let given = self.source.sample(place, until, &mut sampling).await;
        let given = given.map_err(|error| error.of_query(&batcher.query().name))?;
        Ok(given.then(|| sampling.finish()))
    }

    /// Looks at a sample of each query's rows. A query of which some rows would be
    /// found by no question says of nobody any more that there is no record: whom it
    /// does not find is INVALID.
    pub async fn look(&self, format: &SubjectFormat) -> Looked {
        let mut looked = Looked::default();
        for (place, batcher) in self.batchers.iter().enumerate() {
            let query = batcher.query();
            let sampled = match self.sample(place, Some(format)).await {
                Ok(Some(sampled)) => sampled,
                Ok(None) => continue,
                Err(error) => {
                    looked.again |= matches!(error.reason, Reason::Down | Reason::Overloaded);
                    looked.faults.push(error);
                    continue;
                }
            };
            let doubtful = sampled.lost_share() > query.others;
            batcher.doubt(doubtful);
            let lost = sampled.lost_rows(query).filter(|_| doubtful).map(|message| {
                format!(
                    "{message}. Until the agency takes its mapping anew nobody is NO_RECORD in this \
                     query: whom it does not find is INVALID"
                )
            });
            for message in lost.into_iter().chain(sampled.without_zone()) {
                looked.faults.push(SourceError::new(Reason::Schema, message).of_query(&query.name));
            }
        }
        looked
    }

    /// What each query holds about one person, cell by cell, for the person who asked.
    pub async fn show(&self, subject: &Subject) -> Vec<ItemShown> {
        let mut shown = Vec::new();
        for (place, batcher) in self.batchers.iter().enumerate() {
            let query = batcher.query();
            let mut showing = Showing::new(query, clock::today(), subject.expose());
            let forms = query.subject.asked(subject.expose());
            let until = clock::now() + self.statement_timeout;
            let mut failed = None;
            // One form at a time: any bound on how many are asked at once is kept.
            for form in &forms {
                let form = std::slice::from_ref(form);
                if let Err(error) = self.source.rows(place, form, until, &mut showing).await {
                    failed = Some(error.to_string());
                    break;
                }
            }
            shown.extend(match failed {
                Some(why) => showing.failed(&why),
                None => showing.finish(),
            });
        }
        shown.sort_by_key(|item| item.number);
        shown
    }

    /// Each selected column that a query's answer lacks.
    pub(super) async fn missing_columns(
        &self,
        place: usize,
    ) -> Result<Vec<SourceError>, SourceError> {
        self.source.missing_columns(place, clock::now() + self.statement_timeout).await
    }

    /// What the source's account could write, in words; `None` when nothing.
    ///
    /// # Errors
    /// The source cannot be asked.
    pub async fn writable(&self) -> Result<Option<String>, SourceError> {
        self.source.writable(clock::now() + self.statement_timeout).await
    }

    /// A query of the mapping.
    pub(super) fn query(&self, place: usize) -> Option<&Query> {
        self.batchers.get(place).map(Batcher::query)
    }

    /// The type of an item of a query.
    pub(super) fn value_type(&self, place: usize, id: &str) -> Option<&ValueType> {
        let columns = &self.query(place)?.columns;
        columns.iter().find(|column| &*column.id == id).map(|column| &column.form.value_type)
    }
}

impl std::fmt::Debug for Holdings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Holdings").field(&self.batchers).finish()
    }
}

/// Whether any row comes.
struct Anyone(bool);

impl RowSink for Anyone {
    fn row(&mut self, _: &[Cell<'_>]) -> std::ops::ControlFlow<()> {
        self.0 = true;
        std::ops::ControlFlow::Break(())
    }
}

/// Waits for one answer under the request's one timer.
async fn wait(
    mut question: oneshot::Receiver<Reply>,
    deadline: &mut Pin<&mut Sleep>,
    late: Reason,
) -> Reply {
    // A timer that has fired is not polled again.
    if deadline.is_elapsed() {
        return question.try_recv().unwrap_or(Err(late));
    }
    tokio::select! {
        biased;
        // The far end goes without a word only when its task failed.
        reply = &mut question => reply.unwrap_or(Err(Reason::Down)),
        () = deadline.as_mut() => Err(late),
    }
}

/// The answers of a request's queries, put together.
struct Answer {
    items: Vec<HeldItem>,
    missing: Vec<(ItemNumber, Absence)>,
    asked: usize,
    empty: usize,
    failed: usize,
    worst: Option<Reason>,
}

impl Answer {
    fn new(items: usize, asked: usize) -> Self {
        let (items, missing) = (Vec::with_capacity(items), Vec::new());
        Self { items, missing, asked, empty: 0, failed: 0, worst: None }
    }

    fn add(&mut self, wanted: &ItemSet, reply: Reply) {
        let absent = match reply {
            Ok(PersonsRow::Row(row)) => return self.row(wanted, &row),
            Ok(PersonsRow::Nothing) => {
                self.empty += 1;
                Absence::NotRecorded
            }
            Ok(PersonsRow::Unusable) => Absence::Invalid,
            Err(reason) => {
                self.failed += 1;
                self.worst = self.worst.max(Some(reason));
                match reason {
                    Reason::Invalid => Absence::Invalid,
                    _ => Absence::SourceMissing,
                }
            }
        };
        self.missing.extend(wanted.iter().map(|number| (number, absent)));
    }

    /// Takes of a row what this request asked for; others may have asked for more.
    fn row(&mut self, wanted: &ItemSet, row: &Row) {
        for (number, value) in row.values.iter().filter(|(number, _)| wanted.contains(*number)) {
            match value {
                Ok(value) => self.items.push(HeldItem {
                    number: *number,
                    value: *value,
                    as_of: row.as_of,
                    disputed: row.disputed,
                    statement: row.statement.clone(),
                }),
                Err(absence) => self.missing.push((*number, *absence)),
            }
        }
    }

    fn finish(mut self, not_offered: &ItemSet) -> Held {
        match self.worst {
            Some(reason) if self.failed == self.asked => {
                return Held::Failed { status: reason.status(), reason: reason.stated() };
            }
            _ if self.asked > 0 && self.empty == self.asked => return Held::NoRecord,
            _ => {}
        }
        self.missing.extend(not_offered.iter().map(|number| (number, Absence::NotOffered)));
        self.items.sort_unstable_by_key(|item| item.number);
        self.missing.sort_unstable_by_key(|(number, _)| *number);
        Held::Answered { items: self.items, missing: self.missing }
    }
}
