//! Items that no rule tells apart, so that a review asks about each class once.
//!
//! A rule sees an item only through its name and the names of its groups: items
//! have no attributes, and the context holds no item. Two items that are and are
//! in the same entities of those that the rules name get the same answer from the
//! same rules, whatever the question. The same holds for consumers, purposes, bases
//! and agencies that no rule names. The tests hold this against Cedar, item by item.

use std::collections::{BTreeMap, HashSet};

use cedar_policy::{EntityUid, PolicySet};

use super::answer::{Explanation, Question};
use super::schema::{World, uid};
use crate::domain::catalogue::Catalogue;
use crate::domain::item::ItemSet;
use crate::domain::purpose::LegalBasis;

/// Items with one answer, and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The items.
    pub items: ItemSet,
    /// What the rules say about each of them.
    pub explanation: Explanation,
}

/// A question as far as the rules can tell it from others: two questions with one
/// likeness have the same answers. A part that no rule names is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Likeness {
    consumer: Option<Box<str>>,
    purpose: Option<Box<str>>,
    agency: Option<Box<str>>,
    basis: Option<LegalBasis>,
}

/// The items' classes, and the names that make them.
#[derive(Debug)]
pub(super) struct Classes {
    named: HashSet<EntityUid>,
    /// One item of each class, and the class.
    pub members: Vec<(EntityUid, ItemSet)>,
}

impl Classes {
    pub(super) fn new(catalogue: &Catalogue, world: &World, rules: &PolicySet) -> Self {
        let named: HashSet<EntityUid> =
            rules.policies().flat_map(cedar_policy::Policy::entity_literals).collect();
        let mut classes: BTreeMap<Vec<String>, (EntityUid, ItemSet)> = BTreeMap::new();
        for (number, resource) in &world.items {
            let Some(item) = catalogue.item(*number) else { continue };
            let groups = [
                uid("Category", item.category()),
                uid("Domain", item.domain()),
                uid("Sensitivity", item.sensitivity.as_str()),
            ];
            let groups = groups.into_iter().flatten();
            let seen = std::iter::once(resource.clone()).chain(groups);
            let key = seen.filter(|name| named.contains(name)).map(|name| name.to_string());
            let class = classes.entry(key.collect());
            let (_, items) = class.or_insert_with(|| (resource.clone(), ItemSet::EMPTY));
            items.insert(*number);
        }
        Self { named, members: classes.into_values().collect() }
    }

    pub(super) fn likeness(&self, question: &Question<'_>) -> Likeness {
        let named = |kind, id: &str| {
            uid(kind, id).is_ok_and(|name| self.named.contains(&name)).then(|| id.into())
        };
        Likeness {
            consumer: named("Consumer", question.consumer.as_str()),
            purpose: named("Purpose", question.purpose),
            agency: named("Agency", question.agency.as_str()),
            basis: named("Basis", question.basis.as_str()).map(|_: Box<str>| question.basis),
        }
    }
}
