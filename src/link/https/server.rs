//! Publishes a few public documents over HTTPS: GET and HEAD of fixed paths.
//!
//! Every bound is here, because anybody may connect: one request a connection, a
//! deadline for the handshake, for the request's headers and for the whole, and a
//! cap on connections. Beyond it the newest is closed; each place is free again
//! after [`PublishLimits::whole`] at the latest.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::HTTP1;
use crate::domain::reason::Reason;
use crate::link::certificate::{self, CertificateError};
use crate::link::identity::{IdentityError, leaf, read_chain, read_key};
use crate::link::listen::{self, Bounds};
use crate::link::tls::{WallClock, provider};

/// Bytes of a request's headers at most.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Why a certificate and its key cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ServerPairError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] IdentityError),
    /// The certificate cannot be read.
    #[error("certificate `{file}` cannot be used")]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// The certificate is not valid now.
    #[error(
        "certificate `{file}` is valid from {not_before} to {not_after} and not now: \
         issue it anew, or check this machine's clock"
    )]
    NotNow {
        /// The file.
        file: PathBuf,
        /// From when.
        not_before: OffsetDateTime,
        /// Until when.
        not_after: OffsetDateTime,
    },
}

/// A web server's certificate chain and key, as issued by any authority: unlike an
/// [`OwnIdentity`](crate::link::identity::OwnIdentity) it needs no SPIFFE id.
#[derive(Debug)]
pub struct ServerPair {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl ServerPair {
    /// Reads the pair.
    ///
    /// # Errors
    /// [`ServerPairError`], also when others than its owner may read the key.
    pub fn load(
        certificate: &Path,
        key: &Path,
        now: OffsetDateTime,
    ) -> Result<Arc<Self>, ServerPairError> {
        let current = ArcSwap::from_pointee(read(certificate, key, now)?);
        Ok(Arc::new(Self { certificate: certificate.to_owned(), key: key.to_owned(), current }))
    }

    /// Reads the same files again, for new connections.
    ///
    /// # Errors
    /// [`ServerPairError`]; the old pair stays.
    pub fn reload(&self, now: OffsetDateTime) -> Result<(), ServerPairError> {
        self.current.store(Arc::new(read(&self.certificate, &self.key, now)?));
        Ok(())
    }
}

impl ResolvesServerCert for ServerPair {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(file: &Path, key: &Path, now: OffsetDateTime) -> Result<CertifiedKey, ServerPairError> {
    let private = read_key(key)?;
    let chain = read_chain(file)?;
    let parsed = certificate::parse(leaf(file, &chain)?)
        .map_err(|source| ServerPairError::Certificate { file: file.to_owned(), source })?;
    let not_before = parsed.validity().not_before.to_datetime();
    let not_after = parsed.validity().not_after.to_datetime();
    if now < not_before || now > not_after {
        return Err(ServerPairError::NotNow { file: file.to_owned(), not_before, not_after });
    }
    CertifiedKey::from_der(chain, private, &provider()).map_err(|source| {
        IdentityError::Pair { key: key.to_owned(), certificate: file.to_owned(), source }.into()
    })
}

/// A document as it is handed out.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its media type.
    pub media: HeaderValue,
    /// Who may keep it, and how long.
    pub cache: HeaderValue,
    /// Its content.
    pub content: Bytes,
}

/// Bounds on what anybody may take of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishLimits {
    /// From the TCP connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the TLS handshake to the end of the request's headers.
    pub headers: Duration,
    /// A connection's whole life.
    pub whole: Duration,
    /// Connections at once.
    pub connections: usize,
    /// How long a stop waits for answers under way.
    pub drain: Duration,
}

impl Default for PublishLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            headers: Duration::from_secs(5),
            whole: Duration::from_secs(20),
            connections: 512,
            drain: Duration::from_secs(2),
        }
    }
}

/// Serves until `shutdown`, then lets answers under way finish for at most
/// [`PublishLimits::drain`]. `find` gives the document at a path with its query,
/// at once and without waiting for anything.
///
/// # Errors
/// When TLS cannot be set up. Nothing is served then.
pub async fn serve<F>(
    listener: TcpListener,
    pair: Arc<ServerPair>,
    find: F,
    limits: PublishLimits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), rustls::Error>
where
    F: Fn(&str) -> Option<Document> + Send + Sync + 'static,
{
    let door = Arc::new(Door { tls: acceptor(pair)?, find, limits });
    let bounds = Bounds { most: door.limits.connections, drain: door.limits.drain };
    let converse = move |stream, _, stopping| {
        let door = Arc::clone(&door);
        async move {
            // Anybody may connect and do nothing: no event worth a warning.
            if timeout(door.limits.whole, door.converse(stream, stopping)).await.is_err() {
                tracing::debug!(reason = %Reason::ConnectionTimeout, "connection closed");
            }
        }
    };
    listen::each(listener, bounds, converse, shutdown).await;
    Ok(())
}

fn acceptor(pair: Arc<ServerPair>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(WallClock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(pair);
    config.alpn_protocols = vec![HTTP1.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What all connections share.
struct Door<F> {
    tls: TlsAcceptor,
    find: F,
    limits: PublishLimits,
}

impl<F: Fn(&str) -> Option<Document>> Door<F> {
    /// One connection: handshake, one request, its answer.
    async fn converse(&self, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
        let handshake = timeout(self.limits.handshake, self.tls.accept(stream));
        let stream = tokio::select! {
            stream = handshake => stream,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let stream = match stream {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(reason = %Reason::TlsFailed, %error, "connection closed");
                return;
            }
            Err(_) => {
                tracing::debug!(reason = %Reason::HandshakeTimeout, "connection closed");
                return;
            }
        };
        let service =
            service_fn(|request| std::future::ready(Ok::<_, Infallible>(self.answer(&request))));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.headers)
            .max_buf_size(MAX_HEADER_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let stopped = async { stopping.wait_for(|stopping| *stopping).await.is_ok() };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = stopped => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let Some(document) = (self.find)(path) else {
            return empty(StatusCode::NOT_FOUND);
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = empty(StatusCode::METHOD_NOT_ALLOWED);
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        // To HEAD, hyper sends the length and no body.
        let mut answer = Response::new(Full::new(document.content));
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, document.media);
        headers.insert(header::CACHE_CONTROL, document.cache);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
