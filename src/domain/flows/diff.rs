//! Two federations held against one another, flow by flow.
//!
//! Items are the same when their permanent numbers are. Comments, layout, titles
//! and meanings change no flow, so they are no change here; the digests that
//! reports carry tell them apart all the same.

use std::collections::{BTreeMap, BTreeSet};

use super::blame::{Found, LaneSide, grantable, opened, place_of};
use super::change::{Blame, Change, Class, Edit};
use super::federation::Federation;
use super::lanes::{Answers, Asked, Lane};
use super::places::{GATEWAY, Kind};
use crate::domain::catalogue::{AgencyId, Item, Survivorship};
use crate::domain::grant::{Frequency, Per};
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::peer::SpiffeId;
use crate::domain::purpose::{LegalBasis, PurposeCode};

/// Every change, gravest class first, then by consumer, purpose and agency.
pub fn diff(old: &Federation, new: &Federation) -> Vec<Change> {
    let mut differ = Differ { old, new, changes: BTreeMap::new(), kinds: kinds(old, new) };
    let (mut before, mut after) = (Answers::new(old), Answers::new(new));
    let names = [old.gateway.engine.vocabulary(), new.gateway.engine.vocabulary()];
    let consumers: BTreeSet<&SpiffeId> = names.iter().flat_map(|names| &names.consumers).collect();
    let purposes: BTreeSet<&PurposeCode> = names.iter().flat_map(|names| &names.purposes).collect();
    let agencies: BTreeSet<&AgencyId> =
        old.agencies.iter().chain(&new.agencies).map(|agency| &agency.id).collect();
    for consumer in consumers {
        for &purpose in &purposes {
            let lanes: Vec<Pair<'_>> = agencies
                .iter()
                .map(|agency| {
                    let asked = |basis| Asked { consumer, purpose, basis, agency };
                    Pair {
                        agency,
                        old: LegalBasis::ALL.map(|basis| before.lane(asked(basis))),
                        new: LegalBasis::ALL.map(|basis| after.lane(asked(basis))),
                    }
                })
                .collect();
            differ.compare(consumer, purpose, &lanes);
        }
    }
    differ.finish()
}

/// One agency's lanes, a basis each.
struct Pair<'a> {
    agency: &'a AgencyId,
    old: [Lane; 3],
    new: [Lane; 3],
}

impl Pair<'_> {
    fn before(&self) -> ItemSet {
        any(&self.old)
    }

    fn after(&self) -> ItemSet {
        any(&self.new)
    }
}

fn any(lanes: &[Lane; 3]) -> ItemSet {
    lanes.iter().fold(ItemSet::EMPTY, |all, lane| all.or(&lane.open()))
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    class: Class,
    consumer: SpiffeId,
    purpose: PurposeCode,
    agency: AgencyId,
    bases: Vec<LegalBasis>,
    detail: String,
    found: Found,
    by_key: bool,
}

struct Differ<'a> {
    old: &'a Federation,
    new: &'a Federation,
    changes: BTreeMap<Key, ItemSet>,
    /// Items that are another kind of fact now, or are chosen otherwise.
    kinds: Vec<(Class, ItemNumber, String)>,
}

impl Key {
    fn new(
        class: Class,
        of: &Of<'_>,
        bases: Vec<LegalBasis>,
        detail: String,
        found: Found,
    ) -> Self {
        let (consumer, purpose) = (of.consumer.clone(), of.purpose.clone());
        let agency = of.pair.agency.clone();
        Self { class, consumer, purpose, agency, bases, detail, found, by_key: false }
    }
}

