//! Fetches documents over HTTPS, each bounded in time and bytes.
//!
//! A connection that has served is kept for the next fetch, for [`FetchLimits::kept`] at
//! most and no longer than its certificate is valid; then, or when the server has closed
//! it, the name is looked up and the server is judged afresh. It belongs to the client that
//! made it: whoever believes other anchors makes another client, and has none of its
//! connections.
//!
//! The server is believed on the strength of the given anchors and its host name
//! alone; the system's roots are not read. A redirect is an answer like any other
//! that is not 200: refused. There are no cookies, no proxy and no cache. The
//! server's certificate is not looked up in a revocation list: what is fetched
//! here is signed, so that whoever holds a stolen certificate can only withhold it.

use std::error::Error;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::RootCertStore;
use rustls::client::{ClientConfig, Resumption};
use rustls_pki_types::TrustAnchor;
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{HTTP1, HttpsUri};
use crate::clock;
use crate::config::pem;
use crate::dial::dial;
use crate::domain::reason::Reason;
use crate::files;
use crate::link::certificate;
use crate::link::crypto;
use crate::link::tls::WallClock;

/// Bytes of an answer's headers at most, as hyper buffers them.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Why anchors cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AnchorsError {
    /// The file cannot be read.
    #[error("cannot read the anchors in `{file}`: check that the file exists")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file has no certificates, or something that is none.
    #[error(
        "the anchors in `{file}` are unusable ({problem}): install the certificate of the \
         authority that issued the server's, in PEM"
    )]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// The authorities that may vouch for a server.
#[derive(Debug, Clone)]
pub struct ServerAnchors(Arc<[(TrustAnchor<'static>, RangeInclusive<OffsetDateTime>)]>);

impl ServerAnchors {
    /// Reads authorities' certificates from a PEM file.
    ///
    /// # Errors
    /// [`AnchorsError`]: one that cannot be read is not skipped.
    pub fn load(file: &Path) -> Result<Self, AnchorsError> {
        let unusable = |problem| AnchorsError::Unusable { file: file.to_owned(), problem };
        let text = files::read(file, files::LARGE)
            .map_err(|source| AnchorsError::Read { file: file.to_owned(), source })?;
        let mut anchors = Vec::new();
        for der in pem::authorities(&text).map_err(|error| unusable(error.to_string()))? {
            let parsed = certificate::parse(&der).map_err(|error| unusable(error.to_string()))?;
            if !parsed.is_ca() {
                let subject = parsed.subject();
                return Err(unusable(format!("`{subject}` is no authority's certificate")));
            }
            let anchor = webpki::anchor_from_trusted_cert(&der)
                .map_err(|error| unusable(error.to_string()))?;
            let validity = parsed.validity();
            let valid = validity.not_before.to_datetime()..=validity.not_after.to_datetime();
            anchors.push((anchor.to_owned(), valid));
        }
        Ok(Self(anchors.into()))
    }

    /// Those within their validity: webpki does not look at an anchor's times.
    fn valid_at(&self, now: OffsetDateTime) -> RootCertStore {
        let valid = self.0.iter().filter(|(_, valid)| valid.contains(&now));
        RootCertStore { roots: valid.map(|(anchor, _)| anchor.clone()).collect() }
    }
}

/// Bounds on one fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchLimits {
    /// Name lookup and TCP connection.
    pub connect: Duration,
    /// All of it, from the name lookup to the last byte.
    pub total: Duration,
    /// Bytes of the document.
    pub body: usize,
    /// How long a connection serves one fetch after the other.
    pub kept: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            total: Duration::from_secs(4),
            body: 4 * 1024 * 1024,
            kept: Duration::from_secs(60),
        }
    }
}

/// Why a document was not had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing answers there.
    #[error("cannot reach {0}: check the address, and that it is running")]
    Unreachable(String, #[source] io::Error),
    /// It took too long.
    #[error("{0} did not answer in {1:?}")]
    TimedOut(String, Duration),
    /// No anchor is valid now.
    #[error(
        "every anchor for {0} has expired, or is not valid yet: install its authority's \
         certificate of today"
    )]
    AnchorsExpired(String),
    /// The TLS handshake failed: most often, its certificate is of another
    /// authority or for another name.
    #[error("{0} did not prove who it is: check its certificate's names and the anchors")]
    Tls(String, #[source] io::Error),
    /// TLS could not be set up.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
    /// HTTP failed.
    #[error("{0} does not speak HTTP as it should")]
    Http(String, #[source] hyper::Error),
    /// It broke off within the document.
    #[error("{0} broke off within the document")]
    Body(String, #[source] Box<dyn Error + Send + Sync>),
    /// Another status than 200.
    #[error("{0} answered {1}; only 200 is taken, and redirects are not followed")]
    Status(String, StatusCode),
    /// Another type of document, or one that is encoded.
    #[error("{0} sent a document of another type than {1}, or an encoded one")]
    MediaType(String, &'static str),
    /// Too large.
    #[error("{0} sent a document of more than {1} bytes")]
    TooLarge(String, usize),
}

impl FetchError {
    /// The stable word for logs.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Unreachable(..) => Reason::HttpsUnreachable,
            Self::TimedOut(..) => Reason::HttpsTimedOut,
            Self::AnchorsExpired(_) => Reason::HttpsAnchorsExpired,
            Self::Tls(..) | Self::Setup(_) => Reason::HttpsTlsFailed,
            Self::Http(..) | Self::Body(..) => Reason::HttpsBroken,
            Self::Status(..) => Reason::HttpsStatus,
            Self::MediaType(..) => Reason::HttpsMediaType,
            Self::TooLarge(..) => Reason::HttpsTooLarge,
        }
    }
}

/// Fetches from servers that the same authorities vouch for. Cheap to clone; clones share
/// the connection that is kept.
#[derive(Debug, Clone)]
pub struct HttpsClient {
    anchors: ServerAnchors,
    limits: FetchLimits,
    kept: Arc<Mutex<Option<Connection>>>,
}

/// A connection between two fetches.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    /// What moves its bytes, for as long as it is held and a bounded time at most.
    _driver: JoinSet<()>,
    authority: String,
    made: Instant,
    /// Until when the server's certificate is valid.
    until: OffsetDateTime,
}

