//! A federation in miniature, and an issuer that can be made to sign anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use tributary::domain::catalogue::{AgencyId, Catalogue, Source};
use tributary::domain::grant::jwk::PublicKey;
use tributary::domain::grant::subject::{SUITE, associated_data, pad};
use tributary::domain::grant::{
    Algorithm, Context, Frequency, GrantCache, GrantError, IssuerPin, IssuerPins, KeyId,
    LegalBasis, OpeningKeys, Per, PresentationDigest, Presented, Purpose, PurposeCode,
    PurposeTable, Receiver, StatusList, StatusLists, base64, digest, verify,
};
use tributary::domain::item::ItemSet;
use tributary::domain::peer::{PeerId, SpiffeId};
use tributary::domain::sensitive::Sensitive;
use tributary::issuer::{SealingKeyPair, SigningKey, seal};

pub const NOW: i64 = 1_790_000_000;
pub const ISSUER: &str = "spiffe://consent.city.example/issuer/consent";
pub const GATEWAY: &str = "spiffe://gateway.city.example/gateway/main";
pub const CONSUMER: &str = "spiffe://scoring.city.example/consumer/scoring";
pub const OTHER_CONSUMER: &str = "spiffe://scoring.city.example/consumer/other";
pub const STATUS_URI: &str = "https://consent.city.example/status/1";
/// Nobody's number: the region 990000 does not exist.
pub const SUBJECT: &str = "990000199001010017";
/// In the clear in no grant.
pub const JTI: &str = "AAAAAAAAAAAAAAAAAAAAAA";

pub static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/city/catalogue");
    let files = ["education.toml", "lending.toml", "traffic.toml", "reserved.toml"]
        .map(|name| (name, std::fs::read_to_string(folder.join(name)).unwrap()));
    let sources: Vec<Source<'_>> = files.iter().map(|(name, text)| Source { name, text }).collect();
    Catalogue::parse(&sources).unwrap()
});

pub fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

