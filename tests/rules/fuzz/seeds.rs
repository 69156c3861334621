//! Seeds: small, synthetic, about nobody.

mod files;
mod proofs;

use prost::Message;
use serde_json::{Value, json};
use time::macros::date;
use tributary::domain::audit::disclosed;
use tributary::domain::audit::export::Line;
use tributary::domain::audit::{
    Blind, Checkpoint, CountRecord, Counted, Decision, Dictionary, Edge, GrantId, ReasonWord,
    Record, RefusalsRecord, RequestId, RuleId, RuleSet, SectionRecord, SigningKey, SubjectTag,
    Successor, Timestamp, TlogProof, leaf_hash,
};
use tributary::domain::catalogue::AgencyId;
use tributary::domain::grant::jwk::PublicKey;
use tributary::domain::grant::subject::SUITE;
use tributary::domain::grant::{Algorithm, JwsKey, TYPE, base64, digest};
use tributary::domain::item::ItemSet;
use tributary::domain::peer::{Role, SpiffeId};
use tributary::domain::purpose::{LegalBasis, PurposeCode};
use tributary::domain::reason::Reason;
use tributary::domain::section::{Absence, HeldItem, Section, SectionStatus};
use tributary::domain::value::{CodeIndex, Value as Held, ValueType};
use tributary::link::pki::{Authority, CertificateRequest, Validity};
use tributary::wire::proto::pb;
use tributary::wire::refusal::{FieldFault, Refusal};
use tributary::wire::section::{self, RequestHash};

use super::targets::{AGENCY, CATALOGUE, ISSUER, NOW, ORIGIN, STATUS_URI, signed};

const CONSUMER: &str = "spiffe://scoring.city.example/consumer/scoring";

