//! Checks what rules name: every item, category, domain, purpose, basis, agency
//! and consumer must exist, and a message says what was probably meant.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::EntityUid;

use super::schema::SENSITIVITIES;
use super::vocabulary::Vocabulary;
use crate::domain::catalogue::Catalogue;
use crate::domain::purpose::LegalBasis;

/// Every name that rules may use, by entity type.
pub(super) struct Operands<'a> {
    known: BTreeMap<&'static str, Kind<'a>>,
}

struct Kind<'a> {
    ids: BTreeSet<&'a str>,
    remedy: &'static str,
}

impl<'a> Operands<'a> {
    pub(super) fn new(catalogue: &'a Catalogue, vocabulary: &'a Vocabulary) -> Self {
        let in_catalogue = "is not in the catalogue";
        let items = || catalogue.items().iter();
        let mut known = BTreeMap::new();
        let mut add =
            |name, remedy, ids: BTreeSet<&'a str>| known.insert(name, Kind { ids, remedy });
        add("Item", in_catalogue, items().map(|item| &*item.id).collect());
        add("Category", in_catalogue, items().map(|item| item.category()).collect());
        add("Domain", in_catalogue, items().map(|item| item.domain()).collect());
        add("Sensitivity", "is no sensitivity", SENSITIVITIES.into());
        add("Basis", "is no legal basis", LegalBasis::ALL.map(LegalBasis::as_str).into());
        add("Action", "is no action", BTreeSet::from(["read"]));
        add(
            "Purpose",
            "is not among the vocabulary's purposes",
            vocabulary.purposes.iter().map(|purpose| purpose.as_str()).collect(),
        );
        add(
            "Agency",
            "is not among the vocabulary's agencies",
            vocabulary.agencies.iter().map(|agency| agency.as_str()).collect(),
        );
        add(
            "Consumer",
            "is not among the vocabulary's consumers",
            vocabulary.consumers.iter().map(|consumer| consumer.as_str()).collect(),
        );
        Self { known }
    }

    /// What is wrong with an operand; `None` when it exists, and for a type
    /// that the schema does not have, which Cedar's validator reports.
    pub(super) fn fault(&self, operand: &EntityUid) -> Option<String> {
        let name = operand.type_name().to_string();
        let id = operand.id().unescaped();
        let kind = self.known.get(name.as_str())?;
        if kind.ids.contains(id) {
            return None;
        }
        let advice = self.advice(&name, id, kind);
        Some(format!("`{operand}` {}; {advice}", kind.remedy))
    }

    fn advice(&self, name: &str, id: &str, kind: &Kind<'_>) -> String {
        // An item's category written as an item, and the like.
        let elsewhere = ["Item", "Category", "Domain"]
            .into_iter()
            .filter(|other| *other != name && matches!(name, "Item" | "Category" | "Domain"))
            .find(|other| self.known.get(other).is_some_and(|kind| kind.ids.contains(id)));
        if let Some(other) = elsewhere {
            return format!("write `{other}::\"{id}\"`");
        }
        if let Some(near) = nearest(id, kind.ids.iter().copied()) {
            return format!("did you mean `{name}::\"{near}\"`?");
        }
        let mut listed: Vec<&str> = kind.ids.iter().copied().take(6).collect();
        if kind.ids.len() > listed.len() {
            listed.push("...");
        }
        if listed.is_empty() {
            "the list is empty: add it there, or remove the rule".to_owned()
        } else {
            format!("use one of: {}", listed.join(", "))
        }
    }
}

/// The candidate that differs least, if it differs little.
pub(super) fn nearest<'a>(
    wanted: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    // Longer than any id of ours: not worth a comparison.
    if wanted.len() > 255 {
        return None;
    }
    let limit = (wanted.chars().count() / 4).clamp(1, 8);
    candidates
        .map(|candidate| (distance(wanted, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, one row at a time.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, left) in from.chars().enumerate() {
        let mut diagonal = at;
        let mut previous = at + 1;
        let mut next = vec![previous];
        for (right, above) in to.iter().zip(row.iter().skip(1)) {
            let cost = (diagonal + usize::from(left != *right)).min(above + 1).min(previous + 1);
            diagonal = *above;
            previous = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn only_something_near_is_suggested() {
        let known = ["credit_profile", "rental_deposit_waiver"];
        assert_eq!(nearest("credit_profil", known.into_iter()), Some("credit_profile"));
        assert_eq!(nearest("tax", known.into_iter()), None);
    }
}