pub fn kid(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

pub fn agency(name: &str) -> AgencyId {
    AgencyId::new(name).unwrap()
}

pub fn spiffe(id: &str) -> SpiffeId {
    id.parse().unwrap()
}

pub fn peer(id: &str) -> PeerId {
    PeerId::from_verified_certificate(spiffe(id))
}

/// Items that one agency alone owns, in order of number.
pub fn own_items(name: &str) -> Vec<String> {
    let owner = agency(name);
    CATALOGUE
        .items()
        .iter()
        .filter(|item| item.owners == [owner.clone()])
        .map(|item| item.id.to_string())
        .collect()
}

pub fn item_set(ids: &[String]) -> ItemSet {
    ids.iter().map(|id| CATALOGUE.find(id).unwrap().number).collect()
}

/// Both ends' knowledge, and the issuer's keys.
pub struct World {
    pub pins: IssuerPins,
    pub pin: IssuerPin,
    pub purposes: PurposeTable,
    pub statuses: StatusLists,
    pub now: OffsetDateTime,
    pub gateway: PeerId,
    pub consumer: PeerId,
    pub agency: AgencyId,
    pub ed25519: SigningKey,
    pub p256: SigningKey,
    pub status_key: SigningKey,
    pub sealing: BTreeMap<String, SealingKeyPair>,
}

impl World {
    pub fn new() -> Self {
        let ed25519 = SigningKey::generate(Algorithm::EdDsa, kid("ed")).unwrap();
        let p256 = SigningKey::generate(Algorithm::Es256, kid("es")).unwrap();
        let status_key = SigningKey::generate(Algorithm::EdDsa, kid("status")).unwrap();
        let keys = |keys: &[&SigningKey]| {
            keys.iter().map(|key| (key.kid().clone(), key.verifying_key().unwrap())).collect()
        };
        let code = |code| PurposeCode::new(code).unwrap();
        let pin = IssuerPin {
            keys: keys(&[&ed25519, &p256]),
            status_keys: keys(&[&status_key]),
            status_uris: [STATUS_URI.into()].into(),
            legal_bases: [LegalBasis::Consent, LegalBasis::WrittenConsent].into(),
            purposes: [code("credit_assessment"), code("not_in_table")].into(),
            agencies: ["education", "lending", "traffic"].map(agency).into(),
            consumers: [CONSUMER, OTHER_CONSUMER].map(spiffe).into(),
        };
        let mut items: Vec<String> = own_items("education");
        items.pop();
        items.extend(own_items("lending"));
        let purpose = Purpose {
            max_lifetime: Duration::days(90),
            max_frequency: Frequency { count: 10, per: Per::Day },
            items: item_set(&items),
        };
        let purposes =
            [(code("credit_assessment"), purpose.clone()), (code("not_pinned"), purpose)];
        let sealing = ["education", "lending", "traffic", "tax"]
            .map(|name| (name.to_owned(), SealingKeyPair::generate(kid("seal-1")).unwrap()));
        let mut world = Self {
            pins: IssuerPins::default(),
            pin,
            purposes: purposes.into_iter().collect(),
            statuses: StatusLists::default(),
            now: at(NOW),
            gateway: peer(GATEWAY),
            consumer: peer(CONSUMER),
            agency: agency("education"),
            ed25519,
            p256,
            status_key,
            sealing: sealing.into(),
        };
        world.repin();
        world.list(&[0; 32], NOW - 5);
        world
    }

    /// Makes `pin` the one in force.
    pub fn repin(&mut self) {
        self.pins = IssuerPins::default();
        self.pins.pin(spiffe(ISSUER), self.pin.clone()).unwrap();
    }

    /// Publishes a status list of one bit an entry.
    pub fn list(&mut self, entries: &[u8], issued_at: i64) {
        let token = self.status_key.sign_jws("statuslist+jwt", &list_claims(entries, issued_at));
        let list = StatusList::verify(
            token.unwrap().as_bytes(),
            STATUS_URI,
            &self.pins,
            at(issued_at.max(NOW)),
        );
        self.statuses.accept(list.unwrap()).unwrap();
    }

    pub fn at_gateway(&self) -> Context<'_> {
        self.context(Receiver::Gateway {
            audience: self.gateway.spiffe(),
            consumer: &self.consumer,
        })
    }

    pub fn at_agency(&self) -> Context<'_> {
        self.context(Receiver::Agency {
            agency: &self.agency,
            gateway: &self.gateway,
            consumer: self.consumer.spiffe(),
        })
    }

    fn context<'a>(&'a self, receiver: Receiver<'a>) -> Context<'a> {
        Context {
            receiver,
            now: self.now.into(),
            pins: &self.pins,
            purposes: &self.purposes,
            catalogue: &CATALOGUE,
            statuses: &self.statuses,
        }
    }

    pub fn opening_keys(&self, agency: &str) -> OpeningKeys {
        let pair = &self.sealing[agency];
        let mut keys = OpeningKeys::default();
        assert!(keys.add(pair.kid.clone(), &pair.secret));
        keys
    }

    /// A subject sealed to an agency, for the grant with this number.
    pub fn sealed(&self, agency_name: &str, jti: &str) -> Value {
        let pair = &self.sealing[agency_name];
        let aad = associated_data(&spiffe(ISSUER), jti, &agency(agency_name), &pair.kid);
        let sealed = seal(&pair.kid, &pair.public, &pad(SUBJECT).unwrap(), &aad).unwrap();
        json!({
            "suite": SUITE, "kid": sealed.kid.as_str(),
            "enc": base64::encode(&sealed.enc), "ct": base64::encode(&sealed.ct),
        })
    }
}

pub fn list_claims(entries: &[u8], issued_at: i64) -> Value {
    let deflated = miniz_oxide::deflate::compress_to_vec_zlib(entries, 9);
    json!({
        "sub": STATUS_URI, "iat": issued_at,
        "status_list": {"bits": 1, "lst": base64::encode(&deflated)},
    })
}

/// What signs an attempt.
pub enum Signer {
    Ed25519,
    P256,
    /// A key that nobody pinned.
    Stranger,
    /// HMAC with the pinned public key as its secret.
    HmacWithPublicKey,
    /// These bytes.
    Bytes(Vec<u8>),
}

pub type Edit<T> = Option<Box<dyn Fn(T) -> T>>;

/// A grant on its way to be signed, in any state of disrepair.
pub struct Attempt {
    pub world: World,
    pub header: Value,
    pub claims: Value,
    pub gateway: Value,
    pub agencies: Vec<(String, Value)>,
    pub signer: Signer,
    pub edit_header: Edit<String>,
    pub edit_payload: Edit<String>,
    pub edit_disclosure: Edit<String>,
    pub edit_digests: Edit<Vec<Value>>,
    pub keep_claims: bool,
    /// Changes `[jwt, disclosure, …]` after signing.
    pub edit_parts: Edit<Vec<String>>,
    pub edit_text: Edit<String>,
}