impl Differ<'_> {
    fn compare(&mut self, consumer: &SpiffeId, purpose: &PurposeCode, lanes: &[Pair<'_>]) {
        let union = |of: fn(&Pair<'_>) -> ItemSet| {
            lanes.iter().fold(ItemSet::EMPTY, |all, pair| all.or(&of(pair)))
        };
        // From one agency no longer, from another now.
        let moved = union(|pair| pair.before().without(&pair.after()))
            .and(&union(|pair| pair.after().without(&pair.before())));
        for pair in lanes {
            let (before, after) = (pair.before(), pair.after());
            let mut of = Of { consumer, purpose, pair };
            for item in after.without(&before).iter() {
                let (bases, mut found) = self.opened(&of, item);
                let (class, detail) = if moved.contains(item) {
                    let others = lanes.iter().filter(|other| {
                        other.before().contains(item) && !other.after().contains(item)
                    });
                    let mut from = Vec::new();
                    for other in others {
                        of.pair = other;
                        found.join(self.closed(&of, item).1);
                        from.push(other.agency.as_str());
                    }
                    of.pair = pair;
                    (Class::Rerouted, format!("was from {}", from.join(", ")))
                } else {
                    (Class::Opened, String::new())
                };
                self.add(class, &of, bases, item, detail, found);
            }
            for item in before.without(&after).without(&moved).iter() {
                let (bases, found) = self.closed(&of, item);
                self.add(Class::Closed, &of, bases, item, String::new(), found);
            }
            let stays = before.and(&after);
            if !stays.is_empty() {
                self.bases(&of, &stays);
                self.grants(&of, &stays);
                self.route(&of, &stays);
                self.kinds(&of, &stays);
            }
        }
    }

    /// Why an item is open now: all bases together.
    fn opened(&self, of: &Of<'_>, item: ItemNumber) -> (Vec<LegalBasis>, Found) {
        self.reasons(of, item, false)
    }

    fn closed(&self, of: &Of<'_>, item: ItemNumber) -> (Vec<LegalBasis>, Found) {
        let (bases, found) = self.reasons(of, item, true);
        (bases, self.by_new_name(item, found.undone()))
    }

    /// An item that changed is blamed by the name that it has now.
    fn by_new_name(&self, item: ItemNumber, mut found: Found) -> Found {
        let Some(now) = self.new.catalogue.item(item) else { return found };
        let name = now.id.to_string();
        let rename = |blame: Blame| match (blame.kind, blame.edit) {
            (Kind::Item, Edit::Changed) => {
                let place = place_of(self.new, Kind::Item, "", &name);
                Blame { name: name.clone(), place, ..blame }
            }
            _ => blame,
        };
        found.blames = found.blames.into_iter().map(rename).collect();
        found
    }

    fn reasons(&self, of: &Of<'_>, item: ItemNumber, closed: bool) -> (Vec<LegalBasis>, Found) {
        let (mut bases, mut all) = (Vec::new(), Found::default());
        for (asked, old, new) in of.lanes() {
            let old = LaneSide { federation: self.old, lane: old };
            let new = LaneSide { federation: self.new, lane: new };
            let (from, to) = if closed { (new, old) } else { (old, new) };
            if to.lane.open().contains(item) {
                bases.push(asked.basis);
                all.join(opened(asked, item, from, to));
            }
        }
        (bases, all)
    }

    /// Bases that serve now, or no longer.
    fn bases(&mut self, of: &Of<'_>, stays: &ItemSet) {
        for (asked, old, new) in of.lanes() {
            let (before, after) = (old.open(), new.open());
            let (old, new) = (side(self.old, old), side(self.new, new));
            for item in after.without(&before).and(stays).iter() {
                let found = opened(asked, item, old, new);
                self.add(Class::Widened, of, vec![asked.basis], item, String::new(), found);
            }
            for item in before.without(&after).and(stays).iter() {
                let found = opened(asked, item, new, old).undone();
                self.add(Class::Narrowed, of, vec![asked.basis], item, String::new(), found);
            }
        }
    }

    /// What grants may do: whether there can be one, for how long, how often.
    fn grants(&mut self, of: &Of<'_>, stays: &ItemSet) {
        for (asked, old, new) in of.lanes() {
            let both = old.open().and(&new.open()).and(stays);
            if both.is_empty() {
                continue;
            }
            let (can, could) = (new.grantable(), old.grantable());
            let (before, after) = (side(self.old, old), side(self.new, new));
            for item in can.without(&could).and(&both).iter() {
                let found = grantable(asked, item, before, after);
                let detail = "a grant can be written now".to_owned();
                self.add_by_key(Class::Widened, of, vec![asked.basis], item, detail, found);
            }
            for item in could.without(&can).and(&both).iter() {
                let found = grantable(asked, item, after, before).undone();
                let detail = "no grant can be written any more".to_owned();
                self.add_by_key(Class::Narrowed, of, vec![asked.basis], item, detail, found);
            }
            for (class, house, detail) in ceilings(asked, old, new) {
                let place = place_of(self.new, Kind::Grants, &house, asked.purpose.as_str());
                let name = asked.purpose.to_string();
                let blame = Blame { kind: Kind::Grants, edit: Edit::Changed, name, house, place };
                for item in can.and(&could).and(&both).iter() {
                    let found = Found { blames: [blame.clone()].into(), ..Found::default() };
                    self.add_by_key(class, of, vec![asked.basis], item, detail.clone(), found);
                }
            }
        }
    }

    /// Another server answers.
    fn route(&mut self, of: &Of<'_>, stays: &ItemSet) {
        let agency = of.pair.agency;
        let (Some(old), Some(new)) = (self.old.agency(agency), self.new.agency(agency)) else {
            return;
        };
        let mut details = Vec::new();
        if old.identity != new.identity {
            details.push(format!("identity {} → {}", old.identity, new.identity));
        }
        if old.endpoint != new.endpoint {
            details.push(format!("endpoint {} → {}", old.endpoint, new.endpoint));
        }
        if details.is_empty() {
            return;
        }
        let place = place_of(self.new, Kind::Route, GATEWAY, agency.as_str());
        let (name, house) = (agency.to_string(), GATEWAY.to_owned());
        let blame = Blame { kind: Kind::Route, edit: Edit::Changed, name, house, place };
        for item in stays.iter() {
            let found = Found { blames: [blame.clone()].into(), ..Found::default() };
            self.add_by_key(Class::Rerouted, of, of.bases(item), item, details.join(", "), found);
        }
    }

    /// Another kind of fact, or another choice among agencies.
    fn kinds(&mut self, of: &Of<'_>, stays: &ItemSet) {
        let kinds: Vec<_> =
            self.kinds.iter().filter(|(_, item, _)| stays.contains(*item)).cloned().collect();
        for (class, item, detail) in kinds {
            let id = self.new.catalogue.item(item).map(|item| item.id.to_string());
            let name = id.unwrap_or_default();
            let place = place_of(self.new, Kind::Item, "", &name);
            let house = String::new();
            let blame = Blame { kind: Kind::Item, edit: Edit::Changed, name, house, place };
            let found = Found { blames: [blame].into(), ..Found::default() };
            self.add_by_key(class, of, of.bases(item), item, detail, found);
        }
    }

    fn add(
        &mut self,
        class: Class,
        of: &Of<'_>,
        bases: Vec<LegalBasis>,
        item: ItemNumber,
        detail: String,
        found: Found,
    ) {
        self.insert(Key { by_key: false, ..Key::new(class, of, bases, detail, found) }, item);
    }

    /// As [`Differ::add`], for what the key that is blamed says in full.
    fn add_by_key(
        &mut self,
        class: Class,
        of: &Of<'_>,
        bases: Vec<LegalBasis>,
        item: ItemNumber,
        detail: String,
        found: Found,
    ) {
        self.insert(Key { by_key: true, ..Key::new(class, of, bases, detail, found) }, item);
    }

    fn insert(&mut self, key: Key, item: ItemNumber) {
        self.changes.entry(key).or_default().insert(item);
    }

    fn finish(self) -> Vec<Change> {
        let changes = self.changes.into_iter().map(|(key, items)| Change {
            class: key.class,
            consumer: key.consumer,
            purpose: key.purpose,
            agency: key.agency,
            bases: key.bases,
            items,
            detail: key.detail,
            blames: key.found.blames.into_iter().collect(),
            through: key.found.through.into_iter().collect(),
            by_key: key.by_key,
        });
        changes.collect()
    }
}

