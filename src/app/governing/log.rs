//! The own audit log: opened at the start, lost or closed at the end. That it goes on in
//! another folder while the process runs is the business of [`super::turn`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::app::StartError;
use crate::app::telemetry::Serving;
use crate::config::audit::{AuditConfig, AuditKeys, Before, PinnedLogs};
use crate::domain::audit::{Origin, Record, SigningKey, VerifyingKey};
use crate::service::audit::monitor::Witnesses;
use crate::service::audit::recorder::Recorder;
use crate::store::audit_log::{AuditError, AuditLog, Folder, Options};
use crate::store::witness::Witness;

/// The log that was opened at the start: the configured one, or the one that it is to go on
/// from, if that has not ended yet.
pub(in crate::app) struct Opened {
    recorder: Arc<Recorder>,
    /// The configured one, where it is still to begin.
    next: Option<(Origin, SigningKey)>,
    /// The one that the configured one goes on from.
    before: Option<(PathBuf, VerifyingKey)>,
}

/// Opens the audit log. `options` are the log's own, which are the defaults outside tests;
/// `on_record` sees each record that the log has.
pub(in crate::app) fn open(
    config: &AuditConfig,
    keys: AuditKeys,
    options: Options,
    on_record: &mut dyn FnMut(&Record),
) -> Result<Opened, StartError> {
    let AuditKeys { origin, signing, tag, before } = keys;
    let own = signing.verifying_key(&origin).map_err(AuditError::from)?;
    let ended = before.as_ref().map(|before| (before.folder.clone(), before.key.clone()));
    let ending = match before {
        Some(before) if !AuditLog::has_begun(&config.folder, &own)? => Some(before),
        _ => None,
    };
    let (log, next) = match ending {
        None => {
            let opened =
                AuditLog::open_reading(&config.folder, &origin, signing, options, on_record)?;
            (opened, None)
        }
        Some(Before { folder, key, signing: Some(old) }) => {
            let opened = AuditLog::open_reading(&folder, key.origin(), old, options, on_record)?;
            (opened, Some((origin, signing)))
        }
        Some(Before { signing: None, .. }) => return Err(StartError::LogNotEnded),
    };
    let recorder = Arc::new(Recorder::new(log, tag.as_ref()));
    Ok(Opened { recorder, next, before: ended })
}

impl Opened {
    /// The log before the one that was opened, where the configuration names it.
    pub(in crate::app) const fn before(&self) -> Option<&(PathBuf, VerifyingKey)> {
        // Where the configured one is still to begin, the one before was opened itself.
        match (&self.next, &self.before) {
            (None, Some(before)) => Some(before),
            _ => None,
        }
    }

    /// Goes on in the configured log, if another one was opened, once `settled` says that
    /// nothing else needs what that one has; and opens what is known of the peers' logs.
    pub(in crate::app) fn go_on(
        self,
        config: &AuditConfig,
        pinned: Vec<PinnedLogs>,
        settled: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Result<(Arc<Recorder>, Arc<Witnesses>), StartError> {
        let Self { recorder, next, before } = self;
        if let Some((origin, signing)) = next {
            // The writer's thread does it; who waits here serves nobody yet.
            recorder.log().turn(&config.folder, &origin, signing, settled)?;
            tracing::info!(%origin, "the audit log goes on under another origin");
        }
        let held = Witness::open(&config.peers_folder())?;
        let (every, reaction) = (config.look_every, config.on_contradiction);
        let Folder { dir, key } = recorder.log().folder();
        let witnesses = Witnesses::new(&recorder, dir, key, before, held, pinned, every, reaction);
        Ok((recorder, Arc::new(witnesses)))
    }
}

/// How long whoever waited for a record has, once the log is lost, to be told so.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Serves until it has stopped or the audit log is lost; without a log nothing may
/// be served. The pages that tell of the process end after what they tell of, and before
/// the log is closed.
pub(in crate::app) async fn while_recorded(
    recorder: Arc<Recorder>,
    pages: Serving,
    serving: impl Future<Output = ()>,
) -> Result<(), StartError> {
    // On a thread that is awake for others, and not on the one that takes connections.
    let watched = recorder.clone();
    let mut watching = tokio::spawn(async move {
        let why = watched.until_lost().await;
        tokio::time::sleep(LAST_WORDS).await;
        why
    });
    let served = tokio::select! {
        () = serving => Ok(()),
        lost = &mut watching => Err(StartError::AuditLost(
            lost.unwrap_or_else(|error| format!("nobody watches it any more: {error}")),
        )),
    };
    watching.abort();
    if !watching.is_finished() {
        // It gives back its part of the log.
        let _ = watching.await;
    }
    pages.end().await;
    recorder.flush().await;
    // Closing the log waits for the disk.
    let _ = tokio::task::spawn_blocking(move || drop(recorder)).await;
    served
}
