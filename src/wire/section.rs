//! Sections on the wire: written by an agency, held against the question by the
//! gateway.
//!
//! A section is believed only as far as it answers what was asked: the right
//! agency, the right echo, the right catalogue or the same definition of each item, no
//! item that was not asked for. Anything else makes it wholly INVALID.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use prost::Message;

use super::proto::pb;
use super::value;
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::reason::Reason;
use crate::domain::section::{Absence, HeldItem, MAX_STATEMENT_CHARS, Section, SectionStatus};
use crate::domain::sensitive::Sensitive;

/// SHA-256 of an encoded request, which its answer must echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHash([u8; 32]);

impl RequestHash {
    /// Hashes a request as it travels.
    pub fn of(request: &[u8]) -> Self {
        Self(sha256(request))
    }

    /// The hash as a field of a message.
    pub fn to_bytes(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }

    /// Whether a field of a message holds this hash.
    pub fn is(&self, field: &[u8]) -> bool {
        field == self.0
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// A response of which the section's status alone is read.
#[derive(Clone, PartialEq, Message)]
struct Glance {
    #[prost(message, optional, tag = "1")]
    section: Option<GlanceSection>,
}

#[derive(Clone, PartialEq, Message)]
struct GlanceSection {
    #[prost(message, optional, tag = "1")]
    envelope: Option<GlanceEnvelope>,
}

#[derive(Clone, PartialEq, Message)]
struct GlanceEnvelope {
    #[prost(enumeration = "pb::SectionStatus", tag = "2")]
    status: i32,
}

/// Whether an encoded `FetchSectionResponse` says that the agency's source was late. What
/// else it says is not looked at.
pub fn is_late(response: &Bytes) -> bool {
    let glance = Glance::decode(response.clone()).ok();
    let envelope = glance.and_then(|glance| glance.section).and_then(|found| found.envelope);
    envelope.is_some_and(|envelope| envelope.status() == pb::SectionStatus::Timeout)
}

/// Writes a section as an encoded `FetchSectionResponse`. `blind` is random and
/// new for each section.
pub fn encode(
    section: &Section,
    catalogue: &Catalogue,
    request: RequestHash,
    blind: [u8; 16],
) -> Bytes {
    write(section, catalogue, request, blind, Bytes::new())
}

/// As [`encode`], for a gateway with another catalogue: the section says by which definitions
/// it was decided. An item that this catalogue does not have is not spoken of.
pub fn encode_for_other(
    section: &Section,
    catalogue: &Catalogue,
    request: RequestHash,
    blind: [u8; 16],
) -> Bytes {
    let definitions = catalogue.digest_of(&section.spoken());
    let definitions = definitions.map_or_else(Bytes::new, |digest| digest.to_vec().into());
    write(section, catalogue, request, blind, definitions)
}

fn write(
    section: &Section,
    catalogue: &Catalogue,
    request: RequestHash,
    blind: [u8; 16],
    definitions_digest: Bytes,
) -> Bytes {
    let mut items = Vec::with_capacity(section.items.len());
    let mut stamps = Vec::with_capacity(section.items.len());
    for held in &section.items {
        let Some(item) = catalogue.item(held.number) else { continue };
        let number = u32::from(held.number.get());
        stamps.push(pb::EnvelopeItem { number, as_of: Some(value::encode_date(held.as_of)) });
        items.push(pb::SectionItem {
            number,
            value: Some(value::encode(item, held.value.expose())),
            disputed: held.disputed,
            statement_ref: statement(held),
        });
    }
    let clear = (section.status == SectionStatus::Ok).then(|| {
        let body = pb::SectionBody { blind: Bytes::copy_from_slice(&blind), items };
        Bytes::from(body.encode_to_vec())
    });
    let envelope = pb::SectionEnvelope {
        agency: section.agency.to_string(),
        status: encode_status(section.status).into(),
        items: stamps,
        body_digest: clear.as_ref().map_or_else(Bytes::new, |body| sha256(body).to_vec().into()),
        request_hash: request.to_bytes(),
        catalogue_digest: Bytes::copy_from_slice(&catalogue.digest().0),
        reason: reason_word(section.reason),
        missing: section
            .missing
            .iter()
            .map(|(number, absence)| pb::MissingItem {
                number: u32::from(number.get()),
                absence: encode_absence(*absence).into(),
            })
            .collect(),
        definitions_digest,
    };
    let section = pb::Section {
        envelope: Some(envelope),
        body: clear.map(pb::section::Body::Clear),
        signature: None,
    };
    pb::FetchSectionResponse { section: Some(section) }.encode_to_vec().into()
}

fn statement(held: &HeldItem) -> String {
    held.statement.as_ref().map_or_else(String::new, |text| text.expose().to_string())
}

/// What was asked, against which an answer is held.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Whom.
    pub agency: &'a AgencyId,
    /// For which items.
    pub asked: &'a ItemSet,
    /// With which request.
    pub request: RequestHash,
    /// Under which catalogue.
    pub catalogue: &'a Catalogue,
}

/// Why an answer is not believed. Its text goes to logs: no value stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// Not a FetchSectionResponse.
    #[error("the answer is no section message")]
    Undecodable,
    /// The answer echoes another request.
    #[error("the answer echoes another request")]
    Echo,
    /// The envelope names another agency.
    #[error("the answer is in another agency's name")]
    Agency,
    /// The items are of another catalogue, and not shown to be defined as in ours.
    #[error("the answer is by another catalogue, and not by our definitions of the items")]
    Catalogue,
    /// A status that does not exist or does not go with the body.
    #[error("the answer's status and body do not go together")]
    Status,
    /// The body is not the one of which the envelope speaks.
    #[error("the body is not the one that the envelope describes")]
    Body,
    /// An item that was not asked for.
    #[error("the answer holds an item that was not asked for")]
    Unasked,
    /// Items out of order or twice.
    #[error("the answer's items are out of order")]
    Order,
    /// A value that does not fit the catalogue.
    #[error("a value does not fit the catalogue")]
    Value,
}

