//! What the standard health service says besides "serving": agencies, peers' logs.

use std::sync::Arc;

use tokio::sync::watch;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::service::agencies::client::AgencyClient;
use crate::service::audit::monitor::{Standing, Witnesses};
use crate::service::health::{Health, Several};

/// Tells an agency's state, as `agency/ID`, until nobody asks it any more.
pub(in crate::app) fn report_agency(
    client: &Arc<AgencyClient>,
    health: &Health,
    stop: &watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + use<> {
    let status = |client: &AgencyClient| match client.is_up() {
        true => ServingStatus::Serving,
        false => ServingStatus::NotServing,
    };
    let name = health.take(format!("agency/{}", client.agency()), status(client));
    let (client, mut stop) = (client.clone(), stop.clone());
    async move {
        let (mut left, mut changes) = (client.left(), client.changes());
        loop {
            changes.mark_unchanged();
            name.say(status(&client));
            tokio::select! {
                biased;
                _ = left.wait_for(|left| *left) => return,
                _ = stop.wait_for(|stop| *stop) => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Tells what peers' logs have shown, as `log/ORIGIN`.
pub(in crate::app) async fn report_logs(
    witnesses: Arc<Witnesses>,
    health: Health,
    mut stop: watch::Receiver<bool>,
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
    let (mut names, mut changes) = (Several::of(health), witnesses.changes());
    loop {
        changes.mark_unchanged();
        names.say(statuses());
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
