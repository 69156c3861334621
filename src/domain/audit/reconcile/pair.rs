//! Pairs what both logs have of one request and one agency, one to one: first what says
//! the same, then what may be the same told differently, and of the rest what is nearest,
//! so that a difference is shown with both sides.

use super::side::{Candidate, PairKey, same};
use super::{Compared, Comparison, FieldDifference, Missing, Side};
use crate::domain::audit::export::{SectionLine, WITHHELD};
use crate::domain::reason::Reason;
use crate::domain::section::SectionStatus;

/// How many candidates are looked at for one record. An honest log has one or two; this
/// bounds the time that a hostile one can take.
const CANDIDATES: usize = 1024;

/// Both sides' records in the order of their times.
pub(super) fn pair(
    key: PairKey<'_>,
    gateway: &[Candidate<'_>],
    agency: &[Candidate<'_>],
    within: u64,
    missing: &Missing<'_>,
) -> Vec<Compared> {
    let mut rest = Rest { ours: gateway.to_vec(), theirs: agency.to_vec(), within };
    let mut findings = Vec::new();
    let finding = |class, time_us| Compared {
        class,
        request: key.0.to_owned(),
        agency: key.1.to_owned(),
        time_us,
        missing_at: None,
        differences: Vec::new(),
        line: None,
    };
    for class in [Comparison::Matched, Comparison::Late] {
        for (ours, theirs) in rest.take(|ours, theirs| verdict(ours, theirs) == Some(class)) {
            let mut found = finding(class, theirs.line.time_us);
            if class == Comparison::Late {
                found.differences = differences(&ours, &theirs, within);
            }
            if ours.line.catalogue != theirs.line.catalogue {
                let (gateway, agency) = (&ours.line.catalogue, &theirs.line.catalogue);
                let (gateway, agency) = (gateway.clone(), agency.clone());
                found.differences.push(FieldDifference { field: "catalogue", gateway, agency });
                found.class = class.max(Comparison::OtherCatalogue);
            }
            findings.push(found);
        }
    }
    // What the agency answered more often than the gateway has it.
    let theirs = std::mem::take(&mut rest.theirs);
    for entry in theirs {
        match again(&entry, gateway, agency, within, missing) {
            Some(class) => findings.push(finding(class, entry.line.time_us)),
            None => rest.theirs.push(entry),
        }
    }
    for (ours, theirs) in rest.take_nearest() {
        let differences = differences(&ours, &theirs, within);
        findings
            .push(Compared { differences, ..finding(Comparison::Different, theirs.line.time_us) });
    }
    for entry in &rest.theirs {
        let time = entry.line.time_us;
        let class = match absent(missing, Side::Gateway, time, gateway.is_empty()) {
            // A counted refusal has no record of its own.
            _ if !is_told(entry.decision) && missing.counted(&entry.line.consumer, time) => {
                continue;
            }
            class => class,
        };
        findings.push(Compared { missing_at: Some(Side::Gateway), ..finding(class, time) });
    }
    // An agency that was not reached, or only counted a refusal, has no record.
    for entry in
        rest.ours.iter().filter(|entry| is_told(entry.decision) || entry.decision == WITHHELD)
    {
        let time = entry.line.time_us;
        let class = absent(missing, Side::Agency, time, agency.is_empty());
        findings.push(Compared { missing_at: Some(Side::Agency), ..finding(class, time) });
    }
    findings
}

fn absent(missing: &Missing<'_>, side: Side, time: u64, wholly: bool) -> Comparison {
    match (missing.crashed(side, time), wholly) {
        (true, _) => Comparison::CrashWindow,
        (false, true) => Comparison::Omitted,
        (false, false) => Comparison::Unmatched,
    }
}

/// What has no other half yet.
struct Rest<'a> {
    ours: Vec<Candidate<'a>>,
    theirs: Vec<Candidate<'a>>,
    within: u64,
}

impl<'a> Rest<'a> {
    /// Takes out pairs about the same asking that fit; the earliest that fits is taken.
    fn take(
        &mut self,
        fits: impl Fn(&Candidate<'_>, &Candidate<'_>) -> bool,
    ) -> Vec<(Candidate<'a>, Candidate<'a>)> {
        let mut pairs = Vec::new();
        self.ours.retain(|ours| {
            let from = self.theirs.partition_point(|theirs| {
                theirs.line.time_us < ours.line.time_us.saturating_sub(self.within)
            });
            let found = self.theirs.iter().skip(from).take(CANDIDATES).position(|theirs| {
                near(ours, theirs, self.within)
                    && differing(ours.line, theirs.line).next().is_none()
                    && fits(ours, theirs)
            });
            if let Some(at) = found {
                pairs.push((*ours, self.theirs.remove(from + at)));
            }
            found.is_none()
        });
        pairs
    }

    /// Takes out pairs of what differs least.
    fn take_nearest(&mut self) -> Vec<(Candidate<'a>, Candidate<'a>)> {
        let mut pairs = Vec::new();
        self.ours.retain(|ours| {
            // What an agency need not have is not held against what is another's.
            let must = is_told(ours.decision);
            let candidates = self.theirs.iter().take(CANDIDATES).enumerate();
            let counted =
                candidates.map(|(at, theirs)| (differences(ours, theirs, self.within).len(), at));
            let nearest = counted.filter(|(count, _)| must || *count == 1).min();
            if let Some((_, at)) = nearest {
                pairs.push((*ours, self.theirs.remove(at)));
            }
            nearest.is_none()
        });
        pairs
    }
}

/// Whether the agency told something of the person.
pub(super) fn is_told(decision: &str) -> bool {
    [SectionStatus::Ok, SectionStatus::NoRecord].iter().any(|is| is.as_str() == decision)
}

/// What a gateway records that got an agency's answer; nothing where any will do.
pub(super) fn expected(decision: &str, reason: Option<&str>) -> Option<&'static str> {
    let status = SectionStatus::ALL.into_iter().find(|status| status.as_str() == decision);
    let refused = || Reason::from_word(reason?).map(Reason::section_status);
    status.or_else(refused).map(SectionStatus::as_str)
}

