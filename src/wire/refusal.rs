//! The one way from a refusal to a gRPC status: code, stable reason, details.
//!
//! Each status carries `google.rpc` details (ErrorInfo, and BadRequest or
//! RetryInfo where they apply), so that programs need not read the text. What a reason
//! means is in [`crate::domain::reason`].

use std::time::Duration;

use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::proto::google::rpc;
use crate::domain::reason::{self, Reason};

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
    /// Why.
    pub reason: Reason,
    /// What is wrong and what to do, for people.
    pub message: String,
    /// The fields at fault.
    pub fields: Vec<FieldFault>,
    /// After how long to ask again; at first what the reason says.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal without details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let retry_after = reason.retry_after();
        Self { reason, message: message.into(), fields: Vec::new(), retry_after }
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        code_of(self.reason)
    }

    /// What is wrong, why in a word, and where the remedy stands.
    pub fn text(&self) -> String {
        let Self { message, reason, .. } = self;
        format!("{message} ({reason}: `tributary explain {reason}` says what to do)")
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
        let message = format!("{}{tail}", listed.join("; "));
        Self { fields, ..Self::new(Reason::BadRequest, message) }
    }

    /// More than can be taken on now.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::new(Reason::Overloaded, message)
    }

    /// The status that a caller gets; `id` is the opaque id under which our log
    /// has more.
    pub fn into_status(self, id: &str) -> Status {
        let (code, message) = (self.code(), self.text());
        let mut details = vec![any(
            "ErrorInfo",
            &rpc::ErrorInfo {
                reason: self.reason.to_string(),
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
        let status = rpc::Status { code: code.into(), message: message.clone(), details };
        Status::with_details_and_metadata(
            code,
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

/// The gRPC code of a refusal for a reason.
pub const fn code_of(reason: Reason) -> Code {
    match reason.code() {
        reason::Code::Cancelled => Code::Cancelled,
        reason::Code::InvalidArgument => Code::InvalidArgument,
        reason::Code::DeadlineExceeded => Code::DeadlineExceeded,
        reason::Code::NotFound => Code::NotFound,
        reason::Code::AlreadyExists => Code::AlreadyExists,
        reason::Code::PermissionDenied => Code::PermissionDenied,
        reason::Code::ResourceExhausted => Code::ResourceExhausted,
        reason::Code::FailedPrecondition => Code::FailedPrecondition,
        reason::Code::Internal => Code::Internal,
        reason::Code::Unavailable => Code::Unavailable,
        reason::Code::Unauthenticated => Code::Unauthenticated,
    }
}

/// The stable reason of a status that came from another Tributary; empty when it
/// has none.
pub fn reason_of(status: &Status) -> String {
    detail::<rpc::ErrorInfo>(status, "google.rpc.ErrorInfo")
        .map_or_else(String::new, |info| info.reason)
}

/// After how long a refused call may be made again, if its status says so.
pub fn retry_after_of(status: &Status) -> Option<Duration> {
    let delay = detail::<rpc::RetryInfo>(status, "google.rpc.RetryInfo")?.retry_delay?;
    // A negative one is no delay at all.
    Some(Duration::try_from(delay).unwrap_or_default())
}

fn detail<M: Message + Default>(status: &Status, name: &str) -> Option<M> {
    let details = rpc::Status::decode(status.details()).ok()?.details;
    let found = details.into_iter().filter(|any| any.type_url.ends_with(name));
    found.into_iter().find_map(|any| M::decode(any.value.as_slice()).ok())
}
