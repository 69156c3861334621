//! Which line made an item open that was not: everything that has to hold for it,
//! and did not hold before. Closing is opening, seen from the other side.

use std::collections::BTreeSet;

use super::change::{Blame, Edit};
use super::federation::{Federation, House};
use super::lanes::{Answer, Asked, Lane, about};
use super::places::{FilePlace, GATEWAY, Kind};
use crate::domain::item::ItemNumber;
use crate::domain::policy::engine::Explanation;

/// One side of a comparison.
#[derive(Clone, Copy)]
pub(super) struct LaneSide<'a> {
    pub federation: &'a Federation,
    pub lane: &'a Lane,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub blames: BTreeSet<Blame>,
    pub through: BTreeSet<String>,
}

impl Found {
    /// The same, where old and new had been exchanged.
    pub fn undone(self) -> Self {
        let blames = self.blames.into_iter();
        let blames = blames.map(|blame| Blame { edit: blame.edit.undone(), ..blame });
        // What kept a thing open is no reason that it is closed.
        Self { blames: blames.collect(), through: BTreeSet::new() }
    }

    pub fn join(&mut self, other: Self) {
        self.blames.extend(other.blames);
        self.through.extend(other.through);
    }
}

/// Why `item`, closed in `old`, is open in `new`.
pub(super) fn opened(
    asked: Asked<'_>,
    item: ItemNumber,
    old: LaneSide<'_>,
    new: LaneSide<'_>,
) -> Found {
    let mut search = Search { asked, item, old, new, found: Found::default() };
    search.held();
    search.routed();
    search.rules(GATEWAY, &old.lane.gateway, &new.lane.gateway);
    let agency = asked.agency.as_str();
    if let (Some(before), Some(after)) = (&old.lane.agency, &new.lane.agency) {
        search.rules(agency, before, after);
    } else if let Some(after) = &new.lane.agency {
        search.rules(agency, &None, after);
    }
    if search.found.blames.is_empty() {
        // The same rules, and another answer: the item itself is in another place.
        search.item(Edit::Changed);
    }
    search.found
}

/// Why a grant for `item` can be written in `new` and could not in `old`.
pub(super) fn grantable(
    asked: Asked<'_>,
    item: ItemNumber,
    old: LaneSide<'_>,
    new: LaneSide<'_>,
) -> Found {
    let mut search = Search { asked, item, old, new, found: Found::default() };
    search.ceilings();
    search.found
}

/// The line of something in a federation's files.
pub(super) fn place_of(
    federation: &Federation,
    kind: Kind,
    house: &str,
    name: &str,
) -> Option<FilePlace> {
    if kind != Kind::Rule {
        return federation.places.find(kind, house, name).cloned();
    }
    let place = house_of(federation, house)?.engine.rule_place(name)?;
    // The folder is noted under the house's own name.
    let folder = federation.places.find(Kind::Rule, house, "");
    let file = match folder {
        Some(folder) if place.file != BUILT_IN => {
            let end = folder.file.rsplit('/').next().unwrap_or_default();
            if end == place.file {
                folder.file.clone()
            } else {
                format!("{}/{}", folder.file, place.file)
            }
        }
        _ => place.file.clone(),
    };
    Some(FilePlace { file, line: place.line })
}

const BUILT_IN: &str = "built-in";

fn house_of<'a>(federation: &'a Federation, name: &str) -> Option<&'a House> {
    if name == GATEWAY {
        return Some(&federation.gateway);
    }
    let agency = federation.agencies.iter().find(|agency| agency.id.as_str() == name)?;
    agency.own.as_ref().map(|own| &own.house)
}

struct Search<'a> {
    asked: Asked<'a>,
    item: ItemNumber,
    old: LaneSide<'a>,
    new: LaneSide<'a>,
    found: Found,
}