const fn side<'a>(federation: &'a Federation, lane: &'a Lane) -> LaneSide<'a> {
    LaneSide { federation, lane }
}

/// What is being compared.
struct Of<'a> {
    consumer: &'a SpiffeId,
    purpose: &'a PurposeCode,
    pair: &'a Pair<'a>,
}

impl<'a> Of<'a> {
    fn lanes(&self) -> impl Iterator<Item = (Asked<'a>, &'a Lane, &'a Lane)> + use<'a> {
        let (consumer, purpose, pair) = (self.consumer, self.purpose, self.pair);
        LegalBasis::ALL.into_iter().zip(pair.old.iter().zip(&pair.new)).map(
            move |(basis, (old, new))| {
                (Asked { consumer, purpose, basis, agency: pair.agency }, old, new)
            },
        )
    }

    /// The bases on which an item is open now.
    fn bases(&self, item: ItemNumber) -> Vec<LegalBasis> {
        let open = self.lanes().filter(|(_, _, new)| new.open().contains(item));
        open.map(|(asked, ..)| asked.basis).collect()
    }
}

/// Ceilings that went up or down where both sides had one.
fn ceilings(asked: Asked<'_>, old: &Lane, new: &Lane) -> Vec<(Class, String, String)> {
    let mut found = Vec::new();
    let mut houses = vec![(GATEWAY, &old.gateway_ceiling, &new.gateway_ceiling)];
    if let (Some(before), Some(after)) = (&old.agency_ceiling, &new.agency_ceiling) {
        houses.push((asked.agency.as_str(), before, after));
    }
    for (house, before, after) in houses {
        let (Some((old_life, old_use)), Some((new_life, new_use))) = (before.most, after.most)
        else {
            continue;
        };
        if old_life != new_life {
            let class = if new_life > old_life { Class::Widened } else { Class::Narrowed };
            let days = |life: time::Duration| life.whole_seconds().div_euclid(86_400);
            let detail = format!("grants live {} → {} days", days(old_life), days(new_life));
            found.push((class, house.to_owned(), detail));
        }
        if old_use != new_use {
            let looser = !new_use.is_within(&old_use, new_life.whole_seconds());
            let class = if looser { Class::Widened } else { Class::Narrowed };
            let detail = format!("uses {} → {}", frequency(old_use), frequency(new_use));
            found.push((class, house.to_owned(), detail));
        }
    }
    found
}

/// A frequency for people.
pub fn frequency(frequency: Frequency) -> String {
    let per = match frequency.per {
        Per::Grant => "grant",
        per => per.as_str(),
    };
    format!("{} a {per}", frequency.count)
}

/// Items of both catalogues that are another kind of fact, or are chosen otherwise.
fn kinds(old: &Federation, new: &Federation) -> Vec<(Class, ItemNumber, String)> {
    let mut found = Vec::new();
    for after in new.catalogue.items() {
        let Some(before) = old.catalogue.item(after.number) else { continue };
        let mut details = Vec::new();
        if before.id != after.id {
            details.push(format!("was {}", before.id));
        }
        if before.sensitivity != after.sensitivity {
            let (old, new) = (before.sensitivity.as_str(), after.sensitivity.as_str());
            details.push(format!("{old} → {new}"));
        }
        if before.adverse_months != after.adverse_months {
            let months = |months: Option<u16>| {
                months.map_or_else(|| "no horizon".to_owned(), |months| format!("{months} months"))
            };
            let (old, new) = (months(before.adverse_months), months(after.adverse_months));
            details.push(format!("{old} → {new}"));
        }
        if before.value_type != after.value_type
            || before.unit != after.unit
            || codes(before) != codes(after)
        {
            details.push("another form of value".to_owned());
        }
        if !details.is_empty() {
            found.push((Class::Reclassified, after.number, details.join(", ")));
        }
        if before.survivorship != after.survivorship {
            let (old, new) = (before.survivorship.as_str(), after.survivorship.as_str());
            found.push((Class::Rerouted, after.number, format!("chosen {old} → {new}")));
        } else if after.survivorship == Survivorship::Authoritative && order_differs(before, after)
        {
            found.push((Class::Rerouted, after.number, "another owner goes first".to_owned()));
        }
    }
    found
}

fn codes(item: &Item) -> Vec<&str> {
    item.codes.iter().map(|code| &*code.code).collect()
}

fn order_differs(before: &Item, after: &Item) -> bool {
    let shared = |item: &Item, other: &Item| -> Vec<AgencyId> {
        item.owners.iter().filter(|owner| other.owners.contains(owner)).cloned().collect()
    };
    shared(before, after) != shared(after, before)
}
