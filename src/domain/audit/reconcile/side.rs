//! The records of one side that are compared in full, by request and agency. An answer
//! that was taken back is one record with what took it back.

use std::collections::BTreeMap;

use super::super::export::{Line, SectionLine, WITHHELD};
use super::Compared;
use super::survey::{Logs, disordered};
use crate::domain::section::SectionStatus;

/// How many records of one request and agency are looked back at for one that is repeated.
const NEIGHBOURS: usize = 16;

/// Request and agency.
pub(super) type PairKey<'a> = (&'a str, &'a str);

/// The records of each request and agency.
pub(super) type Groups<'a> = BTreeMap<PairKey<'a>, Vec<Candidate<'a>>>;

/// A record that is held to be compared in full.
#[derive(Debug)]
pub(super) struct Gathered {
    /// The place of its log among those of its side.
    pub(super) log: usize,
    pub(super) line: Box<SectionLine>,
}

/// A record, with what became of its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) log: usize,
    pub(super) line: &'a SectionLine,
    pub(super) decision: &'a str,
    pub(super) reason: Option<&'a str>,
}

/// Puts records together that were gathered in the order of their logs; those that repeat
/// an earlier one of their log are named.
pub(super) fn group<'a>(
    gathered: &'a [Gathered],
    logs: &Logs,
    named: &mut Vec<Compared>,
) -> Groups<'a> {
    let mut groups = Groups::new();
    for Gathered { log, line } in gathered {
        let Some(agency) = &line.agency else { continue };
        let group = groups.entry((&line.request, agency)).or_default();
        add(group, *log, line, logs, named);
    }
    for group in groups.values_mut() {
        group.sort_by_key(|entry| entry.line.time_us);
    }
    groups
}

fn add<'a>(
    group: &mut Vec<Candidate<'a>>,
    log: usize,
    line: &'a SectionLine,
    logs: &Logs,
    named: &mut Vec<Compared>,
) {
    let reason = line.reason.as_deref();
    let mut entry = Candidate { log, line, decision: &line.decision, reason };
    let is_own = |before: &Candidate<'_>| before.log == log || logs.is_before(before.log, log);
    let repeats = |before: &Candidate<'_>| {
        before.line.time_us == line.time_us
            && before.line.decision == line.decision
            && same(before.line, line)
            && is_own(before)
    };
    if group.iter().rev().take(NEIGHBOURS).any(repeats) {
        let line = Line::Section(Box::new(line.clone()));
        named.push(disordered(&line, "it repeats an earlier record"));
    }
    if line.decision == WITHHELD {
        let taken_back = |before: &Candidate<'_>| {
            before.decision == SectionStatus::Ok.as_str() && same(before.line, line)
        };
        // Its own log's, or that of the log which this one goes on from.
        let own = group.iter().rposition(|before| before.log == log && taken_back(before));
        let at =
            own.or_else(|| group.iter().rposition(|before| is_own(before) && taken_back(before)));
        if let Some(at) = at {
            // The answer's own record, with its time and its count.
            let answer = group.remove(at);
            entry = Candidate { log: answer.log, line: answer.line, ..entry };
        }
    }
    group.push(entry);
}

/// Whether two records are about the same asking: what decides and what is counted
/// aside, and the catalogue under which each side decided.
pub(super) fn same(one: &SectionLine, other: &SectionLine) -> bool {
    one.consumer == other.consumer
        && one.purpose == other.purpose
        && one.legal_basis == other.legal_basis
        && one.grant == other.grant
        && one.item_set() == other.item_set()
}