/// Target, name, bytes.
pub type Seed = (&'static str, String, Vec<u8>);

fn seed(target: &'static str, name: &str, bytes: impl Into<Vec<u8>>) -> Seed {
    (target, name.to_owned(), bytes.into())
}

pub fn all() -> Vec<Seed> {
    let (grant, grant_json) = grants();
    let mut seeds = vec![
        seed("grant", "whole", grant.clone()),
        seed("grant_json", "whole", grant_json),
        seed("refusal", "bad_request", refusal()),
        seed("certificate", "leaf", certificate()),
    ];
    seeds.extend(status_lists());
    seeds.extend(wire(&grant));
    seeds.extend(audit());
    seeds.extend(files::all());
    seeds.extend(proofs::all());
    seeds
}

/// A whole presentation, and the same as claims and disclosures.
fn grants() -> (String, String) {
    let agency = json!({
        "agency": AGENCY, "items": items(2),
        "range": {"from": "2020-01-01", "to": "2026-12-31"},
        "subject": {
            "suite": SUITE, "kid": "seal-1",
            "enc": base64::encode(&[1; 32]), "ct": base64::encode(&[2; 80]),
        },
    });
    let salt = |number: u8| base64::encode(&[number; 16]);
    let disclosures = [
        json!([salt(0), "_gateway", {"subject_tag": base64::encode(&[7; 32])}]).to_string(),
        json!([salt(1), AGENCY, agency]).to_string(),
    ];
    let encoded = disclosures.clone().map(|text| base64::encode(text.as_bytes()));
    let mut digests: Vec<Value> =
        encoded.iter().map(|text| base64::encode(&digest(text)).into()).collect();
    for number in digests.len()..16 {
        digests.push(base64::encode(&digest(&format!("decoy {number}"))).into());
    }
    let proof = JwsKey::new(Algorithm::EdDsa, &[3; 32]).unwrap();
    let claims = json!({
        "iss": ISSUER, "aud": "spiffe://gateway.city.example/gateway/main",
        "iat": NOW, "nbf": NOW, "exp": NOW + 86_400,
        "jti": "AAAAAAAAAAAAAAAAAAAAAA", "client_id": CONSUMER,
        "cnf": {"jwk": PublicKey::Verifying(proof).to_json(None)},
        "purpose": {"code": "credit_assessment", "text": "A loan asked for on 3 May"},
        "legal_basis": {"kind": "consent", "ref": "form 7, version 3"},
        "mode": "VIEW", "data_life": 0, "frequency": {"count": 3, "per": "day"},
        "status": {"status_list": {"idx": 7, "uri": STATUS_URI}},
        "_sd_alg": "sha-256", "_sd": digests,
    })
    .to_string();
    let whole = format!("{}~{}~", signed(TYPE, claims.as_bytes()), encoded.join("~"));
    (whole, [claims, disclosures.join("\0")].join("\0"))
}

fn status_lists() -> Vec<Seed> {
    let zlib = |entries: &[u8]| miniz_oxide::deflate::compress_to_vec_zlib(entries, 9);
    let claims = |bits: u8| {
        let list = json!({"bits": bits, "lst": base64::encode(&zlib(&[0xb9, 0xa3]))});
        json!({"sub": STATUS_URI, "iat": NOW, "exp": NOW + 60, "ttl": 5, "status_list": list})
            .to_string()
    };
    let typ = tributary::domain::grant::status_list::TYPE;
    vec![
        seed("status_list", "one_bit", signed(typ, claims(1).as_bytes())),
        seed("status_list_claims", "two_bits", claims(2)),
        seed("status_list_zlib", "two_bytes", zlib(&[0xb9, 0xa3])),
        seed("status_list_zlib", "zeros", zlib(&[0; 100_000])),
    ]
}

fn items(count: usize) -> Vec<String> {
    CATALOGUE.items().iter().take(count).map(|item| item.id.to_string()).collect()
}

fn wire(grant: &str) -> Vec<Seed> {
    let presented = Some(pb::GrantPresentation {
        sd_jwt: grant.as_bytes().to_vec().into(),
        ..Default::default()
    });
    let profile = pb::GetProfileRequest {
        request_id: "r-1".into(),
        items: items(3),
        grant: presented.clone(),
        ..Default::default()
    };
    let digest = vec![7; 32].into();
    let digest = Some(pb::GrantPresentation { digest, ..Default::default() });
    let by_digest = pb::GetProfileRequest { grant: digest, ..profile.clone() };
    let agency = AgencyId::new(AGENCY).unwrap();
    let asked = CATALOGUE.owned_by(&agency);
    let request = RequestHash::of(b"fuzz");
    let refused = Section::without_values(
        agency.clone(),
        asked,
        SectionStatus::Denied,
        Some(Reason::GrantRevoked),
    );
    let bare = section::encode(&refused, &CATALOGUE, request, [0; 16]);
    let answered = section::encode(&answered(agency, asked), &CATALOGUE, request, [0; 16]);
    let question = pb::FetchSectionRequest {
        request_id: "r-1".into(),
        items: asked.to_bytes().into(),
        catalogue_digest: CATALOGUE.digest().0.to_vec().into(),
        consumer: CONSUMER.into(),
        grant: presented,
        ..Default::default()
    };
    let fetch = pb::exchange_request::Message::Fetch(pb::ExchangeFetch {
        exchange_id: 1,
        remaining_micros: 500_000,
        request: question.encode_to_vec().into(),
        ..Default::default()
    });
    let answer = pb::exchange_response::Message::Answer(pb::ExchangeAnswer {
        exchange_id: 1,
        request_hash: request.to_bytes(),
        response: answered.clone(),
    });
    let described = pb::DescribeResponse {
        agency: AGENCY.into(),
        catalogue_digest: CATALOGUE.digest().0.to_vec().into(),
        items: asked.iter().map(|item| u32::from(item.get())).collect(),
        counters_domain: vec![1; 16].into(),
        instance: vec![2; 16].into(),
        log_origin: ORIGIN.into(),
        ..Default::default()
    };
    let mut other = described.clone();
    other.catalogue_digest = vec![9; 32].into();
    other.features = vec![pb::ProtocolFeature::ItemDigests.into()];
    other.owned = asked.to_bytes().into();
    other.owned_digests = CATALOGUE.digests_of(&asked).into();
    let message = |flag: u8, bytes: &[u8]| {
        [&[flag][..], &u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
    };
    let one = [&b"\x12500m\n"[..], &message(0, &profile.encode_to_vec())].concat();
    let two = [&b"\x07\n"[..], &message(0, b"one"), &message(0, b""), &message(0, b"3")].concat();
    vec![
        seed("hello", "described", described.encode_to_vec()),
        seed("hello", "by_another_catalogue", other.encode_to_vec()),
        seed("edge", "one_message", one),
        seed("edge", "three_messages", two),
        seed("profile_request", "three_items", profile.encode_to_vec()),
        seed("profile_request", "by_digest", by_digest.encode_to_vec()),
        seed("section", "denied", bare),
        seed("section", "answered", answered),
        seed("exchange", "fetch", pb::ExchangeRequest { message: Some(fetch) }.encode_to_vec()),
        seed("exchange", "answer", pb::ExchangeResponse { message: Some(answer) }.encode_to_vec()),
    ]
}

/// Values of the first few items, by their types.
fn answered(agency: AgencyId, asked: ItemSet) -> Section {
    let mut section = Section::without_values(agency, asked, SectionStatus::Ok, None);
    for item in CATALOGUE.items().iter().filter(|item| asked.contains(item.number)) {
        let value = match &item.value_type {
            ValueType::Boolean => Some(Held::Boolean(true)),
            ValueType::Code(_) => Some(Held::Code(CodeIndex(0))),
            ValueType::Date => Some(Held::Date(date!(2024 - 09 - 01))),
            _ => None,
        };
        match value.filter(|_| section.items.len() < 5) {
            Some(value) => section.items.push(HeldItem {
                number: item.number,
                value: value.into(),
                as_of: date!(2025 - 01 - 31),
                disputed: false,
                statement: None,
            }),
            None => section.missing.push((item.number, Absence::NotRecorded)),
        }
    }
    section.items.sort_unstable_by_key(|held| held.number);
    section.missing.sort_unstable_by_key(|(number, _)| *number);
    section
}

fn refusal() -> Vec<u8> {
    let fault = FieldFault { field: "items".into(), description: "name at least one".into() };
    Refusal::bad_request(vec![fault]).into_status("0123").details().to_vec()
}

fn audit() -> Vec<Seed> {
    let consumer: SpiffeId = CONSUMER.parse().unwrap();
    let section = SectionRecord {
        time: Timestamp(1),
        request: RequestId::new("r-1").unwrap(),
        consumer: consumer.clone(),
        purpose: Some(PurposeCode::new("credit_assessment").unwrap()),
        basis: Some(LegalBasis::Consent),
        grant: Some(GrantId::new("AAAAAAAAAAAAAAAAAAAAAA").unwrap()),
        agency: Some(AgencyId::new(AGENCY).unwrap()),
        items: CATALOGUE.items().iter().map(|item| item.number).collect(),
        catalogue: CATALOGUE.digest(),
        decision: Decision::Refused(ReasonWord::new("GRANT_REVOKED").unwrap()),
        rules: Some(RuleSet::new([4; 32], [(0, RuleId::new("scoring").unwrap().into())]).unwrap()),
        subject: Some(SubjectTag::new([5; 32])),
        count: Some(CountRecord {
            issuer: "spiffe://consent.city.example/issuer/main".parse().unwrap(),
            window: 3,
            expires: 1_790_000_000,
            counted: Counted::Use(2),
        }),
        blind: Blind([6; 16]),
    };
    let refusals = RefusalsRecord {
        time: Timestamp(9),
        since: Timestamp(2),
        peer: consumer,
        reason: ReasonWord::new("NOT_A_GATEWAY").unwrap(),
        count: 7,
    };
    let mut dictionary = Dictionary::default();
    let mut entries = Vec::new();
    let given = Decision::Section(SectionStatus::Ok);
    let released = SectionRecord { decision: given, ..section.clone() };
    let records = [
        Record::Started { time: Timestamp(0), clean: true },
        Record::Section(Box::new(section)),
        Record::Section(Box::new(released)),
        Record::Refusals(refusals),
        Record::Stopped { time: Timestamp(10) },
    ];
    let mut receipt = pb::Receipt { origin: ORIGIN.into(), ..Default::default() };
    for record in &records {
        for entry in dictionary.intern(entries.len() as u64, record) {
            entries.push(entry.encode());
        }
        if matches!(record, Record::Section(_)) {
            let (index, entry) = (entries.len() as u64 - 1, entries.last().unwrap().clone());
            let names = disclosed::names(record, &entry);
            let named = |(index, entry): (u64, Vec<u8>)| pb::NamedEntry {
                index,
                entry: entry.into(),
                ..Default::default()
            };
            receipt.names = names.into_iter().map(named).collect();
            receipt.first_index = index;
            receipt.entries = vec![entry.into()];
        }
    }
    let line = |(index, record): (u64, &Record)| {
        serde_json::to_string(&Line::new(ORIGIN, index, record, false)).unwrap() + "\n"
    };
    // A release and a refusal; more would be a large seed.
    let lines: String = (0..).zip(&records).skip(1).take(2).map(line).collect();
    let first = entries[0].clone();
    let mut tree = Edge::default();
    tree.push(leaf_hash(&first)).unwrap();
    let origin = ORIGIN.parse().unwrap();
    let checkpoint = Checkpoint { origin, size: 1, root: tree.root().unwrap() };
    let note = SigningKey::from_seed(&[8; 32]).unwrap().sign(&checkpoint).unwrap();
    let checkpoint = note.as_str().to_owned();
    let proof =
        TlogProof { index: 0, entry: first, path: Vec::new(), checkpoint: checkpoint.clone() };
    let next = SigningKey::from_seed(&[9; 32]).unwrap();
    let next = next.verifying_key(&"gateway.city.example/2027".parse().unwrap()).unwrap();
    let old = ORIGIN.parse().unwrap();
    let named = Successor::sign(&SigningKey::from_seed(&[8; 32]).unwrap(), &old, &next).unwrap();
    let mut seeds = vec![
        seed("successor_note", "next", named),
        seed("audit_proof", "checkpoint", checkpoint),
        seed("audit_proof", "proof", proof.to_text()),
        seed("receipt", "released", receipt.encode_to_vec()),
        seed("reconcile", "the_same", format!("{lines}\0{lines}")),
    ];
    for (number, bytes) in entries.into_iter().enumerate() {
        seeds.push(seed("audit_entry", &format!("{number:02}"), bytes));
    }
    seeds
}

/// An agency's certificate, DER.
fn certificate() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let now = time::OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    let domain = "fuzz.example".parse().unwrap();
    let authority = Authority::create(folder.path(), &domain, now).unwrap();
    let validity = Validity::days(now, 1).unwrap();
    let issued =
        authority.issue(&CertificateRequest::local(Role::Agency, AGENCY, validity)).unwrap();
    let pem = std::fs::read(issued.certificate).unwrap();
    let der: rustls_pki_types::CertificateDer<'_> =
        rustls_pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
    der.to_vec()
}
