//! Holds the gateway's log against the agencies' logs, release by release.
//!
//! It compares exported lines and needs no tags. It believes both sides' lines;
//! that each side's log is whole is what `verify` and the witnesses are for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::export::{Line, WITHHELD};

/// What became of a release in the other log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Class {
    /// Both logs have it.
    Matched,
    /// The agency answered; the gateway had given up on it by then.
    Late,
    /// One log lacks it, and that side had stopped without closing its log around
    /// that time.
    CrashWindow,
    /// One log lacks it, and nothing explains why.
    Omitted,
}

/// The side whose log lacks a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The gateway.
    Gateway,
    /// The agency.
    Agency,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its class.
    pub class: Class,
    /// Which request.
    pub request: String,
    /// Which agency.
    pub agency: String,
    /// When, by the log that has it, in microseconds since 1970.
    pub time_us: u64,
    /// The log that lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_at: Option<Side>,
    /// What the gateway recorded instead of a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_decision: Option<String>,
}

type Key = (String, String);

/// What a log says of one request and agency.
struct Said {
    decision: String,
    time: u64,
    /// Answers that were recorded, less those that were then withheld.
    releases: u64,
}

struct Log {
    /// By request and agency; a release outweighs the rest.
    sections: BTreeMap<Key, Said>,
    /// From the last record before an unclean stop to the start after it.
    windows: Vec<(u64, u64)>,
}

fn read<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Log {
    let mut side = Log { sections: BTreeMap::new(), windows: Vec::new() };
    let mut last = None;
    for line in lines {
        match line {
            Line::Section(section) => {
                if let Some(agency) = &section.agency {
                    let key = (section.request.clone(), agency.clone());
                    let (decision, time) = (section.decision.clone(), section.time_us);
                    let known = side.sections.entry(key).or_insert_with(|| Said {
                        decision: decision.clone(),
                        time,
                        releases: 0,
                    });
                    if section.is_release() {
                        known.releases += 1;
                        if known.releases == 1 {
                            (known.decision, known.time) = (decision, time);
                        }
                    } else if decision == WITHHELD && known.releases > 0 {
                        known.releases -= 1;
                        if known.releases == 0 {
                            (known.decision, known.time) = (decision, time);
                        }
                    }
                }
            }
            Line::Started { clean: false, time_us, .. } => {
                if let Some(last) = last {
                    side.windows.push((last, *time_us));
                }
            }
            Line::Started { .. }
            | Line::Stopped { .. }
            | Line::Search { .. }
            | Line::Refusals { .. } => {}
        }
        last = Some(line.time().0);
    }
    side
}

/// Names every release that either side has. Each agency's lines come as a slice
/// of their own; agencies whose log is not given are left aside.
pub fn reconcile(gateway: &[Line], agencies: &[Vec<Line>], leeway: Duration) -> Vec<Finding> {
    let leeway = u64::try_from(leeway.as_micros()).unwrap_or(u64::MAX);
    let gateway = read(gateway);
    let mut findings = Vec::new();
    for lines in agencies {
        let agency = read(lines);
        let names: BTreeSet<&String> = agency.sections.keys().map(|(_, name)| name).collect();
        for (key, said) in &agency.sections {
            if said.releases > 0 {
                findings.push(released(key, said.time, &gateway, leeway));
            }
        }
        for (key, said) in &gateway.sections {
            let released = agency.sections.get(key).is_some_and(|said| said.releases > 0);
            if said.releases > 0 && names.contains(&key.1) && !released {
                let class = absent(&agency, said.time, leeway);
                findings.push(finding(class, key, said.time, Some(Side::Agency), None));
            }
        }
    }
    findings
        .sort_by(|a, b| (a.class, a.time_us, &a.request).cmp(&(b.class, b.time_us, &b.request)));
    findings
}

fn released(key: &Key, time: u64, gateway: &Log, leeway: u64) -> Finding {
    match gateway.sections.get(key) {
        Some(Said { decision, .. }) if decision == "TIMEOUT" || decision == "UNAVAILABLE" => {
            finding(Class::Late, key, time, None, Some(decision.clone()))
        }
        Some(Said { decision, .. }) => {
            let other = (decision != "OK").then(|| decision.clone());
            finding(Class::Matched, key, time, None, other)
        }
        None => finding(absent(gateway, time, leeway), key, time, Some(Side::Gateway), None),
    }
}

fn absent(side: &Log, time: u64, leeway: u64) -> Class {
    let covered = side
        .windows
        .iter()
        .any(|(from, to)| from.saturating_sub(leeway) <= time && time <= to.saturating_add(leeway));
    if covered { Class::CrashWindow } else { Class::Omitted }
}

fn finding(
    class: Class,
    (request, agency): &Key,
    time_us: u64,
    missing_at: Option<Side>,
    gateway_decision: Option<String>,
) -> Finding {
    Finding {
        class,
        request: request.clone(),
        agency: agency.clone(),
        time_us,
        missing_at,
        gateway_decision,
    }
}
