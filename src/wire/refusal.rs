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

/// Bytes of headers that a status takes at most: what the smallest usual client accepts is
/// 8 KiB for everything that comes with an answer.
const MOST_IN_HEADERS: usize = 4 * 1024 - 256;

/// Bytes of a text for people at most.
const MOST_TEXT: usize = 600;

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
        let mut refusal = self;
        shorten(&mut refusal.message);
        let (code, message) = (refusal.code(), refusal.text());
        let mut details = vec![any(
            "ErrorInfo",
            &rpc::ErrorInfo {
                reason: refusal.reason.to_string(),
                domain: ERROR_DOMAIN.to_owned(),
                ..Default::default()
            },
        )];
        if !refusal.fields.is_empty() {
            // The text stands in a header of its own, escaped, and in the details.
            let text = escaped(&message) + in_base64(message.len() + id.len() + 256);
            let room = MOST_IN_HEADERS.saturating_sub(text);
            details.push(any("BadRequest", &bad_request(refusal.fields, room)));
        }
        if let Some(delay) = refusal.retry_after {
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

/// As many of the faults as there is room for in headers, and how many more there are.
fn bad_request(fields: Vec<FieldFault>, room: usize) -> rpc::BadRequest {
    let (mut taken, mut left) = (0, fields.len());
    let mut field_violations = Vec::new();
    for fault in fields {
        let FieldFault { field, mut description } = fault;
        shorten(&mut description);
        let violation = rpc::bad_request::FieldViolation { field, description };
        taken += in_base64(violation.encoded_len() + 8);
        if taken > room {
            let description = format!("and {left} more");
            field_violations
                .push(rpc::bad_request::FieldViolation { description, ..Default::default() });
            break;
        }
        left -= 1;
        field_violations.push(violation);
    }
    rpc::BadRequest { field_violations }
}

/// Cuts a text for people to its greatest length.
fn shorten(text: &mut String) {
    if text.len() > MOST_TEXT {
        let end = (0..=MOST_TEXT).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
}

/// How long a text is at most as a header's value.
fn escaped(text: &str) -> usize {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { 1 } else { 3 }).sum()
}

const fn in_base64(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
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
        reason::GrpcCode::Cancelled => Code::Cancelled,
        reason::GrpcCode::InvalidArgument => Code::InvalidArgument,
        reason::GrpcCode::DeadlineExceeded => Code::DeadlineExceeded,
        reason::GrpcCode::NotFound => Code::NotFound,
        reason::GrpcCode::AlreadyExists => Code::AlreadyExists,
        reason::GrpcCode::PermissionDenied => Code::PermissionDenied,
        reason::GrpcCode::ResourceExhausted => Code::ResourceExhausted,
        reason::GrpcCode::FailedPrecondition => Code::FailedPrecondition,
        reason::GrpcCode::Unimplemented => Code::Unimplemented,
        reason::GrpcCode::Internal => Code::Internal,
        reason::GrpcCode::Unavailable => Code::Unavailable,
        reason::GrpcCode::Unauthenticated => Code::Unauthenticated,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_fields_are_wrong_the_status_fits_into_headers_and_says_how_many() {
        for (count, length) in [(1, 10), (20, 40), (400, 40), (400, 1_000), (3, 100_000)] {
            for letter in ["x", " ", "項"] {
                let fault = |at| FieldFault {
                    field: format!("items[{at}]"),
                    description: letter.repeat(length),
                };
                let refusal = Refusal::bad_request((0..count).map(fault).collect());
                let status = refusal.into_status("0123456789abcdef");
                let headers = status.clone().into_http::<String>().into_parts().0.headers;
                let size: usize = headers
                    .iter()
                    .map(|(name, value)| name.as_str().len() + value.len() + 32)
                    .sum();
                assert!(size <= 4 * 1024, "{count} of {length}: {size}");
                assert_eq!(reason_of(&status), "BAD_REQUEST");
                let told =
                    detail::<rpc::BadRequest>(&status, "BadRequest").unwrap().field_violations;
                if told.len() < count {
                    let more = count + 1 - told.len();
                    assert_eq!(told.last().unwrap().description, format!("and {more} more"));
                }
            }
        }
    }
}
