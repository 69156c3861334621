//! A consumer's request and the profile that answers it.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use prost::Message;

use super::proto::pb;
use super::refusal::{FieldFault, Refusal};
use super::section::{decode_status, encode_absence, encode_status, reason_word};
use super::{grant, request_proof, value};
use crate::domain::audit::disclosed::DisclosedSection;
use crate::domain::audit::{Hash, NameFile, Receipt, ReceiptFile, ReceiptProof};
use crate::domain::catalogue::Catalogue;
use crate::domain::grant::Presented;
use crate::domain::item::{CAPACITY, ItemNumber, ItemSet};
use crate::domain::names::RequestId;
use crate::domain::owners::{Cause, Unanswered};
use crate::domain::profile::{Alternative, Gap, Profile, ProfileItem};
use crate::domain::reason::Reason;
use crate::domain::request_proof::ConsumerProof;
use crate::domain::section::{Absence, HeldItem, Section};
use crate::domain::sensitive::Sensitive;

/// What a request id is to be.
pub const REQUEST_ID_FORM: &str = "must be 1 to 64 letters, digits, '-', '_' and '.'";

/// A request that passed every check of form.
#[derive(Debug, Clone)]
pub struct ProfileRequest {
    /// The caller's id for it, if it gave one.
    pub request_id: Option<RequestId>,
    /// The grant as it was presented.
    pub grant: Presented<Bytes>,
    /// The items wanted; never empty.
    pub items: ItemSet,
    /// Whether the receipt is to be proved.
    pub prove: bool,
    /// The consumer's proof of it.
    pub proof: Option<ConsumerProof>,
}

/// Checks a request. Every wrong field is named, not just the first.
///
/// # Errors
/// `INVALID_ARGUMENT` with a BadRequest detail.
pub fn decode_request(
    request: pb::GetProfileRequest,
    catalogue: &Catalogue,
) -> Result<ProfileRequest, Refusal> {
    let mut faults = Vec::new();
    let mut fault =
        |field: String, description: String| faults.push(FieldFault { field, description });
    let request_id = request_id(&request.request_id);
    if request_id.is_none() && !request.request_id.is_empty() {
        fault("request_id".into(), format!("{REQUEST_ID_FORM}, or empty"));
    }
    let grant =
        grant::decode(request.grant).map_err(|wrong| fault(wrong.field, wrong.description)).ok();
    let mut items = ItemSet::EMPTY;
    if request.items.is_empty() {
        fault("items".into(), "name at least one item; ListItems has them all".into());
    }
    if request.items.len() > usize::from(CAPACITY) {
        let count = request.items.len();
        fault("items".into(), format!("{count} items are more than the catalogue holds"));
    } else {
        for (at, id) in request.items.iter().enumerate() {
            match catalogue.find(id) {
                Some(item) if items.insert(item.number) => {}
                Some(_) => fault(format!("items[{at}]"), format!("`{id}` stands twice")),
                None => fault(format!("items[{at}]"), unknown_item(catalogue, id)),
            }
        }
    }
    if !request.seal_key.is_empty() {
        fault("seal_key".into(), "is reserved and must be left out".into());
    }
    let proof = request.proof.as_ref().map(request_proof::decode_consumer).transpose();
    let proof = proof.map_err(|wrong| fault(wrong.field, wrong.description)).ok().flatten();
    if request.proof.is_some() && request.request_id.is_empty() {
        fault("request_id".into(), "is missing: a proof is of a request with an id".into());
    }
    match grant {
        Some(grant) if faults.is_empty() => {
            Ok(ProfileRequest { request_id, grant, items, prove: request.prove, proof })
        }
        _ => Err(Refusal::bad_request(faults)),
    }
}

/// A request's id, if the text may be one.
pub fn request_id(text: &str) -> Option<RequestId> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    RequestId::new(text).ok().filter(|_| text.bytes().all(allowed))
}

/// Reads the request inside a message of a stream, which must have an id: without one
/// its answer could not be told from others.
///
/// # Errors
/// `INVALID_ARGUMENT`.
pub fn decode_streamed(
    message: pb::StreamProfilesRequest,
) -> Result<pb::GetProfileRequest, Refusal> {
    let request = pb::GetProfileRequest::decode(message.request).map_err(|_| {
        Refusal::new(Reason::Undecodable, "the request inside is no GetProfileRequest")
    })?;
    if request_id(&request.request_id).is_none() {
        let (field, description) = ("request_id".to_owned(), REQUEST_ID_FORM.to_owned());
        return Err(Refusal::bad_request(vec![FieldFault { field, description }]));
    }
    Ok(request)
}

