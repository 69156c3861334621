//! Serves one connection whose handshake succeeded, until it ends or has to.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tonic::Status;
use tower::{Service, ServiceExt};

use super::budget::HeldBytes;
use super::coalesce::Bundled;
use super::cooling::Cooling;
use super::frames::Counted;
use super::limits::LinkLimits;
use super::panic::{self, GuardedBody, Origin};
use super::trust::TrustError;
use super::turns::{HeldSeat, Party};
use super::unread::{Paced, Streams};
use super::validity::{Believed, Link, Phase};
use crate::clock;
use crate::domain::peer::PeerId;
use crate::domain::reason::Reason;
use crate::wire::refusal::Refusal;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a peer that never sent a request may take to read our GOAWAY.
const SILENT_GOODBYE: Duration = Duration::from_millis(100);

/// What a connection takes by itself: TLS, HTTP/2, what is on its way out.
const CONNECTION: usize = 64 * 1024;

/// What a stream takes by itself: its tasks, their buffers, the queue of its answers.
const STREAM: usize = 24 * 1024;

/// Why we end a connection.
enum Why {
    Silence,
    Age,
    Stop,
    Distrust(TrustError),
    Broken(Reason),
}

/// One accepted connection and what bounds it.
pub(super) struct Connection {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) peer: PeerId,
    pub(super) number: u64,
    pub(super) held: Believed,
    pub(super) memory: HeldBytes,
    pub(super) cooling: Arc<Cooling>,
    pub(super) turns: Arc<Party>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Connection {
    /// Serves requests. Returns when the connection is closed, which happens at
    /// the latest one drain time after it was asked to go.
    pub(super) async fn serve<S, B>(mut self, service: S, limits: &LinkLimits)
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError> + Send,
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let mut lost = pin!(self.held.lost());
        if let Some(until) = self.cooling.until(self.peer.spiffe(), clock::now()) {
            tracing::debug!(peer = %self.peer, connection = self.number, "not read yet: its last one was closed for what it took");
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                _ = self.stopping.wait_for(|stopping| *stopping) => return,
                error = lost.as_mut() => return distrust(&self.peer, self.number, &error),
            }
        }
        let phase = watch::Sender::new(Phase::Open);
        let asked = Arc::new(AtomicBool::new(false));
        let requests = Requests {
            inner: service,
            link: Link::new(
                self.peer.clone(),
                self.number,
                phase.subscribe(),
                self.memory.clone(),
                limits.standstill,
            ),
            asked: Arc::clone(&asked),
        };
        let _charge = self.memory.charge(CONNECTION);
        let (stream, broken) =
            Counted::new(Bundled::new(self.stream), self.memory.clone(), limits.idle_frames);
        let seat = HeldSeat::in_line(self.turns.clone());
        let streams = Streams::new(limits.unread, self.turns);
        let mut connection =
            pin!(http2(limits, streams).serve_connection(TokioIo::new(stream), requests));
        let silence = async {
            tokio::time::sleep(limits.silence).await;
            if asked.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };

        let why = tokio::select! {
            ended = seat.of(connection.as_mut()) => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %self.peer, connection = self.number, %error, "connection ended");
                }
                return;
            }
            error = lost.as_mut() => Why::Distrust(error),
            // An error means that the accept loop is gone.
            _ = self.stopping.wait_for(|stopping| *stopping) => Why::Stop,
            () = tokio::time::sleep(limits.age_of(self.number)) => Why::Age,
            () = silence => Why::Silence,
            Ok(reason) = broken => Why::Broken(reason),
            () = self.memory.pays() => Why::Broken(Reason::HeaviestPeer),
        };

        let (bound, ends) = match why {
            Why::Silence => {
                refused(&self.peer, self.number, Reason::IdleTimeout, "no request came in time");
                (SILENT_GOODBYE, Phase::Draining(Reason::IdleTimeout))
            }
            Why::Broken(reason) => {
                refused(&self.peer, self.number, reason, "it takes more than a peer may");
                self.cooling.closed(self.peer.spiffe(), clock::now());
                (SILENT_GOODBYE, Phase::Draining(reason))
            }
            Why::Age => {
                tracing::debug!(peer = %self.peer, connection = self.number, "connection has its age: draining");
                (limits.drain, Phase::Draining(Reason::ConnectionAge))
            }
            Why::Stop => (limits.drain, Phase::Draining(Reason::Stopping)),
            Why::Distrust(error) => {
                distrust(&self.peer, self.number, &error);
                (limits.distrust, Phase::Distrusted)
            }
        };
        phase.send_replace(ends);
        connection.as_mut().graceful_shutdown();

        let left = tokio::select! {
            _ = seat.of(connection.as_mut()) => return,
            () = tokio::time::sleep(bound) => None,
            error = lost.as_mut(), if ends != Phase::Distrusted => Some(error),
        };
        if let Some(error) = left {
            distrust(&self.peer, self.number, &error);
            phase.send_replace(Phase::Distrusted);
            if tokio::time::timeout(limits.distrust, seat.of(connection.as_mut())).await.is_ok() {
                return;
            }
        }
        tracing::warn!(
            reason = %Reason::DrainTimeout,
            peer = %self.peer,
            connection = self.number,
            "the connection did not end by itself: closed hard"
        );
    }
}