impl Disbelief {
    /// What the section states.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Undecodable => Reason::Undecodable,
            Self::Echo => Reason::WrongEcho,
            Self::Agency => Reason::WrongAgency,
            Self::Catalogue => Reason::WrongCatalogue,
            Self::Status => Reason::WrongStatus,
            Self::Body => Reason::WrongBody,
            Self::Unasked => Reason::UnaskedItem,
            Self::Order => Reason::ItemOrder,
            Self::Value => Reason::WrongValue,
        }
    }
}

/// Reads an encoded `FetchSectionResponse` and holds it against the question.
///
/// # Errors
/// The first thing for which the answer is not believed.
pub fn decode(response: Bytes, question: &Question<'_>) -> Result<Section, Disbelief> {
    let response =
        pb::FetchSectionResponse::decode(response).map_err(|_| Disbelief::Undecodable)?;
    believe(response, question)
}

/// Holds a `FetchSectionResponse` against the question.
///
/// # Errors
/// The first thing for which the answer is not believed.
pub fn believe(
    response: pb::FetchSectionResponse,
    question: &Question<'_>,
) -> Result<Section, Disbelief> {
    let section = response.section.ok_or(Disbelief::Undecodable)?;
    let envelope = section.envelope.ok_or(Disbelief::Undecodable)?;
    if !question.request.is(&envelope.request_hash) {
        return Err(Disbelief::Echo);
    }
    if envelope.agency != question.agency.as_str() {
        return Err(Disbelief::Agency);
    }
    let status = decode_status(envelope.status()).ok_or(Disbelief::Status)?;
    // What says nothing of the person may come from any catalogue.
    let foreign =
        status.is_answered() && *envelope.catalogue_digest != question.catalogue.digest().0;
    if foreign && envelope.definitions_digest.is_empty() {
        return Err(Disbelief::Catalogue);
    }
    let missing = decode_missing(&envelope.missing, question)?;
    let items = match (status, section.body) {
        (SectionStatus::Ok, Some(pb::section::Body::Clear(body))) => {
            if *envelope.body_digest != sha256(&body) {
                return Err(Disbelief::Body);
            }
            let body = pb::SectionBody::decode(body).map_err(|_| Disbelief::Undecodable)?;
            decode_items(&envelope.items, body.items, question)?
        }
        (SectionStatus::Ok, _) => return Err(Disbelief::Status),
        (_, None) if envelope.items.is_empty() => Vec::new(),
        (_, _) => return Err(Disbelief::Status),
    };
    let section = Section {
        agency: question.agency.clone(),
        asked: *question.asked,
        status,
        reason: reason_of(status, &envelope.reason),
        missing: complete(missing, &items, status, question.asked),
        items,
    };
    // Of all that it speaks of, be it that there is nothing.
    let ours = || question.catalogue.digest_of(&section.spoken());
    if foreign && ours().is_none_or(|ours| *envelope.definitions_digest != ours) {
        return Err(Disbelief::Catalogue);
    }
    Ok(section)
}

