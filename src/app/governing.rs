//! What may change while a process runs and governs what it releases: policy,
//! status lists, the kill switch. Each is watched by a task of its own. Who is
//! believed is watched by [`super::rotation`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::rotation::PinsWatch;
use super::serving::StartError;
use super::statuses;
use crate::clock;
use crate::config::audit::AuditConfig;
use crate::config::file::{self, FileError};
use crate::config::grants::GrantsConfig;
use crate::config::policy::{PolicyConfig, PolicyLoadError, read_texts};
use crate::config::reload::{LastGood, Reload, Watch};
use crate::domain::audit::Record;
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::grant::HighWater;
use crate::domain::policy::answer::Question;
use crate::domain::policy::engine::Engine;
use crate::domain::purpose::LegalBasis;
use crate::service::audit::monitor::{Standing, Witnesses};
use crate::service::audit::recorder::Recorder;
use crate::service::judge::Authority;
use crate::store::audit_log::{AuditError, AuditLog, Options as LogOptions};
use crate::store::enforced::Keeper;
use crate::store::witness::Witness;

/// How long a start waits for the first status lists.
const FIRST_LISTS_WITHIN: Duration = Duration::from_secs(10);

/// How long the warming lets go of the engine after each evaluation.
const WARM_GAP: Duration = Duration::from_millis(2);

/// How often files are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Loads issuers and policy, and begins to watch both and the status lists.
/// An agency names itself.
pub(super) async fn authority(
    catalogue: &Arc<Catalogue>,
    grants: &GrantsConfig,
    enforcing: Enforcing<'_>,
    folder: &Path,
    own: Option<&AgencyId>,
    pins: PinsWatch,
    stop: &watch::Receiver<bool>,
) -> Result<Authority, StartError> {
    let cache = grants.cache;
    let Enforcing { policy, keeper } = enforcing;
    let loaded = grants.load(folder, catalogue)?;
    let time = Arc::new(HighWater::starting_at(clock::utc()));
    let statuses = statuses::start(&loaded, time.clone(), stop)?;
    let mut fresh = statuses.freshness();
    let first = fresh.wait_for(|fresh| *fresh);
    if tokio::time::timeout(FIRST_LISTS_WITHIN, first).await.is_err() {
        tracing::warn!(
            "no status list yet: every grant is refused until the issuer can be reached"
        );
    }
    let (engine, watch) = policy.start(catalogue)?;
    keeper.keep(&engine.current(), clock::utc()).map_err(StartError::Kept)?;
    let engine = Arc::new(engine);
    warm(engine.current(), own.cloned());
    tokio::spawn(until_stopped(
        stop.clone(),
        watch_policy(
            Watched {
                engine: engine.clone(),
                config: policy.clone(),
                catalogue: catalogue.clone(),
                own: own.cloned(),
                keeper,
            },
            watch,
        ),
    ));
    let grants = Arc::new(LastGood::new(loaded));
    pins.start(grants.clone(), statuses.clone(), catalogue.clone(), stop);
    Ok(Authority::new(catalogue.clone(), grants, statuses, engine, cache, time))
}

/// Opens the audit log, and what is known of the peers' logs. `options` are the
/// log's own, which are the defaults outside tests; `on_record` sees each record that
/// the log has.
pub(super) fn recorder(
    config: &AuditConfig,
    catalogue: &Catalogue,
    options: LogOptions,
    on_record: &mut dyn FnMut(&Record),
) -> Result<(Arc<Recorder>, Arc<Witnesses>), StartError> {
    let keys = config.keys()?;
    let pinned = config.pinned_logs()?;
    let held = Witness::open(&config.peers_folder())?;
    let own = keys.signing.verifying_key(&keys.origin).map_err(AuditError::from)?;
    let log =
        AuditLog::open_reading(&config.folder, &keys.origin, keys.signing, options, on_record)?;
    let (every, reaction) = (config.look_every, config.on_contradiction);
    let recorder = Arc::new(Recorder::new(log, catalogue.digest(), keys.tag.as_ref()));
    let folder = config.folder.clone();
    let witnesses = Witnesses::new(&recorder, folder, own, held, pinned, every, reaction);
    Ok((recorder, Arc::new(witnesses)))
}

