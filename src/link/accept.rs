//! Inbound links: what may refuse a connection before its first request.
//!
//! Every refusal logs `reason`, `connection` and, once proved, `peer`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service;

use super::budget::Budget;
use super::connection::Connection;
use super::cooling::Cooling;
use super::limits::LinkLimits;
use super::listen::{self, Bounds};
use super::tls::{HTTP2, LinkTls, Verifier};
use super::trust::{Usage, Verified};
use super::validity::Believed;
use crate::domain::finding::causes;
use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;
use crate::domain::shares::{Full, Place, Shares, Sizes};

type BoxError = Box<dyn Error + Send + Sync>;

/// How long a refused peer may take to read why.
const ALERT_LINGER: Duration = Duration::from_millis(250);

/// Accepts connections until `shutdown`, then asks every connection to go,
/// waits at most [`LinkLimits::drain`] and closes the rest.
///
/// Each request carries its [`PeerId`](crate::domain::peer::PeerId) and its
/// [`Link`](super::validity::Link) in its extensions. `service` is cloned for
/// each request; tonic's `Routes` fits.
pub async fn serve<S, B>(
    listener: TcpListener,
    tls: LinkTls,
    service: S,
    limits: LinkLimits,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    // Its sender is gone, so that they never change.
    let (_, limits) = watch::channel(limits);
    serve_within(listener, tls, service, limits, shutdown).await;
}

/// As [`serve`], within limits that may change: places and memory for everybody at once, the
/// rest for connections that come later.
pub async fn serve_within<S, B>(
    listener: TcpListener,
    tls: LinkTls,
    service: S,
    mut limits: watch::Receiver<LinkLimits>,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let first = limits.borrow_and_update().clone();
    let bounds = Bounds { most: Arc::new(AtomicUsize::new(most(&first))), drain: first.drain };
    let door = Arc::new(Door {
        tls,
        handshakes: Mutex::default(),
        most: bounds.most.clone(),
        places: Shares::new(sizes(&first)),
        cooling: Arc::default(),
        budget: Budget::new(first.peer_bytes, first.all_peers_bytes),
        limits: ArcSwap::from_pointee(first),
    });
    let changing = door.clone();
    let converse = move |stream, connection, stopping| {
        let (door, service) = (Arc::clone(&door), service.clone());
        async move {
            let limits = door.limits.load_full();
            let admitted = door.admit(stream, connection, &limits, stopping).await;
            if let Some((connection, _place)) = admitted {
                connection.serve(service, &limits).await;
            }
        }
    };
    let changes = async {
        while limits.changed().await.is_ok() {
            changing.change(limits.borrow_and_update().clone());
        }
        std::future::pending().await
    };
    tokio::select! {
        () = listen::each(listener, bounds, converse, shutdown) => {}
        () = changes => {}
    }
}

/// Connections at once. Who has a place is decided once it is known who it is.
const fn most(limits: &LinkLimits) -> usize {
    limits.connections + limits.handshakes
}

const fn sizes(limits: &LinkLimits) -> Sizes {
    Sizes {
        total: limits.connections,
        of_peer: limits.connections_per_peer,
        of_domain: limits.connections_per_domain,
    }
}

/// What all connections share before they are served.
struct Door {
    tls: LinkTls,
    /// For connections that come from now on.
    limits: ArcSwap<LinkLimits>,
    most: Arc<AtomicUsize>,
    /// Handshakes under way, oldest first; dropping the sender closes one.
    handshakes: Mutex<BTreeMap<u64, oneshot::Sender<()>>>,
    places: Arc<Shares>,
    cooling: Arc<Cooling>,
    budget: Arc<Budget>,
}

impl Door {
    fn change(&self, limits: LinkLimits) {
        self.most.store(most(&limits), Ordering::Relaxed);
        self.places.resize(sizes(&limits));
        self.budget.resize(limits.peer_bytes, limits.all_peers_bytes);
        self.limits.store(Arc::new(limits));
    }