impl Attempt {
    /// A grant that both ends accept.
    pub fn new() -> Self {
        let world = World::new();
        let proof = world.ed25519.verifying_key().unwrap();
        let claims = json!({
            "iss": ISSUER, "aud": GATEWAY, "iat": NOW, "nbf": NOW, "exp": NOW + 86_400,
            "jti": JTI, "client_id": CONSUMER,
            "cnf": {"jwk": PublicKey::Verifying(proof).to_json(None)},
            "purpose": {"code": "credit_assessment", "text": "A loan asked for on 3 May"},
            "legal_basis": {"kind": "consent", "ref": "form 7, version 3"},
            "mode": "VIEW", "data_life": 0, "frequency": {"count": 3, "per": "day"},
            "status": {"status_list": {"idx": 7, "uri": STATUS_URI}},
            "_sd_alg": "sha-256",
        });
        let agencies = ["education", "lending"].map(|name| {
            let value = json!({
                "agency": name, "items": own_items(name)[..3],
                "range": {"from": "2020-01-01", "to": "2026-12-31"},
                "subject": world.sealed(name, JTI),
            });
            (name.to_owned(), value)
        });
        Self {
            header: json!({"alg": "EdDSA", "kid": "ed", "typ": "tributary-grant+sd-jwt"}),
            claims,
            gateway: json!({"subject_tag": base64::encode(&[7; 32])}),
            agencies: agencies.into(),
            signer: Signer::Ed25519,
            edit_header: None,
            edit_payload: None,
            edit_disclosure: None,
            edit_digests: None,
            keep_claims: false,
            edit_parts: None,
            edit_text: None,
            world,
        }
    }

    /// What the gateway and the agency are given.
    pub fn texts(&self) -> (String, String) {
        let encode = |text: String| base64::encode(text.as_bytes());
        let salt = |at: usize| base64::encode(&[at as u8; 16]);
        let mut disclosures = vec![encode(json!([salt(0), "_gateway", self.gateway]).to_string())];
        for (at, (name, value)) in self.agencies.iter().enumerate() {
            let text = json!([salt(at + 1), name, value]).to_string();
            disclosures.push(encode(edit(&self.edit_disclosure, text)));
        }
        let mut digests: Vec<Value> =
            disclosures.iter().map(|text| base64::encode(&digest(text)).into()).collect();
        while digests.len() < 16 {
            digests.push(base64::encode(&digest(&format!("decoy {}", digests.len()))).into());
        }
        let mut claims = self.claims.clone();
        if !self.keep_claims {
            claims["_sd"] = edit(&self.edit_digests, digests).into();
        }
        let header = encode(edit(&self.edit_header, self.header.to_string()));
        let payload = encode(edit(&self.edit_payload, claims.to_string()));
        let signed = format!("{header}.{payload}");
        let jwt = format!("{signed}.{}", base64::encode(&self.sign(signed.as_bytes())));
        let build = |some: Vec<String>| {
            let mut parts = vec![jwt.clone()];
            parts.extend(some);
            let parts = edit(&self.edit_parts, parts);
            edit(&self.edit_text, format!("{}~", parts.join("~")))
        };
        let own = disclosures.get(1).cloned();
        (build(disclosures), build(own.into_iter().collect()))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::Ed25519 => self.world.ed25519.sign(message).unwrap(),
            Signer::P256 => self.world.p256.sign(message).unwrap(),
            Signer::Stranger => {
                let stranger = SigningKey::generate(Algorithm::EdDsa, kid("ed")).unwrap();
                stranger.sign(message).unwrap()
            }
            Signer::HmacWithPublicKey => {
                let public = self.world.ed25519.verifying_key().unwrap();
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public.bytes());
                aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
            }
            Signer::Bytes(bytes) => bytes.clone(),
        }
    }

    /// The word with which the gateway and the agency answer; `OK` if they accept.
    pub fn reasons(&self) -> (&'static str, &'static str) {
        let (gateway, agency) = self.texts();
        let word = |text: &str, context: &Context<'_>| {
            let told = |result: Result<_, GrantError>| {
                result.map_or_else(|error| error.reason().as_str(), |_| "OK")
            };
            let fresh = told(verify(text.as_bytes(), context));
            // Through a cache it is the same, and only what was accepted has a name.
            let cache = GrantCache::new(64);
            assert_eq!(told(cache.verify(text.as_bytes(), context)), fresh);
            let digest = Presented::Digest(PresentationDigest::of(text.as_bytes()));
            let named = told(cache.verify(digest, context));
            assert_eq!(named, if fresh == "OK" { "OK" } else { "GRANT_UNKNOWN" });
            fresh
        };
        (word(&gateway, &self.world.at_gateway()), word(&agency, &self.world.at_agency()))
    }
}

fn edit<T>(edit: &Edit<T>, value: T) -> T {
    match edit {
        Some(edit) => edit(value),
        None => value,
    }
}

pub fn subject() -> Sensitive<String> {
    Sensitive::new(SUBJECT.to_owned())
}
