//! The one way from a refusal to a gRPC status: code, stable reason, details.
//!
//! Each status carries `google.rpc` details (ErrorInfo, and BadRequest or
//! RetryInfo where they apply), so that programs need not read the text.

use std::time::Duration;

use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::proto::google::rpc;

/// The domain of our reasons in ErrorInfo.
pub const ERROR_DOMAIN: &str = "tributary";

/// A field that is wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The field's name in the message, such as `items[3]`.
    pub field: String,
    /// What is wrong and what to do. Never holds a person's data.
    pub description: String,
}

/// A refusal of a whole call. Its text may be shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    /// The stable word for programs; each has a page in `docs/errors`.
    pub reason: &'static str,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// The fields at fault.
    pub fields: Vec<FieldFault>,
    /// When it may be tried again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal without details.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), fields: Vec::new(), retry_after: None }
    }

    /// A request with wrong fields.
    pub fn bad_request(fields: Vec<FieldFault>) -> Self {
        let listed: Vec<String> = fields
            .iter()
            .take(5)
            .map(|fault| format!("{}: {}", fault.field, fault.description))
            .collect();
        let more = fields.len().saturating_sub(listed.len());
        let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
        Self {
            fields,
            ..Self::new(
                Code::InvalidArgument,
                "BAD_REQUEST",
                format!("{}{tail}", listed.join("; ")),
            )
        }
    }

    /// More than can be taken on now.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(Duration::from_millis(100)),
            ..Self::new(Code::ResourceExhausted, "OVERLOADED", message)
        }
    }

    /// The status that a caller gets; `id` is the opaque id under which our log
    /// has more.
    pub fn into_status(self, id: &str) -> Status {
        let mut details = vec![any(
            "ErrorInfo",
            &rpc::ErrorInfo {
                reason: self.reason.to_owned(),
                domain: ERROR_DOMAIN.to_owned(),
                ..Default::default()
            },
        )];
        if !self.fields.is_empty() {
            let field_violations = self
                .fields
                .into_iter()
                .take(100)
                .map(|fault| rpc::bad_request::FieldViolation {
                    field: fault.field,
                    description: fault.description,
                })
                .collect();
            details.push(any("BadRequest", &rpc::BadRequest { field_violations }));
        }
        if let Some(delay) = self.retry_after {
            let retry_delay = prost_types::Duration::try_from(delay).ok();
            details.push(any("RetryInfo", &rpc::RetryInfo { retry_delay }));
        }
        if !id.is_empty() {
            let info = rpc::RequestInfo { request_id: id.to_owned(), ..Default::default() };
            details.push(any("RequestInfo", &info));
        }
        let message = self.message;
        let status = rpc::Status { code: self.code.into(), message: message.clone(), details };
        Status::with_details_and_metadata(
            self.code,
            message,
            status.encode_to_vec().into(),
            MetadataMap::new(),
        )
    }
}

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any {
        type_url: format!("type.googleapis.com/google.rpc.{name}"),
        value: message.encode_to_vec(),
    }
}

/// Our own constant for a reason that a peer stated; `None` for a word that is
/// none of ours, so that no stranger's text gets into answers and logs.
pub fn known_reason(word: &str) -> Option<&'static str> {
    REASONS.iter().copied().find(|known| *known == word)
}

/// Every reason that an agency may state for a section or an exchange.
const REASONS: &[&str] = &[
    "AGENCY_CLOSED",
    "BAD_REQUEST",
    "COUNTER_DOWN",
    "DEADLINE",
    "FREQUENCY_EXHAUSTED",
    "GRANT_AGENCY",
    "GRANT_ALGORITHM",
    "GRANT_AUDIENCE",
    "GRANT_CEILING",
    "GRANT_CLAIMS",
    "GRANT_CLIENT",
    "GRANT_CRITICAL",
    "GRANT_DIGESTS",
    "GRANT_DISCLOSURE",
    "GRANT_EXPIRED",
    "GRANT_ISSUER",
    "GRANT_ISSUER_SCOPE",
    "GRANT_ITEMS",
    "GRANT_KEY",
    "GRANT_MALFORMED",
    "GRANT_NOT_YET_VALID",
    "GRANT_PURPOSE",
    "GRANT_REVOKED",
    "GRANT_SIGNATURE",
    "GRANT_SIZE",
    "GRANT_STATUS_INDEX",
    "GRANT_STATUS_STALE",
    "GRANT_SUBJECT",
    "GRANT_TYPE",
    "GRANT_UNKNOWN",
    "LOG_FORKED",
    "LOG_ROLLED_BACK",
    "NOTHING_PERMITTED",
    "NOT_A_GATEWAY",
    "OVERLOADED",
    "POLICY_CHANGED",
    "REQUEST_ID_REUSED",
    "SOURCE_DOWN",
    "SOURCE_INVALID",
    "SOURCE_OVERLOADED",
    "SOURCE_SCHEMA",
    "SOURCE_TIMEOUT",
    "WRONG_CATALOGUE",
];

/// The stable reason of a status that came from another Tributary; empty when it
/// has none.
pub fn reason_of(status: &Status) -> String {
    let Ok(details) = rpc::Status::decode(status.details()) else { return String::new() };
    details
        .details
        .iter()
        .filter(|any| any.type_url.ends_with("google.rpc.ErrorInfo"))
        .find_map(|any| rpc::ErrorInfo::decode(any.value.as_slice()).ok())
        .map_or_else(String::new, |info| info.reason)
}
