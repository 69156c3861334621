//! What can go wrong with a source, in stable words.
//!
//! The word goes out; the detail goes to the log and to whoever administers the
//! agency. Neither holds a person's number or a value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::reason;
use crate::domain::section::SectionStatus;

/// What a source is given in any case before it is called late. Who asks with less time
/// than that runs out of their own.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Why a source gave no answer; the later in this list outweighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Who asked had left too little time; that says nothing of the source.
    Deadline,
    /// More requests wait than the queue holds.
    Overloaded,
    /// No answer in the time given.
    Timeout,
    /// The database could not be reached or read.
    Down,
    /// The mapping and the database do not fit together.
    Schema,
    /// What came was not an answer to what was asked.
    Invalid,
}

impl Reason {
    /// What it is when the time given runs out, by how long that was and how long a
    /// statement may take.
    pub(super) fn late(given: Duration, limit: Duration) -> Self {
        if given < limit.min(PATIENCE) { Self::Deadline } else { Self::Timeout }
    }

    /// What the section states.
    pub const fn stated(self) -> reason::Reason {
        match self {
            Self::Deadline => reason::Reason::Deadline,
            Self::Overloaded => reason::Reason::SourceOverloaded,
            Self::Timeout => reason::Reason::SourceTimeout,
            Self::Down => reason::Reason::SourceDown,
            Self::Schema => reason::Reason::SourceSchema,
            Self::Invalid => reason::Reason::SourceInvalid,
        }
    }

    /// What a section that fails for this reason is called.
    pub const fn status(self) -> SectionStatus {
        self.stated().section_status()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stated().fmt(f)
    }
}

/// A reason with what an administrator needs to remove it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {}{detail}", Prefix(query))]
pub struct SourceError {
    /// The stable word.
    pub reason: Reason,
    /// The query, unless the whole source is concerned.
    pub query: Option<Arc<str>>,
    /// Nothing that a person's rows hold: asking about fewer people changes nothing.
    pub of_all: bool,
    /// What is wrong. Holds neither a value nor a person's number.
    pub detail: String,
}

struct Prefix<'a>(&'a Option<Arc<str>>);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |query| write!(f, "query `{query}`: "))
    }
}

impl SourceError {
    /// A server that cannot be reached, or not be trusted.
    pub(super) fn unreached(io: &std::io::Error) -> Self {
        let mut io = io;
        // A client may wrap one into another.
        while let Some(inner) = io.get_ref().and_then(|inner| inner.downcast_ref()) {
            io = inner;
        }
        let inner = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let detail = match inner {
            Some(tls) => format!("no trusted connection to the server: {tls}"),
            None => format!("the server cannot be reached: {}", io.kind()),
        };
        Self::new(Reason::Down, detail)
    }

    /// An error of the whole source.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, query: None, of_all: false, detail: detail.into() }
    }

    /// An account that can do more than read.
    pub fn can_write(rights: &str) -> Self {
        let detail = format!(
            "the account can write: {rights}. Make one that may only read; or state \
             `account_may_write = true` and bear the risk"
        );
        Self::new(Reason::Schema, detail)
    }

    /// The same error, as one of the whole answer.
    #[must_use]
    pub(super) fn of_all(self) -> Self {
        Self { of_all: true, ..self }
    }

    /// The same error, laid at a query's door.
    #[must_use]
    pub fn of_query(self, query: &Arc<str>) -> Self {
        Self { query: Some(Arc::clone(query)), ..self }
    }
}
