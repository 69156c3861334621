//! The proof of request: what is made holds, and whatever is changed in it is refused.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use time::OffsetDateTime;
use tributary::domain::audit::Hash;
use tributary::domain::catalogue::AgencyId;
use tributary::domain::grant::{Algorithm, JwsKey, KeyId};
use tributary::domain::names::RequestId;
use tributary::domain::now::Now;
use tributary::domain::peer::SpiffeId;
use tributary::domain::reason::Reason;
use tributary::domain::request_proof::{
    AgencyEntries, AgencyProof, ConsumerProof, ProofFault, ProofHead, Proven, RequestLeaf,
    SignedLeaf, SmallTree, TOKEN_TYPE, VerifiedHeads, Wanted,
};
use tributary::issuer::SigningKey;

const NOW: i64 = 1_800_000_000;

struct Made {
    request_id: RequestId,
    key: JwsKey,
    grant: [u8; 32],
    gateway: SpiffeId,
    wanted: Vec<Wanted>,
    proof: ConsumerProof,
    heads: VerifiedHeads,
}

fn wanted(agency: &str, items: &[&str]) -> Wanted {
    let items = items.iter().map(|item| (*item).into()).collect();
    Wanted { agency: AgencyId::new(agency).unwrap(), items }
}

/// A request at this place of a signed tree of `size`.
fn made(algorithm: Algorithm, number: u8, (index, size): (u64, u64)) -> Made {
    let key = SigningKey::generate(algorithm, KeyId::new("2026-1").unwrap()).unwrap();
    let gateway: SpiffeId = "spiffe://gateway.city.example/gateway/city".parse().unwrap();
    let request_id = RequestId::new(&format!("request-{number}")).unwrap();
    let wanted = vec![
        wanted("education", &["education.degree", "education.year"]),
        wanted("traffic", &["traffic.licence.status"]),
    ];
    let (seed, nonce, grant) = ([number; 32], [number; 16], [number ^ 0xff; 32]);
    let entries = AgencyEntries::of(&seed, &wanted).unwrap();
    let leaf = RequestLeaf { request_id: &request_id, grant, nonce, entries: entries.stated() };
    let leaves: Vec<Hash> = (0..size)
        .map(|at| if at == index { leaf.hash() } else { Hash([at.to_le_bytes()[0]; 32]) })
        .collect();
    let tree = SmallTree::of(&leaves).unwrap();
    let (issued_at, expires_at) = (NOW, NOW + 60);
    let (audience, root) = (gateway.clone(), tree.root().unwrap());
    let head = ProofHead { audience, issued_at, expires_at, root, size };
    let token = key.sign_jws(TOKEN_TYPE, &head.payload()).unwrap().into();
    let leaf = SignedLeaf { token, index, path: tree.path(index).unwrap(), nonce };
    let proof = ConsumerProof { leaf, seed };
    let (key, heads) = (key.verifying_key().unwrap(), VerifiedHeads::default());
    Made { request_id, key, grant, gateway, wanted, proof, heads }
}

impl Made {
    fn at(&self, seconds: i64) -> Proven<'_> {
        let now = OffsetDateTime::from_unix_timestamp(NOW + seconds).unwrap();
        Proven {
            request_id: &self.request_id,
            key: &self.key,
            grant: self.grant,
            gateway: &self.gateway,
            now: Now { earliest: now, latest: now },
            heads: &self.heads,
        }
    }

    fn share(&self, at: usize) -> AgencyProof {
        let opened = self.proof.clone().open(&self.at(0), &self.wanted).unwrap();
        opened.for_agency(&self.wanted[at].agency).unwrap()
    }
}

#[test]
fn what_is_made_holds_at_gateway_and_agencies_and_has_its_time() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        for (index, size) in [(0, 1), (0, 2), (2, 3), (127, 128), (4000, 4096)] {
            let made = made(algorithm, 7, (index, size));
            for at in 0..2 {
                let share = made.share(at);
                assert!(share.check(&made.at(0), &made.wanted[at]).is_ok());
                assert!(share.check(&made.at(59), &made.wanted[at]).is_ok());
                let late = share.check(&made.at(60), &made.wanted[at]).unwrap_err();
                assert_eq!((late.reason(), late), (Reason::ProofExpired, ProofFault::Expired));
                let early = share.check(&made.at(-6), &made.wanted[at]);
                assert_eq!(early, Err(ProofFault::NotYetValid));
            }
        }
    }
}

