//! What is fuzzed: each function takes bytes as a stranger may send them to one
//! reader. It must not panic, not take more than it is given, and hold what the
//! assertions say. It gives whether the bytes were taken.
//!
//! `tests/rules/fuzz.rs` runs the seeds and their mutations with every test run.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a fuzz target fails by panicking"
)]

mod certificates;
mod edge;
mod evidence;
mod files;
mod proof;

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use prost::Message;
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use tributary::domain::audit::{Entry, SignedCheckpoint, Successor, TlogProof};
use tributary::domain::catalogue::{AgencyId, Catalogue, Source};
use tributary::domain::grant::{
    Algorithm, Contents, Disclosure, IssuerPin, IssuerPins, JwsKey, KeyId, LegalBasis,
    Presentation, Presented, PurposeCode, SignedGrant, StatusList, base64, status_list as list,
};
use tributary::domain::item::ItemSet;
use tributary::domain::peer::SpiffeId;
use tributary::domain::reason::Reason;
use tributary::link::certificate::Claim;
use tributary::wire::proto::pb;
use tributary::wire::section::{Question, RequestHash, believe};
use tributary::wire::{profile, refusal as refusals};

pub use self::certificates::{issuer, name_constraints, pem, revocation, sole_name};
pub use self::edge::{edge, hello};
pub use self::evidence::{ORIGIN, receipt, reconcile};
pub use self::files::{PERSON, catalogue, config, csv, day};
pub use self::proof::{
    GATEWAY as PROOF_GATEWAY, GRANT as PROVED_GRANT, REQUEST as PROVED_REQUEST, request_proof,
    wanted,
};

pub const NOW: i64 = 1_790_000_000;
pub const ISSUER: &str = "spiffe://consent.city.example/issuer/consent";
pub const STATUS_URI: &str = "https://consent.city.example/status/1";
pub const AGENCY: &str = "education";
const KEY: &str = "fuzz";

/// Signs whatever is to get past the check of signatures. A key of nobody's.
static SIGNER: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());

pub static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    let education = include_str!("../../examples/city/catalogue/education.toml");
    let reserved = include_str!("../../examples/city/catalogue/reserved.toml");
    let sources = [
        Source { name: "education.toml", text: education },
        Source { name: "reserved.toml", text: reserved },
    ];
    Arc::new(Catalogue::parse(&sources).unwrap())
});

static PINS: LazyLock<IssuerPins> = LazyLock::new(|| {
    let key = JwsKey::new(Algorithm::EdDsa, SIGNER.public_key().as_ref()).unwrap();
    let keys = [(KeyId::new(KEY).unwrap(), key)];
    let pin = IssuerPin {
        keys: keys.clone().into(),
        status_keys: keys.into(),
        status_uris: [STATUS_URI.into()].into(),
        legal_bases: [LegalBasis::Consent].into(),
        purposes: [PurposeCode::new("credit_assessment").unwrap()].into(),
        agencies: [AgencyId::new(AGENCY).unwrap()].into(),
        consumers: ["spiffe://scoring.city.example/consumer/scoring".parse().unwrap()].into(),
    };
    let mut pins = IssuerPins::default();
    pins.pin(ISSUER.parse().unwrap(), pin).unwrap();
    pins
});

/// A compact JWS of the pinned key over any payload.
pub fn signed(typ: &str, payload: &[u8]) -> String {
    let header = format!(r#"{{"alg":"EdDSA","kid":"{KEY}","typ":"{typ}"}}"#);
    let text = format!("{}.{}", base64::encode(header.as_bytes()), base64::encode(payload));
    let signature = SIGNER.sign(text.as_bytes());
    format!("{text}.{}", base64::encode(signature.as_ref()))
}

/// A whole presentation.
pub fn grant(data: &[u8]) -> bool {
    let read = Presentation::parse(data).and_then(|cut| Contents::read(&cut)).is_ok();
    let signed = SignedGrant::check(data, &PINS).is_ok();
    assert!(read || !signed, "a grant was believed that cannot be read");
    signed
}

/// The issuer's claims, signed, and disclosures after them, each after a NUL.
pub fn grant_json(data: &[u8]) -> bool {
    let mut parts = data.split(|byte| *byte == 0);
    let mut text = signed(tributary::domain::grant::TYPE, parts.next().unwrap_or_default()) + "~";
    for disclosure in parts.take(40) {
        let encoded = base64::encode(disclosure);
        let _ = Disclosure::parse(&encoded);
        text += &(encoded + "~");
    }
    grant(text.as_bytes())
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).unwrap()
}

/// A status list's whole token.
pub fn status_list(data: &[u8]) -> bool {
    let Ok(list) = StatusList::verify(data, STATUS_URI, &PINS, now()) else { return false };
    let entries = list.len();
    assert!(entries <= list::MAX_LIST_BYTES * 8);
    let entry = |index: usize| list.entry(u32::try_from(index).unwrap());
    assert!(entries == 0 || entry(0).is_some() && entry(entries - 1).is_some());
    assert!(entry(entries).is_none());
    true
}

/// A status list's claims, signed.
pub fn status_list_claims(data: &[u8]) -> bool {
    status_list(signed(list::TYPE, data).as_bytes())
}

