//! Why a long stream is to end, of whichever service, and the end of those that know
//! nothing of it: [`Ends`].

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use hyper::body::{Bytes, Frame};
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::domain::reason::Reason;
use crate::link::validity::{Link, Phase};
use crate::wire::refusal::Refusal;

/// Waits until the process stops, the connection is to go, or the peer is no
/// longer believed, and says which: nothing where the peer is no longer believed, for
/// then nothing more is released on the stream. One future serves a stream's whole life.
pub async fn ending(link: &Link, stop: &mut watch::Receiver<bool>) -> Option<Reason> {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => Some(Reason::Stopping),
        phase = link.closing() => match phase {
            Phase::Distrusted => None,
            Phase::Open | Phase::Draining => Some(Reason::ConnectionAge),
        },
    }
}

/// A service of which each answer ends when the process stops or the connection is to
/// go, so that none holds either up.
#[derive(Debug, Clone)]
pub struct Ends<S> {
    inner: S,
    stop: watch::Receiver<bool>,
}

impl<S> Ends<S> {
    /// Ends the answers of `inner` once `stop` turns true.
    pub fn new(inner: S, stop: &watch::Receiver<bool>) -> Self {
        Self { inner, stop: stop.clone() }
    }
}

impl<S: NamedService> NamedService for Ends<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Ends<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let link = request.extensions().get::<Link>().cloned();
        let mut stop = self.stop.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let end = Box::pin(async move {
                match link {
                    Some(link) => ending(&link, &mut stop).await,
                    None => stop.wait_for(|stop| *stop).await.ok().map(|_| Reason::Stopping),
                }
            });
            Ok(answer.await?.map(|body| Body::new(Until { body, end, over: false })))
        })
    }
}

/// A body that ends with its own end or when a stream is to end.
struct Until {
    body: Body,
    end: BoxFuture<'static, Option<Reason>>,
    over: bool,
}

impl hyper::body::Body for Until {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let reason = ready!(self.end.as_mut().poll(context)).unwrap_or(Reason::Stopping);
        self.over = true;
        let status = Refusal::new(reason, "the stream ends: ask again").into_status("");
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
