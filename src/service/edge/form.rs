//! Whether a request is a gRPC call at all: its method, content type and time limit.
//! What stands in its messages is no matter of it.

use http::{HeaderMap, Method, Request, StatusCode, header};

use crate::domain::reason::Reason;
use crate::wire::deadline;
use crate::wire::refusal::Refusal;

/// What every message may be written in.
const CONTENT_TYPES: [&str; 2] = ["application/grpc", "application/grpc+proto"];

/// A request that is no call: the HTTP status of its refusal, and why in gRPC's words.
pub(super) type NoCall = (StatusCode, Refusal);

/// Holds a request to the form of a call.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Box<NoCall>> {
    let wrong = |http, message: &str| Box::new((http, Refusal::new(Reason::CallForm, message)));
    if *request.method() != Method::POST {
        return Err(wrong(StatusCode::METHOD_NOT_ALLOWED, "a gRPC call is a POST"));
    }
    if !is_grpc(request.headers()) {
        let message =
            "a gRPC call has one `content-type`, `application/grpc` or `application/grpc+proto`";
        return Err(wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    deadline::stated(request.headers()).map(drop).map_err(|_| {
        wrong(StatusCode::OK, "`grpc-timeout` is to be one to eight digits and one of H M S m u n")
    })
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let mut stated = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(one), None) = (stated.next(), stated.next()) else { return false };
    one.to_str().is_ok_and(|one| CONTENT_TYPES.contains(&one))
}