/// What a status list's bits are inflated from.
pub fn status_list_zlib(data: &[u8]) -> bool {
    let claims = serde_json::json!({
        "sub": STATUS_URI, "iat": NOW, "status_list": {"bits": 1, "lst": base64::encode(data)},
    });
    status_list_claims(claims.to_string().as_bytes())
}

/// A consumer's request.
pub fn profile_request(data: &[u8]) -> bool {
    let Ok(request) = pb::GetProfileRequest::decode(data) else { return false };
    let Ok(request) = profile::decode_request(request, &CATALOGUE) else { return false };
    assert!(!request.items.is_empty());
    assert_ne!(request.grant.as_bytes(), Presented::Whole(b"".as_slice()));
    assert!(request.request_id.is_none_or(|id| profile::request_id(id.as_str()).is_some()));
    true
}

/// An agency's answer. What it must echo is put right first, so that the rest is
/// looked at.
pub fn section(data: &[u8]) -> bool {
    let Ok(mut answer) = pb::FetchSectionResponse::decode(data) else { return false };
    let request = RequestHash::of(b"fuzz");
    if let Some(section) = &mut answer.section
        && let Some(envelope) = &mut section.envelope
    {
        envelope.request_hash = request.to_bytes();
        envelope.agency = AGENCY.into();
        envelope.catalogue_digest = CATALOGUE.digest().0.to_vec().into();
        if let Some(pb::section::Body::Clear(body)) = &section.body {
            envelope.body_digest = digest(&SHA256, body).as_ref().to_vec().into();
        }
    }
    let agency = AgencyId::new(AGENCY).unwrap();
    let asked = CATALOGUE.owned_by(&agency);
    let question = Question { agency: &agency, asked: &asked, request, catalogue: &CATALOGUE };
    let Ok(section) = believe(answer, &question) else { return false };
    assert!(section.items.iter().all(|held| asked.contains(held.number)));
    assert!(section.missing.iter().all(|(item, _)| asked.contains(*item)));
    true
}

/// A frame of an Exchange stream, either way, and what it carries.
pub fn exchange(data: &[u8]) -> bool {
    use pb::exchange_request::Message as Asked;
    use pb::exchange_response::Message as Told;

    let told = pb::ExchangeResponse::decode(data).ok().and_then(|frame| frame.message);
    let answered = match &told {
        Some(Told::Answer(answer)) => section(&answer.response),
        _ => false,
    };
    let Ok(frame) = pb::ExchangeRequest::decode(data) else { return answered };
    let Some(Asked::Fetch(fetch)) = frame.message else { return answered };
    let Ok(request) = pb::FetchSectionRequest::decode(fetch.request) else { return answered };
    let consumer: Result<SpiffeId, _> = request.consumer.parse();
    if let Ok(consumer) = &consumer {
        assert_eq!(consumer.as_str(), request.consumer);
    }
    let items = ItemSet::from_bytes(&request.items);
    if let Some(items) = &items {
        assert_eq!(ItemSet::from_bytes(&items.to_bytes()).as_ref(), Some(items));
    }
    let granted = grant(&request.grant.unwrap_or_default().sd_jwt);
    answered || granted && consumer.is_ok() && items.is_some()
}

/// A refusal's details, as an agency's server may state them.
pub fn refusal(data: &[u8]) -> bool {
    let status =
        tonic::Status::with_details(tonic::Code::PermissionDenied, "no", data.to_vec().into());
    let reason = refusals::reason_of(&status);
    if let Some(known) = Reason::stated_by_agency(&reason) {
        assert_eq!(known.as_str(), reason);
    }
    !reason.is_empty()
}

/// An entry of an audit log: there is one form of each, and no other.
pub fn audit_entry(data: &[u8]) -> bool {
    let Ok(entry) = Entry::decode(data) else { return false };
    assert_eq!(entry.encode(), data, "another form of the same entry was taken");
    true
}

/// An inclusion proof, or a checkpoint by itself.
pub fn audit_proof(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let note = SignedCheckpoint::parse_unverified(text);
    if let Ok(note) = &note {
        assert_eq!(note.as_str(), text);
    }
    let Ok(proof) = TlogProof::parse(text) else { return note.is_ok() };
    assert_eq!(TlogProof::parse(&proof.to_text()).unwrap().to_text(), proof.to_text());
    if let Ok(checkpoint) = SignedCheckpoint::parse_unverified(&proof.checkpoint) {
        let _ = proof.leads_to(checkpoint.checkpoint());
        return true;
    }
    false
}

/// A note by which a log names its successor.
pub fn successor_note(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(named) = Successor::parse_unverified(text) else { return false };
    // It is read as it stands, whoever signed it, and verified by nobody who did not.
    assert!(text.starts_with(&format!(
        "tributary/log-successor/v1\nold {}\nnew {}\n\n",
        named.before, named.key
    )));
    assert!(Successor::verify(text, &named.key).is_err());
    true
}

/// A peer's certificate, before it is verified.
pub fn certificate(data: &[u8]) -> bool {
    Claim::read(&CertificateDer::from(data)).is_ok()
}
