//! Verifying a grant, and policy and plan.

use std::sync::Arc;

use divan::Bencher;
use tributary::domain::catalogue::{AgencyId, Catalogue};
use tributary::domain::grant::{
    Algorithm, GrantCache, KeyId, MAX_BYTES, SignedGrant, VerifiedGrant, base64,
};
use tributary::domain::item::ItemSet;
use tributary::domain::plan::{Offer, plan};
use tributary::domain::policy::answer::Question;
use tributary::domain::policy::decide;
use tributary::domain::policy::engine::Engine;
use tributary::issuer::SigningKey;

use crate::world::{self, World};

const ALGORITHMS: [&str; 2] = ["EdDSA", "ES256"];

fn granted(algorithm: &str) -> (World, String) {
    let algorithm = match algorithm {
        "EdDSA" => Algorithm::EdDsa,
        _ => Algorithm::Es256,
    };
    let key = SigningKey::generate(algorithm, KeyId::new("bench").unwrap()).unwrap();
    let catalogue = world::catalogue();
    let text = world::grant(&catalogue, &key);
    (world::world(catalogue, &key), text)
}

#[divan::bench(args = ALGORITHMS)]
fn grant_verified_fresh(bencher: Bencher<'_, '_>, algorithm: &str) {
    let (world, text) = granted(algorithm);
    bencher.bench(|| {
        let signed = Arc::new(SignedGrant::check(text.as_bytes(), &world.pins).unwrap());
        signed.authorise(&world.context()).unwrap()
    });
}

#[divan::bench]
fn grant_verified_from_the_cache(bencher: Bencher<'_, '_>) {
    let (world, text) = granted("EdDSA");
    let cache = GrantCache::new(4096);
    bencher.bench(|| cache.verify(text.as_bytes(), &world.context()).unwrap());
}

#[divan::bench]
fn grant_confirmed_before_release(bencher: Bencher<'_, '_>) {
    let (world, text) = granted("EdDSA");
    let verified = GrantCache::new(4096).verify(text.as_bytes(), &world.context()).unwrap();
    bencher.bench(|| verified.still_holds(&world.context()).unwrap());
}

/// As much JSON as fits into a grant, of the kind that takes most to read, from
/// somebody whose key is pinned nowhere.
#[divan::bench]
fn grant_as_large_as_may_be_refused(bencher: Bencher<'_, '_>) {
    let (world, _) = granted("EdDSA");
    let header = base64::encode(br#"{"alg":"EdDSA","typ":"tributary-grant+sd-jwt","kid":"no"}"#);
    let list = format!("[{}0]", "0,".repeat(511));
    let room = (MAX_BYTES - header.len() - 100) / 4 * 3;
    let lists = vec![list.as_str(); room / (list.len() + 1)];
    let payload = base64::encode(format!("[{}]", lists.join(",")).as_bytes());
    let text = format!("{header}.{payload}.AAAA~");
    assert!((MAX_BYTES * 9 / 10..=MAX_BYTES).contains(&text.len()), "{}", text.len());
    bencher.bench(|| SignedGrant::check(text.as_bytes(), &world.pins).unwrap_err());
}

#[divan::bench]
fn policy_and_plan(bencher: Bencher<'_, '_>) {
    let (world, text) = granted("EdDSA");
    let engine = world::engine(&world.catalogue);
    let grant = GrantCache::new(4096).verify(text.as_bytes(), &world.context()).unwrap();
    let asked: ItemSet = world.catalogue.items().iter().map(|item| item.number).collect();
    let offers: Vec<Offer> = world
        .catalogue
        .agencies()
        .into_iter()
        .map(|agency| {
            let owned = world.catalogue.owned_by(agency);
            let (described, differing) = (Some(owned), ItemSet::EMPTY);
            Offer { agency: agency.clone(), owned, described, differing }
        })
        .collect();
    assert!(fetches(&engine, &grant, &asked, &world.catalogue, &offers) > 0);
    bencher.bench(|| fetches(&engine, &grant, &asked, &world.catalogue, &offers));
}

fn fetches(
    engine: &Engine,
    grant: &VerifiedGrant,
    asked: &ItemSet,
    catalogue: &Catalogue,
    offers: &[Offer],
) -> usize {
    let permitted = |agency: &AgencyId| {
        let consumer = grant.client();
        let purpose = grant.purpose().as_str();
        let basis = grant.legal_basis();
        engine.decide(&Question { consumer, purpose, basis, agency }).items
    };
    let permit = decide(grant, asked, permitted).unwrap();
    plan(&permit, catalogue, offers).fetches.len()
}
