//! Drift: whether what a verified log says happened was declared when it happened.
//!
//! Every release names the policy that decided on it, by digest. The rules behind
//! the digest were kept when they came into force, and are evaluated again here: the
//! log is not believed on what it says the rules allowed.

use std::collections::{BTreeMap, HashMap};

use super::open::Flow;
use crate::domain::audit::{Decision, Record, SectionRecord, Timestamp};
use crate::domain::catalogue::AgencyId;
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;
use crate::domain::policy::answer::Question;
use crate::domain::policy::engine::Engine;
use crate::domain::purpose::{LegalBasis, PurposeCode};
use crate::domain::section::SectionStatus;

/// How far a record may stand behind a change of policy, in microseconds: it was
/// decided on before, and written after.
const LEEWAY: u64 = 60_000_000;

/// Most incidents that are told one by one; others are counted.
pub const MOST_INCIDENTS: usize = 10_000;

/// The policies that one house enforced.
#[derive(Debug, Default)]
pub struct Enforced {
    /// By digest. Each was loaded from what was kept, and has this digest.
    pub policies: BTreeMap<[u8; 32], Engine>,
    /// When which came into force, ascending by time.
    pub timeline: Vec<(Timestamp, [u8; 32])>,
}

/// A release that nothing had declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// In whose log.
    pub house: String,
    /// The record's index.
    pub index: u64,
    /// When.
    pub time: Timestamp,
    /// Which request.
    pub request: String,
    /// From whom.
    pub agency: AgencyId,
    /// To whom.
    pub consumer: SpiffeId,
    /// For what.
    pub purpose: Option<String>,
    /// On what ground.
    pub basis: Option<String>,
    /// The items that were not declared.
    pub items: ItemSet,
    /// Why not.
    pub why: String,
}

/// Where something flowed: from, to, for what.
pub type Route = (AgencyId, SpiffeId, String);

/// What a comparison of log and declaration found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// The first and the last release.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Releases that were looked at.
    pub releases: u64,
    /// Those of them whose policy was kept.
    pub covered: u64,
    /// Releases that were not declared.
    pub undeclared: u64,
    /// The first [`MOST_INCIDENTS`] of them.
    pub incidents: Vec<Incident>,
    /// What they released, by route.
    pub slipped: BTreeMap<Route, ItemSet>,
    /// What was released, by route.
    pub observed: BTreeMap<Route, ItemSet>,
    /// What is declared now and was never released in the window.
    pub dormant: BTreeMap<Route, ItemSet>,
}

/// One log that is being read, record by record: nothing of it is kept but what was found.
#[derive(Debug)]
pub struct LogReading<'a> {
    drift: Drift,
    house: Option<String>,
    enforced: &'a Enforced,
    /// What became of each way that a release can be.
    ways: HashMap<Way, Passed>,
}

impl<'a> LogReading<'a> {
    /// Begins with a log. Without a house's name it is that of the first agency in it.
    pub fn new(house: Option<&str>, enforced: &'a Enforced) -> Self {
        let house = house.map(str::to_owned);
        Self { drift: Drift::default(), house, enforced, ways: HashMap::new() }
    }
}

impl Drift {
    /// Takes up what was found in a log, under the name of its house.
    pub fn absorb(&mut self, mut log: Self, house: &str) {
        self.window = match (self.window, log.window) {
            (Some((a, b)), Some((from, to))) => Some((a.min(from), b.max(to))),
            (ours, theirs) => ours.or(theirs),
        };
        self.releases += log.releases;
        self.covered += log.covered;
        self.undeclared += log.undeclared;
        let room = MOST_INCIDENTS.saturating_sub(self.incidents.len());
        log.incidents.truncate(room);
        for incident in &mut log.incidents {
            house.clone_into(&mut incident.house);
        }
        self.incidents.append(&mut log.incidents);
        for (ours, theirs) in [(&mut self.observed, log.observed), (&mut self.slipped, log.slipped)]
        {
            for (route, items) in theirs {
                let all = ours.entry(route).or_default();
                *all = all.or(&items);
            }
        }
    }

    /// Says what is declared now and was not released, once all logs are read.
    pub fn hold_against(&mut self, declared: &[Flow]) {
        for flow in declared {
            let route = (flow.agency.clone(), flow.consumer.clone(), flow.purpose.to_string());
            let seen = self.observed.get(&route).copied().unwrap_or_default();
            let idle = flow.items.without(&seen);
            if !idle.is_empty() {
                let items = self.dormant.entry(route).or_default();
                *items = items.or(&idle);
            }
        }
    }
}

