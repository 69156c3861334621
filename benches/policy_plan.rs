//! Small, hot parts of one request, each alone on one thread: verifying a grant,
//! policy and plan for every item of the city's catalogue.
//!
//! `cargo bench --bench policy_plan`. The median of the rounds, and the spread.
//! A grant of 16 KiB at most cannot name all 493 items, so it names forty of each
//! agency; all are requested, permitted and planned for.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench stops at what it did not expect"
)]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use tributary::clock;
use tributary::config::catalogue;
use tributary::config::policy::{read_texts, read_vocabulary, sources};
use tributary::domain::catalogue::{AgencyId, Catalogue};
use tributary::domain::grant::jwk::PublicKey;
use tributary::domain::grant::subject::SUITE;
use tributary::domain::grant::{
    Algorithm, Context, Frequency, GrantCache, IssuerPin, IssuerPins, KeyId, LegalBasis, Per,
    Purpose, PurposeCode, PurposeTable, Receiver, SignedGrant, StatusList, StatusLists, TYPE,
    VerifiedGrant, base64, digest, status_list,
};
use tributary::domain::item::ItemSet;
use tributary::domain::peer::{PeerId, SpiffeId};
use tributary::domain::plan::{Offer, plan};
use tributary::domain::policy::answer::Question;
use tributary::domain::policy::decide;
use tributary::domain::policy::engine::Engine;
use tributary::issuer::SigningKey;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: i64 = 1_790_000_000;
const ISSUER: &str = "spiffe://consent.city.example/issuer/consent-service";
const GATEWAY: &str = "spiffe://gateway.city.example/gateway/main";
const CONSUMER: &str = "spiffe://scoring.city.example/consumer/scoring-service";
const STATUS_URI: &str = "https://consent.city.example/status/1";
const PURPOSE: &str = "credit_profile";

const ROUNDS: usize = 21;
const ROUND: Duration = Duration::from_millis(100);
const ITEMS_OF_EACH: usize = 30;

/// Runs `work` in rounds and prints its median time.
fn measure<T>(name: &str, mut work: impl FnMut() -> T) -> Duration {
    // So many calls take about a millisecond.
    let mut calls = 1_u32;
    loop {
        let start = clock::now();
        (0..calls).for_each(|_| drop(black_box(work())));
        if start.elapsed() >= Duration::from_millis(1) {
            break;
        }
        calls *= 2;
    }
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let (start, mut done) = (clock::now(), 0);
            while start.elapsed() < ROUND {
                (0..calls).for_each(|_| drop(black_box(work())));
                done += calls;
            }
            start.elapsed() / done
        })
        .collect();
    rounds.sort_unstable();
    let median = rounds[ROUNDS / 2];
    println!("{name:<44} {median:>10.2?}  ({:.2?} to {:.2?})", rounds[0], rounds[ROUNDS - 1]);
    median
}

struct World {
    catalogue: Arc<Catalogue>,
    pins: IssuerPins,
    purposes: PurposeTable,
    statuses: StatusLists,
    gateway: PeerId,
    consumer: PeerId,
}

impl World {
    fn context(&self) -> Context<'_> {
        Context {
            receiver: Receiver::Gateway {
                audience: self.gateway.spiffe(),
                consumer: &self.consumer,
            },
            now: moment(NOW),
            pins: &self.pins,
            purposes: &self.purposes,
            catalogue: &self.catalogue,
            statuses: &self.statuses,
        }
    }
}

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

fn peer(id: &str) -> PeerId {
    PeerId::from_verified_certificate(id.parse().unwrap())
}

fn world(catalogue: Arc<Catalogue>, key: &SigningKey) -> World {
    let keys = [(key.kid().clone(), key.verifying_key().unwrap())];
    let purpose = PurposeCode::new(PURPOSE).unwrap();
    let pin = IssuerPin {
        keys: keys.clone().into(),
        status_keys: keys.into(),
        status_uris: [STATUS_URI.into()].into(),
        legal_bases: [LegalBasis::WrittenConsent].into(),
        purposes: [purpose.clone()].into(),
        agencies: catalogue.agencies().into_iter().cloned().collect(),
        consumers: BTreeSet::from([CONSUMER.parse::<SpiffeId>().unwrap()]),
    };
    let mut pins = IssuerPins::default();
    pins.pin(ISSUER.parse().unwrap(), pin).unwrap();
    let ceiling = Purpose {
        max_lifetime: time::Duration::days(90),
        max_frequency: Frequency { count: 10, per: Per::Day },
        items: catalogue.items().iter().map(|item| item.number).collect(),
    };
    let deflated = miniz_oxide::deflate::compress_to_vec_zlib(&[0; 128 * 1024], 9);
    let list = json!({
        "sub": STATUS_URI, "iat": NOW,
        "status_list": {"bits": 1, "lst": base64::encode(&deflated)},
    });
    let token = key.sign_jws(status_list::TYPE, &list).unwrap();
    let list = StatusList::verify(token.as_bytes(), STATUS_URI, &pins, moment(NOW)).unwrap();
    let mut statuses = StatusLists::default();
    statuses.accept(list).unwrap();
    World {
        catalogue,
        pins,
        purposes: [(purpose, ceiling)].into_iter().collect(),
        statuses,
        gateway: peer(GATEWAY),
        consumer: peer(CONSUMER),
    }
}

