//! The audit log as messages: a reviewer's questions and the records that answer
//! them. Subject tags go in and never come out.

use std::collections::HashSet;

use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::proto::pb;
use super::proto::pb::audit_record;
use super::refusal::{FieldFault, Refusal};
use crate::domain::audit::export::{CountLine, Line, SectionLine};
use crate::domain::audit::{Decision, Hash, Query, Record, RequestId, SubjectTag, Timestamp};
use crate::domain::catalogue::AgencyId;
use crate::domain::item::ItemNumber;

/// Records of a page when the caller names no number.
const DEFAULT_PAGE: u32 = 100;

/// Most tags of one question.
const MAX_TAGS: usize = 100;

/// A question that passed every check of form.
#[derive(Debug, Clone)]
pub struct Search {
    /// What is asked for.
    pub query: Query,
    /// The first index that is looked at.
    pub from: u64,
    /// Most records of the answer.
    pub page: usize,
}

/// Checks a request for a list. Every wrong field is named.
///
/// # Errors
/// `INVALID_ARGUMENT` with a BadRequest detail.
pub fn decode_list(request: &pb::ListRecordsRequest, most: u32) -> Result<Search, Refusal> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, description: String| {
        faults.push(FieldFault { field: field.to_owned(), description });
    };
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let request_id = given(&request.request_id).and_then(|id| {
        RequestId::new(&id).map_err(|error| fault("request_id", error.to_string())).ok()
    });
    let consumer = given(&request.consumer).and_then(|id| match id.parse() {
        Ok(id) => Some(id),
        Err(error) => {
            let error: crate::domain::peer::PeerError = error;
            fault("consumer", error.to_string());
            None
        }
    });
    let agency = given(&request.agency).and_then(|id| {
        let agency = AgencyId::new(&id);
        if agency.is_none() {
            fault("agency", "is no agency's id".into());
        }
        agency
    });
    let page = match request.page_size {
        0 => DEFAULT_PAGE.min(most),
        size if size <= most => size,
        size => {
            fault("page_size", format!("{size} records are more than a page may have: {most}"));
            most
        }
    };
    let time = |micros: u64| (micros != 0).then_some(Timestamp(micros));
    let query = Query {
        request: request_id,
        consumer,
        agency,
        tags: HashSet::new(),
        since: time(request.since_micros),
        until: time(request.until_micros),
    };
    if !faults.is_empty() {
        return Err(Refusal::bad_request(faults));
    }
    let page = usize::try_from(page).unwrap_or(usize::MAX);
    Ok(Search { query, from: request.from_index, page })
}

/// Checks a request for subject access.
///
/// # Errors
/// As [`decode_list`].
pub fn decode_access(request: &pb::GetSubjectAccessRequest, most: u32) -> Result<Search, Refusal> {
    let fault = |field: String, description: &str| {
        Refusal::bad_request(vec![FieldFault { field, description: description.to_owned() }])
    };
    if request.tags.is_empty() || request.tags.len() > MAX_TAGS {
        return Err(fault("tags".into(), "name 1 to 100 tags"));
    }
    let tag = |(at, tag): (usize, &Bytes)| match <[u8; 32]>::try_from(tag.as_ref()) {
        Ok(tag) => Ok(SubjectTag::new(tag)),
        Err(_) => Err(fault(format!("tags[{at}]"), "a tag has 32 bytes")),
    };
    let tags = request.tags.iter().enumerate().map(tag).collect::<Result<_, _>>()?;
    let query = Query { tags, ..Query::default() };
    let page = usize::try_from(most).unwrap_or(usize::MAX);
    Ok(Search { query, from: request.from_index, page })
}

