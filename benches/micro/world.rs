//! What a gateway holds a grant against, and a grant over every item of the city's
//! catalogue from every agency that holds it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use time::OffsetDateTime;
use tributary::config::catalogue;
use tributary::config::policy::{read_texts, read_vocabulary, sources};
use tributary::domain::catalogue::Catalogue;
use tributary::domain::grant::jwk::PublicKey;
use tributary::domain::grant::subject::SUITE;
use tributary::domain::grant::{
    Context, Frequency, IssuerPin, IssuerPins, LegalBasis, Per, Purpose, PurposeCode, PurposeTable,
    Receiver, StatusList, StatusLists, TYPE, base64, digest, status_list,
};
use tributary::domain::peer::{PeerId, SpiffeId};
use tributary::domain::policy::engine::Engine;
use tributary::issuer::SigningKey;

const NOW: i64 = 1_790_000_000;
const ISSUER: &str = "spiffe://consent.city.example/issuer/consent-service";
const GATEWAY: &str = "spiffe://gateway.city.example/gateway/main";
const CONSUMER: &str = "spiffe://scoring.city.example/consumer/scoring-service";
const STATUS_URI: &str = "https://consent.city.example/status/1";
const PURPOSE: &str = "credit_profile";

/// Everything but the grant.
pub struct World {
    pub catalogue: Arc<Catalogue>,
    pub pins: IssuerPins,
    purposes: PurposeTable,
    statuses: StatusLists,
    gateway: PeerId,
    consumer: PeerId,
}

impl World {
    pub fn context(&self) -> Context<'_> {
        Context {
            receiver: Receiver::Gateway {
                audience: self.gateway.spiffe(),
                consumer: &self.consumer,
            },
            now: moment(NOW).into(),
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

/// A world that pins this key.
pub fn world(catalogue: Arc<Catalogue>, key: &SigningKey) -> World {
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
pub fn grant(catalogue: &Catalogue, key: &SigningKey) -> String {
    let encode = |value: Value| base64::encode(value.to_string().as_bytes());
    let salt = |number: usize| base64::encode(&[number as u8; 16]);
    let tag = json!({"subject_tag": base64::encode(&[7; 32])});
    let mut disclosures = vec![encode(json!([salt(0), "_gateway", tag]))];
    for (number, agency) in catalogue.agencies().into_iter().enumerate() {
        let owned = catalogue.owned_by(agency);
        let owned = catalogue.items().iter().filter(|item| owned.contains(item.number));
        let items: Vec<String> = owned.map(|item| item.id.to_string()).collect();
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

/// The city's catalogue.
pub fn catalogue() -> Arc<Catalogue> {
    Arc::new(catalogue::load(&city().join("catalogue")).unwrap())
}

/// The gateway's policy.
pub fn engine(catalogue: &Arc<Catalogue>) -> Engine {
    let policies = city().join("policies");
    let vocabulary = read_vocabulary(&policies.join("vocabulary.toml"), catalogue).unwrap();
    let rules = read_texts(&policies.join("gateway.cedar"), "cedar").unwrap();
    Engine::load(catalogue.clone(), &sources(&rules), &vocabulary).unwrap()
}

fn city() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/city")
}
