//! Subject access: what the log says about the person to whom some tags belong.
//!
//! Who holds the tags is decided elsewhere (the grant's issuer); this is a pure
//! selection from records.

use std::collections::HashSet;

use serde::Serialize;

use super::export::{Line, SectionLine, WITHHELD};
use super::record::Record;

use crate::domain::subject::SubjectTag;

/// Who asked about a person, when, for what, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AccessReport {
    /// Each request, in the order of the log.
    pub requests: Vec<RequestAccess>,
}

/// One request about the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestAccess {
    /// Which request.
    pub request: String,
    /// When its first record was written.
    pub time: String,
    /// Who asked.
    pub consumer: String,
    /// For what.
    pub purpose: Option<String>,
    /// By which right.
    pub legal_basis: Option<String>,
    /// Under which grant.
    pub grant: Option<String>,
    /// From which agency, which items, and what came of it.
    pub agencies: Vec<AgencyAccess>,
    /// What was refused: before an agency was asked, or before its answer was
    /// given on.
    pub refused: Vec<Refused>,
}

/// What one agency was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgencyAccess {
    /// Which agency.
    pub agency: String,
    /// Which items.
    #[serde(flatten)]
    pub items: Items,
    /// What came of it; only `OK` released anything.
    pub decision: String,
    /// Why it was withheld.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The log, where there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log: String,
    /// The record's index in the log.
    pub index: u64,
}

/// Items that were refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The agency that had been chosen, if one had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agency: Option<String>,
    /// Which items.
    #[serde(flatten)]
    pub items: Items,
    /// Why.
    pub reason: Option<String>,
    /// The log, where there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log: String,
    /// The record's index in the log.
    pub index: u64,
}

/// Items by number and, once a catalogue named them, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Items {
    /// The numbers.
    #[serde(rename = "items")]
    pub numbers: Vec<u16>,
    /// The ids of those that the catalogue knows.
    #[serde(rename = "item_ids", skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

impl Items {
    /// The ids, or the numbers where there are none.
    pub fn describe(&self) -> String {
        if self.ids.is_empty() {
            let numbers: Vec<String> = self.numbers.iter().map(ToString::to_string).collect();
            return numbers.join(", ");
        }
        self.ids.join(", ")
    }
}

/// Selects what concerns the holder of the tags.
pub fn subject_access<'a>(
    tags: &HashSet<SubjectTag>,
    records: impl IntoIterator<Item = (u64, &'a Record)>,
) -> AccessReport {
    let mut report = AccessReport::default();
    for (index, record) in records {
        let tagged = matches!(
            record,
            Record::Section(section) if section.subject.is_some_and(|tag| tags.contains(&tag))
        );
        if tagged {
            report.take(Line::new("", index, record, false));
        }
    }
    report
}

impl AccessReport {
    /// Names the items; a number that the catalogue does not know stays without.
    pub fn name_items(&mut self, id: impl Fn(u16) -> Option<String>) {
        let name = |items: &mut Items| {
            items.ids = items.numbers.iter().filter_map(|number| id(*number)).collect();
        };
        for request in &mut self.requests {
            request.agencies.iter_mut().for_each(|asked| name(&mut asked.items));
            request.refused.iter_mut().for_each(|refused| name(&mut refused.items));
        }
    }

    /// Of lines of several logs, in the order of their times: a request that one log of a
    /// party begins and its next one ends is one request.
    pub fn of_logs(mut lines: Vec<Line>) -> Self {
        // Lines of one log that have one time keep their order.
        lines.sort_by_key(Line::time);
        let mut report = Self::default();
        for line in lines {
            if let Line::Section(line) = line {
                report.add(*line);
            }
        }
        report
    }

    /// Adds a line of the only log, the next one in its order; any but a section is left
    /// aside. That it is about the person is for the caller to know.
    pub fn take(&mut self, line: Line) {
        if let Line::Section(mut line) = line {
            line.origin.clear();
            self.add(*line);
        }
    }

    fn add(&mut self, line: SectionLine) {
        let known = self
            .requests
            .iter_mut()
            .rev()
            .find(|known| known.request == line.request && known.consumer == line.consumer);
        let SectionLine { origin: log, items, agency, decision, reason, index, .. } = line;
        let items = Items { numbers: items, ids: Vec::new() };
        let (asked, refused) = match agency {
            Some(agency) if decision != "REFUSED" => {
                (Some(AgencyAccess { agency, items, decision, reason, log, index }), None)
            }
            agency => (None, Some(Refused { agency, items, reason, log, index })),
        };
        match known {
            Some(known) => {
                for taken_back in asked.iter().filter(|now| now.decision == WITHHELD) {
                    let of_agency = |was: &AgencyAccess| was.agency == taken_back.agency;
                    // Its own log's answer, or that of the log which this one goes on from.
                    let own = |was: &AgencyAccess| of_agency(was) && was.log == taken_back.log;
                    let at = known.agencies.iter().rposition(own);
                    if let Some(at) = at.or_else(|| known.agencies.iter().rposition(of_agency)) {
                        known.agencies.remove(at);
                    }
                }
                known.agencies.extend(asked);
                known.refused.extend(refused);
            }
            None => self.requests.push(RequestAccess {
                request: line.request,
                time: line.time,
                consumer: line.consumer,
                purpose: line.purpose,
                legal_basis: line.legal_basis,
                grant: line.grant,
                agencies: asked.into_iter().collect(),
                refused: refused.into_iter().collect(),
            }),
        }
    }
}