    /// Takes a TCP connection through the handshake. None means refused.
    async fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        connection: u64,
        limits: &LinkLimits,
        mut stopping: watch::Receiver<bool>,
    ) -> Option<(Connection, Place)> {
        let changes = self.tls.trust().changes();
        let evicted = self.enter(connection, limits);
        let handshake = self.handshake(stream, connection);
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(limits.handshake, handshake) => {
                if outcome.is_err() {
                    refuse(connection, None, Reason::HandshakeTimeout, "");
                }
                outcome.ok().flatten()
            }
            _ = evicted => {
                refuse(connection, None, Reason::TooManyHandshakes, "");
                None
            }
            _ = stopping.wait_for(|stopping| *stopping) => None,
        };
        self.handshakes.lock().remove(&connection);

        let (stream, verified, chain) = outcome?;
        let peer = verified.peer.spiffe().clone();
        let place = match self.places.enter(&peer) {
            Ok(place) => place,
            Err(full) => {
                refuse(connection, Some(&peer), reason_of(full), "");
                return None;
            }
        };
        let held =
            Believed::new(self.tls.trust().clone(), changes, chain, Usage::Client, verified.until);
        tracing::debug!(%peer, connection, "connection accepted");
        let memory = self.budget.connection(&peer, limits.connection_window);
        let accepted = Connection {
            stream,
            peer: verified.peer,
            number: connection,
            held,
            memory,
            cooling: self.cooling.clone(),
            stopping,
        };
        Some((accepted, place))
    }

    /// Notes a handshake, and closes the oldest when there are too many.
    fn enter(&self, connection: u64, limits: &LinkLimits) -> oneshot::Receiver<()> {
        let (evict, evicted) = oneshot::channel();
        let mut handshakes = self.handshakes.lock();
        while handshakes.len() >= limits.handshakes.max(1) {
            handshakes.pop_first();
        }
        handshakes.insert(connection, evict);
        evicted
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        connection: u64,
    ) -> Option<(TlsStream<TcpStream>, Verified, Vec<CertificateDer<'static>>)> {
        let (config, verifier) = match self.tls.inbound() {
            Ok(session) => session,
            Err(error) => {
                refuse(connection, None, Reason::TlsConfiguration, &causes(&error));
                return None;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            refuse(connection, None, Reason::HandshakeAborted, &causes(&error));
            return None;
        }
        // Whoever looks whether the port is open, as load balancers do, says nothing.
        if !matches!(stream.peek(&mut [0]).await, Ok(1..)) {
            tracing::debug!(connection, "connection closed without a byte");
            return None;
        }
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        let start = match hello.await {
            Ok(start) => start,
            Err(error) => {
                refuse(connection, None, tls_reason(&error), &causes(&error));
                return None;
            }
        };
        let stream = match start.into_stream(config).into_fallible().await {
            Ok(stream) => stream,
            Err((error, stream)) => {
                refuse_handshake(connection, &verifier, &error);
                linger(stream).await;
                return None;
            }
        };
        let session = stream.get_ref().1;
        let chain = session.peer_certificates().map(<[_]>::to_vec);
        let (Some(Ok(verified)), Some(chain)) = (verifier.finding().cloned(), chain) else {
            // rustls does not come here without asking the verifier.
            refuse(connection, None, Reason::NotVerified, "");
            return None;
        };
        if session.alpn_protocol() != Some(HTTP2) {
            let peer = verified.peer.spiffe();
            refuse(connection, Some(peer), Reason::NoHttp2, "");
            return None;
        }
        Some((stream, verified, chain))
    }
}

const fn reason_of(full: Full) -> Reason {
    match full {
        Full::Altogether => Reason::TooManyConnections,
        Full::OfPeer => Reason::TooManyConnectionsOfPeer,
        Full::OfDomain => Reason::TooManyConnectionsOfDomain,
    }
}

/// Closes after an alert in such a way that the peer can read it: closing with
/// unread bytes would reset the connection and lose it.
async fn linger(mut stream: TcpStream) {
    let reading = async {
        stream.shutdown().await?;
        let mut rest = [0_u8; 4096];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    // Whatever comes of it, the connection is closed now.
    let _ = tokio::time::timeout(ALERT_LINGER, reading).await;
}

fn refuse(connection: u64, peer: Option<&SpiffeId>, reason: Reason, error: &str) {
    let peer = peer.map(tracing::field::display);
    tracing::warn!(%reason, peer, connection, error, "connection refused");
}

fn refuse_handshake(connection: u64, verifier: &Verifier, error: &io::Error) {
    match verifier.finding() {
        Some(Err(error)) => {
            let claimed = error.claimed().map(tracing::field::display);
            let reason = error.reason();
            let error = causes(error);
            tracing::warn!(%reason, claimed, connection, error, "connection refused");
        }
        _ => refuse(connection, None, tls_reason(error), &causes(error)),
    }
}

/// Why a handshake failed before, or beside, the certificate.
fn tls_reason(error: &io::Error) -> Reason {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::NoCertificatesPresented) => Reason::NoCertificate,
        Some(rustls::Error::NoApplicationProtocol) => Reason::NoHttp2,
        Some(rustls::Error::PeerIncompatible(_)) => Reason::TlsIncompatible,
        Some(rustls::Error::InvalidMessage(_)) => Reason::NotTls,
        Some(rustls::Error::AlertReceived(_)) => Reason::RefusedByPeer,
        Some(_) => Reason::TlsFailed,
        None => Reason::HandshakeAborted,
    }
}
