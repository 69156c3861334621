//! What the standard health service says besides "serving": agencies, peers' logs.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::service::agencies::client::AgencyClient;
use crate::service::audit::monitor::{Standing, Witnesses};
use crate::service::health::Health;

/// Tells an agency's state, as `agency/ID`.
pub(in crate::app) async fn report_agency(
    client: Arc<AgencyClient>,
    health: Health,
    stop: watch::Receiver<bool>,
) {
    let statuses = || {
        let status =
            if client.is_up() { ServingStatus::Serving } else { ServingStatus::NotServing };
        vec![(format!("agency/{}", client.agency()), status)]
    };
    let mut left = client.left();
    tokio::select! {
        biased;
        _ = left.wait_for(|left| *left) => {}
        () = report(client.changes(), &health, stop, statuses) => {}
    }
}

/// Tells what peers' logs have shown, as `log/ORIGIN`.
pub(in crate::app) async fn report_logs(
    witnesses: Arc<Witnesses>,
    health: Health,
    stop: watch::Receiver<bool>,
) {
    let statuses = || {
        let peers = witnesses.peers();
        let of_peer = peers.iter().flat_map(|peer| {
            let status = match peer.standing() {
                Standing::Unseen => ServingStatus::Unknown,
                Standing::Sound => ServingStatus::Serving,
                _ => ServingStatus::NotServing,
            };
            peer.origins().map(move |origin| (format!("log/{origin}"), status))
        });
        of_peer.collect()
    };
    report(witnesses.changes(), &health, stop, statuses).await;
}

async fn report<T>(
    mut changes: watch::Receiver<T>,
    health: &Health,
    mut stop: watch::Receiver<bool>,
    statuses: impl Fn() -> Vec<(String, ServingStatus)>,
) {
    let mut known = BTreeSet::new();
    loop {
        changes.mark_unchanged();
        let mut now = BTreeSet::new();
        for (name, status) in statuses() {
            health.say(&name, status);
            now.insert(name);
        }
        known.difference(&now).for_each(|name| health.forget(name));
        known = now;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