impl Search<'_> {
    fn blame(&mut self, kind: Kind, edit: Edit, house: &str, name: &str) {
        let side = if edit == Edit::Removed { self.old } else { self.new };
        let place = place_of(side.federation, kind, house, name);
        let (name, house) = (name.to_owned(), house.to_owned());
        self.found.blames.insert(Blame { kind, edit, name, house, place });
    }

    fn id(&self) -> String {
        let new = self.new.federation.catalogue.item(self.item);
        let item = new.or_else(|| self.old.federation.catalogue.item(self.item));
        item.map_or_else(|| self.item.to_string(), |item| item.id.to_string())
    }

    fn item(&mut self, edit: Edit) {
        let id = self.id();
        self.blame(Kind::Item, edit, "", &id);
    }

    /// The catalogue, the mapping, the kill switch.
    fn held(&mut self) {
        let (old, new) = (self.old.lane, self.new.lane);
        let agency = self.asked.agency.as_str();
        if self.old.federation.catalogue.item(self.item).is_none() {
            self.item(Edit::Added);
        } else if !old.owned.contains(self.item) {
            self.item(Edit::Changed);
        }
        if old.routed && !old.mapped.contains(self.item) && new.mapped.contains(self.item) {
            let id = self.id();
            self.blame(Kind::Mapping, Edit::Added, agency, &id);
        }
        if old.routed && !old.enabled && new.enabled {
            self.blame(Kind::Switch, Edit::Changed, agency, agency);
        }
    }

    fn routed(&mut self) {
        if !self.old.lane.routed && self.new.lane.routed {
            self.blame(Kind::Route, Edit::Added, GATEWAY, self.asked.agency.as_str());
        }
    }

    fn rules(&mut self, house: &str, before: &Answer, after: &Answer) {
        let Some(after) = about(after, self.item) else { return };
        let known = before.is_some();
        let before = about(before, self.item);
        if before.is_some_and(Explanation::allowed) {
            return self.unchanged(house, after);
        }
        if !known {
            self.vocabulary(house);
        }
        // Permits that are new or say something else.
        for id in &after.rules {
            match self.edit(house, id) {
                Some(Edit::Removed) | None => {
                    self.found.through.insert(format!("{house}:{id}"));
                }
                Some(edit) => self.blame(Kind::Rule, edit, house, id),
            }
        }
        // Forbids, and rules that failed, that are gone or say something else.
        let errors = before.iter().flat_map(|before| before.errors.iter().map(|error| &error.rule));
        let forbids = before.iter().flat_map(|before| before.rules.iter()).chain(errors);
        let ended: Vec<(Edit, String)> = forbids
            .filter_map(|id| Some((self.edit(house, id)?, id.clone())))
            .filter(|(edit, _)| *edit != Edit::Added)
            .collect();
        for (edit, id) in ended {
            self.blame(Kind::Rule, edit, house, &id);
        }
    }

    fn unchanged(&mut self, house: &str, after: &Explanation) {
        self.found.through.extend(after.rules.iter().map(|id| format!("{house}:{id}")));
    }

    fn vocabulary(&mut self, house: &str) {
        let Some(before) = house_of(self.old.federation, house) else { return };
        let names = before.engine.vocabulary();
        let Asked { consumer, purpose, agency, .. } = self.asked;
        let missing = [
            (!names.consumers.contains(consumer)).then(|| consumer.to_string()),
            (!names.purposes.contains(purpose)).then(|| purpose.to_string()),
            (!names.agencies.contains(agency)).then(|| agency.to_string()),
        ];
        for name in missing.into_iter().flatten() {
            self.blame(Kind::Vocabulary, Edit::Added, house, &name);
        }
    }

    /// How a rule was edited; `None` where it says the same.
    fn edit(&self, house: &str, id: &str) -> Option<Edit> {
        let old = house_of(self.old.federation, house).map(|house| &house.engine);
        let new = house_of(self.new.federation, house).map(|house| &house.engine);
        match (old, new) {
            (Some(old), Some(new)) if old.same_rule(new, id) => None,
            (Some(old), _) if old.rule_place(id).is_none() => Some(Edit::Added),
            (_, Some(new)) if new.rule_place(id).is_none() => Some(Edit::Removed),
            // A house that was not there: whatever it says is not the reason.
            (None, _) => None,
            _ => Some(Edit::Changed),
        }
    }

    fn ceilings(&mut self) {
        let (old, new) = (self.old.lane, self.new.lane);
        let agency = self.asked.agency.as_str();
        let mut houses = vec![(GATEWAY, &old.gateway_ceiling, &new.gateway_ceiling)];
        if let (Some(before), Some(after)) = (&old.agency_ceiling, &new.agency_ceiling) {
            houses.push((agency, before, after));
        }
        for (house, before, after) in houses {
            for issuer in after.issuers.iter().filter(|id| !before.issuers.contains(id)) {
                let known = house_of(self.old.federation, house)
                    .is_some_and(|house| house.issuers.iter().any(|pinned| pinned.id == *issuer));
                let edit = if known { Edit::Changed } else { Edit::Added };
                self.blame(Kind::Grants, edit, house, issuer.as_str());
            }
            let had = before.issuers.is_empty() || before.items.contains(self.item);
            if after.items.contains(self.item) && !had {
                self.blame(Kind::Grants, Edit::Changed, house, self.asked.purpose.as_str());
            }
        }
    }
}