impl HttpsClient {
    /// A client that believes these anchors and no others.
    pub fn new(anchors: ServerAnchors, limits: FetchLimits) -> Self {
        Self { anchors, limits, kept: Arc::default() }
    }

    /// Fetches a document of one media type.
    ///
    /// # Errors
    /// [`FetchError`]. Dropping the future closes the connection.
    pub async fn get(&self, uri: &HttpsUri, media: &'static str) -> Result<Bytes, FetchError> {
        timeout(self.limits.total, self.fetch(uri, media))
            .await
            .unwrap_or_else(|_| Err(FetchError::TimedOut(at(uri), self.limits.total)))
    }

    async fn fetch(&self, uri: &HttpsUri, media: &'static str) -> Result<Bytes, FetchError> {
        let kept = self.kept.lock().take().filter(|kept| self.serves(kept, uri));
        let (connection, answer) = match kept {
            None => self.ask_anew(uri, media).await?,
            // That the server closed it meanwhile is no fault of anybody.
            Some(mut kept) => match ask(&mut kept, uri, media).await {
                Ok(answer) => (kept, answer),
                Err(_) => self.ask_anew(uri, media).await?,
            },
        };
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(at(uri), answer.status()));
        }
        if !is_of(answer.headers(), media) {
            return Err(FetchError::MediaType(at(uri), media));
        }
        let body = Limited::new(answer.into_body(), self.limits.body).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => FetchError::TooLarge(at(uri), self.limits.body),
            false => FetchError::Body(at(uri), error),
        })?;
        // Only one that gave all that was asked of it is asked again.
        *self.kept.lock() = Some(connection);
        Ok(body.to_bytes())
    }

    /// Whether a connection that was kept may still be asked for this.
    fn serves(&self, kept: &Connection, uri: &HttpsUri) -> bool {
        let age = clock::now().saturating_duration_since(kept.made);
        kept.authority == uri.authority
            && age < self.limits.kept
            && clock::utc() < kept.until
            && !kept.sender.is_closed()
    }

    async fn ask_anew(
        &self,
        uri: &HttpsUri,
        media: &'static str,
    ) -> Result<(Connection, Response<Incoming>), FetchError> {
        let mut connection = self.open(uri).await?;
        let answer = ask(&mut connection, uri, media).await?;
        Ok((connection, answer))
    }

    async fn open(&self, uri: &HttpsUri) -> Result<Connection, FetchError> {
        let stream = self.connect(uri).await?;
        let until = valid_until(&stream);
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEADER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| FetchError::Http(at(uri), error))?;
        let mut driver = JoinSet::new();
        let life = self.limits.kept + self.limits.total;
        driver.spawn(async move {
            // How it ended is told to whoever asked something.
            let _ = timeout(life, connection).await;
        });
        let authority = uri.authority.clone();
        Ok(Connection { sender, _driver: driver, authority, made: clock::now(), until })
    }

    async fn connect(&self, uri: &HttpsUri) -> Result<TlsStream<TcpStream>, FetchError> {
        let roots = self.anchors.valid_at(clock::utc());
        if roots.is_empty() {
            return Err(FetchError::AnchorsExpired(at(uri)));
        }
        let mut config =
            ClientConfig::builder_with_details(crypto::provider(), Arc::new(WallClock))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![HTTP1.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;

        let stream = timeout(self.limits.connect, dial((&*uri.host, uri.port)))
            .await
            .map_err(|_| FetchError::TimedOut(at(uri), self.limits.connect))?
            .map_err(|error| FetchError::Unreachable(at(uri), error))?;
        TlsConnector::from(Arc::new(config))
            .connect(uri.name.clone(), stream)
            .await
            .map_err(|error| FetchError::Tls(at(uri), error))
    }
}

/// Puts one request.
async fn ask(
    connection: &mut Connection,
    uri: &HttpsUri,
    media: &'static str,
) -> Result<Response<Incoming>, FetchError> {
    let request = Request::get(uri.path.clone())
        .header(header::HOST, &uri.authority)
        .header(header::ACCEPT, media)
        .body(Empty::<Bytes>::new());
    // An `HttpsUri` and a media type of ours always make a request.
    let Ok(request) = request else {
        return Err(FetchError::MediaType(at(uri), media));
    };
    let http = |error| FetchError::Http(at(uri), error);
    connection.sender.ready().await.map_err(http)?;
    connection.sender.send_request(request).await.map_err(http)
}

/// The first end of the certificates that the server has shown; one that cannot be read has
/// ended long ago.
fn valid_until(stream: &TlsStream<TcpStream>) -> OffsetDateTime {
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let ends = shown.iter().map(|der| {
        certificate::parse(der)
            .map_or(OffsetDateTime::UNIX_EPOCH, |read| read.validity().not_after.to_datetime())
    });
    ends.min().unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Where, for messages.
fn at(uri: &HttpsUri) -> String {
    format!("https://{}{}", uri.authority, uri.path)
}

/// Whether an answer is of a media type, whatever its parameters, and not encoded.
fn is_of(headers: &HeaderMap, media: &str) -> bool {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = found.and_then(|value| value.split(';').next()).unwrap_or_default();
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let plain = encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    essence.trim().eq_ignore_ascii_case(media) && plain
}
