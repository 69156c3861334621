//! Changes that one edit made for many, in one row: the same items of the same agency, on
//! the same bases, for the same causes, and judged alike. Not merged are consumers for whom
//! it is other purposes: a row says what it says of each consumer and purpose that it names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::cli::review::compared::Judged;

/// A row: a change like all of them, and to whom and for what they are.
pub(super) struct Together<'a> {
    pub like: &'a Judged<'a>,
    pub consumers: BTreeSet<&'a str>,
    pub purposes: BTreeSet<&'a str>,
}

/// The changes, each in one row, in the order in which the rows' first ones came.
pub(super) fn together<'a>(all: &'a [Judged<'a>]) -> Vec<Together<'a>> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut alike: Vec<(&Judged<'_>, BTreeMap<&str, BTreeSet<&str>>)> = Vec::new();
    for judged in all {
        let place = *places.entry(said(judged)).or_insert_with(|| {
            alike.push((judged, BTreeMap::new()));
            alike.len() - 1
        });
        if let Some((_, consumers)) = alike.get_mut(place) {
            let purposes = consumers.entry(judged.change.consumer.as_str()).or_default();
            purposes.insert(judged.change.purpose.as_str());
        }
    }
    let mut rows = Vec::new();
    for (like, consumers) in alike {
        let mut by_purposes: BTreeMap<BTreeSet<&str>, BTreeSet<&str>> = BTreeMap::new();
        for (consumer, purposes) in consumers {
            by_purposes.entry(purposes).or_default().insert(consumer);
        }
        let row = |(purposes, consumers)| Together { like, consumers, purposes };
        rows.extend(by_purposes.into_iter().map(row));
    }
    rows
}

/// All that a row says beside consumer and purpose.
fn said(judged: &Judged<'_>) -> String {
    let change = judged.change;
    let accepted = judged.accepted.iter().flatten().map(ToString::to_string);
    let accepted: Vec<String> = accepted.collect();
    format!(
        "{:?}",
        (
            change.class,
            &change.agency,
            change.items.to_bytes(),
            &change.bases,
            &change.blames,
            &change.detail,
            &change.through,
            (judged.accepted.is_some(), accepted, judged.forbidden),
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalogue::AgencyId;
    use crate::domain::flows::change::{Change, Class};
    use crate::domain::item::{ItemNumber, ItemSet};
    use crate::domain::purpose::LegalBasis;

    fn change(consumer: &str, purpose: &str, item: u32) -> Change {
        Change {
            class: Class::Opened,
            consumer: format!("spiffe://{consumer}.example/consumer/c").parse().unwrap(),
            purpose: purpose.to_owned().try_into().unwrap(),
            agency: AgencyId::new("lending").unwrap(),
            bases: vec![LegalBasis::Consent],
            items: ItemSet::from_iter([ItemNumber::new(item).unwrap()]),
            detail: String::new(),
            blames: Vec::new(),
            through: Vec::new(),
            by_key: false,
        }
    }

    #[test]
    fn a_row_names_exactly_the_consumers_and_purposes_of_its_changes() {
        let mut changes = Vec::new();
        for consumer in ["a", "b", "c", "d"] {
            for purpose in ["one", "two", "three"] {
                // One of them lacks a purpose, one is about another item.
                if (consumer, purpose) != ("c", "two") {
                    changes.push(change(consumer, purpose, 1 + u32::from(consumer == "d")));
                }
            }
        }
        let judged: Vec<Judged<'_>> = changes
            .iter()
            .map(|change| Judged { change, accepted: None, forbidden: true })
            .collect();
        let rows = together(&judged);
        assert_eq!(rows.len(), 3);
        let mut told: Vec<(&str, &str, u16)> = Vec::new();
        for row in &rows {
            for consumer in &row.consumers {
                let items = row.like.change.items.iter();
                for item in items {
                    told.extend(
                        row.purposes.iter().map(|purpose| (*consumer, *purpose, item.get())),
                    );
                }
            }
        }
        told.sort_unstable();
        let mut wanted: Vec<(&str, &str, u16)> = changes
            .iter()
            .map(|one| {
                let item = one.items.iter().next().unwrap().get();
                (one.consumer.as_str(), one.purpose.as_str(), item)
            })
            .collect();
        wanted.sort_unstable();
        assert_eq!(told, wanted);
    }
}