fn decode_items(
    stamps: &[pb::EnvelopeItem],
    items: Vec<pb::SectionItem>,
    question: &Question<'_>,
) -> Result<Vec<HeldItem>, Disbelief> {
    if stamps.len() != items.len() {
        return Err(Disbelief::Body);
    }
    let mut held: Vec<HeldItem> = Vec::with_capacity(items.len());
    for (stamp, sent) in stamps.iter().zip(items) {
        if stamp.number != sent.number {
            return Err(Disbelief::Body);
        }
        let number = asked_number(sent.number, question)?;
        if held.last().is_some_and(|last| last.number >= number) {
            return Err(Disbelief::Order);
        }
        let item = question.catalogue.item(number).ok_or(Disbelief::Unasked)?;
        let as_of = stamp.as_of.as_ref().and_then(value::decode_date).ok_or(Disbelief::Value)?;
        let sent_value = sent.value.as_ref().ok_or(Disbelief::Value)?;
        let value = value::decode(item, sent_value).map_err(|_| Disbelief::Value)?;
        held.push(HeldItem {
            number,
            value: Sensitive::new(value),
            as_of,
            disputed: sent.disputed,
            statement: decode_statement(sent.statement_ref)?,
        });
    }
    Ok(held)
}

fn decode_statement(text: String) -> Result<Option<Sensitive<Box<str>>>, Disbelief> {
    if text.chars().count() > MAX_STATEMENT_CHARS || text.chars().any(char::is_control) {
        return Err(Disbelief::Value);
    }
    Ok((!text.is_empty()).then(|| Sensitive::new(text.into())))
}

fn asked_number(number: u32, question: &Question<'_>) -> Result<ItemNumber, Disbelief> {
    ItemNumber::new(number)
        .filter(|number| question.asked.contains(*number))
        .ok_or(Disbelief::Unasked)
}

fn decode_missing(
    missing: &[pb::MissingItem],
    question: &Question<'_>,
) -> Result<Vec<(ItemNumber, Absence)>, Disbelief> {
    let mut decoded: Vec<(ItemNumber, Absence)> = Vec::with_capacity(missing.len());
    for entry in missing {
        let number = asked_number(entry.number, question)?;
        if decoded.last().is_some_and(|(last, _)| *last >= number) {
            return Err(Disbelief::Order);
        }
        decoded.push((number, decode_absence(entry.absence()).ok_or(Disbelief::Status)?));
    }
    Ok(decoded)
}

