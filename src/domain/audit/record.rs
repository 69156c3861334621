//! What a record says, with its names written out.
//!
//! A record holds no value of an item and no card number. In the log its long
//! names stand as references to dictionary entries; see `dictionary`.

use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;

use super::note::Checkpoint;

use crate::domain::catalogue::{AgencyId, CatalogueDigest};
use crate::domain::item::ItemSet;
use crate::domain::names::{GrantId, ReasonWord, RequestId, RuleId};
use crate::domain::peer::SpiffeId;
use crate::domain::purpose::{LegalBasis, PurposeCode};
use crate::domain::section::SectionStatus;
use crate::domain::subject::SubjectTag;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// A time of day; one before 1970 becomes 1970.
    pub fn new(time: OffsetDateTime) -> Self {
        Self(u64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or_default())
    }

    /// As a time of day; one beyond the year 9999 becomes the last of it.
    pub fn to_utc(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000)
            .unwrap_or(time::macros::datetime!(9999-12-31 23:59:59 UTC))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_utc().format(&time::format_description::well_known::Rfc3339);
        f.write_str(&text.map_err(|_| fmt::Error)?)
    }
}

/// Random bytes that keep a record's leaf hash from being guessed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Blind(pub [u8; 16]);

impl fmt::Debug for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blind")
    }
}

/// What was decided, or what became of the question put to the agency.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The section's status.
    Section(SectionStatus),
    /// Refused before anything was asked of an agency.
    Refused(ReasonWord),
    /// Recorded as answered, and then not released: authority ended while the
    /// record was being written. It takes back the answer recorded before it for
    /// the same request and agency.
    Withheld(ReasonWord),
}

/// Why rules do not fit into a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RuleSetError {
    /// A number beyond what a record has a bit for.
    #[error("a policy has at most {limit} rules, this one has a rule {0}", limit = RuleSet::LIMIT)]
    Number(u16),
}

/// A policy and those of its rules that determined the decision.
///
/// A rule's number is its place in the policy, by order of id. In the log a record
/// has a bit for each rule, and a dictionary entry names each rule once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RuleSet {
    policy: [u8; 32],
    rules: Box<[(u16, Arc<RuleId>)]>,
}

impl RuleSet {
    /// Most rules of a policy.
    pub const LIMIT: usize = 1024;

    /// Rules by number, of the policy with this SHA-256 digest.
    ///
    /// # Errors
    /// [`RuleSetError`] for a number that is not below [`Self::LIMIT`].
    pub fn new(
        policy: [u8; 32],
        rules: impl IntoIterator<Item = (u16, Arc<RuleId>)>,
    ) -> Result<Self, RuleSetError> {
        let mut rules: Vec<_> = rules.into_iter().collect();
        if let Some((number, _)) = rules.iter().find(|(at, _)| usize::from(*at) >= Self::LIMIT) {
            return Err(RuleSetError::Number(*number));
        }
        rules.sort_unstable_by_key(|(number, _)| *number);
        rules.dedup_by_key(|(number, _)| *number);
        Ok(Self { policy, rules: rules.into() })
    }

    /// The policy's digest.
    pub const fn policy(&self) -> &[u8; 32] {
        &self.policy
    }

    /// The determining rules: each one's number and id, in ascending order.
    pub fn rules(&self) -> &[(u16, Arc<RuleId>)] {
        &self.rules
    }
}

/// What an agency counted of a grant for a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// A use: so many in its window, this one included; at least one.
    Use(u32),
    /// A repeat of a request, which is no use: so many releases of the request, this
    /// one included; at least two.
    Repeat(u32),
}

/// A count, in full: with the record's own fields it is enough to count again what a
/// counter has lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountRecord {
    /// Who granted: a grant's id is unique with its issuer alone.
    pub issuer: SpiffeId,
    /// The window of the grant's frequency.
    pub window: u64,
    /// When the grant expires, in seconds since 1970.
    pub expires: u64,
    /// What was counted.
    pub counted: Counted,
}

