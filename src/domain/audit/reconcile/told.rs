//! What a log tells, one record after the other, as reconciliation reads it: from a
//! verified log or from an export, without writing out more than is looked at.

use super::super::export::{CountLine, Line, WITHHELD};
use super::super::receipt::parse_hex;
use super::super::record::{Decision, Record, SectionRecord};
use crate::domain::item::ItemNumber;

/// A log that can be read from its beginning as often as it takes.
///
/// What it tells again is what it told before; a log that is being written may tell
/// more, and what is more is left aside.
pub trait Rereadable {
    /// Why it cannot be read.
    type Error;

    /// Hands over each record in the order of the log.
    ///
    /// # Errors
    /// Its own; nothing is concluded from what was handed over before.
    fn each(&self, take: &mut dyn FnMut(LogLine<'_>)) -> Result<(), Self::Error>;
}

impl Rereadable for &[Line] {
    type Error = std::convert::Infallible;

    fn each(&self, take: &mut dyn FnMut(LogLine<'_>)) -> Result<(), Self::Error> {
        self.iter().for_each(|line| take(LogLine::Exported(line)));
        Ok(())
    }
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub enum LogLine<'a> {
    /// A line of an export, which says itself where it stands.
    Exported(&'a Line),
    /// A record of a log that is being verified.
    Verified {
        /// The log.
        origin: &'a str,
        /// Its index.
        index: u64,
        /// What it says.
        record: &'a Record,
    },
}

impl<'a> LogLine<'a> {
    /// Written out.
    pub(super) fn to_line(self) -> Line {
        match self {
            Self::Exported(line) => line.clone(),
            Self::Verified { origin, index, record } => Line::new(origin, index, record, false),
        }
    }

    /// The request and the time, in microseconds since 1970, of a record about one.
    pub fn request(self) -> Option<(&'a str, u64)> {
        match self {
            Self::Exported(Line::Section(section)) => Some((&section.request, section.time_us)),
            Self::Verified { record: Record::Section(section), .. } => {
                Some((section.request.as_str(), section.time.0))
            }
            Self::Exported(_) | Self::Verified { .. } => None,
        }
    }

    /// Log, index and time in microseconds.
    pub(super) fn place(self) -> (&'a str, u64, u64) {
        match self {
            Self::Exported(line) => {
                let (origin, index, time) = line.place();
                (origin, index, time.0)
            }
            Self::Verified { origin, index, record } => (origin, index, record.time().0),
        }
    }

    /// Whether its two times are one: of a record they are.
    pub(super) fn has_one_time(self) -> bool {
        match self {
            Self::Exported(line) => line.time().to_string() == line.written_time(),
            Self::Verified { .. } => true,
        }
    }

    /// Whether the log was opened here after a stop without closing.
    pub(super) fn is_unclean_start(self) -> bool {
        matches!(
            self,
            Self::Exported(Line::Started { clean: false, .. })
                | Self::Verified { record: Record::Started { clean: false, .. }, .. }
        )
    }

    /// Refusals that were counted: of whom, since when.
    pub(super) fn refusals(self) -> Option<(&'a str, u64)> {
        match self {
            Self::Exported(Line::Refusals { peer, since_us, .. }) => Some((peer, *since_us)),
            Self::Verified { record: Record::Refusals(refusals), .. } => {
                Some((refusals.peer.as_str(), refusals.since.0))
            }
            _ => None,
        }
    }

    /// A request that was put to an agency.
    pub(super) fn asked(self) -> Option<AskedLine<'a>> {
        match self {
            Self::Exported(Line::Section(line)) => Some(AskedLine {
                request: &line.request,
                agency: line.agency.as_deref()?,
                consumer: &line.consumer,
                purpose: line.purpose.as_deref(),
                basis: line.legal_basis.as_deref(),
                grant: line.grant.as_deref(),
                catalogue: parse_hex(&line.catalogue).ok_or(line.catalogue.as_str()),
                decision: &line.decision,
                reason: line.reason.as_deref(),
                time_us: line.time_us,
                rest: Rest::Line { items: &line.items, count: line.count.as_ref() },
            }),
            Self::Verified { record: Record::Section(record), .. } => {
                let (decision, reason) = match &record.decision {
                    Decision::Section(status) => (status.as_str(), None),
                    Decision::Refused(reason) => ("REFUSED", Some(reason.as_str())),
                    Decision::Withheld(reason) => (WITHHELD, Some(reason.as_str())),
                };
                Some(AskedLine {
                    request: record.request.as_str(),
                    agency: record.agency.as_ref()?.as_str(),
                    consumer: record.consumer.as_str(),
                    purpose: record.purpose.as_ref().map(|purpose| purpose.as_str()),
                    basis: record.basis.map(|basis| basis.as_str()),
                    grant: record.grant.as_ref().map(|grant| grant.as_str()),
                    catalogue: Ok(record.catalogue.0),
                    decision,
                    reason,
                    time_us: record.time.0,
                    rest: Rest::Record(record),
                })
            }
            _ => None,
        }
    }
}

/// What reconciliation compares of a record, borrowed from where it stands.
pub(super) struct AskedLine<'a> {
    pub(super) request: &'a str,
    pub(super) agency: &'a str,
    pub(super) consumer: &'a str,
    pub(super) purpose: Option<&'a str>,
    pub(super) basis: Option<&'a str>,
    pub(super) grant: Option<&'a str>,
    /// The digest, or what an export has in its place.
    pub(super) catalogue: Result<[u8; 32], &'a str>,
    pub(super) decision: &'a str,
    pub(super) reason: Option<&'a str>,
    pub(super) time_us: u64,
    rest: Rest<'a>,
}

enum Rest<'a> {
    Line { items: &'a [u16], count: Option<&'a CountLine> },
    Record(&'a SectionRecord),
}

impl AskedLine<'_> {
    /// The items' numbers as they stand there.
    pub(super) fn each_item(&self, mut take: impl FnMut(u16)) {
        match &self.rest {
            Rest::Line { items, .. } => items.iter().copied().for_each(take),
            Rest::Record(record) => record.items.iter().map(ItemNumber::get).for_each(&mut take),
        }
    }

    /// What was counted.
    pub(super) fn count(&self) -> Option<CountLine> {
        match &self.rest {
            Rest::Line { count, .. } => count.cloned(),
            Rest::Record(record) => record.count.as_ref().map(CountLine::new),
        }
    }

    /// Whether anything was counted.
    pub(super) fn is_counted(&self) -> bool {
        match &self.rest {
            Rest::Line { count, .. } => count.is_some(),
            Rest::Record(record) => record.count.is_some(),
        }
    }
}
