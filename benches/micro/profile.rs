//! Sections in, one profile out.

use divan::Bencher;
use prost::Message;
use rust_decimal::Decimal;
use time::macros::date;
use tributary::domain::catalogue::{AgencyId, Catalogue, Item};
use tributary::domain::item::ItemSet;
use tributary::domain::profile::merge;
use tributary::domain::section::{HeldItem, Section, SectionStatus};
use tributary::domain::sensitive::Sensitive;
use tributary::domain::value::{CodeIndex, Value, ValueType};
use tributary::wire::profile::encode_profile;
use tributary::wire::proto::pb;
use tributary::wire::section::{self, Question, RequestHash};

use crate::world;

/// Sections of one profile.
const SECTIONS: usize = 8;

/// Every item from each of its owners, the largest first. The city has seven
/// agencies: half of the largest one's items come from an eighth.
fn sections(catalogue: &Catalogue) -> Vec<Section> {
    let mut owners: Vec<AgencyId> = catalogue.agencies().into_iter().cloned().collect();
    owners.sort_by_key(|owner| std::cmp::Reverse(catalogue.owned_by(owner).len()));
    let mut asked: Vec<ItemSet> = owners.iter().map(|owner| catalogue.owned_by(owner)).collect();
    let half: ItemSet = asked[0].iter().skip(asked[0].len() / 2).collect();
    asked[0] = asked[0].without(&half);
    asked.push(half);
    owners.push(AgencyId::new("eighth").unwrap());
    let section = |(owner, asked): (&AgencyId, &ItemSet)| {
        let items = asked.iter().map(|number| HeldItem {
            number,
            value: Sensitive::new(value(catalogue.item(number).unwrap())),
            as_of: date!(2026 - 03 - 01),
            disputed: false,
            statement: None,
        });
        let items = items.collect();
        let status = SectionStatus::Ok;
        let agency = owner.clone();
        Section { agency, asked: *asked, status, reason: None, items, missing: Vec::new() }
    };
    owners.iter().zip(&asked).map(section).collect()
}

fn value(item: &Item) -> Value {
    match &item.value_type {
        ValueType::Boolean => Value::Boolean(true),
        ValueType::Date => Value::Date(date!(2020 - 05 - 17)),
        ValueType::Code(_) => Value::Code(CodeIndex(0)),
        ValueType::Integer(range) => Value::Integer(whole(range.minimum)),
        ValueType::Months(range) => Value::Months(whole(range.minimum).try_into().unwrap()),
        ValueType::Decimal(range) => Value::Decimal(range.minimum),
        ValueType::Money(_, range) => Value::Money(range.minimum),
    }
}

fn whole(number: Decimal) -> i64 {
    number.try_into().unwrap()
}

#[divan::bench]
fn merge_of_every_item(bencher: Bencher<'_, '_>) {
    let catalogue = world::catalogue();
    let sections = sections(&catalogue);
    assert_eq!(sections.len(), SECTIONS);
    bencher.bench(|| merge(&catalogue, &sections, &[]));
}

#[divan::bench]
fn profile_encoded(bencher: Bencher<'_, '_>) {
    let catalogue = world::catalogue();
    let sections = sections(&catalogue);
    bencher
        .with_inputs(|| merge(&catalogue, &sections, &[]))
        .bench_values(|profile| encode_profile(profile, &catalogue).encode_to_vec());
}

#[divan::bench]
fn profile_decoded(bencher: Bencher<'_, '_>) {
    let catalogue = world::catalogue();
    let profile = merge(&catalogue, &sections(&catalogue), &[]);
    let bytes = encode_profile(profile, &catalogue).encode_to_vec();
    bencher.bench(|| pb::Profile::decode(bytes.as_slice()).unwrap());
}

#[divan::bench(args = [5, 60])]
fn section_encoded(bencher: Bencher<'_, '_>, items: usize) {
    let catalogue = world::catalogue();
    let section = section_of(&catalogue, items);
    let hash = RequestHash::of(b"request");
    bencher.bench(|| section::encode(&section, &catalogue, hash, [7; 16]));
}

#[divan::bench(args = [5, 60])]
fn section_encoded_for_another_catalogue(bencher: Bencher<'_, '_>, items: usize) {
    let catalogue = world::catalogue();
    let section = section_of(&catalogue, items);
    let hash = RequestHash::of(b"request");
    bencher.bench(|| section::encode_for_other(&section, &catalogue, hash, [7; 16]));
}

/// What an agency does with the digests in a question by another catalogue.
#[divan::bench(args = [5, 60])]
fn definitions_compared(bencher: Bencher<'_, '_>, items: usize) {
    let catalogue = world::catalogue();
    let asked = section_of(&catalogue, items).asked;
    let digests = catalogue.digests_of(&asked);
    bencher.bench(|| catalogue.alike(asked.iter().zip(digests.chunks(32))));
}

#[divan::bench(args = [5, 60])]
fn section_decoded_and_believed(bencher: Bencher<'_, '_>, items: usize) {
    let catalogue = world::catalogue();
    let own = section_of(&catalogue, items);
    let request = RequestHash::of(b"request");
    let bytes = section::encode(&own, &catalogue, request, [7; 16]);
    let question =
        Question { agency: &own.agency, asked: &own.asked, request, catalogue: &catalogue };
    bencher.bench(|| section::decode(bytes.clone(), &question).unwrap());
}

/// The largest section, cut down to so many items.
fn section_of(catalogue: &Catalogue, items: usize) -> Section {
    let mut section = sections(catalogue).swap_remove(0);
    section.items.truncate(items);
    section.asked = section.items.iter().map(|held| held.number).collect();
    assert_eq!(section.items.len(), items);
    section
}