/// Says that an item is unknown, with up to three that it may have meant.
pub fn unknown_item(catalogue: &Catalogue, id: &str) -> String {
    let shown: String = id.chars().take(64).collect();
    let near = catalogue.similar_to(id);
    let hint = if near.is_empty() {
        String::new()
    } else {
        format!("; did you mean {}?", near.join(" or "))
    };
    format!("`{}` is no item of the catalogue{hint}", shown.escape_debug())
}

/// Writes a profile.
pub fn encode_profile(profile: Profile, catalogue: &Catalogue) -> pb::Profile {
    let items = profile.items.into_iter().filter_map(|item| encode_item(item, catalogue));
    let gaps = profile.gaps.into_iter().filter_map(|gap| encode_gap(gap, catalogue));
    pb::Profile {
        items: items.collect(),
        gaps: gaps.collect(),
        catalogue_digest: Bytes::copy_from_slice(&catalogue.digest().0),
    }
}

/// Writes the answer to a request: each section with the time from the question to
/// its answer, as the gateway saw it. It cannot be written without the proof that
/// the disclosure is in the audit log.
pub fn encode_response<'a>(
    request_id: String,
    profile: Profile,
    sections: impl Iterator<Item = (&'a Section, Duration)>,
    (receipt, proof): (&Receipt, Option<ReceiptProof>),
    catalogue: &Catalogue,
) -> pb::GetProfileResponse {
    pb::GetProfileResponse {
        request_id,
        profile: Some(encode_profile(profile, catalogue)),
        sections: sections
            .map(|(section, elapsed)| encode_report(section, elapsed, catalogue))
            .collect(),
        originals: Vec::new(),
        receipt: Some(Box::new(encode_receipt(receipt, proof))),
    }
}

fn encode_receipt(receipt: &Receipt, proof: Option<ReceiptProof>) -> pb::Receipt {
    let bytes = |hashes: &[Hash]| -> Vec<Bytes> {
        hashes.iter().map(|hash| Bytes::copy_from_slice(&hash.0)).collect()
    };
    let path = |path: &Vec<Hash>| pb::InclusionPath { hashes: bytes(path) };
    // A record says what it says only to whom its proof is given.
    let entries = if proof.is_some() { receipt.entries() } else { &[] };
    let ReceiptProof { paths, names } = proof.unwrap_or_default();
    let name = |((index, entry), proof): ((u64, Vec<u8>), Vec<Hash>)| pb::NamedEntry {
        index,
        entry: entry.into(),
        proof: Some(path(&proof)),
    };
    pb::Receipt {
        origin: receipt.origin().to_string(),
        first_index: receipt.indexes().start,
        leaf_hashes: bytes(receipt.leaf_hashes()),
        checkpoint: receipt.checkpoint().as_str().to_owned(),
        proofs: paths.iter().map(path).collect(),
        entries: entries.iter().map(|entry| Bytes::copy_from_slice(entry)).collect(),
        names: names.into_iter().map(name).collect(),
    }
}

/// A receipt as the file that `tributary audit` reads. Nothing in it is checked.
pub fn receipt_file(receipt: &pb::Receipt) -> ReceiptFile {
    let texts = |hashes: &[Bytes]| -> Vec<String> {
        hashes.iter().map(|hash| HEXLOWER.encode(hash)).collect()
    };
    let name = |name: &pb::NamedEntry| NameFile {
        index: name.index,
        entry: HEXLOWER.encode(&name.entry),
        proof: name.proof.iter().flat_map(|path| texts(&path.hashes)).collect(),
    };
    ReceiptFile {
        origin: receipt.origin.clone(),
        first_index: receipt.first_index,
        leaf_hashes: texts(&receipt.leaf_hashes),
        checkpoint: receipt.checkpoint.clone(),
        proofs: receipt.proofs.iter().map(|path| texts(&path.hashes)).collect(),
        entries: texts(&receipt.entries),
        names: receipt.names.iter().map(name).collect(),
    }
}

/// What an answer says of each agency, to be held against its receipt: nothing where a
/// section has no status.
pub fn told(response: &pb::GetProfileResponse) -> Option<Vec<DisclosedSection>> {
    let items = || response.profile.iter().flat_map(|profile| &profile.items);
    let of = |agency: &str| {
        let given = items().filter(|item| {
            let alternative = |other: &pb::Alternative| other.agency == agency;
            item.agency == agency || item.alternatives.iter().any(alternative)
        });
        given.filter_map(|item| ItemNumber::new(item.number)).collect()
    };
    let told = |report: &pb::SectionReport| {
        Some(DisclosedSection {
            agency: report.agency.clone(),
            status: decode_status(report.status())?,
            asked: usize::try_from(report.asked).ok()?,
            items: of(&report.agency),
        })
    };
    response.sections.iter().map(told).collect()
}

