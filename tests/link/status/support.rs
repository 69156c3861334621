//! An issuer's web site in miniature, honest or not.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tributary::clock::{self, Keeper};
use tributary::domain::catalogue::AgencyId;
use tributary::domain::grant::{
    Algorithm, IssuerPin, IssuerPins, KeyId, LegalBasis, PurposeCode, StatusRef, base64,
};
use tributary::domain::now::Reading;
use tributary::domain::peer::{Role, SpiffeId, TrustDomain};
use tributary::issuer::SigningKey;
use tributary::link::crypto;
use tributary::link::https::{
    self, Document, FetchLimits, PublishLimits, ServerAnchors, ServerPair,
};
use tributary::link::pki::{Authority, CertificateRequest, Issued, Validity};
use tributary::service::status_lists::{MEDIA_TYPE, StatusPlan, StatusPoll, fetch_limits};

pub const DOMAIN: &str = "consent.city.example";
pub const PATH: &str = "/status/1";

/// Longer than anything here takes when it works.
pub const LONG: Duration = Duration::from_secs(90);

pub fn spiffe(name: &str) -> SpiffeId {
    format!("spiffe://{DOMAIN}/issuer/{name}").parse().unwrap()
}

/// A certificate authority and an issuer's certificate in a temporary folder.
pub struct Pki {
    pub dir: tempfile::TempDir,
    authority: Authority,
    pub issued: Issued,
}

impl Pki {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let domain: TrustDomain = DOMAIN.parse().unwrap();
        let authority = Authority::create(dir.path(), &domain, clock::utc()).unwrap();
        let issued = authority.issue(&request()).unwrap();
        Self { dir, authority, issued }
    }

    /// A certificate for these DNS names alone.
    pub fn issue_for(&self, names: &[&str]) -> Issued {
        let dns = names.iter().map(|&name| name.to_owned()).collect();
        self.authority.issue(&CertificateRequest { dns, ips: Vec::new(), ..request() }).unwrap()
    }

    pub fn anchors_file(&self) -> PathBuf {
        self.authority.anchors()
    }

    pub fn anchors(&self) -> ServerAnchors {
        ServerAnchors::load(&self.anchors_file()).unwrap()
    }

    /// A connection after the handshake, on which nothing was asked yet.
    pub async fn connected(
        &self,
        address: SocketAddr,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        let text = std::fs::read(self.anchors_file())?;
        roots.add(CertificateDer::from_pem_slice(&text).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(crypto::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(address).await?;
        connector.connect("localhost".try_into().unwrap(), stream).await
    }
}

fn request() -> CertificateRequest {
    CertificateRequest::local(Role::Issuer, "consent", Validity::days(clock::utc(), 1).unwrap())
}

pub fn pair(issued: &Issued) -> Arc<ServerPair> {
    ServerPair::load(&issued.certificate, &issued.key, clock::utc()).unwrap()
}

/// A server of ours whose one document can be changed.
pub struct Site {
    pub address: SocketAddr,
    pub fetches: Arc<AtomicUsize>,
    content: Arc<Mutex<Bytes>>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Site {
    pub async fn start(issued: &Issued) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), issued, PublishLimits::default()).await
    }

    pub async fn start_at(address: SocketAddr, issued: &Issued, limits: PublishLimits) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let content = Arc::new(Mutex::new(Bytes::new()));
        let fetches = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = oneshot::channel::<()>();
        let (shown, counted) = (Arc::clone(&content), Arc::clone(&fetches));
        let find = move |path: &str| {
            (path == PATH).then(|| {
                counted.fetch_add(1, Ordering::SeqCst);
                Document {
                    media: HeaderValue::from_static(MEDIA_TYPE),
                    cache: HeaderValue::from_static("public, max-age=2"),
                    content: shown.lock().unwrap().clone(),
                }
            })
        };
        let pair = pair(issued);
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            https::serve(listener, pair, find, limits, stopped).await.unwrap();
        });
        Self { address, fetches, content, stop: Some(stop), task: Some(task) }
    }

    pub fn uri(&self) -> String {
        format!("https://localhost:{}{PATH}", self.address.port())
    }

    pub fn show(&self, content: impl Into<Bytes>) {
        *self.content.lock().unwrap() = content.into();
    }

    /// Until it has been asked so many times more.
    pub async fn fetched_again(&self, times: usize) {
        let from = self.fetches.load(Ordering::SeqCst);
        eventually("the list is fetched again", || {
            self.fetches.load(Ordering::SeqCst) >= from + times
        })
        .await;
    }

    pub async fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.task.take().unwrap().await.unwrap();
    }
}