/// A grant of every agency, as a gateway gets it.
fn grant(catalogue: &Catalogue, key: &SigningKey) -> String {
    let encode = |value: Value| base64::encode(value.to_string().as_bytes());
    let salt = |number: usize| base64::encode(&[number as u8; 16]);
    let tag = json!({"subject_tag": base64::encode(&[7; 32])});
    let mut disclosures = vec![encode(json!([salt(0), "_gateway", tag]))];
    for (number, agency) in catalogue.agencies().into_iter().enumerate() {
        let owned = catalogue.owned_by(agency);
        let owned = catalogue.items().iter().filter(|item| owned.contains(item.number));
        let items: Vec<String> =
            owned.take(ITEMS_OF_EACH).map(|item| item.id.to_string()).collect();
        let value = json!({
            "agency": agency.as_str(), "items": items,
            "range": {"from": "2020-01-01", "to": "2026-12-31"},
            "subject": {
                "suite": SUITE, "kid": "seal-1",
                "enc": base64::encode(&[1; 32]), "ct": base64::encode(&[2; 80]),
            },
        });
        disclosures.push(encode(json!([salt(number + 1), agency.as_str(), value])));
    }
    let mut digests: Vec<String> =
        disclosures.iter().map(|text| base64::encode(&digest(text))).collect();
    while digests.len() < 16 {
        digests.push(base64::encode(&digest(&format!("decoy {}", digests.len()))));
    }
    let proof = PublicKey::Verifying(key.verifying_key().unwrap()).to_json(None);
    let claims = json!({
        "iss": ISSUER, "aud": GATEWAY, "iat": NOW, "nbf": NOW, "exp": NOW + 86_400,
        "jti": "AAAAAAAAAAAAAAAAAAAAAA", "client_id": CONSUMER, "cnf": {"jwk": proof},
        "purpose": {"code": PURPOSE, "text": "A loan"},
        "legal_basis": {"kind": "written_consent", "ref": "form 7"},
        "mode": "VIEW", "data_life": 0, "frequency": {"count": 3, "per": "day"},
        "status": {"status_list": {"idx": 7, "uri": STATUS_URI}},
        "_sd_alg": "sha-256", "_sd": digests,
    });
    format!("{}~{}~", key.sign_jws(TYPE, &claims).unwrap(), disclosures.join("~"))
}

fn policy_and_plan(
    engine: &Engine,
    grant: &VerifiedGrant,
    asked: &ItemSet,
    offers: &[Offer],
) -> usize {
    let permitted = |agency: &AgencyId| {
        let consumer = grant.client();
        let purpose = grant.purpose().as_str();
        let basis = grant.legal_basis();
        engine.decide(&Question { consumer, purpose, basis, agency }).items
    };
    let permit = decide(grant, asked, permitted).unwrap();
    plan(&permit, offers).fetches.len()
}

fn main() {
    let city = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/city");
    let catalogue = Arc::new(catalogue::load(&city.join("catalogue")).unwrap());
    let vocabulary = read_vocabulary(&city.join("policies/vocabulary.toml"), &catalogue).unwrap();
    let rules = read_texts(&city.join("policies/gateway.cedar"), "cedar").unwrap();
    let engine = Engine::load(catalogue.clone(), &sources(&rules), &vocabulary).unwrap();

    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let key = SigningKey::generate(algorithm, KeyId::new("bench").unwrap()).unwrap();
        let world = world(catalogue.clone(), &key);
        let text = grant(&catalogue, &key);
        let name = algorithm.as_str();
        println!("a grant of {} bytes, {name}", text.len());
        measure("  verified fresh", || {
            let signed = Arc::new(SignedGrant::check(text.as_bytes(), &world.pins).unwrap());
            signed.authorise(&world.context()).unwrap()
        });
        let cache = GrantCache::new(4096);
        let verified = cache.verify(text.as_bytes(), &world.context()).unwrap();
        measure("  verified from the cache", || {
            cache.verify(text.as_bytes(), &world.context()).unwrap()
        });
        measure("  confirmed before release", || verified.still_holds(&world.context()).unwrap());
        if algorithm == Algorithm::Es256 {
            continue;
        }
        let asked: ItemSet = catalogue.items().iter().map(|item| item.number).collect();
        let offers: Vec<Offer> = catalogue
            .agencies()
            .into_iter()
            .map(|agency| {
                let owned = catalogue.owned_by(agency);
                Offer { agency: agency.clone(), owned, described: Some(owned) }
            })
            .collect();
        let fetches = policy_and_plan(&engine, &verified, &asked, &offers);
        println!(
            "{} items asked of {} agencies, {fetches} are to be asked",
            catalogue.items().len(),
            offers.len()
        );
        measure("  policy and plan", || policy_and_plan(&engine, &verified, &asked, &offers));
    }
}
