//! Subject access: what the log says about the person to whom some tags belong.
//!
//! Who holds the tags is decided elsewhere (the grant's issuer); this is a pure
//! selection from records.

use std::collections::HashSet;

use super::export::{Line, SectionLine, WITHHELD};
use super::record::{Record, SubjectTag};

/// Who asked about a person, when, for what, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct AccessReport {
    /// Each request, in the order of the log.
    pub requests: Vec<RequestAccess>,
}

/// One request about the person.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
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
    /// From which agency, which items, and what came of it.
    pub agencies: Vec<AgencyAccess>,
    /// What was refused before an agency was asked.
    pub refused: Vec<Refused>,
}

/// What one agency was asked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AgencyAccess {
    /// Which agency.
    pub agency: String,
    /// The items' numbers.
    pub items: Vec<u16>,
    /// What came of it; only `OK` released anything.
    pub decision: String,
}

/// Items that were refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// The items' numbers.
    pub items: Vec<u16>,
    /// Why.
    pub reason: Option<String>,
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
        if tagged && let Line::Section(line) = Line::new("", index, record, false) {
            report.add(*line);
        }
    }
    report
}

impl AccessReport {
    fn add(&mut self, line: SectionLine) {
        let known = self
            .requests
            .iter_mut()
            .rev()
            .find(|known| known.request == line.request && known.consumer == line.consumer);
        let SectionLine { items, agency, decision, reason, .. } = line;
        let agencies = agency.filter(|_| decision != "REFUSED").map(|agency| AgencyAccess {
            agency,
            items: items.clone(),
            decision,
        });
        let refused = if agencies.is_none() { Some(Refused { items, reason }) } else { None };
        match known {
            Some(known) => {
                for taken_back in agencies.iter().filter(|now| now.decision == WITHHELD) {
                    let mut earlier = known.agencies.iter().rev();
                    let at = earlier.position(|was| was.agency == taken_back.agency);
                    if let Some(at) = at {
                        known.agencies.remove(known.agencies.len() - 1 - at);
                    }
                }
                known.agencies.extend(agencies);
                known.refused.extend(refused);
            }
            None => self.requests.push(RequestAccess {
                request: line.request,
                time: line.time,
                consumer: line.consumer,
                purpose: line.purpose,
                legal_basis: line.legal_basis,
                agencies: agencies.into_iter().collect(),
                refused: refused.into_iter().collect(),
            }),
        }
    }
}
