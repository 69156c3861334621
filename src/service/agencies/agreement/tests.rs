//! Who is let in, and what is asked of whom.

use super::*;
use crate::domain::catalogue::Source;

const ITEM: &str = r#"
[[item]]
id = "lending.card.NAME"
number = NUMBER
title = { en = "A card's NAME", zh = "信用卡" }
type = "integer"
unit = "count"
range = [0, MOST]
owners = ["lending"]
sensitivity = "ordinary"
meaning = "How many there are."
"#;

/// A catalogue of items with these numbers, each with the largest value that it may have.
fn catalogue(items: &[(u16, u16)]) -> Arc<Catalogue> {
    let mut text = String::from(
        "domain = \"lending\"\ntitle = { en = \"Lending\", zh = \"借贷\" }\n\
         [[category]]\nid = \"lending.card\"\ntitle = { en = \"Cards\", zh = \"信用卡\" }\n",
    );
    for (number, most) in items {
        let item = ITEM.replace("NUMBER", &number.to_string()).replace("MOST", &most.to_string());
        text.push_str(&item.replace("NAME", &format!("n{number}")));
    }
    Arc::new(Catalogue::parse(&[Source { name: "lending.toml", text: &text }]).unwrap())
}

fn lending() -> AgencyId {
    AgencyId::new("lending").unwrap()
}

fn ours() -> Arc<Catalogue> {
    catalogue(&[(1, 9), (2, 9), (3, 9)])
}

fn agreement(endpoints: usize) -> Agreement {
    Agreement::new(lending(), ours(), endpoints)
}

fn hello(counters: &'static [u8]) -> pb::DescribeResponse {
    hello_by(&ours(), counters)
}

fn hello_by(catalogue: &Catalogue, counters: &'static [u8]) -> pb::DescribeResponse {
    let owned = catalogue.owned_by(&lending());
    pb::DescribeResponse {
        agency: "lending".into(),
        catalogue_digest: catalogue.digest().0.to_vec().into(),
        counters_domain: Bytes::from_static(counters),
        items: owned.iter().map(|item| u32::from(item.get())).collect(),
        features: vec![pb::ProtocolFeature::ItemDigests.into()],
        owned: owned.to_bytes().into(),
        owned_digests: catalogue.digests_of(&owned).into(),
        ..Default::default()
    }
}

fn reason(outcome: Result<(), (Reason, String)>) -> Option<Reason> {
    outcome.err().map(|(reason, _)| reason)
}

fn differing(agreement: &Agreement) -> Vec<u16> {
    agreement.known().differing.iter().map(ItemNumber::get).collect()
}

#[test]
fn endpoints_that_count_apart_are_not_one_agency() {
    let agreement = agreement(2);
    let differ = Some(Reason::CountersDiffer);
    assert_eq!(reason(agreement.accept(0, &hello(b"one"))), None);
    assert_eq!(reason(agreement.accept(1, &hello(b"two"))), differ);
    assert_eq!(reason(agreement.accept(1, &hello(b""))), differ, "it says nothing");
    // The first is still let in after a restart, and the second still is not.
    assert_eq!(reason(agreement.accept(0, &hello(b"one"))), None);
    assert_eq!(reason(agreement.accept(1, &hello(b"two"))), differ);
    assert_eq!(reason(agreement.accept(1, &hello(b"one"))), None);
    // All are moved to other counters, one after the other.
    assert_eq!(reason(agreement.accept(0, &hello(b"new"))), differ);
    assert_eq!(reason(agreement.accept(1, &hello(b"new"))), None);
    assert_eq!(reason(agreement.accept(0, &hello(b"new"))), None);
}

#[test]
fn one_endpoint_alone_may_count_where_it_likes() {
    let agreement = agreement(1);
    for counters in [&b""[..], b"one", b"two"] {
        assert_eq!(reason(agreement.accept(0, &hello(counters))), None);
    }
}

#[test]
fn nothing_is_sent_to_somebody_else() {
    let agreement = agreement(1);
    let other = pb::DescribeResponse { agency: "traffic".into(), ..hello(b"") };
    assert_eq!(reason(agreement.accept(0, &other)), Some(Reason::WrongAgency));
    let long = pb::DescribeResponse { items: (0..100_000).collect(), ..hello(b"") };
    assert_eq!(reason(agreement.accept(0, &long)), Some(Reason::HelloTooLarge));
    assert_eq!(agreement.known(), Known::default());
}

