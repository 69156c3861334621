//! Holds the gateway's log against the agencies' logs, record by record.
//!
//! It compares exported lines and needs no tags. It believes both sides' lines;
//! that each side's log is whole is what `verify` and the witnesses are for. What each
//! side records for itself alone, its policy, its rules and its words for a refusal, is
//! not compared.

mod counts;
mod pair;
mod side;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::export::Line;
use side::{Log, PairKey};

/// What became of a record in the other log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Comparison {
    /// Both logs have it, and say the same.
    Matched,
    /// Both logs have it, and say the same; each side decided under a catalogue of its own.
    OtherCatalogue,
    /// One use, released by two replicas: the first answer was lost on its way.
    Repeated,
    /// The agency answered; the gateway says that it passed nothing of that on, since it
    /// had given up on it or been told to. The logs alone cannot tell whether that is so.
    Late,
    /// One log lacks it, and that side had stopped without closing its log around
    /// that time.
    CrashWindow,
    /// Both logs have it, and do not say the same.
    Different,
    /// One log has nothing of this request and agency, and nothing explains why.
    Omitted,
    /// The other log has records of this request and agency, and none for this one.
    Unmatched,
    /// A line of an export that does not stand where its log has it.
    Disordered,
}

impl Comparison {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 9] = [
        Self::Matched,
        Self::OtherCatalogue,
        Self::Repeated,
        Self::Late,
        Self::CrashWindow,
        Self::Different,
        Self::Omitted,
        Self::Unmatched,
        Self::Disordered,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "MATCHED",
            Self::OtherCatalogue => "OTHER_CATALOGUE",
            Self::Repeated => "REPEATED",
            Self::Late => "LATE",
            Self::CrashWindow => "CRASH_WINDOW",
            Self::Different => "DIFFERENT",
            Self::Omitted => "OMITTED",
            Self::Unmatched => "UNMATCHED",
            Self::Disordered => "DISORDERED",
        }
    }

    /// Whether the two logs contradict each other.
    pub const fn is_contradiction(self) -> bool {
        matches!(self, Self::Different | Self::Omitted | Self::Unmatched | Self::Disordered)
    }
}

/// The side whose log lacks a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The gateway.
    Gateway,
    /// The agency.
    Agency,
}

/// What both sides say of one thing, where they do not say the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// Of what.
    pub field: &'static str,
    /// What the gateway's log says.
    pub gateway: String,
    /// What the agency's log says.
    pub agency: String,
}

/// One record, or one pair of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Its class.
    pub class: Comparison,
    /// Which request; empty for a line that is about none.
    pub request: String,
    /// Which agency; empty for a line that is about none.
    pub agency: String,
    /// When, by the agency's log if it has it, in microseconds since 1970.
    pub time_us: u64,
    /// The log that lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_at: Option<Side>,
    /// In what the two sides differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<FieldDifference>,
    /// Where one log contradicts itself: which record, and in what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

impl Compared {
    /// What is wrong, for people, after class, time, request and agency.
    pub fn words(&self) -> String {
        let mut words = match (&self.line, self.missing_at) {
            (Some(line), _) => format!(", {line}"),
            (None, Some(Side::Gateway)) => ", missing at the gateway".to_owned(),
            (None, Some(Side::Agency)) => ", missing at the agency".to_owned(),
            (None, None) => String::new(),
        };
        for FieldDifference { field, gateway, agency } in &self.differences {
            words += &format!(", {field}: the gateway has {gateway}, the agency {agency}");
        }
        words
    }
}

/// The longest that a request may be under way, and be repeated by a gateway that lost
/// the answer: records of one request lie no further apart, but for the clocks.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// Names every record that either side has of a request and an agency, and every line
/// that is out of its order. Each log comes as a slice of its own; the logs of one agency's
/// replicas are taken together, and agencies whose log is not given are left aside.
pub fn reconcile(gateway: &[Line], agencies: &[Vec<Line>], leeway: Duration) -> Vec<Compared> {
    reconcile_all(&[gateway], agencies, leeway)
}

/// As [`reconcile`], for the logs of any number of gateways, or of one gateway's years: what
/// one of them has, none of the others lacks.
pub fn reconcile_all(
    gateways: &[&[Line]],
    agencies: &[Vec<Line>],
    leeway: Duration,
) -> Vec<Compared> {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let leeway = micros(leeway);
    let within = leeway.saturating_add(micros(UNDER_WAY));
    let mut gateway = Log::default();
    for lines in gateways {
        gateway.absorb(Log::read(lines));
    }
    gateway.sort();
    let mut logs: BTreeMap<&str, Log<'_>> = BTreeMap::new();
    let mut findings = std::mem::take(&mut gateway.disorder);
    for lines in agencies {
        let mut log = Log::read(lines);
        findings.append(&mut log.disorder);
        for (name, log) in log.by_agency() {
            logs.entry(name).or_default().absorb(log);
        }
    }
    for (name, log) in &mut logs {
        log.sort();
        findings.extend(counts::contradictions(log));
        let claimed = gateway.of_agency(name);
        let keys: std::collections::BTreeSet<PairKey<'_>> =
            log.groups.keys().chain(claimed.iter()).copied().collect();
        for key in keys {
            let ours = gateway.groups.get(&key).map_or(&[][..], Vec::as_slice);
            let theirs = log.groups.get(&key).map_or(&[][..], Vec::as_slice);
            let missing = Missing { gateway: &gateway, agency: log, leeway };
            findings.extend(pair::pair(key, ours, theirs, within, &missing));
        }
    }
    findings.sort_by(|a, b| {
        (a.class, a.time_us, &a.request, &a.agency)
            .cmp(&(b.class, b.time_us, &b.request, &b.agency))
    });
    findings
}

/// What may explain that a log lacks a record.
struct Missing<'a> {
    gateway: &'a Log<'a>,
    agency: &'a Log<'a>,
    leeway: u64,
}

impl Missing<'_> {
    /// Whether that side had stopped without closing its log around that time.
    fn crashed(&self, side: Side, time: u64) -> bool {
        let log = match side {
            Side::Gateway => self.gateway,
            Side::Agency => self.agency,
        };
        covers(&log.windows, time, self.leeway)
    }

    /// Whether the gateway counted refusals of this consumer around that time, instead of
    /// recording each.
    fn counted(&self, consumer: &str, time: u64) -> bool {
        let counted = self.gateway.counted.get(consumer);
        counted.is_some_and(|spans| covers(spans, time, self.leeway))
    }
}

fn covers(spans: &[(u64, u64)], time: u64, leeway: u64) -> bool {
    spans
        .iter()
        .any(|(from, to)| from.saturating_sub(leeway) <= time && time <= to.saturating_add(leeway))
}
