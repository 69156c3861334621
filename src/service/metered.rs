//! How long calls take that come in, of whichever service, and how they end: to the end of
//! the answer, which of a stream is its own end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use hyper::body::{Body, Frame, SizeHint};
use tower::{Layer, Service};

use crate::clock;
use crate::telemetry::metrics::Metrics;

/// Wraps a service so that its calls are measured.
#[derive(Debug, Clone)]
pub struct MeteredLayer(pub Arc<Metrics>);

/// A service whose calls are measured.
#[derive(Debug, Clone)]
pub struct Metered<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S> Layer<S> for MeteredLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered { inner, metrics: self.0.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Metered<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<Measured<R>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Measured<R>>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let metrics = self.metrics.clone();
        let method = metrics.method(request.uri().path());
        let mut call = Call { metrics, method, began: clock::now(), code: None };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // Without a message the status stands in the headers.
            call.note(response.headers());
            Ok(response.map(|body| Measured { body, call }))
        })
    }
}

/// A call under way. Dropped before its status is known, its caller has gone.
#[derive(Debug)]
struct Call {
    metrics: Arc<Metrics>,
    method: Arc<str>,
    began: Instant,
    code: Option<&'static str>,
}

impl Call {
    fn note(&mut self, headers: &HeaderMap) {
        let status = headers.get("grpc-status").and_then(|status| status.to_str().ok());
        if let Some(status) = status {
            self.code = Some(name_of(status));
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = self.code.unwrap_or("CANCELLED");
        self.metrics.call(self.method.clone(), code, self.began.elapsed());
    }
}

/// A status code's name (grpc/grpc, doc/statuscodes.md).
fn name_of(number: &str) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let number = number.parse::<usize>().ok();
    number.and_then(|number| NAMES.get(number)).copied().unwrap_or("UNKNOWN")
}

/// An answer's body that notes its end.
#[derive(Debug)]
pub struct Measured<B> {
    body: B,
    call: Call,
}

impl<B: Body + Unpin> Body for Measured<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.note(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::GrpcCode;

    #[test]
    fn codes_have_the_names_that_reasons_use() {
        for code in
            [GrpcCode::Cancelled, GrpcCode::NotFound, GrpcCode::Internal, GrpcCode::Unauthenticated]
        {
            assert_eq!(name_of(&(code as i32).to_string()), code.as_str());
        }
        assert_eq!(name_of("0"), "OK");
        assert_eq!(name_of("canary"), "UNKNOWN");
        assert_eq!(name_of("17"), "UNKNOWN");
    }
}