#[test]
fn an_agency_sees_neither_more_nor_less_than_was_signed_for_it() {
    let made = made(Algorithm::EdDsa, 1, (1, 3));
    let share = made.share(0);
    for (agency, items) in [
        ("education", &["education.degree"][..]),
        ("education", &["education.degree", "education.school", "education.year"]),
        ("education", &[]),
        ("traffic", &["education.degree", "education.year"]),
        ("traffic", &["traffic.licence.status"]),
    ] {
        let refused = share.check(&made.at(0), &wanted(agency, items));
        assert_eq!(refused, Err(ProofFault::Entry), "{agency} {items:?}");
    }
    let narrowed = [made.wanted[0].clone()];
    assert_eq!(made.proof.clone().open(&made.at(0), &narrowed).err(), Some(ProofFault::Leaf));
}

#[test]
fn how_many_agencies_are_asked_shows_only_within_a_step() {
    for (count, size) in [(1, 16), (16, 16), (17, 32), (33, 64), (64, 64)] {
        let wanted: Vec<Wanted> =
            (0..count).map(|at| wanted(&format!("agency_{at}"), &["a.b"])).collect();
        let entries = AgencyEntries::of(&[3; 32], &wanted).unwrap();
        assert_eq!(entries.stated().0, size);
        let mut places: Vec<u64> =
            wanted.iter().map(|w| entries.proof_for(&w.agency).unwrap().index).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), count);
    }
    let many: Vec<Wanted> = (0..65).map(|at| wanted(&format!("agency_{at}"), &["a.b"])).collect();
    for wanted in [&[][..], &many] {
        assert!(AgencyEntries::of(&[3; 32], wanted).is_err());
    }
}

/// A change of one field, by chance.
fn change(proof: &mut AgencyProof, field: usize, at: Index, by: u8) {
    let flip = |bytes: &mut [u8]| {
        let at = at.index(bytes.len());
        bytes[at] ^= by;
    };
    match field {
        0 => {
            let mut bytes = proof.leaf.token.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
                [usize::from(by) % 65];
            proof.leaf.token = String::from_utf8(bytes).unwrap().into();
        }
        1 => proof.leaf.index ^= u64::from(by),
        2 => match proof.leaf.path.len() {
            0 => proof.leaf.path.push(Hash([by; 32])),
            length => flip(&mut proof.leaf.path[at.index(length)].0),
        },
        3 => flip(&mut proof.leaf.nonce),
        4 => flip(&mut proof.entry.salt),
        5 => proof.entry.size ^= u64::from(by),
        6 => flip(&mut proof.entry.root.0),
        7 => proof.entry.index ^= u64::from(by),
        8 => {
            let at = at.index(proof.entry.path.len());
            flip(&mut proof.entry.path[at].0);
        }
        9 => drop(proof.leaf.path.pop()),
        10 => drop(proof.entry.path.pop()),
        _ => proof.entry.path.push(Hash([by; 32])),
    }
}

