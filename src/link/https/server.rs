//! Publishes a few public documents over HTTPS: GET and HEAD of fixed paths.
//!
//! Every bound is here, because anybody may connect: a deadline for the handshake, for
//! the first request's headers and from each request to the next, so many requests and so
//! long a life for a connection, and a cap on connections. Beyond it the newest is closed.
//!
//! A connection is kept between requests only while there is room. When half of the places
//! are taken, each answer is the last of its connection, so that a place is free again after
//! [`PublishLimits::whole`] at the latest, whoever holds it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::HTTP1;
use crate::clock;
use crate::domain::reason::Reason;
use crate::link::certificate::{self, CertificateError};
use crate::link::crypto;
use crate::link::identity::{IdentityError, leaf, read_chain, read_key};
use crate::link::listen::{self, Bounds};
use crate::link::tls::WallClock;

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
    CertifiedKey::from_der(chain, private, &crypto::provider()).map_err(|source| {
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
    /// From the TLS handshake to the end of the first request's headers.
    pub headers: Duration,
    /// From one answer to the end of the next request's headers.
    pub idle: Duration,
    /// From the TCP connection, or a request, to the next request or the end.
    pub whole: Duration,
    /// Requests on one connection.
    pub requests: u32,
    /// Until when a connection takes requests.
    pub life: Duration,
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
            idle: Duration::from_secs(15),
            whole: Duration::from_secs(20),
            requests: 256,
            life: Duration::from_secs(300),
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
    let open = AtomicUsize::new(0);
    let door = Arc::new(Door { tls: acceptor(pair)?, find, limits, open });
    let bounds = Bounds {
        most: Arc::new(AtomicUsize::new(door.limits.connections)),
        drain: door.limits.drain,
    };
    let converse = move |stream, _, stopping| {
        let door = Arc::clone(&door);
        async move {
            let visit = Visit::of(&door);
            let over = async {
                // Seldom looked at: a request puts it off without waking anybody.
                loop {
                    let due = *visit.due.lock();
                    sleep_until(due.into()).await;
                    if *visit.due.lock() == due {
                        break;
                    }
                }
            };
            tokio::select! {
                () = visit.converse(stream, stopping) => {}
                // Anybody may connect and do nothing: no event worth a warning.
                () = over => {
                    tracing::debug!(reason = %Reason::ConnectionTimeout, "connection closed");
                }
            }
        }
    };
    listen::each(listener, bounds, converse, shutdown).await;
    Ok(())
}

fn acceptor(pair: Arc<ServerPair>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_details(crypto::provider(), Arc::new(WallClock))
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
    /// Connections that are open.
    open: AtomicUsize,
}

/// One connection.
struct Visit<'a, F> {
    door: &'a Door<F>,
    began: Instant,
    /// When it is closed, unless a request comes before.
    due: Mutex<Instant>,
    requests: AtomicU32,
}

impl<F> Drop for Visit<'_, F> {
    fn drop(&mut self) {
        self.door.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a, F: Fn(&str) -> Option<Document>> Visit<'a, F> {
    fn of(door: &'a Door<F>) -> Self {
        door.open.fetch_add(1, Ordering::Relaxed);
        let began = clock::now();
        let due = Mutex::new(began + door.limits.whole);
        Self { door, began, due, requests: AtomicU32::new(0) }
    }

    /// Handshake, then requests and their answers.
    async fn converse(&self, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
        let handshake = timeout(self.door.limits.handshake, self.door.tls.accept(stream));
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
        let limits = &self.door.limits;
        let service =
            service_fn(|request| std::future::ready(Ok::<_, Infallible>(self.hear(&request))));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // It runs from one answer on, while nothing has come yet.
            .header_read_timeout(limits.idle)
            .max_buf_size(MAX_HEADER_BYTES)
            .keep_alive(true)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let stopped = async { stopping.wait_for(|stopping| *stopping).await.is_ok() };
        let silent = async {
            tokio::time::sleep(limits.headers).await;
            if self.requests.load(Ordering::Relaxed) > 0 {
                std::future::pending().await
            }
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = silent => {
                tracing::debug!(reason = %Reason::ConnectionTimeout, "connection closed");
                return;
            }
            _ = stopped => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }

    /// Counts a request, and answers it.
    fn hear(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (now, limits) = (clock::now(), &self.door.limits);
        *self.due.lock() = now + limits.whole;
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let old = now.saturating_duration_since(self.began) >= limits.life;
        let crowded = self.door.open.load(Ordering::Relaxed) > limits.connections / 2;
        let mut answer = self.door.answer(request);
        if requests >= limits.requests || old || crowded {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

impl<F: Fn(&str) -> Option<Document>> Door<F> {
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
