//! One side's log, read for comparison: its records by request and agency, the times
//! in which it may lack some, and the lines that do not stand where a log has them.

use std::collections::BTreeMap;

use super::super::export::{Line, SectionLine, WITHHELD};
use super::{Compared, Comparison};
use crate::domain::section::SectionStatus;

/// How many records of one request and agency are looked back at for one that is repeated.
const NEIGHBOURS: usize = 16;

/// Request and agency.
pub(super) type PairKey<'a> = (&'a str, &'a str);

/// A record, with what became of its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) line: &'a SectionLine,
    pub(super) decision: &'a str,
    pub(super) reason: Option<&'a str>,
}

impl<'a> Candidate<'a> {
    fn new(line: &'a SectionLine) -> Self {
        Self { line, decision: &line.decision, reason: line.reason.as_deref() }
    }
}

/// One log, or those of one agency's replicas.
#[derive(Debug, Default)]
pub(super) struct Log<'a> {
    pub(super) groups: BTreeMap<PairKey<'a>, Vec<Candidate<'a>>>,
    /// From the last record before an unclean stop to the start after it.
    pub(super) windows: Vec<(u64, u64)>,
    /// When refusals were counted, by who was refused.
    pub(super) counted: BTreeMap<&'a str, Vec<(u64, u64)>>,
    pub(super) disorder: Vec<Compared>,
}

impl<'a> Log<'a> {
    pub(super) fn read(lines: &'a [Line]) -> Self {
        let mut log = Self::default();
        let mut before: Option<&Line> = None;
        for line in lines {
            if let Some(words) = disorder(before, line) {
                log.disorder.push(disordered(line, words));
            }
            match line {
                Line::Section(section) => log.add(section),
                Line::Started { clean: false, time_us, .. } => {
                    log.windows.extend(before.map(|before| (before.time().0, *time_us)));
                }
                Line::Refusals { since_us, time_us, peer, .. } => {
                    log.counted.entry(peer).or_default().push((*since_us, *time_us));
                }
                Line::Started { .. }
                | Line::Stopped { .. }
                | Line::Succeeds { .. }
                | Line::Search { .. } => {}
            }
            before = Some(line);
        }
        log.sort();
        log
    }

    fn add(&mut self, line: &'a SectionLine) {
        let Some(agency) = &line.agency else { return };
        let group = self.groups.entry((&line.request, agency)).or_default();
        let mut entry = Candidate::new(line);
        let repeats = |before: &Candidate<'_>| {
            before.line.time_us == line.time_us
                && before.line.decision == line.decision
                && same(before.line, line)
        };
        if group.iter().rev().take(NEIGHBOURS).any(repeats) {
            let line = Line::Section(Box::new(line.clone()));
            self.disorder.push(disordered(&line, "it repeats an earlier record"));
        }
        if line.decision == WITHHELD {
            let taken_back = |before: &Candidate<'_>| {
                before.decision == SectionStatus::Ok.as_str() && same(before.line, line)
            };
            if let Some(at) = group.iter().rposition(taken_back) {
                // The answer's own record, with its time and its count.
                entry = Candidate { line: group.remove(at).line, ..entry };
            }
        }
        group.push(entry);
    }

    /// A log for each agency that this one has records of, usually one.
    pub(super) fn by_agency(self) -> BTreeMap<&'a str, Self> {
        let mut logs: BTreeMap<&'a str, Self> = BTreeMap::new();
        for (key, entries) in self.groups {
            let log = logs
                .entry(key.1)
                .or_insert_with(|| Self { windows: self.windows.clone(), ..Self::default() });
            log.groups.insert(key, entries);
        }
        logs
    }

    /// Takes up the log of another replica.
    pub(super) fn absorb(&mut self, other: Self) {
        for (key, entries) in other.groups {
            self.groups.entry(key).or_default().extend(entries);
        }
        self.windows.extend(other.windows);
        for (peer, spans) in other.counted {
            self.counted.entry(peer).or_default().extend(spans);
        }
        self.disorder.extend(other.disorder);
    }

    pub(super) fn sort(&mut self) {
        for group in self.groups.values_mut() {
            group.sort_by_key(|entry| entry.line.time_us);
        }
    }

    /// What it has about an agency.
    pub(super) fn of_agency(&self, name: &str) -> Vec<PairKey<'a>> {
        self.groups.keys().filter(|(_, agency)| *agency == name).copied().collect()
    }
}

/// Whether two records are about the same asking: what decides and what is counted
/// aside, and the catalogue under which each side decided.
pub(super) fn same(one: &SectionLine, other: &SectionLine) -> bool {
    let about = |line: &'_ SectionLine| {
        let SectionLine { consumer, purpose, legal_basis, grant, .. } = line.clone();
        (consumer, purpose, legal_basis, grant)
    };
    about(one) == about(other) && one.item_set() == other.item_set()
}

/// Why a line does not stand where a log has it.
fn disorder(before: Option<&Line>, line: &Line) -> Option<&'static str> {
    let (origin, index, time) = line.place();
    if time.to_string() != line.written_time() {
        return Some("its two times differ");
    }
    let (origin_before, index_before, time_before) = before?.place();
    if origin != origin_before {
        return Some("it is of another log than the one before");
    }
    if index <= index_before {
        return Some("its index is not above that of the one before");
    }
    (time < time_before).then_some("its time is before that of the one before")
}

fn disordered(line: &Line, words: &str) -> Compared {
    let (origin, index, time) = line.place();
    let (request, agency) = match line {
        Line::Section(section) => {
            (section.request.clone(), section.agency.clone().unwrap_or_default())
        }
        _ => Default::default(),
    };
    Compared {
        class: Comparison::Disordered,
        request,
        agency,
        time_us: time.0,
        missing_at: None,
        differences: Vec::new(),
        line: Some(format!("record {index} of {origin}: {words}")),
    }
}
