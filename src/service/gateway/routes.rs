//! The agencies that a gateway asks, as one list: requests take it whole, so that one
//! that is under way sees no other while it lasts.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::catalogue::Catalogue;
use crate::domain::plan::{Offer, Plan};
use crate::domain::quality::Quality;
use crate::service::agencies::agreement::Known;
use crate::service::agencies::client::AgencyClient;
use crate::service::gateway::fan_out::Timed;
use crate::telemetry::metrics::{AgencyMeter, Metrics};
use crate::wire::status::AgencyNow;

/// Clients to agencies, and what is known of each in the same order.
#[derive(Debug, Default)]
pub struct Routes {
    clients: Vec<Arc<AgencyClient>>,
    meters: Vec<AgencyMeter>,
    qualities: Vec<Arc<Mutex<Quality>>>,
}

impl Routes {
    /// Of these clients; how an agency did stays known while it has one.
    pub fn new(clients: Vec<Arc<AgencyClient>>, metrics: &Arc<Metrics>, before: &Self) -> Self {
        let known = |client: &Arc<AgencyClient>| {
            let mut known = before.clients.iter().zip(&before.qualities);
            known.find(|(known, _)| known.agency() == client.agency()).map(|(_, of)| of.clone())
        };
        Self {
            meters: clients.iter().map(|client| metrics.agency(client.agency())).collect(),
            qualities: clients.iter().map(|client| known(client).unwrap_or_default()).collect(),
            clients,
        }
    }

    /// The clients.
    pub fn clients(&self) -> &[Arc<AgencyClient>] {
        &self.clients
    }

    /// What each agency owns in a catalogue, and what it says it offers.
    pub fn offers(&self, catalogue: &Catalogue) -> Vec<Offer> {
        let offer = |client: &Arc<AgencyClient>| {
            let Known { described, differing } = client.known_items();
            let (agency, owned) = (client.agency().clone(), catalogue.owned_by(client.agency()));
            Offer { agency, owned, described, differing }
        };
        self.clients.iter().map(offer).collect()
    }

    /// How each agency does and did, by this second of the process.
    pub fn now(&self, second: u64) -> Vec<AgencyNow> {
        let agencies = self.clients.iter().zip(&self.qualities);
        agencies.map(|(client, quality)| client.now(quality.lock().windows(second))).collect()
    }

    /// Counts what came of a request's questions in this second.
    pub fn count(&self, plan: &Plan, timed: &[Timed], second: u64) {
        for (fetch, (section, took)) in plan.fetches.iter().zip(timed) {
            let Some(meter) = self.meters.get(fetch.place) else { continue };
            let took: Duration = *took;
            if let Some(quality) = self.qualities.get(fetch.place) {
                quality.lock().count(second, took, section.status.is_answered());
            }
            let failed = section.reason.filter(|_| !section.status.is_answered());
            meter.question(failed.map_or("OK", |reason| reason.code().as_str()), took);
            meter.section(section.status, section.reason, took);
        }
    }
}
