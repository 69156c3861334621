//! Laws over random grants, and bytes that must never bring the parser down.

use proptest::prelude::*;
use tributary::domain::grant::{
    Contents, Jws, Presentation, SignedGrant, StatusList, json::Json, jwk::Jwk, verify,
};
use tributary::domain::item::ItemSet;

use super::round_trip::{issuer, request};
use super::support::*;

fn subset(name: &'static str) -> impl Strategy<Value = Vec<String>> {
    let mut items = own_items(name);
    items.truncate(30);
    prop::sample::subsequence(items, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No item outside a disclosure is given, at either end.
    #[test]
    fn what_is_given_is_what_was_disclosed(
        education in subset("education"), lending in subset("lending"), shown in 1usize..4,
    ) {
        let mut world = World::new();
        world.list(&[0; 16_384], NOW);
        let folder = tempfile::tempdir().unwrap();
        let issuer = issuer(&world, folder.path());
        let wanted = vec![("education", education.clone()), ("lending", lending.clone())];
        let issued = issuer.issue(&request(&world, wanted), world.now).unwrap();
        // The consumer shows the gateway one agency, the other, or both.
        let parts: Vec<&str> = issued.presentation.split('~').collect();
        let mut kept = vec![parts[0], parts[1]];
        kept.extend((0..2).filter(|at| shown & (1 << at) != 0).map(|at| parts[2 + at]));
        let presented = format!("{}~", kept.join("~"));

        let verified = verify(presented.as_bytes(), &world.at_gateway()).unwrap();
        for (at, (name, items)) in
            [("education", education), ("lending", lending)].into_iter().enumerate()
        {
            let expected =
                if shown & (1 << at) != 0 { item_set(&items) } else { ItemSet::EMPTY };
            prop_assert_eq!(verified.items(&agency(name)), expected);
            let forwarded = verified.for_agency(&agency(name));
            prop_assert_eq!(forwarded.is_some(), !expected.is_empty());
            if let Some(forwarded) = forwarded {
                world.agency = agency(name);
                let again = verify(&forwarded, &world.at_agency()).unwrap();
                let all = again.agencies().fold(ItemSet::EMPTY, |all, (_, some)| all.or(some));
                prop_assert_eq!(all, expected);
            }
        }
    }
}

/// One good grant, both ways, for the laws below.
struct Good {
    attempt: Attempt,
    gateway: Vec<u8>,
    agency: Vec<u8>,
}

thread_local! {
    static GOOD: Good = {
        let attempt = Attempt::new();
        let (gateway, agency) = attempt.texts();
        Good { attempt, gateway: gateway.into_bytes(), agency: agency.into_bytes() }
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Every byte of a grant counts: none can be changed, dropped or added.
    #[test]
    fn a_mutated_grant_is_refused(at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3) {
        GOOD.with(|good| {
            for (bytes, context) in [
                (&good.gateway, good.attempt.world.at_gateway()),
                (&good.agency, good.attempt.world.at_agency()),
            ] {
                let mut mutated = bytes.clone();
                match how {
                    0 => mutated[at.index(bytes.len())] = byte,
                    1 => { mutated.remove(at.index(bytes.len())); }
                    _ => mutated.insert(at.index(bytes.len() + 1), byte),
                }
                if mutated != *bytes {
                    assert!(verify(&mutated, &context).is_err());
                }
            }
        });
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        harmless(&bytes);
    }

    #[test]
    fn arbitrary_tokens_do_no_harm(text in "[A-Za-z0-9_.~-]{0,400}") {
        harmless(text.as_bytes());
    }

    #[test]
    fn arbitrary_json_does_no_harm(text in r#"[\[\]{}":,0-9a-e\\. -]{0,200}"#) {
        harmless(text.as_bytes());
        let encoded = tributary::domain::grant::base64::encode(text.as_bytes());
        harmless(format!("{encoded}.{encoded}.{encoded}~{encoded}~").as_bytes());
    }
}

fn harmless(bytes: &[u8]) {
    let _ = Json::parse(bytes);
    let _ = Jwk::parse(bytes);
    if let Ok(presentation) = Presentation::parse(bytes) {
        let _ = Contents::read(&presentation);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Jws::parse(text);
        let _ = tributary::domain::grant::Disclosure::parse(text);
    }
    GOOD.with(|good| {
        let world = &good.attempt.world;
        assert!(SignedGrant::check(bytes, &world.pins).is_err());
        assert!(StatusList::verify(bytes, STATUS_URI, &world.pins, world.now).is_err());
    });
}