impl LogReading<'_> {
    /// Holds a record against what was enforced when it was made.
    pub fn take(&mut self, index: u64, record: &Record) {
        let Record::Section(section) = record else { return };
        let Some(agency) = &section.agency else { return };
        if self.house.is_none() {
            self.house = Some(agency.to_string());
        }
        if section.decision != Decision::Section(SectionStatus::Ok) {
            return;
        }
        let drift = &mut self.drift;
        drift.releases += 1;
        drift.window = Some(match drift.window {
            None => (section.time, section.time),
            Some((from, to)) => (from.min(section.time), to.max(section.time)),
        });
        let way = Way {
            policy: section.rules.as_ref().map(|rules| *rules.policy()),
            consumer: section.consumer.clone(),
            purpose: section.purpose.clone(),
            basis: section.basis,
            agency: agency.clone(),
        };
        let passed = self.ways.entry(way).or_default();
        passed.observed = passed.observed.or(&section.items);
        let judged = judge(self.enforced, section, agency, &mut passed.declared);
        drift.covered += u64::from(judged.covered);
        if let Some((items, why)) = judged.wrong {
            passed.slipped = passed.slipped.or(&items);
            drift.undeclared += 1;
            if drift.incidents.len() < MOST_INCIDENTS {
                drift.incidents.push(incident(index, section, agency, items, why));
            }
        }
    }

    /// What was found, and whose log it was, if anything in it says so.
    pub fn end(mut self) -> (Drift, Option<String>) {
        for (way, passed) in self.ways {
            let purpose = way.purpose.as_ref().map(ToString::to_string).unwrap_or_default();
            let route = (way.agency, way.consumer, purpose);
            let found = [
                (&mut self.drift.observed, passed.observed),
                (&mut self.drift.slipped, passed.slipped),
            ];
            for (routes, items) in found.into_iter().filter(|(_, items)| !items.is_empty()) {
                let all = routes.entry(route.clone()).or_default();
                *all = all.or(&items);
            }
        }
        (self.drift, self.house)
    }
}

/// All that decides what a release may hold.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Way {
    policy: Option<[u8; 32]>,
    consumer: SpiffeId,
    purpose: Option<PurposeCode>,
    basis: Option<LegalBasis>,
    agency: AgencyId,
}

#[derive(Debug, Default)]
struct Passed {
    /// What its policy declares, once it was asked.
    declared: Option<ItemSet>,
    observed: ItemSet,
    slipped: ItemSet,
}

struct Judged {
    covered: bool,
    wrong: Option<(ItemSet, String)>,
}

fn judge(
    enforced: &Enforced,
    section: &SectionRecord,
    agency: &AgencyId,
    declared: &mut Option<ItemSet>,
) -> Judged {
    let wrong =
        |covered, items: ItemSet, why: String| Judged { covered, wrong: Some((items, why)) };
    let all = section.items;
    let Some(rules) = &section.rules else {
        return wrong(false, all, "the record names no policy".to_owned());
    };
    let digest = *rules.policy();
    let Some(engine) = enforced.policies.get(&digest) else {
        let why = format!("policy {} was never enforced, or not kept", hex(&digest));
        return wrong(false, all, why);
    };
    if engine.catalogue().digest() != section.catalogue {
        let why = format!("catalogue {} is not that of the policy", section.catalogue);
        return wrong(true, all, why);
    }
    if !in_force(&enforced.timeline, &digest, section.time) {
        let why = format!("policy {} was not in force then", hex(&digest));
        return wrong(true, all, why);
    }
    let Some(basis) = section.basis else {
        return wrong(true, all, "the record names no legal basis".to_owned());
    };
    let declared = *declared.get_or_insert_with(|| {
        let purpose = section.purpose.as_ref().map(ToString::to_string).unwrap_or_default();
        let question = Question { consumer: &section.consumer, purpose: &purpose, basis, agency };
        let openings = engine.openings(&question).unwrap_or_default();
        let open = openings.iter().filter(|opening| opening.explanation.allowed());
        let open = open.fold(ItemSet::EMPTY, |all, opening| all.or(&opening.items));
        open.and(&engine.catalogue().owned_by(agency))
    });
    let surplus = all.without(&declared);
    if surplus.is_empty() {
        return Judged { covered: true, wrong: None };
    }
    wrong(true, surplus, "the policy in force opened none of these".to_owned())
}

/// Whether a policy was in force at a time, with some leeway. An empty timeline
/// says nothing against it.
fn in_force(timeline: &[(Timestamp, [u8; 32])], digest: &[u8; 32], time: Timestamp) -> bool {
    if timeline.is_empty() {
        return true;
    }
    let ends = timeline.iter().skip(1).map(|(end, _)| end.0).chain([u64::MAX]);
    timeline.iter().zip(ends).any(|((from, policy), to)| {
        policy == digest
            && from.0 <= time.0.saturating_add(LEEWAY)
            && time.0 <= to.saturating_add(LEEWAY)
    })
}

fn incident(
    index: u64,
    section: &SectionRecord,
    agency: &AgencyId,
    items: ItemSet,
    why: String,
) -> Incident {
    Incident {
        house: String::new(),
        index,
        time: section.time,
        request: section.request.to_string(),
        agency: agency.clone(),
        consumer: section.consumer.clone(),
        purpose: section.purpose.as_ref().map(ToString::to_string),
        basis: section.basis.as_ref().map(ToString::to_string),
        items,
        why,
    }
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
