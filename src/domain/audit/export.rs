//! A record as a line of JSON, for a SIEM and for reconciliation.
//!
//! Blinds are never exported; subject tags only when asked for. A line proves
//! nothing: proofs come from the log.

use serde::{Deserialize, Serialize};

use super::receipt::parse_hex;
use super::record::{CountRecord, Counted, Decision, Record, Timestamp};
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::section::SectionStatus;
use crate::domain::subject::SubjectTag;

/// The decision that takes an answer back.
pub(super) const WITHHELD: &str = "WITHHELD";

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Line {
    /// A request and an agency.
    Section(Box<SectionLine>),
    /// Counted refusals.
    Refusals {
        /// The log.
        origin: String,
        /// Index in the log.
        index: u64,
        /// When, RFC 3339, UTC.
        time: String,
        /// The same in microseconds since 1970.
        time_us: u64,
        /// Since when, in microseconds since 1970.
        since_us: u64,
        /// Who was refused.
        peer: String,
        /// Why.
        reason: String,
        /// How often.
        count: u64,
    },
    /// A search of the log.
    Search {
        /// The log.
        origin: String,
        /// Index in the log.
        index: u64,
        /// When, RFC 3339, UTC.
        time: String,
        /// The same in microseconds since 1970.
        time_us: u64,
        /// Who searched.
        reviewer: String,
        /// `LIST` or `SUBJECT_ACCESS`.
        search: String,
        /// By which kinds of key.
        by: Vec<String>,
        /// How many records were given.
        hits: u64,
    },
    /// The log was opened.
    Started {
        /// The log.
        origin: String,
        /// Index in the log.
        index: u64,
        /// When, RFC 3339, UTC.
        time: String,
        /// The same in microseconds since 1970.
        time_us: u64,
        /// Whether it had been closed before.
        clean: bool,
    },
    /// The log was closed.
    Stopped {
        /// The log.
        origin: String,
        /// Index in the log.
        index: u64,
        /// When, RFC 3339, UTC.
        time: String,
        /// The same in microseconds since 1970.
        time_us: u64,
    },
    /// The log goes on from another.
    Succeeds {
        /// The log.
        origin: String,
        /// Index in the log.
        index: u64,
        /// When, RFC 3339, UTC.
        time: String,
        /// The same in microseconds since 1970.
        time_us: u64,
        /// The origin of the log before.
        log: String,
        /// How many entries that had when it ended.
        size: u64,
        /// The root over them, in hexadecimal digits.
        root: String,
    },
}

/// A request and an agency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectionLine {
    /// The log.
    pub origin: String,
    /// Index in the log.
    pub index: u64,
    /// When, RFC 3339, UTC.
    pub time: String,
    /// The same in microseconds since 1970.
    pub time_us: u64,
    /// Which request.
    pub request: String,
    /// Who asked.
    pub consumer: String,
    /// For what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// By which right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<String>,
    /// Under which grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Of which agency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agency: Option<String>,
    /// Numbers of the items.
    pub items: Vec<u16>,
    /// The catalogue's digest.
    pub catalogue: String,
    /// The section's status, `REFUSED`, or `WITHHELD`: then the answer recorded
    /// before it was not released.
    pub decision: String,
    /// Why it was refused or withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The policy's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The determining rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The subject tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_tag: Option<String>,
    /// What an agency counted of the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<CountLine>,
}

/// What was counted of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountLine {
    /// Who granted.
    pub issuer: String,
    /// The window of the grant's frequency.
    pub window: u64,
    /// When the grant expires, in seconds since 1970.
    pub expires: u64,
    /// Uses in the window, this one included; 0 where it was a repeat, which is none.
    pub used: u32,
    /// Releases of the request, this one included.
    pub released: u32,
}

impl CountLine {
    /// Writes a count out.
    pub fn new(count: &CountRecord) -> Self {
        let (used, released) = match count.counted {
            Counted::Use(used) => (used, 1),
            Counted::Repeat(released) => (0, released),
        };
        let issuer = count.issuer.to_string();
        Self { issuer, window: count.window, expires: count.expires, used, released }
    }
}

