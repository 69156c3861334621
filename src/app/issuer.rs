//! A running issuer: its status list, signed again and again, over HTTPS.
//!
//! Issuing and revoking are other processes' work; what they write into the
//! records is noticed here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::watch;

use super::serving::{self, StartError};
use super::watching::Rounds;
use crate::clock;
use crate::config::reload::{LastGood, Reload, Watch};
use crate::domain::finding::causes;
use crate::domain::reason::Reason;
use crate::issuer::{IssuerSettings, SignedList, SigningKey, StatusDirectory, StatusStateError};
use crate::link::https::{self, Document, HttpsUri, PublishLimits, ServerPair};
use crate::service::status_lists::MEDIA_TYPE;

/// How often the records are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How old a list may become before it is signed again with a new `iat`.
const SIGN_EVERY: Duration = Duration::from_secs(4);

/// How often certificate and key are looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(2);

/// What may keep a list, and how long: less than the time in which a list is
/// fetched again, so that a cache on the way delays a revocation little.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=2");

/// What is published, and how.
#[derive(Debug)]
pub struct Publication {
    /// The issuer's settings file.
    pub settings: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The web server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM, mode 0600.
    pub key: PathBuf,
}

/// Publishes the status list at the path of its URI until `stop` turns true.
/// `ready` is told the address once it listens.
///
/// # Errors
/// Why it does not start.
pub async fn run(
    publication: Publication,
    ready: impl FnOnce(SocketAddr),
    mut stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let settings = IssuerSettings::read(&publication.settings)?;
    let uri = HttpsUri::parse(settings.status_uri())?;
    let (records, key) = (settings.records()?, settings.status_key()?);
    let files = vec![publication.certificate.clone(), publication.key.clone()];
    let watch = Watch::new(files, "");
    let pair = ServerPair::load(&publication.certificate, &publication.key, clock::utc())?;
    let signer = Signer { records, key };
    let newest = signer.sign()?;
    let content = Arc::new(ArcSwap::from_pointee(Bytes::from(newest.token.clone())));
    let (listener, address) = serving::bind(publication.listen).await?;

    let signing = Rounds::every(LOOK_EVERY, &stop).map_err(StartError::Thread)?;
    let signed_at = clock::now();
    let published = Arc::clone(&content);
    let mut sign = Signing { signer, newest, signed_at, content: published, failing: false };
    signing.keep_looking(move || sign.look());
    let renewing = Rounds::every(RELOAD_EVERY, &stop).map_err(StartError::Thread)?;
    let (shown, good, mut watch) = (Arc::clone(&pair), LastGood::new(()), watch);
    renewing.keep_looking(move || reload(&shown, &mut watch, &good));
    let find = move |path: &str| {
        let media = HeaderValue::from_static(MEDIA_TYPE);
        let content = || Bytes::clone(&content.load());
        (path == uri.path()).then(|| Document { media, cache: CACHE, content: content() })
    };
    tracing::info!(%address, uri = settings.status_uri(), "publishing the status list");
    ready(address);
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    https::serve(listener, pair, find, PublishLimits::default(), stopped).await?;
    for rounds in [signing, renewing] {
        rounds.ended().await;
    }
    tracing::info!("stopped");
    Ok(())
}

struct Signer {
    records: StatusDirectory,
    key: SigningKey,
}

impl Signer {
    fn sign(&self) -> Result<SignedList, StatusStateError> {
        self.records.signed(&self.key, clock::utc())
    }
}

/// Signs when the records changed, and before the list is too old. On a failure
/// the last list is handed out until one can be signed; verifiers refuse it once
/// it is too old for them.
struct Signing {
    signer: Signer,
    newest: SignedList,
    signed_at: Instant,
    content: Arc<ArcSwap<Bytes>>,
    failing: bool,
}

impl Signing {
    /// The lock may be held by a command, and the disk may be slow: not on a thread that
    /// serves.
    fn look(&mut self) {
        let due = clock::now().duration_since(self.signed_at) >= SIGN_EVERY;
        let signed = self.signer.records.version().and_then(|version| {
            let changed = version != self.newest.version;
            if due || changed { self.signer.sign().map(Some) } else { Ok(None) }
        });
        match signed {
            Ok(None) => {}
            Ok(Some(list)) => {
                self.content.store(Arc::new(Bytes::from(list.token.clone())));
                (self.newest, self.signed_at) = (list, clock::now());
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the status list is signed again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    let error = causes(&error);
                    tracing::error!(
                        reason = %Reason::StatusListNotSigned,
                        error,
                        "the status list cannot be signed: the last one is handed out and ages"
                    );
                }
            }
        }
    }
}

/// Shows a renewed certificate to new connections.
fn reload(pair: &ServerPair, watch: &mut Watch, good: &LastGood<()>) {
    // Two small files, read once in months.
    match watch.reload_if_changed(good, || pair.reload(clock::utc())) {
        Reload::Unchanged | Reload::Settling => {}
        Reload::Loaded(_) => tracing::info!("the new certificate is in use"),
        Reload::KeptLastGood(error) => {
            let error = causes(&error);
            tracing::error!(reason = %Reason::CertificateRefused, error, "the old one stays in use");
        }
    }
}
