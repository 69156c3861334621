//! What a search asks for, and whether a record answers it.

use std::collections::HashSet;

use super::record::{Record, SearchKeys, SectionRecord, Timestamp};
use crate::domain::catalogue::AgencyId;
use crate::domain::names::RequestId;
use crate::domain::peer::SpiffeId;
use crate::domain::subject::SubjectTag;

/// What a search asks for; what is left out is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Records of this request.
    pub request: Option<RequestId>,
    /// Records about this consumer, or another peer that was refused or that
    /// searched.
    pub consumer: Option<SpiffeId>,
    /// Records of this agency.
    pub agency: Option<AgencyId>,
    /// Records with one of these tags; empty for any record.
    pub tags: HashSet<SubjectTag>,
    /// Records from this time on.
    pub since: Option<Timestamp>,
    /// Records before this time.
    pub until: Option<Timestamp>,
}

impl Query {
    /// Whether a record answers it.
    pub fn takes(&self, record: &Record) -> bool {
        let time = record.time();
        if self.since.is_some_and(|since| time < since)
            || self.until.is_some_and(|until| time >= until)
        {
            return false;
        }
        let is_peer = |peer: &SpiffeId| self.consumer.as_ref().is_none_or(|wanted| wanted == peer);
        let of_no_section = self.request.is_none() && self.agency.is_none() && self.tags.is_empty();
        match record {
            Record::Section(section) => self.takes_section(section) && is_peer(&section.consumer),
            Record::Refusals(refusals) => of_no_section && is_peer(&refusals.peer),
            Record::Search(search) => of_no_section && is_peer(&search.reviewer),
            Record::Started { .. } | Record::Stopped { .. } | Record::Succeeds { .. } => {
                of_no_section && self.consumer.is_none()
            }
        }
    }

    fn takes_section(&self, section: &SectionRecord) -> bool {
        self.request.as_ref().is_none_or(|wanted| *wanted == section.request)
            && self.agency.as_ref().is_none_or(|wanted| Some(wanted) == section.agency.as_ref())
            && (self.tags.is_empty()
                || section.subject.is_some_and(|subject| self.tags.contains(&subject)))
    }

    /// By which kinds of key it chooses, for the record of the search.
    pub fn keys(&self) -> SearchKeys {
        [
            (self.request.is_some(), SearchKeys::REQUEST),
            (self.consumer.is_some(), SearchKeys::CONSUMER),
            (self.agency.is_some(), SearchKeys::AGENCY),
            (self.since.is_some() || self.until.is_some(), SearchKeys::TIME),
            (!self.tags.is_empty(), SearchKeys::TAG),
        ]
        .into_iter()
        .filter(|(chosen, _)| *chosen)
        .fold(SearchKeys::default(), |all, (_, kind)| all.with(kind))
    }
}
