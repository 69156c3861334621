//! The mirror of the own audit log: begun with the log, turned with it, ended after it was
//! closed.

use std::time::Duration;

use crate::app::StartError;
use crate::config::audit::AuditConfig;
use crate::config::mirror::Place;
use crate::domain::audit::VerifyingKey;
use crate::store::mirror::{Bucket, Mirror, MirrorFolder, Mirroring, Store};

/// How often it is looked whether more was published, which is about as often as it is.
const EVERY: Duration = Duration::from_secs(1);

/// How long a stop waits for the last of it.
const AT_THE_END: Duration = Duration::from_secs(3);

/// Keeps the mirror that the configuration names, if it names one.
pub(in crate::app) fn keep(
    config: &AuditConfig,
    key: VerifyingKey,
) -> Result<Option<Mirroring>, StartError> {
    let Some(mirror) = of(config, key)? else { return Ok(None) };
    Mirroring::start(mirror, EVERY).map(Some).map_err(StartError::Thread)
}

/// The mirror that the configuration names for the log with this key.
pub(super) fn of(config: &AuditConfig, key: VerifyingKey) -> Result<Option<Mirror>, StartError> {
    let Some(named) = &config.mirror else { return Ok(None) };
    let store: Box<dyn Store> = match (Place::of(named), &config.store) {
        (Ok(Place::Folder(folder)), _) => Box::new(MirrorFolder::new(&folder)),
        (Ok(Place::Bucket { name, prefix }), Some(store)) => {
            Box::new(Bucket::new(&name, &prefix, store).map_err(StartError::Mirror)?)
        }
        // The configuration was judged before.
        (Ok(Place::Bucket { .. }), None) => return Ok(None),
        (Err(why), _) => return Err(StartError::Mirror(why)),
    };
    let place = Some(named.display().to_string());
    Ok(Some(Mirror::new(&config.folder, key, store, place)))
}

/// Once the log is closed: gives the mirror its end.
pub(in crate::app) async fn end(mirroring: Option<Mirroring>) {
    let Some(mirroring) = mirroring else { return };
    let _ = tokio::task::spawn_blocking(move || mirroring.end(AT_THE_END)).await;
}