fn refused(peer: &PeerId, connection: u64, reason: Reason, message: &str) {
    tracing::warn!(%reason, %peer, connection, "{message}: connection closed");
}

fn distrust(peer: &PeerId, connection: u64, error: &TrustError) {
    tracing::warn!(
        reason = %error.reason(),
        %peer,
        connection,
        error = %crate::domain::finding::causes(error),
        "the peer of an open connection is no longer believed: closing it"
    );
}

fn http2(limits: &LinkLimits, streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_local_error_reset_streams(limits.local_resets)
        .max_pending_accept_reset_streams(limits.pending_resets)
        .max_header_list_size(limits.header_list)
        .keep_alive_interval(limits.keepalive)
        .keep_alive_timeout(limits.keepalive_timeout)
        .max_send_buf_size(limits.send_buffer)
        .adaptive_window(false)
        .initial_connection_window_size(limits.connection_window)
        .initial_stream_window_size(limits.stream_window);
    builder
}

/// The service of one connection: tells handlers who asks, answers their panics,
/// and lets nothing out to a peer that is no longer believed.
struct Requests<S> {
    inner: S,
    link: Link,
    asked: Arc<AtomicBool>,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    type Response = Response<Paced<GuardedBody<B>>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.asked.store(true, Ordering::Relaxed);
        let link = self.link.clone();
        let service = self.inner.clone();
        let memory = link.memory().clone();
        if memory.is_spent() {
            let answer = panic::refusal(&spent()).map(Paced::small);
            return Box::pin(async move { Ok(answer) });
        }
        let charge = memory.charge(STREAM + headers_of(&request));
        Box::pin(async move {
            if link.phase() == Phase::Distrusted {
                return Ok(panic::refusal(&no_longer_believed()).map(Paced::small));
            }
            request.extensions_mut().insert(link.peer().clone());
            request.extensions_mut().insert(link.clone());
            let origin = Origin { peer: link.peer().clone(), connection: link.connection() };
            // The call itself may panic too, so it happens inside the guard.
            let handler = async move { service.oneshot(request).await };
            let answer = panic::guard(handler, origin).await?;
            if link.phase() == Phase::Distrusted {
                return Ok(panic::refusal(&no_longer_believed()).map(Paced::small));
            }
            let (head, body) = answer.into_parts();
            let body = Paced::begin(body, &head.extensions, memory, charge).await;
            // A handler's body has no error of its own.
            let body = body.unwrap_or_else(|_| Paced::small(GuardedBody::default()));
            Ok(Response::from_parts(head, body))
        })
    }
}

/// What a request's headers take, with the map that holds them.
fn headers_of<B>(request: &Request<B>) -> usize {
    let headers = request.headers().iter();
    headers.map(|(name, value)| name.as_str().len() + value.len() + 128).sum()
}

fn spent() -> Status {
    let message =
        "you make this process hold as much as one peer may: read answers, finish messages";
    Refusal::new(Reason::MemorySpent, message).into_status("")
}

fn no_longer_believed() -> Status {
    let message = "the certificate expired or was revoked; connect with a valid one";
    Refusal::new(Reason::NoPeer, message).into_status("")
}
