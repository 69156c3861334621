//! What every call passes, of whichever service: it is held to the form of a gRPC call
//! ([`form`], [`framing`], [`messages`]), its time is bounded, and a refusal says why ([`told`]).
//!
//! Handlers keep their deadline themselves, and answer with what they have by
//! then. The bound here is for what never gets so far: a request that does not
//! come, a handler that hangs, or an answer that is not read. A stream's own time is
//! no matter of it: of a call with streams it bounds what comes before the answer's
//! headers.

mod form;
mod framing;
mod messages;
mod told;

use std::error::Error;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Body;
use tower::{Layer, Service};

use self::messages::Messages;
use self::told::Told;
use crate::clock;
use crate::domain::reason::Reason;
use crate::link::unread;
use crate::link::validity::Link;
use crate::wire::refusal::Refusal;
use crate::wire::{deadline, proto};

type BoxError = Box<dyn Error + Send + Sync>;

/// The calls that take one message, and those that have one answer, which is to be read
/// in their time.
static UNARY: LazyLock<proto::Unary> =
    LazyLock::new(|| proto::unary(&[proto::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET]));

/// How long after its deadline a handler may take to record and answer.
const GRACE: Duration = Duration::from_secs(3);

/// How long after that its answer may still be read.
const READING: Duration = Duration::from_secs(1);

/// The longest time that a caller may state. It may change while calls are served.
#[derive(Debug, Clone)]
pub struct Longest(Arc<AtomicU64>);

impl Longest {
    /// Begins with this time.
    pub fn new(time: Duration) -> Self {
        let longest = Self(Arc::default());
        longest.change(time);
        longest
    }

    /// For calls that come from now on.
    pub fn change(&self, time: Duration) {
        self.0.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.0.load(Relaxed))
    }
}

/// Wraps a service so that its calls are bounded and its codes mapped.
#[derive(Debug, Clone)]
pub struct EdgeLayer {
    /// The longest time that a caller may state.
    pub longest: Longest,
}

/// A service whose calls are bounded and whose codes are mapped.
#[derive(Debug, Clone)]
pub struct Edge<S> {
    inner: S,
    longest: Longest,
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, longest: self.longest.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Edge<S>
where
    S: Service<Request<Messages<B>>, Response = Response<R>>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    R: Body + Default + Unpin + Send + 'static,
{
    type Response = Response<Told<R>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Told<R>>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Err(no_call) = form::check(&request) {
            let answer = refused(*no_call);
            return Box::pin(async move { Ok(answer) });
        }
        let within = deadline::timeout(request.headers(), self.longest.now()) + GRACE;
        let until = clock::now() + within + READING;
        let path = request.uri().path();
        let (one, one_answer) = (UNARY.questions.contains(path), UNARY.answers.contains(path));
        let closing = closing_of(&request);
        let link = request.extensions().get::<Link>().cloned();
        let request = request.map(|body| Messages::new(body, one, closing, link.as_ref()));
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
            let mut response = answer?.map(Told);
            told::complete(response.headers_mut());
            Ok(response)
        })
    }
}

/// The answer to what is no gRPC call: HTTP's own refusal, and gRPC's beside it.
fn refused<B: Default>((http, refusal): form::NoCall) -> Response<B> {
    let mut response = refusal.into_status("").into_http();
    *response.status_mut() = http;
    if http == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

/// Streams of the reflection service have no end of their own: they end with their
/// connection, or its drain.
fn closing_of<B>(request: &Request<B>) -> Option<BoxFuture<'static, ()>> {
    let link = request.extensions().get::<Link>()?;
    if !request.uri().path().starts_with("/grpc.reflection.") {
        return None;
    }
    let link = link.clone();
    Some(Box::pin(async move {
        link.closing().await;
    }))
}