/// Writes a record, without its subject tag.
pub fn encode_record(index: u64, leaf: Hash, record: &Record) -> pb::AuditRecord {
    let bytes = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    let written = match record {
        Record::Section(section) => {
            let (decision, reason) = match &section.decision {
                Decision::Section(status) => (status.as_str(), String::new()),
                Decision::Refused(reason) => ("REFUSED", reason.to_string()),
                Decision::Withheld(reason) => ("WITHHELD", reason.to_string()),
            };
            let text = |text: Option<String>| text.unwrap_or_default();
            let rules = section.rules.as_ref();
            audit_record::Record::Section(Box::new(pb::SectionAudit {
                request_id: section.request.to_string(),
                consumer: section.consumer.to_string(),
                purpose: text(section.purpose.as_ref().map(ToString::to_string)),
                legal_basis: text(section.basis.as_ref().map(ToString::to_string)),
                grant: text(section.grant.as_ref().map(ToString::to_string)),
                agency: text(section.agency.as_ref().map(ToString::to_string)),
                items: section.items.iter().map(|number| u32::from(number.get())).collect(),
                catalogue_digest: bytes(&section.catalogue.0),
                decision: decision.to_owned(),
                reason,
                policy_digest: rules.map(|rules| bytes(rules.policy())).unwrap_or_default(),
                rules: rules
                    .map(|rules| rules.rules().iter().map(|(_, id)| id.to_string()).collect())
                    .unwrap_or_default(),
                count: section.count.as_ref().map(|count| {
                    let CountLine { issuer, window, expires, used, released } =
                        CountLine::new(count);
                    pb::CountAudit { issuer, window, expires, used, released }
                }),
            }))
        }
        Record::Refusals(refusals) => audit_record::Record::Refusals(pb::RefusalsAudit {
            since_micros: refusals.since.0,
            peer: refusals.peer.to_string(),
            reason: refusals.reason.to_string(),
            count: refusals.count,
        }),
        Record::Search(search) => audit_record::Record::Search(pb::SearchAudit {
            reviewer: search.reviewer.to_string(),
            search: search.kind.as_str().to_owned(),
            by: search.keys.names().map(str::to_owned).collect(),
            hits: search.hits,
        }),
        Record::Started { clean, .. } => {
            audit_record::Record::Opened(pb::LogOpened { clean: *clean })
        }
        Record::Stopped { .. } => audit_record::Record::Closed(pb::LogClosed {}),
        Record::Succeeds { ended, .. } => audit_record::Record::Succeeds(pb::LogSucceeds {
            origin: ended.origin.to_string(),
            size: ended.size,
            root: bytes(&ended.root.0),
        }),
    };
    pb::AuditRecord {
        index,
        time_micros: record.time().0,
        leaf_hash: bytes(&leaf.0),
        record: Some(written),
    }
}

/// A record as a reviewer's client prints it; `None` for one of a kind that this
/// program does not know.
pub fn decode_record(origin: &str, record: pb::AuditRecord) -> Option<Line> {
    let pb::AuditRecord { index, time_micros: time_us, record, .. } = record;
    let (time, origin) = (Timestamp(time_us).to_string(), origin.to_owned());
    let given = |text: String| (!text.is_empty()).then_some(text);
    Some(match record? {
        audit_record::Record::Section(section) => Line::Section(Box::new(SectionLine {
            origin,
            index,
            time,
            time_us,
            request: section.request_id,
            consumer: section.consumer,
            purpose: given(section.purpose),
            legal_basis: given(section.legal_basis),
            grant: given(section.grant),
            agency: given(section.agency),
            items: section
                .items
                .into_iter()
                .filter_map(|number| ItemNumber::new(number).map(ItemNumber::get))
                .collect(),
            catalogue: HEXLOWER.encode(&section.catalogue_digest),
            decision: section.decision,
            reason: given(section.reason),
            policy: given(HEXLOWER.encode(&section.policy_digest)),
            rules: section.rules,
            subject_tag: None,
            count: section.count.map(|count| {
                let pb::CountAudit { issuer, window, expires, used, released } = count;
                CountLine { issuer, window, expires, used, released }
            }),
        })),
        audit_record::Record::Refusals(refusals) => Line::Refusals {
            origin,
            index,
            time,
            time_us,
            since_us: refusals.since_micros,
            peer: refusals.peer,
            reason: refusals.reason,
            count: refusals.count,
        },
        audit_record::Record::Search(search) => Line::Search {
            origin,
            index,
            time,
            time_us,
            reviewer: search.reviewer,
            search: search.search,
            by: search.by,
            hits: search.hits,
        },
        audit_record::Record::Opened(opened) => {
            Line::Started { origin, index, time, time_us, clean: opened.clean }
        }
        audit_record::Record::Closed(_) => Line::Stopped { origin, index, time, time_us },
        audit_record::Record::Succeeds(before) => Line::Succeeds {
            origin,
            index,
            time,
            time_us,
            log: before.origin,
            size: before.size,
            root: HEXLOWER.encode(&before.root),
        },
    })
}