impl SectionLine {
    /// The items as a set; numbers outside the catalogue's range are left out.
    pub fn item_set(&self) -> ItemSet {
        self.items.iter().filter_map(|number| ItemNumber::new(u32::from(*number))).collect()
    }

    /// Whether the agency's data was given, as far as this log knows.
    pub fn is_release(&self) -> bool {
        self.decision == SectionStatus::Ok.as_str()
    }
}

impl Line {
    /// Writes a record out.
    pub fn new(origin: &str, index: u64, record: &Record, with_tags: bool) -> Self {
        let time_us = record.time().0;
        let time = record.time().to_string();
        let origin = origin.to_owned();
        match record {
            Record::Section(section) => {
                let (decision, reason) = match &section.decision {
                    Decision::Section(status) => (status.as_str(), None),
                    Decision::Refused(reason) => ("REFUSED", Some(reason.to_string())),
                    Decision::Withheld(reason) => (WITHHELD, Some(reason.to_string())),
                };
                let rules = section.rules.as_ref();
                Self::Section(Box::new(SectionLine {
                    origin,
                    index,
                    time,
                    time_us,
                    request: section.request.to_string(),
                    consumer: section.consumer.to_string(),
                    purpose: section.purpose.as_ref().map(ToString::to_string),
                    legal_basis: section.basis.as_ref().map(ToString::to_string),
                    grant: section.grant.as_ref().map(ToString::to_string),
                    agency: section.agency.as_ref().map(ToString::to_string),
                    items: section.items.iter().map(ItemNumber::get).collect(),
                    catalogue: section.catalogue.to_string(),
                    decision: decision.to_owned(),
                    reason,
                    policy: rules.map(|rules| to_hex(rules.policy())),
                    rules: rules
                        .map(|set| set.rules().iter().map(|(_, id)| id.to_string()).collect())
                        .unwrap_or_default(),
                    subject_tag: section
                        .subject
                        .filter(|_| with_tags)
                        .map(|tag| to_hex(tag.expose())),
                    count: section.count.as_ref().map(CountLine::new),
                }))
            }
            Record::Refusals(refusals) => Self::Refusals {
                origin,
                index,
                time,
                time_us,
                since_us: refusals.since.0,
                peer: refusals.peer.to_string(),
                reason: refusals.reason.to_string(),
                count: refusals.count,
            },
            Record::Search(search) => Self::Search {
                origin,
                index,
                time,
                time_us,
                reviewer: search.reviewer.to_string(),
                search: search.kind.as_str().to_owned(),
                by: search.keys.names().map(str::to_owned).collect(),
                hits: search.hits,
            },
            Record::Started { clean, .. } => {
                Self::Started { origin, index, time, time_us, clean: *clean }
            }
            Record::Stopped { .. } => Self::Stopped { origin, index, time, time_us },
            Record::Succeeds { ended, .. } => Self::Succeeds {
                origin,
                index,
                time,
                time_us,
                log: ended.origin.to_string(),
                size: ended.size,
                root: to_hex(&ended.root.0),
            },
        }
    }

    /// Where it stands: log, index and time.
    pub fn place(&self) -> (&str, u64, Timestamp) {
        match self {
            Self::Section(section) => (&section.origin, section.index, Timestamp(section.time_us)),
            Self::Refusals { origin, index, time_us, .. }
            | Self::Search { origin, index, time_us, .. }
            | Self::Started { origin, index, time_us, .. }
            | Self::Stopped { origin, index, time_us, .. }
            | Self::Succeeds { origin, index, time_us, .. } => {
                (origin, *index, Timestamp(*time_us))
            }
        }
    }

    /// The time as it is written for people.
    pub(super) fn written_time(&self) -> &str {
        match self {
            Self::Section(section) => &section.time,
            Self::Refusals { time, .. }
            | Self::Search { time, .. }
            | Self::Started { time, .. }
            | Self::Stopped { time, .. }
            | Self::Succeeds { time, .. } => time,
        }
    }

    /// When.
    pub fn time(&self) -> Timestamp {
        self.place().2
    }

    /// Index in the log.
    pub fn index(&self) -> u64 {
        self.place().1
    }
}

/// A subject tag from 64 hexadecimal digits.
pub fn parse_tag(text: &str) -> Option<SubjectTag> {
    parse_hex(text).map(SubjectTag::new)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
