//! What a scripted agency answers when it is honest, with a value that tells for
//! whom it was made, and what the databases hold of the other agencies.

use std::hash::{Hash as _, Hasher as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use prost::Message;
use tributary::wire::proto::google::r#type as google;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::value::Kind;

use crate::kit::federation::{Federation, decimal, outcome};
use crate::kit::rogue::{Asked, Step, answer};
use crate::kit::sqlite_file;

/// The agency that the tests replace, and the item that it alone owns.
pub const AGENCY: &str = "traffic";
pub const RATIO: &str = "traffic.penalty.settled_on_time_ratio_24m";
pub const RATIO_NUMBER: u32 = 459;

/// Items of three honest agencies, which must not suffer.
pub const STARTED: &str = "employment.current.started_on";
pub const UTILISATION: &str = "lending.card.utilisation_ratio";
pub const MODE: &str = "education.attainment.study_mode";
pub const ITEMS: [&str; 4] = [RATIO, STARTED, UTILISATION, MODE];
pub const OTHERS: [&str; 3] = ["employment", "lending", "education"];

pub fn sha256(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(digest(&SHA256, bytes).as_ref())
}

/// A request id in which the person stands.
pub fn request_id(kind: &str, person: usize, nth: usize) -> String {
    // The agencies are shared by tests that run at once: each has ids of its own.
    let mut hasher = std::hash::DefaultHasher::new();
    std::thread::current().name().hash(&mut hasher);
    format!("{kind}.{person}.{nth}.{:016x}", hasher.finish())
}

/// One that no request had: an id may be repeated a few times alone.
pub fn fresh_id(kind: &str, person: usize) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(1_000_000);
    request_id(kind, person, NEXT.fetch_add(1, Ordering::Relaxed))
}

fn person_of(request_id: &str) -> usize {
    request_id.split('.').nth(1).unwrap().parse().unwrap()
}

/// The value that is this person's and nobody else's.
pub fn value_of(person: usize) -> String {
    format!("0.{person:03}1")
}

/// An honest section, to be falsified before it is finished.
pub struct Draft {
    pub envelope: pb::SectionEnvelope,
    pub body: pb::SectionBody,
}

impl Draft {
    pub fn of(asked: &Asked) -> Self {
        let value = value_of(person_of(&asked.request.request_id));
        let value = pb::Value { kind: Some(Kind::Decimal(google::Decimal { value })) };
        let as_of = Some(google::Date { year: 2026, month: 1, day: 2 });
        Self {
            envelope: pb::SectionEnvelope {
                agency: AGENCY.into(),
                status: pb::SectionStatus::Ok.into(),
                items: vec![pb::EnvelopeItem { number: RATIO_NUMBER, as_of }],
                request_hash: sha256(&asked.bytes),
                catalogue_digest: asked.request.catalogue_digest.clone(),
                ..Default::default()
            },
            body: pb::SectionBody {
                blind: vec![7; 16].into(),
                items: vec![pb::SectionItem {
                    number: RATIO_NUMBER,
                    value: Some(value),
                    ..Default::default()
                }],
            },
        }
    }

    pub fn finish(mut self) -> Bytes {
        let body = Bytes::from(self.body.encode_to_vec());
        self.envelope.body_digest = sha256(&body);
        self.sealed(Some(body))
    }

    /// With a body of which the envelope need not know.
    pub fn sealed(self, body: Option<Bytes>) -> Bytes {
        let section = pb::Section {
            envelope: Some(self.envelope),
            body: body.map(pb::section::Body::Clear),
            signature: None,
        };
        pb::FetchSectionResponse { section: Some(section) }.encode_to_vec().into()
    }
}

/// The honest answer on a stream.
pub fn honest(asked: &Asked) -> Vec<Step> {
    vec![with(asked, Draft::of(asked).finish())]
}

/// A response that echoes as it should, whatever is in it.
pub fn with(asked: &Asked, response: Bytes) -> Step {
    answer(asked, sha256(&asked.bytes), response)
}

/// The agencies that were not replaced answered, and with this person's values.
pub fn others_are_right(federation: &Federation, answer: &pb::GetProfileResponse, person: usize) {
    for agency in OTHERS {
        let found = outcome(answer, agency);
        assert!(found == "OK" || found == "NO_RECORD", "{agency}: {found}");
    }
    let column = |agency, query| stored(federation, agency, query, person);
    let utilisation =
        "select cast(utilisation_ratio as text) from card_account where person_id = $1";
    let stored_number = column("lending", utilisation).map(|text| number(&text));
    assert_eq!(decimal(answer, UTILISATION).map(|text| number(&text)), stored_number);
    let started = "select current_started_on from current_job where person_id = $1";
    assert_eq!(date(answer, STARTED), column("employment", started));
}

/// What the profile says of the replaced agency's item is this person's, or is
/// not said at all.
pub fn own_or_nothing(answer: &pb::GetProfileResponse, person: usize) {
    let found = decimal(answer, RATIO);
    match outcome(answer, AGENCY).as_str() {
        "OK" => assert_eq!(found, Some(value_of(person))),
        _ => assert_eq!(found, None),
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

fn date(answer: &pb::GetProfileResponse, id: &str) -> Option<String> {
    let items = &answer.profile.as_ref().unwrap().items;
    match items.iter().find(|item| item.id == id)?.value.as_ref()?.kind.as_ref()? {
        Kind::Date(date) => Some(format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)),
        other => panic!("{id} is no date but {other:?}"),
    }
}

fn stored(federation: &Federation, agency: &str, query: &str, person: usize) -> Option<String> {
    let subject = &federation.described.grants[person].subject;
    sqlite_file::text(&federation.entry(agency).database, query, subject)
}