/// A server that completes the handshake and then does as it likes.
pub async fn rogue<F, G>(issued: &Issued, behave: F) -> (SocketAddr, AbortHandle)
where
    F: Fn(TlsStream<TcpStream>) -> G + Send + Sync + 'static,
    G: Future<Output = ()> + Send + 'static,
{
    let chain = CertificateDer::pem_file_iter(&issued.certificate).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&issued.key).unwrap();
    let config = ServerConfig::builder_with_provider(crypto::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut conversations = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                conversations.spawn(behave(stream));
            }
        }
    });
    (address, task.abort_handle())
}

/// Reads a request's head and answers with this text.
pub async fn answer(mut stream: TlsStream<TcpStream>, text: &str) {
    let mut head = [0_u8; 4096];
    let _ = stream.read(&mut head).await;
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// An issuer's status key, with what its verifiers pin.
pub struct Signer {
    pub name: &'static str,
    pub key: SigningKey,
}

impl Signer {
    pub fn new(name: &'static str) -> Self {
        let kid = KeyId::new("status").unwrap();
        Self { name, key: SigningKey::generate(Algorithm::EdDsa, kid).unwrap() }
    }

    /// A list of 64 entries in which these are revoked.
    pub fn list(&self, uri: &str, revoked: &[usize], issued_at: OffsetDateTime) -> String {
        let mut entries = [0_u8; 8];
        for index in revoked {
            entries[index / 8] |= 1 << (index % 8);
        }
        let deflated = miniz_oxide::deflate::compress_to_vec_zlib(&entries, 9);
        let claims = json!({
            "sub": uri, "iat": issued_at.unix_timestamp(),
            "status_list": {"bits": 1, "lst": base64::encode(&deflated)},
        });
        self.key.sign_jws("statuslist+jwt", &claims).unwrap()
    }

    fn pin(&self, uri: &str) -> IssuerPin {
        let keys = [(self.key.kid().clone(), self.key.verifying_key().unwrap())];
        IssuerPin {
            keys: keys.clone().into(),
            status_keys: keys.into(),
            status_uris: [uri.into()].into(),
            legal_bases: [LegalBasis::Consent].into(),
            purposes: [PurposeCode::new("credit_assessment").unwrap()].into(),
            agencies: [AgencyId::new("education").unwrap()].into(),
            consumers: ["spiffe://scoring.city.example/consumer/scoring".parse().unwrap()].into(),
        }
    }
}

/// A plan with a short schedule.
pub fn plan(anchors: &ServerAnchors, issuers: &[(&Signer, &str)]) -> StatusPlan {
    let mut pins = IssuerPins::default();
    for (signer, uri) in issuers {
        pins.pin(spiffe(signer.name), signer.pin(uri)).unwrap();
    }
    let anchors = issuers.iter().map(|(signer, _)| (spiffe(signer.name), anchors.clone()));
    StatusPlan {
        pins,
        anchors: anchors.collect(),
        max_age: time::Duration::seconds(60),
        fetch_every: Duration::from_millis(50),
        limits: FetchLimits { connect: LONG, total: LONG, ..fetch_limits() },
    }
}

pub fn start(plan: StatusPlan) -> (Arc<StatusPoll>, Clocks, Stop) {
    let clocks = Clocks::default();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let poll = StatusPoll::start(plan, Arc::new(clocks.keeper()), &stopped).unwrap();
    (poll, clocks, stop)
}

/// The machine's clocks, each with so many seconds more.
#[derive(Debug, Clone, Default)]
pub struct Clocks {
    pub utc: Arc<AtomicI64>,
    pub elapsed: Arc<AtomicI64>,
}

impl Clocks {
    /// Time passes.
    pub fn pass(&self, seconds: i64) {
        self.utc.fetch_add(seconds, Ordering::Relaxed);
        self.elapsed.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn keeper(&self) -> Keeper {
        let clocks = self.clone();
        let seconds = |of: &AtomicI64| time::Duration::seconds(of.load(Ordering::Relaxed));
        Keeper::over(OffsetDateTime::UNIX_EPOCH, move || {
            let Reading { utc, elapsed } = clock::reading();
            Reading { utc: utc + seconds(&clocks.utc), elapsed: elapsed + seconds(&clocks.elapsed) }
        })
    }
}

/// Dropping it stops the poll.
pub type Stop = tokio::sync::watch::Sender<bool>;

pub fn status(uri: &str, index: u32) -> StatusRef {
    StatusRef { uri: uri.into(), index }
}

/// Waits for what should come soon.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, wait).await.is_ok(), "in vain: {what}");
}

/// What is logged on this thread while it lives.
pub struct Logs {
    lines: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logs {
    pub fn capture() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink(Arc::clone(&lines));
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || sink.clone())
            .finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub fn count(&self, part: &str) -> usize {
        String::from_utf8(self.lines.lock().unwrap().clone()).unwrap().matches(part).count()
    }
}

pub fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
