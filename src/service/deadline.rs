//! What every call passes: a bound on its time, and on its way out the gRPC code
//! that a caller can act on.
//!
//! Handlers keep their deadline themselves, and answer with what they have by
//! then. The bound here is for what never gets so far: a request that does not
//! come, a handler that hangs, or an answer that is not read. A stream's own time is
//! no matter of it: of a call with streams it bounds what comes before the answer's
//! headers.
//!
//! tonic answers an oversize message with OUT_OF_RANGE and an undecodable one
//! with INTERNAL. Callers are told RESOURCE_EXHAUSTED and INVALID_ARGUMENT, which
//! say whose fault it is.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use tonic::Code;
use tower::{Layer, Service};

use crate::clock;
use crate::domain::reason::Reason;
use crate::link::unread;
use crate::wire::refusal::Refusal;
use crate::wire::{deadline, proto};

/// The calls that have one answer, which is to be read in their time.
static ONE_ANSWER: LazyLock<HashSet<String>> = LazyLock::new(|| {
    proto::one_answer(&[proto::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET])
});

/// How long after its deadline a handler may take to record and answer.
const GRACE: Duration = Duration::from_secs(3);

/// How long after that its answer may still be read.
const READING: Duration = Duration::from_secs(1);

/// Wraps a service so that its calls are bounded and its codes mapped.
#[derive(Debug, Clone, Copy)]
pub struct EdgeLayer {
    /// The longest time that a caller may state.
    pub max_deadline: Duration,
}

/// A service whose calls are bounded and whose codes are mapped.
#[derive(Debug, Clone)]
pub struct Edge<S> {
    inner: S,
    max_deadline: Duration,
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, max_deadline: self.max_deadline }
    }
}

impl<S, B, R> Service<Request<B>> for Edge<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let within = deadline::timeout(request.headers(), self.max_deadline) + GRACE;
        let until = clock::now() + within + READING;
        let one_answer = ONE_ANSWER.contains(request.uri().path());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Ok(answer) = tokio::time::timeout(within, answer).await else {
                let message = "the request did not come, or was not answered, in its time";
                let late = Refusal::new(Reason::Deadline, message);
                return Ok(late.into_status("").into_http());
            };
            if one_answer {
                unread::let_go_at(until);
            }
            let mut response = answer?;
            map_code(response.headers_mut());
            Ok(response)
        })
    }
}

fn map_code(headers: &mut http::HeaderMap) {
    let Some(code) = headers.get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()))
    else {
        return;
    };
    let undecodable = || {
        let message = headers.get("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
        message.starts_with(b"failed%20to%20decode") || message.starts_with(b"failed to decode")
    };
    let mapped = match code {
        Code::OutOfRange => Code::ResourceExhausted,
        Code::Internal if undecodable() => Code::InvalidArgument,
        _ => return,
    };
    headers.insert("grpc-status", HeaderValue::from(i32::from(mapped)));
}