#[test]
fn with_another_catalogue_nothing_is_sent_unless_it_says_how_that_defines_each_item() {
    let agreement = agreement(1);
    let other = hello_by(&catalogue(&[(1, 9), (2, 8), (4, 9)]), b"");
    type Change = fn(&mut pb::DescribeResponse);
    let changes: [Change; 8] = [
        |hello| hello.features.clear(),
        |hello| hello.catalogue_digest.clear(),
        |hello| hello.catalogue_digest.truncate(31),
        |hello| hello.owned_digests.clear(),
        |hello| hello.owned_digests.truncate(95),
        |hello| hello.owned = vec![0xff; 65].into(),
        |hello| (hello.owned, hello.owned_digests) = (Bytes::new(), Bytes::new()),
        // The digests of other items.
        |hello| hello.owned = vec![0b1_1100].into(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut hello = other.clone();
        change(&mut hello);
        assert_eq!(reason(agreement.accept(0, &hello)), Some(Reason::WrongCatalogue), "{at}");
        assert_eq!(agreement.known(), Known::default(), "{at}");
    }
    assert_eq!(reason(agreement.accept(0, &other)), None);
    assert_eq!(differing(&agreement), [2, 3], "one is redefined, one is not there");
    let nothing = hello_by(&catalogue(&[(2, 8), (4, 9)]), b"");
    assert_eq!(reason(agreement.accept(0, &nothing)), Some(Reason::WrongCatalogue));
    assert_eq!(reason(agreement.accept(0, &hello(b""))), None);
    assert!(differing(&agreement).is_empty());
}

#[test]
fn what_one_endpoint_defines_otherwise_is_asked_of_none_while_it_is_up() {
    let agreement = agreement(2);
    let other = |items: &[(u16, u16)]| hello_by(&catalogue(items), b"one");
    agreement.accept(0, &hello(b"one")).unwrap();
    agreement.accept(1, &other(&[(1, 9), (2, 8), (3, 9)])).unwrap();
    assert_eq!(differing(&agreement), [2]);
    agreement.accept(0, &other(&[(1, 8), (2, 9), (3, 9)])).unwrap();
    assert_eq!(differing(&agreement), [1, 2]);
    agreement.gone(1);
    assert_eq!(differing(&agreement), [1]);
    // As it was last known, until somebody says otherwise.
    agreement.gone(0);
    assert_eq!(differing(&agreement), [1]);
    agreement.accept(1, &hello(b"one")).unwrap();
    assert!(differing(&agreement).is_empty());
}

#[test]
fn with_another_catalogue_of_ours_all_that_was_said_is_looked_at_anew() {
    let agreement = agreement(2);
    let theirs = |items: &[(u16, u16)]| hello_by(&catalogue(items), b"one");
    agreement.accept(0, &hello(b"one")).unwrap();
    agreement.accept(1, &theirs(&[(1, 9), (2, 8), (3, 9)])).unwrap();
    assert_eq!(differing(&agreement), [2]);
    // One item more, one less, and one as the second has it.
    let next = catalogue(&[(1, 9), (2, 8), (4, 9)]);
    agreement.renew(&next);
    assert_eq!(differing(&agreement), [2, 4], "the first has neither");
    assert_eq!(agreement.differing_ids(), ["lending.card.n2", "lending.card.n4"]);
    agreement.gone(0);
    assert_eq!(differing(&agreement), [4]);
    // Nothing in common: everything is left out, and the stream that is up stays.
    agreement.renew(&catalogue(&[(1, 5), (2, 5)]));
    assert_eq!(differing(&agreement), [1, 2]);
    agreement.renew(&catalogue(&[(1, 9), (2, 8), (3, 9)]));
    assert!(differing(&agreement).is_empty());
    // While nobody is up, only what there still is stays left out.
    agreement.renew(&next);
    agreement.gone(1);
    agreement.renew(&ours());
    assert!(differing(&agreement).is_empty());
}
