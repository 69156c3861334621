//! What a catalogue says about its items, as a condition on `resource`: which item
//! is in which of the groups that rules name.
//!
//! The condition need not be believed: [`Guard::holds_for`] has Cedar's evaluator
//! say that it holds for an item as the catalogue records it, and what is proven
//! under it then holds for that item. Names that no rule has are left out, since no
//! rule can tell them apart.

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};

use super::side::{Broken, permit_when};

/// The groups of items, each with its type.
const GROUPS: [&str; 3] = ["Category", "Domain", "Sensitivity"];

/// A condition that every item of a catalogue fulfils.
#[derive(Debug, Clone)]
pub struct Guard {
    condition: String,
    permit: PolicySet,
}

impl Guard {
    /// From items with their groups, in the terms of the names that rules have.
    ///
    /// # Errors
    /// Cedar refuses the condition, which is an error in Tributary.
    pub fn new(
        items: &[EntityUid],
        entities: &Entities,
        named: &BTreeSet<EntityUid>,
    ) -> Result<Self, Broken> {
        let of_type = |wanted: &str| -> Vec<&EntityUid> {
            named.iter().filter(|name| name.type_name().basename() == wanted).collect()
        };
        let groups: Vec<Vec<&EntityUid>> = GROUPS.iter().map(|kind| of_type(kind)).collect();
        let by_name = of_type("Item");
        let mut single = Vec::new();
        // Items that no rule names are one alternative for each set of named groups.
        let mut alike = BTreeSet::new();
        for item in items {
            let memberships = memberships(item, entities, &groups);
            if by_name.contains(&item) {
                single.push(conjunction([format!("resource == {item}"), memberships]));
            } else {
                alike.insert(memberships);
            }
        }
        if !alike.is_empty() {
            let others = any(alike.into_iter().collect());
            let unnamed = match by_name.is_empty() {
                true => String::new(),
                false => format!("!({}.contains(resource))", list(&by_name)),
            };
            single.push(conjunction([unnamed, others]));
        }
        Self::of(any(single))
    }

    /// Any condition on `resource`, in Cedar's language.
    ///
    /// # Errors
    /// It is none.
    pub fn of(condition: String) -> Result<Self, Broken> {
        let permit = permit_when(&condition)?;
        Ok(Self { condition, permit })
    }

    /// In Cedar's language.
    pub fn condition(&self) -> &str {
        &self.condition
    }

    /// Whether the condition holds for an item among its groups, by Cedar's own
    /// evaluator. It asks about `resource` alone.
    pub fn holds_for(&self, item: &EntityUid, entities: &Entities) -> bool {
        let whoever = item.clone();
        let request = Request::new(whoever.clone(), whoever, item.clone(), Context::empty(), None);
        request.is_ok_and(|request| {
            let response = Authorizer::new().is_authorized(&request, &self.permit, entities);
            response.decision() == Decision::Allow
        })
    }
}

fn memberships(item: &EntityUid, entities: &Entities, groups: &[Vec<&EntityUid>]) -> String {
    let within: BTreeSet<&EntityUid> = entities.ancestors(item).into_iter().flatten().collect();
    let mut parts = Vec::new();
    for kind in groups {
        let (is, is_not): (Vec<&EntityUid>, Vec<&EntityUid>) =
            kind.iter().copied().partition(|group| within.contains(group));
        parts.extend(is.into_iter().map(|group| format!("resource in {group}")));
        if !is_not.is_empty() {
            parts.push(format!("!(resource in {})", list(&is_not)));
        }
    }
    conjunction(parts)
}

fn list(names: &[&EntityUid]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    format!("[{}]", names.join(", "))
}

fn conjunction(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] => "true".to_owned(),
        [one] => one.clone(),
        parts => format!("({})", parts.join(" && ")),
    }
}

/// An alternative of many, as a tree of little depth: who reads it recurses.
fn any(mut parts: Vec<String>) -> String {
    while parts.len() > 1 {
        let pairs = parts.chunks(2).map(|pair| match pair {
            [one, other] => format!("({one} || {other})"),
            rest => rest.concat(),
        });
        parts = pairs.collect();
    }
    // Without an alternative nothing fulfils it.
    parts.pop().unwrap_or_else(|| "false".to_owned())
}