/// Tells the health service what peers' logs have shown, as `log/ORIGIN`.
pub(super) async fn report_logs(
    witnesses: Arc<Witnesses>,
    health: HealthReporter,
    mut stop: watch::Receiver<bool>,
) {
    let mut changes = witnesses.changes();
    loop {
        changes.mark_unchanged();
        for peer in witnesses.peers() {
            let status = match peer.standing() {
                Standing::Unseen => ServingStatus::Unknown,
                Standing::Sound => ServingStatus::Serving,
                _ => ServingStatus::NotServing,
            };
            for origin in peer.origins() {
                health.set_service_status(format!("log/{origin}"), status).await;
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Serves until it has stopped or the audit log is lost; without a log nothing may
/// be served.
pub(super) async fn while_recorded(
    recorder: Arc<Recorder>,
    serving: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let served = tokio::select! {
        () = serving => Ok(()),
        reason = recorder.until_lost() => Err(StartError::AuditLost(reason)),
    };
    recorder.flush().await;
    // Closing the log waits for the disk.
    let _ = tokio::task::spawn_blocking(move || drop(recorder)).await;
    served
}

/// A policy's files, and where what of them is enforced is kept.
pub(super) struct Enforcing<'a> {
    policy: &'a PolicyConfig,
    keeper: Keeper,
}

/// Keeps what is enforced beside the log, for a review to evaluate again. A gateway
/// says whom it asks.
pub(super) fn enforcing<'a>(
    policy: &'a PolicyConfig,
    audit: &AuditConfig,
    catalogue: &Path,
    routing: Option<String>,
) -> Result<Enforcing<'a>, StartError> {
    let keeper = Keeper::new(&audit.folder, read_texts(catalogue, "toml")?, routing);
    Ok(Enforcing { policy, keeper })
}

#[derive(Clone)]
struct Watched {
    engine: Arc<LastGood<Engine>>,
    config: PolicyConfig,
    catalogue: Arc<Catalogue>,
    own: Option<AgencyId>,
    keeper: Keeper,
}

impl Watched {
    /// Loads what stands in the files, and keeps it before it comes into force.
    fn load(&self) -> Result<Engine, PolicyLoadError> {
        let engine = self.config.load(&self.catalogue)?;
        let failed = |source| PolicyLoadError::Kept { source };
        self.keeper.keep(&engine, clock::utc()).map_err(failed)?;
        Ok(engine)
    }
}

async fn watch_policy(watched: Watched, mut watch: Watch) {
    let own = watched.own.clone();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let watched = watched.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let outcome = watch.reload_if_changed(&watched.engine, || watched.load());
            (watch, outcome)
        });
        let Ok((seen, outcome)) = looked.await else { return };
        watch = seen;
        match outcome {
            Reload::Unchanged | Reload::Settling => {}
            Reload::Loaded(engine) => {
                warm(Arc::clone(&engine), own.clone());
                tracing::info!(rules = engine.rule_ids().len(), "the changed policy is in force");
            }
            Reload::KeptLastGood(error) => {
                tracing::error!(
                    reason = "POLICY_KEPT",
                    "the changed policy does not load; the last good one stays in force: {error}"
                );
            }
        }
    }
}

/// Evaluates every combination that requests may name, in the background, so that
/// the first request of each does not wait for it. An agency is asked about itself
/// alone.
fn warm(engine: Arc<Engine>, own: Option<AgencyId>) {
    tokio::task::spawn_blocking(move || {
        let names = engine.vocabulary();
        for consumer in &names.consumers {
            for purpose in &names.purposes {
                for basis in LegalBasis::ALL {
                    let asked = names.agencies.iter();
                    for agency in
                        asked.filter(|agency| own.as_ref().is_none_or(|own| own == *agency))
                    {
                        let purpose = purpose.as_str();
                        engine.decide(&Question { consumer, purpose, basis, agency });
                        // One evaluation runs at a time: let a request's go first.
                        std::thread::sleep(WARM_GAP);
                    }
                }
            }
        }
    });
}

/// Watches `enabled` in an agency's file. A file that cannot be read, or is none of
/// an agency's, changes nothing.
pub(super) fn kill_switch(
    path: &Path,
    enabled: bool,
    stop: &watch::Receiver<bool>,
) -> Arc<AtomicBool> {
    let switch = Arc::new(AtomicBool::new(enabled));
    tokio::spawn(until_stopped(stop.clone(), watch_switch(path.to_owned(), switch.clone())));
    switch
}

/// The keys that are looked at; the rest of the file is not for now.
#[derive(Deserialize)]
struct Switch {
    /// In every agency's file, so that an empty one says nothing.
    #[serde(rename = "id")]
    _id: String,
    #[serde(default = "on")]
    enabled: bool,
}

const fn on() -> bool {
    true
}

async fn watch_switch(path: PathBuf, switch: Arc<AtomicBool>) {
    let (mut before, mut failures) = (None, 0_u32);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let file = path.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let text = file::read_text(&file)?;
            let Switch { enabled, .. } = file::parse_toml(&file, &text)?;
            Ok::<_, FileError>((text, enabled))
        });
        let Ok(looked) = looked.await else { return };
        let (text, enabled) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                failures = failures.saturating_add(1);
                // The first time it may be half written.
                if failures == 2 {
                    tracing::error!(
                        reason = "SWITCH_KEPT",
                        "the kill switch cannot be read and stays as it is: {error}"
                    );
                }
                before = None;
                continue;
            }
        };
        failures = 0;
        // Closed at once; opened only by a file that nobody is still writing, since
        // one that ends before the key says the same as one without it.
        let settled = before.as_ref() == Some(&text);
        before = Some(text);
        if (settled || !enabled) && switch.swap(enabled, Ordering::AcqRel) != enabled {
            tracing::warn!(enabled, "the administrator turned the kill switch");
        }
    }
}

pub(super) async fn until_stopped(mut stop: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
