//! What every call passes on its way out: the gRPC code that a caller can act
//! on.
//!
//! tonic answers an oversize message with OUT_OF_RANGE and an undecodable one
//! with INTERNAL. Callers are told RESOURCE_EXHAUSTED and INVALID_ARGUMENT, which
//! say whose fault it is.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use tonic::Code;
use tower::{Layer, Service};

/// Wraps a service so that its codes are mapped.
#[derive(Debug, Clone, Copy, Default)]
pub struct EdgeLayer;

/// A service whose codes are mapped.
#[derive(Debug, Clone)]
pub struct Edge<S>(S);

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge(inner)
    }
}

impl<S, B, R> Service<Request<B>> for Edge<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
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
