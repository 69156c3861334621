//! What an agency's own records say of the uses of a grant: each number once in a window,
//! and one end of the grant. A gateway records no counts to hold them against.

use std::collections::BTreeMap;

use super::side::{Candidate, Groups};
use super::{Compared, Comparison};

/// The records that contradict others of the same agency.
pub(super) fn contradictions(groups: &Groups<'_>) -> Vec<Compared> {
    let mut uses = BTreeMap::new();
    let mut ends = BTreeMap::new();
    let mut findings = Vec::new();
    for entry in groups.values().flatten() {
        let (Some(count), Some(grant)) = (&entry.line.count, &entry.line.grant) else { continue };
        let of = (&entry.line.agency, &count.issuer, grant);
        if *ends.entry(of).or_insert(count.expires) != count.expires {
            findings.push(finding(entry, "its grant ends at another time than in other records"));
        }
        let before = uses.insert((of, count.window, count.used), entry);
        if count.used > 0 && before.is_some() {
            findings.push(finding(entry, "the same use of its grant was counted before"));
        }
    }
    findings
}

fn finding(entry: &Candidate<'_>, words: &str) -> Compared {
    let line = entry.line;
    Compared {
        class: Comparison::Different,
        request: line.request.clone(),
        agency: line.agency.clone().unwrap_or_default(),
        time_us: line.time_us,
        missing_at: None,
        differences: Vec::new(),
        line: Some(format!("record {} of {}: {words}", line.index, line.origin)),
    }
}
