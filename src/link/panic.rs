//! A panicking handler answers INTERNAL, and the server lives.
//!
//! The panic's own text is not sent and not logged here: it may hold what belongs
//! to a person. What a request leaves in shared state is the handler's care.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Response};
use hyper::body::{Body, Frame, SizeHint};
use tonic::Status;

use crate::domain::peer::PeerId;
use crate::domain::reason::Reason;
use crate::wire::refusal::Refusal;

/// What a caller is told.
const MESSAGE: &str = "the server failed on this request; it may be sent again";

/// Whose request it was, for the log.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) peer: PeerId,
    pub(super) connection: u64,
}

impl Origin {
    fn report(&self) {
        tracing::error!(
            reason = %Reason::Panic,
            peer = %self.peer,
            connection = self.connection,
            "a request handler panicked; its caller was answered INTERNAL"
        );
    }
}

/// Runs a handler; its panic becomes an answer.
pub(super) async fn guard<B, E>(
    handler: impl Future<Output = Result<Response<B>, E>>,
    origin: Origin,
) -> Result<Response<GuardedBody<B>>, E> {
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(answer) => {
            Ok(answer?.map(|body| GuardedBody { inner: Some(body), origin: Some(origin) }))
        }
        Err(_) => {
            origin.report();
            Ok(refusal(&panicked()))
        }
    }
}

fn panicked() -> Status {
    Refusal::new(Reason::Panic, MESSAGE).into_status("")
}

/// An answer that is nothing but a status.
pub(super) fn refusal<B>(status: &Status) -> Response<GuardedBody<B>> {
    status.clone().into_http()
}

/// An answer's body whose panic becomes trailers. Without an inner body it is at
/// its end.
#[derive(Debug)]
pub(super) struct GuardedBody<B> {
    inner: Option<B>,
    origin: Option<Origin>,
}

impl<B> Default for GuardedBody<B> {
    fn default() -> Self {
        Self { inner: None, origin: None }
    }
}

impl<B> Body for GuardedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(context)));
        polled.unwrap_or_else(|_| {
            // What panicked is dropped, and not polled again.
            self.inner = None;
            if let Some(origin) = self.origin.take() {
                origin.report();
            }
            let mut trailers = HeaderMap::new();
            // Nothing in it is no header.
            let _ = panicked().add_header(&mut trailers);
            Poll::Ready(Some(Ok(Frame::trailers(trailers))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
