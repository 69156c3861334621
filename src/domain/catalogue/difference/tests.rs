//! Every field of an item counts as it should: in its digest and as a difference.

use rust_decimal::Decimal;

use super::super::{AgencyId, Sensitivity, Survivorship, Title, digest};
use super::*;
use crate::domain::item::ItemNumber;
use crate::domain::value::{Currency, Range, ValueType};

fn agency(name: &str) -> AgencyId {
    AgencyId::new(name).unwrap()
}

fn range(maximum: i64) -> Range {
    Range { minimum: Decimal::ZERO, maximum: maximum.into() }
}

fn money(currency: &str, maximum: i64) -> ValueType {
    ValueType::Money(Currency::new(currency).unwrap(), range(maximum))
}

fn title(en: &str, zh: &str) -> Title {
    Title { en: en.into(), zh: zh.into() }
}

fn code(code: &str) -> Code {
    Code { code: code.into(), title: title("One", "一") }
}

/// Not what the lint would let through, so that every field has something to say.
fn item() -> Item {
    Item {
        id: "school.degree.fee".into(),
        number: ItemNumber::new(5).unwrap(),
        title: title("Fee", "学费"),
        value_type: money("CNY", 100),
        unit: "CNY".into(),
        owners: vec![agency("education"), agency("lending")],
        sensitivity: Sensitivity::Ordinary,
        adverse_months: Some(60),
        survivorship: Survivorship::Sum,
        meaning: "Fees overdue.".into(),
        codes: vec![code("one"), code("two")],
    }
}

/// The field, whether it defines the item, and how it is changed.
type Edit = (&'static str, bool, fn(&mut Item));

/// Fails to compile when an item gets a new field: then give it an edit below.
fn edits(item: &Item) -> Vec<Edit> {
    let Item {
        id: _,
        number: _,
        title: Title { en: _, zh: _ },
        value_type: _,
        unit: _,
        owners: _,
        sensitivity: _,
        adverse_months: _,
        survivorship: _,
        meaning: _,
        codes: _,
    } = item;
    vec![
        ("id", true, |item| item.id = "school.degree.fees".into()),
        ("title.en", false, |item| item.title.en.push('s')),
        ("title.zh", false, |item| item.title.zh.push('费')),
        ("type", true, |item| item.value_type = ValueType::Integer(range(100))),
        ("unit", true, |item| item.unit = "USD".into()),
        ("range", true, |item| item.value_type = money("CNY", 101)),
        ("owners", true, |item| item.owners.reverse()),
        ("owners", true, |item| drop(item.owners.pop())),
        ("owners", true, |item| item.owners.push(agency("traffic"))),
        ("sensitivity", true, |item| item.sensitivity = Sensitivity::Conditional),
        ("adverse_months", true, |item| item.adverse_months = Some(59)),
        ("adverse_months", true, |item| item.adverse_months = None),
        ("survivorship", true, |item| item.survivorship = Survivorship::Maximum),
        ("meaning", true, |item| item.meaning = "Fees due.".into()),
        ("codes", true, |item| item.codes.push(code("three"))),
        ("codes", true, |item| item.codes.reverse()),
        ("codes.en", false, |item| item.codes.iter_mut().for_each(|c| c.title.en.push('s'))),
        ("codes.zh", false, |item| item.codes.iter_mut().for_each(|c| c.title.zh.push('二'))),
    ]
}

#[test]
fn every_field_that_defines_an_item_is_in_its_digest_and_texts_are_not() {
    let before = item();
    for (field, defines, edit) in edits(&before) {
        let mut after = item();
        edit(&mut after);
        assert_ne!(before, after, "{field}: the edit changes nothing");
        let same = digest::item_digest(&before) == digest::item_digest(&after);
        assert_eq!(same, !defines, "{field}");
        let told = fields(&before, &after);
        let expected = FieldChange { compatible: !defines, field, ..told.first().unwrap().clone() };
        // A code that is gone takes its texts with it.
        assert!(told.contains(&expected), "{field}: {told:?}");
        assert_eq!(told.iter().all(|change| change.compatible), !defines, "{field}: {told:?}");
    }
    // The number is what items are told apart by; a currency stands beside its unit.
    let renumbered = Item { number: ItemNumber::new(6).unwrap(), ..item() };
    assert_ne!(digest::item_digest(&before), digest::item_digest(&renumbered));
    let other = Item { value_type: money("USD", 100), ..item() };
    assert_ne!(digest::item_digest(&before), digest::item_digest(&other));
}

#[test]
fn what_is_added_takes_nothing_and_what_is_retired_or_redefined_is_not_compatible() {
    let catalogue = |items: &[Item]| Catalogue::assemble(items.to_vec(), Vec::new());
    let numbered = |number, id: &str| Item {
        number: ItemNumber::new(number).unwrap(),
        id: id.into(),
        ..item()
    };
    let (one, two) = (numbered(1, "a.b.one"), numbered(2, "a.b.two"));
    let old = catalogue(std::slice::from_ref(&one));
    let more = catalogue(&[one.clone(), two.clone()]);
    assert!(difference(&old, &old).is_empty());
    let added = difference(&old, &more);
    assert!(added.is_compatible() && added.added.len() == 1, "{added:?}");
    let retired = difference(&more, &old);
    assert!(!retired.is_compatible() && retired.retired.len() == 1, "{retired:?}");
    // A number that was given to something else is no new item.
    let reused = catalogue(&[numbered(1, "a.b.other")]);
    let reused = difference(&old, &reused);
    assert!(!reused.is_compatible() && reused.changed.len() == 1, "{reused:?}");
    let worded = catalogue(&[Item { title: title("Other", "别的"), ..one }]);
    let worded = difference(&old, &worded);
    assert!(worded.is_compatible() && worded.changed.len() == 1, "{worded:?}");
}

#[test]
fn items_are_alike_only_where_every_statement_holds() {
    let two = Item { number: ItemNumber::new(2).unwrap(), id: "a.b.two".into(), ..item() };
    let catalogue = Catalogue::assemble(vec![item(), two], Vec::new());
    let number = |number| ItemNumber::new(number).unwrap();
    let digest = |of| catalogue.item_digest(number(of)).unwrap().0;
    let (five, second) = (digest(5), digest(2));
    let alike = |stated: &[(u32, &[u8])]| {
        let stated = stated.iter().map(|(of, digest)| (number(*of), *digest));
        catalogue.alike(stated).iter().map(ItemNumber::get).collect::<Vec<u16>>()
    };
    assert_eq!(alike(&[(2, &second), (5, &five)]), [2, 5]);
    assert_eq!(alike(&[(2, &five), (5, &five)]), [5]);
    assert!(alike(&[(5, &five), (5, &second)]).is_empty(), "told in two ways");
    assert!(alike(&[(5, &[]), (2, &second[..31]), (7, &five)]).is_empty());

    let set = |numbers: &[u32]| numbers.iter().map(|of| number(*of)).collect();
    assert_ne!(catalogue.digest_of(&set(&[2])), catalogue.digest_of(&set(&[2, 5])));
    assert!(catalogue.digest_of(&set(&[2, 5])).is_some());
    assert_eq!(catalogue.digest_of(&set(&[2, 5, 7])), None, "an item that is not known");
}