#[test]
fn ten_thousand_changes_by_chance_are_refused_and_named() {
    let made = made(Algorithm::EdDsa, 9, (5, 11));
    let share = made.share(0);
    let config = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    let changes = prop::collection::vec((0..12usize, any::<Index>(), 1..=255u8), 1..4);
    let outcome = TestRunner::new(config).run(&changes, |changes| {
        let mut other = share.clone();
        for (field, at, by) in changes {
            if other.entry.path.is_empty() {
                continue;
            }
            change(&mut other, field, at, by);
        }
        let checked = other.check(&made.at(0), &made.wanted[0]);
        if other == share {
            prop_assert!(checked.is_ok());
        } else {
            let reason = checked.err().map(|fault| fault.reason());
            prop_assert_eq!(reason, Some(Reason::ProofInvalid), "{:?}", other);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn each_field_of_another_valid_proof_is_refused() {
    let (ours, theirs) = (made(Algorithm::EdDsa, 1, (5, 11)), made(Algorithm::EdDsa, 2, (6, 11)));
    let (own, other) = (ours.share(0), theirs.share(0));
    assert!(other.check(&theirs.at(0), &theirs.wanted[0]).is_ok());
    let swaps: [fn(&mut AgencyProof, &AgencyProof); 9] = [
        |own, other| own.leaf.token = other.leaf.token.clone(),
        |own, other| own.leaf.index = other.leaf.index,
        |own, other| own.leaf.path = other.leaf.path.clone(),
        |own, other| own.leaf.nonce = other.leaf.nonce,
        |own, other| own.leaf = other.leaf.clone(),
        |own, other| own.entry.salt = other.entry.salt,
        |own, other| own.entry.root = other.entry.root,
        |own, other| own.entry.path = other.entry.path.clone(),
        |own, other| own.entry = other.entry.clone(),
    ];
    for (nth, swap) in swaps.iter().enumerate() {
        let mut mixed = own.clone();
        swap(&mut mixed, &other);
        let fault = mixed.check(&ours.at(0), &ours.wanted[0]).expect_err(&nth.to_string());
        assert_eq!(fault.reason(), Reason::ProofInvalid, "{nth}");
    }
    // Another request, key, grant or gateway around the same proof.
    let gateway: SpiffeId = "spiffe://gateway.else.example/gateway/else".parse().unwrap();
    let right = ours.at(0);
    for (wrong, fault) in [
        (Proven { request_id: &theirs.request_id, ..right }, ProofFault::Leaf),
        (Proven { grant: theirs.grant, ..right }, ProofFault::Leaf),
        (Proven { key: &theirs.key, ..right }, ProofFault::Signature),
        (Proven { gateway: &gateway, ..right }, ProofFault::Audience),
    ] {
        assert_eq!(own.check(&wrong, &ours.wanted[0]), Err(fault));
    }
}

#[test]
fn a_head_that_is_remembered_holds_for_its_key_gateway_and_time_alone() {
    let (made, other) = (made(Algorithm::EdDsa, 1, (5, 11)), made(Algorithm::EdDsa, 2, (5, 11)));
    let share = made.share(0);
    for _ in 0..3 {
        assert!(share.check(&made.at(0), &made.wanted[0]).is_ok());
    }
    assert_eq!(made.heads.len(), 1, "the gateway's check and the agency's are of one head");
    let right = made.at(0);
    for (wrong, fault) in [
        (Proven { key: &other.key, ..right }, ProofFault::Signature),
        (
            Proven { gateway: &"spiffe://a.example/gateway/b".parse().unwrap(), ..right },
            ProofFault::Audience,
        ),
        (made.at(60), ProofFault::Expired),
        (made.at(-6), ProofFault::NotYetValid),
    ] {
        assert_eq!(share.check(&wrong, &made.wanted[0]), Err(fault));
    }
    assert_eq!(made.heads.len(), 1, "what is refused takes no room");
}

#[test]
fn the_memory_of_heads_is_bounded() {
    let key = SigningKey::generate(Algorithm::EdDsa, KeyId::new("2026-1").unwrap()).unwrap();
    let audience: SpiffeId = "spiffe://gateway.city.example/gateway/city".parse().unwrap();
    let (heads, verifying) = (VerifiedHeads::default(), key.verifying_key().unwrap());
    for size in 1..=4096 {
        for expires_at in [NOW + 1, NOW + 2, NOW + 3] {
            let (audience, root) = (audience.clone(), Hash([7; 32]));
            let head = ProofHead { audience, issued_at: NOW, expires_at, root, size };
            let token = key.sign_jws(TOKEN_TYPE, &head.payload()).unwrap();
            assert_eq!(heads.verify(&token, &verifying), Ok(head));
        }
    }
    assert!((4096..=8192).contains(&heads.len()), "{}", heads.len());
}