/// One request and one agency; or, with no agency, what was refused of a request
/// before an agency was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionRecord {
    /// When. The log raises it to the time of the record before, if it is lower.
    pub time: Timestamp,
    /// Which request.
    pub request: RequestId,
    /// Who asked.
    pub consumer: SpiffeId,
    /// For what.
    pub purpose: Option<PurposeCode>,
    /// By which right.
    pub basis: Option<LegalBasis>,
    /// Under which grant.
    pub grant: Option<GrantId>,
    /// Of which agency.
    pub agency: Option<AgencyId>,
    /// The items asked of the agency, or refused.
    pub items: ItemSet,
    /// The catalogue that gives the items their meaning.
    pub catalogue: CatalogueDigest,
    /// What came of it.
    pub decision: Decision,
    /// What determined the decision.
    pub rules: Option<RuleSet>,
    /// About whom, for those who hold the key.
    pub subject: Option<SubjectTag>,
    /// What the agency counted of the grant; a gateway counts nothing.
    pub count: Option<CountRecord>,
    /// Fresh random bytes for this record alone.
    pub blind: Blind,
}

/// How often a peer was refused, for one reason, since a time: refusals before a
/// grant is verified are counted, so that a flood of them cannot fill the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalsRecord {
    /// When the count was closed.
    pub time: Timestamp,
    /// When it was opened.
    pub since: Timestamp,
    /// Who was refused.
    pub peer: SpiffeId,
    /// Why.
    pub reason: ReasonWord,
    /// How often.
    pub count: u64,
}

/// What a search of the log was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchKind {
    /// Records were listed.
    List,
    /// What concerns one person was gathered.
    SubjectAccess,
}

impl SearchKind {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "LIST",
            Self::SubjectAccess => "SUBJECT_ACCESS",
        }
    }
}

/// By which kinds of key a search chose; never the keys themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SearchKeys(u8);

impl SearchKeys {
    /// A request's id.
    pub const REQUEST: Self = Self(1);
    /// A consumer.
    pub const CONSUMER: Self = Self(1 << 1);
    /// An agency.
    pub const AGENCY: Self = Self(1 << 2);
    /// A span of time.
    pub const TIME: Self = Self(1 << 3);
    /// Tags of a person.
    pub const TAG: Self = Self(1 << 4);

    const NAMED: [(Self, &'static str); 5] = [
        (Self::REQUEST, "request"),
        (Self::CONSUMER, "consumer"),
        (Self::AGENCY, "agency"),
        (Self::TIME, "time"),
        (Self::TAG, "tag"),
    ];

    /// These and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds' names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let named = Self::NAMED.into_iter();
        named.filter(move |(kind, _)| self.0 & kind.0 != 0).map(|(_, name)| name)
    }

    /// As the log holds them.
    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    /// `None` for a bit without a meaning.
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        if bits < 1 << 5 { Some(Self(bits)) } else { None }
    }
}

/// A search of this very log. What was searched for is left out: a log of who
/// looked for whom would say more of people than the log itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRecord {
    /// When.
    pub time: Timestamp,
    /// Who searched.
    pub reviewer: SpiffeId,
    /// What the search was.
    pub kind: SearchKind,
    /// What it chose by.
    pub keys: SearchKeys,
    /// How many records were given.
    pub hits: u64,
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A request and an agency.
    Section(Box<SectionRecord>),
    /// Counted refusals.
    Refusals(RefusalsRecord),
    /// A search of the log.
    Search(SearchRecord),
    /// The log was opened. The log writes this record itself.
    Started {
        /// When.
        time: Timestamp,
        /// Whether the log had been closed before; if not, requests may have been
        /// lost between the record before and this one.
        clean: bool,
    },
    /// The log was closed. The log writes this record itself.
    Stopped {
        /// When.
        time: Timestamp,
    },
    /// The log goes on from another that has ended: the first entry or none. The log
    /// writes this record itself.
    Succeeds {
        /// When.
        time: Timestamp,
        /// That log as it ended.
        ended: Checkpoint,
    },
}

impl Record {
    /// When it happened.
    pub const fn time(&self) -> Timestamp {
        match self {
            Self::Section(section) => section.time,
            Self::Refusals(refusals) => refusals.time,
            Self::Search(search) => search.time,
            Self::Started { time, .. } | Self::Stopped { time } | Self::Succeeds { time, .. } => {
                *time
            }
        }
    }
}

impl From<SectionRecord> for Record {
    fn from(record: SectionRecord) -> Self {
        Self::Section(Box::new(record))
    }
}