/// Completeness is stated, not implied: what an answered section neither holds
/// nor explains is INVALID, never silently nothing.
fn complete(
    mut missing: Vec<(ItemNumber, Absence)>,
    items: &[HeldItem],
    status: SectionStatus,
    asked: &ItemSet,
) -> Vec<(ItemNumber, Absence)> {
    if status == SectionStatus::NoRecord {
        // That nobody is known says nothing of what was not looked up.
        missing.retain(|(_, absence)| !matches!(absence, Absence::NotRecorded | Absence::Lapsed));
        return missing;
    }
    if status != SectionStatus::Ok {
        return Vec::new();
    }
    let held: ItemSet = items.iter().map(|held| held.number).collect();
    missing.retain(|(number, _)| !held.contains(*number));
    let explained: ItemSet = missing.iter().map(|(number, _)| *number).collect();
    let silent = asked.without(&held).without(&explained);
    if !silent.is_empty() {
        missing.extend(silent.iter().map(|number| (number, Absence::Invalid)));
        missing.sort_unstable_by_key(|(number, _)| *number);
    }
    missing
}

/// An agency's reason for its status, if it is one that it may state; a stranger's text
/// does not get into our answers.
fn reason_of(status: SectionStatus, word: &str) -> Option<Reason> {
    let stated = || Reason::stated_by_agency(word).unwrap_or(Reason::AgencyStated);
    (!status.is_answered()).then(stated)
}

/// A reason as a field of a message, which is empty where there is none.
pub fn reason_word(reason: Option<Reason>) -> String {
    reason.map_or_else(String::new, |reason| reason.to_string())
}

/// A status as its enum value.
pub const fn encode_status(status: SectionStatus) -> pb::SectionStatus {
    match status {
        SectionStatus::Ok => pb::SectionStatus::Ok,
        SectionStatus::Denied => pb::SectionStatus::Denied,
        SectionStatus::NoRecord => pb::SectionStatus::NoRecord,
        SectionStatus::Timeout => pb::SectionStatus::Timeout,
        SectionStatus::Unavailable => pb::SectionStatus::Unavailable,
        SectionStatus::Invalid => pb::SectionStatus::Invalid,
    }
}

/// A status, if it is one.
pub fn decode_status(status: pb::SectionStatus) -> Option<SectionStatus> {
    Some(match status {
        pb::SectionStatus::Unspecified => return None,
        pb::SectionStatus::Ok => SectionStatus::Ok,
        pb::SectionStatus::Denied => SectionStatus::Denied,
        pb::SectionStatus::NoRecord => SectionStatus::NoRecord,
        pb::SectionStatus::Timeout => SectionStatus::Timeout,
        pb::SectionStatus::Unavailable => SectionStatus::Unavailable,
        pb::SectionStatus::Invalid => SectionStatus::Invalid,
    })
}

/// An absence as its enum value.
pub const fn encode_absence(absence: Absence) -> pb::Absence {
    match absence {
        // That a fact has lapsed says that there was one: outside the agency it
        // is as if it had never been recorded.
        Absence::NotRecorded | Absence::Lapsed => pb::Absence::NotRecorded,
        Absence::NotOffered => pb::Absence::NotOffered,
        Absence::Denied => pb::Absence::Denied,
        Absence::Invalid => pb::Absence::Invalid,
        Absence::SourceMissing => pb::Absence::SourceMissing,
        Absence::CatalogueDiffers => pb::Absence::CatalogueDiffers,
        Absence::Incomplete => pb::Absence::Incomplete,
    }
}

fn decode_absence(absence: pb::Absence) -> Option<Absence> {
    Some(match absence {
        pb::Absence::NotRecorded => Absence::NotRecorded,
        pb::Absence::NotOffered => Absence::NotOffered,
        pb::Absence::Denied => Absence::Denied,
        pb::Absence::Invalid => Absence::Invalid,
        pb::Absence::SourceMissing => Absence::SourceMissing,
        pb::Absence::CatalogueDiffers => Absence::CatalogueDiffers,
        // A part alone cannot say that the whole is incomplete.
        pb::Absence::Unspecified | pb::Absence::Incomplete => return None,
    })
}
