//! A running issuer: its status list, signed again and again, over HTTPS.
//!
//! Issuing and revoking are other processes' work; what they write into the
//! records is noticed here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::serving::{self, StartError};
use super::watching::Hangup;
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
    let signer = Arc::new(Signer { records, key });
    let first = signer.sign()?;
    let content = Arc::new(ArcSwap::from_pointee(Bytes::from(first.token.clone())));
    let (listener, address) = serving::bind(publication.listen).await?;

    let tasks = [
        tokio::spawn(sign_again(signer, first, Arc::clone(&content), stop.clone())),
        tokio::spawn(reload(Arc::clone(&pair), watch, stop.clone())),
    ];
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
    for task in tasks {
        // Both end by themselves; one that panicked has ended too.
        let _ = task.await;
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
async fn sign_again(
    signer: Arc<Signer>,
    mut newest: SignedList,
    content: Arc<ArcSwap<Bytes>>,
    mut stop: watch::Receiver<bool>,
) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut signed_at = clock::now();
    let mut failing = false;
    let mut hangup = Hangup::new();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
            () = hangup.next() => {}
        }
        let due = clock::now().duration_since(signed_at) >= SIGN_EVERY;
        let (version, from) = (newest.version, Arc::clone(&signer));
        // The lock may be held by a command, and the disk may be slow.
        let outcome = tokio::task::spawn_blocking(move || {
            let changed = from.records.version()? != version;
            if due || changed { from.sign().map(Some) } else { Ok(None) }
        });
        match outcome.await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(list))) => {
                content.store(Arc::new(Bytes::from(list.token.clone())));
                (newest, signed_at) = (list, clock::now());
                if failing {
                    tracing::info!("the status list is signed again");
                }
                failing = false;
            }
            Ok(Err(error)) => {
                if !failing {
                    let error = causes(&error);
                    tracing::error!(
                        reason = %Reason::StatusListNotSigned,
                        error,
                        "the status list cannot be signed: the last one is handed out and ages"
                    );
                }
                failing = true;
            }
            // The blocking thread panicked or the runtime stops: tried again.
            Err(_) => {}
        }
    }
}

/// Shows a renewed certificate to new connections.
async fn reload(pair: Arc<ServerPair>, mut watch: Watch, mut stop: watch::Receiver<bool>) {
    let good = LastGood::new(());
    let mut ticks = interval(RELOAD_EVERY);
    let mut hangup = Hangup::new();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
            () = hangup.next() => {}
        }
        // Two small files, read once in months.
        match watch.reload_if_changed(&good, || pair.reload(clock::utc())) {
            Reload::Unchanged | Reload::Settling => {}
            Reload::Loaded(_) => tracing::info!("the new certificate is in use"),
            Reload::KeptLastGood(error) => {
                let error = causes(&error);
                tracing::error!(reason = %Reason::CertificateRefused, error, "the old one stays in use");
            }
        }
    }
}