fn encode_item(merged: ProfileItem, catalogue: &Catalogue) -> Option<pb::ProfileItem> {
    let item = catalogue.item(merged.number)?;
    Some(pb::ProfileItem {
        id: item.id.to_string(),
        number: u32::from(merged.number.get()),
        value: Some(value::encode(item, merged.value.expose())),
        agency: merged.agency.map(String::from).unwrap_or_default(),
        as_of: Some(value::encode_date(merged.as_of)),
        conflict: merged.conflict,
        alternatives: encode_alternatives(merged.alternatives, catalogue),
        disputed: merged.disputed,
        statement_ref: merged
            .statement
            .map(Sensitive::into_exposed)
            .map(String::from)
            .unwrap_or_default(),
        unanswered: encode_unanswered(merged.unanswered),
        provisional: merged.provisional,
    })
}

fn encode_unanswered(unanswered: Vec<Unanswered>) -> Vec<pb::UnansweredOwner> {
    let encode = |Unanswered { agency, cause }| pb::UnansweredOwner {
        agency: String::from(agency),
        cause: encode_cause(cause).into(),
    };
    unanswered.into_iter().map(encode).collect()
}

const fn encode_cause(cause: Cause) -> pb::UnansweredCause {
    match cause {
        Cause::NotGranted => pb::UnansweredCause::NotGranted,
        Cause::NotPermitted => pb::UnansweredCause::NotPermitted,
        Cause::NotConfigured => pb::UnansweredCause::NotConfigured,
        Cause::CatalogueDiffers => pb::UnansweredCause::CatalogueDiffers,
        Cause::NotOffered => pb::UnansweredCause::NotOffered,
        Cause::NotDescribed => pb::UnansweredCause::NotDescribed,
        Cause::Denied => pb::UnansweredCause::Denied,
        Cause::Timeout => pb::UnansweredCause::Timeout,
        Cause::Unavailable => pb::UnansweredCause::Unavailable,
        Cause::Invalid => pb::UnansweredCause::Invalid,
        Cause::NotAsked => pb::UnansweredCause::NotAsked,
    }
}

fn encode_alternatives(
    alternatives: Vec<Alternative>,
    catalogue: &Catalogue,
) -> Vec<pb::Alternative> {
    let encode = |alternative: Alternative| {
        let Alternative { agency, held } = alternative;
        let HeldItem { number, value, as_of, disputed, statement } = held;
        Some(pb::Alternative {
            agency: agency.into(),
            value: Some(value::encode(catalogue.item(number)?, value.expose())),
            as_of: Some(value::encode_date(as_of)),
            disputed,
            statement_ref: statement
                .map(Sensitive::into_exposed)
                .map(String::from)
                .unwrap_or_default(),
        })
    };
    alternatives.into_iter().filter_map(encode).collect()
}

fn encode_gap(gap: Gap, catalogue: &Catalogue) -> Option<pb::ProfileGap> {
    Some(pb::ProfileGap {
        id: catalogue.item(gap.number)?.id.to_string(),
        number: u32::from(gap.number.get()),
        absence: encode_absence(gap.absence).into(),
        alternatives: encode_alternatives(gap.alternatives, catalogue),
        unanswered: encode_unanswered(gap.unanswered),
    })
}

fn encode_report(section: &Section, elapsed: Duration, catalogue: &Catalogue) -> pb::SectionReport {
    let missing = section
        .missing
        .iter()
        .filter_map(|(number, absence)| encode_section_gap(*number, *absence, catalogue));
    pb::SectionReport {
        agency: section.agency.to_string(),
        status: encode_status(section.status).into(),
        reason: reason_word(section.reason),
        asked: section.asked.len().try_into().unwrap_or(u32::MAX),
        answered: section.items.len().try_into().unwrap_or(u32::MAX),
        elapsed_micros: elapsed.as_micros().try_into().unwrap_or(u64::MAX),
        missing: missing.collect(),
    }
}

fn encode_section_gap(
    number: ItemNumber,
    absence: Absence,
    catalogue: &Catalogue,
) -> Option<pb::SectionGap> {
    Some(pb::SectionGap {
        id: catalogue.item(number)?.id.to_string(),
        number: u32::from(number.get()),
        absence: encode_absence(absence).into(),
    })
}