/// What two records about the same asking come to; nothing where they contradict.
fn verdict(ours: &Candidate<'_>, theirs: &Candidate<'_>) -> Option<Comparison> {
    // Who asked was gone, so that there was no answer.
    let gone = theirs.reason == Some(Reason::Abandoned.as_str());
    let expected = expected(theirs.decision, theirs.reason).filter(|_| !gone);
    if expected == Some(ours.decision) {
        return Some(Comparison::Matched);
    }
    let told = is_told(ours.decision) || ours.decision == SectionStatus::Denied.as_str();
    match (ours.decision, expected) {
        (decision, None) if !is_told(decision) && decision != WITHHELD => Some(Comparison::Matched),
        (WITHHELD, Some(expected)) => {
            (expected == SectionStatus::Ok.as_str()).then_some(Comparison::Late)
        }
        (_, Some(_)) if !told => Some(Comparison::Late),
        _ => None,
    }
}

/// A question that was put again after its answer was lost has two records here, and
/// one at the gateway.
fn again(
    entry: &Candidate<'_>,
    gateway: &[Candidate<'_>],
    agency: &[Candidate<'_>],
    within: u64,
    missing: &Missing<'_>,
) -> Option<Comparison> {
    let about = |other: &&Candidate<'_>| same(other.line, entry.line) && near(other, entry, within);
    gateway.iter().find(about)?;
    let others =
        || agency.iter().filter(about).filter(|other| !std::ptr::eq(other.line, entry.line));
    others().next()?;
    if entry.reason == Some(Reason::Abandoned.as_str()) {
        return Some(Comparison::Matched);
    }
    if !is_told(entry.decision) {
        return Some(Comparison::Late);
    }
    let released =
        |entry: &Candidate<'_>| entry.line.count.as_ref().map_or(1, |count| count.released);
    let repeat = others().find(|other| released(other) != released(entry))?;
    Some(if missing.agencies.is_one_party(repeat.log, entry.log) {
        Comparison::Late
    } else {
        Comparison::Repeated
    })
}

fn near(one: &Candidate<'_>, other: &Candidate<'_>, within: u64) -> bool {
    one.line.time_us.abs_diff(other.line.time_us) <= within
}

/// All in which two records differ.
fn differences(ours: &Candidate<'_>, theirs: &Candidate<'_>, within: u64) -> Vec<FieldDifference> {
    let mut all: Vec<FieldDifference> = differing(ours.line, theirs.line).collect();
    let mut add = |field, gateway: String, agency: String| {
        all.push(FieldDifference { field, gateway, agency });
    };
    if verdict(ours, theirs) != Some(Comparison::Matched) {
        let words = |entry: &Candidate<'_>| match entry.reason {
            Some(reason) => format!("{} {reason}", entry.decision),
            None => entry.decision.to_owned(),
        };
        add("decision", words(ours), words(theirs));
    }
    if !near(ours, theirs, within) {
        add("time", ours.line.time.clone(), theirs.line.time.clone());
    }
    all
}

/// In what two records differ, but for decision and time.
fn differing(ours: &SectionLine, theirs: &SectionLine) -> impl Iterator<Item = FieldDifference> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let numbers = |line: &SectionLine| {
        let numbers: Vec<String> = line.items.iter().map(u16::to_string).collect();
        numbers.join(" ")
    };
    let counts = ours.count.as_ref().zip(theirs.count.as_ref());
    let count = counts.filter(|(ours, theirs)| ours != theirs);
    let count = count.map(|(ours, theirs)| FieldDifference {
        field: "count",
        gateway: format!("{ours:?}"),
        agency: format!("{theirs:?}"),
    });
    [
        ("consumer", ours.consumer.clone(), theirs.consumer.clone()),
        ("grant", text(&ours.grant), text(&theirs.grant)),
        ("items", numbers(ours), numbers(theirs)),
        ("purpose", text(&ours.purpose), text(&theirs.purpose)),
        ("legal basis", text(&ours.legal_basis), text(&theirs.legal_basis)),
    ]
    .into_iter()
    .filter(|(_, ours, theirs)| ours != theirs)
    .map(|(field, gateway, agency)| FieldDifference { field, gateway, agency })
    .chain(count)
}
