//! The own audit log: opened at the start, lost or closed at the end.

use std::sync::Arc;
use std::time::Duration;

use crate::app::StartError;
use crate::app::telemetry::Serving;
use crate::config::audit::{AuditConfig, AuditKeys, PinnedLogs};
use crate::domain::audit::Record;
use crate::service::audit::monitor::Witnesses;
use crate::service::audit::recorder::Recorder;
use crate::store::audit_log::{AuditError, AuditLog, Options};
use crate::store::witness::Witness;

/// Opens the audit log, and what is known of the peers' logs. `options` are the
/// log's own, which are the defaults outside tests; `on_record` sees each record that
/// the log has.
pub(in crate::app) fn open(
    config: &AuditConfig,
    keys: AuditKeys,
    pinned: Vec<PinnedLogs>,
    options: Options,
    on_record: &mut dyn FnMut(&Record),
) -> Result<(Arc<Recorder>, Arc<Witnesses>), StartError> {
    let held = Witness::open(&config.peers_folder())?;
    let own = keys.signing.verifying_key(&keys.origin).map_err(AuditError::from)?;
    let log =
        AuditLog::open_reading(&config.folder, &keys.origin, keys.signing, options, on_record)?;
    let (every, reaction) = (config.look_every, config.on_contradiction);
    let recorder = Arc::new(Recorder::new(log, keys.tag.as_ref()));
    let folder = config.folder.clone();
    let witnesses = Witnesses::new(&recorder, folder, own, None, held, pinned, every, reaction);
    Ok((recorder, Arc::new(witnesses)))
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
