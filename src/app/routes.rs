//! Whom a gateway asks: its clients to agencies, which come, move and go with the
//! configuration. What is under way ends where it was begun.

use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::governing::{health, kept};
use super::standing::{Heard, News};
use super::watching::Rounds;
use crate::config::gateway::AgencyEntry;
use crate::domain::catalogue::Catalogue;
use crate::domain::reason::Reason;
use crate::link::connect::{ConnectError, Connector};
use crate::link::limits::ConnectLimits;
use crate::link::tls::LinkTls;
use crate::service::agencies::client::{AgencyClient, ClientParts};
use crate::service::agencies::hearing::Hearing;
use crate::service::audit::monitor::Witnesses;
use crate::service::gateway::answer::Gateway;
use crate::service::health::Health;
use crate::service::rulebook::InForce;
use crate::store::enforced::Keeper;

/// What every client has in common.
pub(super) struct Roads {
    pub(super) tls: LinkTls,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) witnesses: Arc<Witnesses>,
    pub(super) hearing: Arc<Hearing>,
    pub(super) health: Health,
    pub(super) stop: watch::Receiver<bool>,
}

/// An agency's entry, and the client that was made of it.
pub(super) type Route = (AgencyEntry, Arc<AgencyClient>);

impl Roads {
    /// A client by an agency's entry.
    ///
    /// # Errors
    /// An endpoint's address is none.
    pub(super) fn open(&self, entry: &AgencyEntry) -> Result<Route, ConnectError> {
        let connector = |endpoint: &String| {
            let (identity, limits) = (entry.identity.clone(), ConnectLimits::default());
            let connector = Connector::new(endpoint, identity, self.tls.clone(), limits)?;
            Ok((endpoint.clone(), connector))
        };
        let endpoints = entry.endpoints.iter().map(connector).collect::<Result<_, _>>()?;
        if self.witnesses.peer(&entry.identity).is_none() {
            tracing::info!(agency = %entry.id, "its audit log is not pinned, so nobody here would see that it was rewritten");
        }
        let parts = ClientParts {
            agency: entry.id.clone(),
            endpoints,
            catalogue: self.catalogue.clone(),
            connections: entry.connections,
            max_in_flight: entry.max_in_flight,
            witnesses: self.witnesses.clone(),
            hearing: self.hearing.clone(),
        };
        let client = AgencyClient::start(parts, &self.stop);
        tokio::spawn(health::report_agency(&client, &self.health, &self.stop));
        Ok((entry.clone(), client))
    }
}

/// Whom a gateway asks and where, for its records.
pub(super) fn routing(entries: &[AgencyEntry]) -> String {
    let routing = entries.iter().map(|agency| {
        serde_json::json!({
            "id": agency.id, "identity": agency.identity, "endpoint": agency.endpoints.join(", "),
        })
    });
    serde_json::Value::Array(routing.collect()).to_string()
}

/// The routes of a running gateway.
pub(super) struct Routes {
    pub(super) roads: Roads,
    pub(super) routes: Vec<Route>,
    /// Weak, for the gateway ends with what serves it, and its log with it.
    pub(super) gateway: Weak<Gateway>,
    pub(super) keeper: Keeper,
    pub(super) rules: Arc<InForce>,
}

impl Routes {
    /// Keeps them as the configuration says.
    pub(super) fn keep(mut self, mut news: News, rounds: &Rounds) {
        rounds.keep_looking(move || {
            self.renew();
            if let Some(Heard::Changed(now)) = news.take() {
                self.change(&now.agencies);
            }
        });
    }

    /// Asks by the catalogue that is in force.
    fn renew(&mut self) {
        let rules = self.rules.now();
        if !Arc::ptr_eq(rules.catalogue(), &self.roads.catalogue) {
            self.roads.catalogue = rules.catalogue().clone();
            self.routes.iter().for_each(|(_, client)| client.renew(rules.catalogue()));
        }
    }

    fn change(&mut self, entries: &[AgencyEntry]) {
        let before: Vec<&AgencyEntry> = self.routes.iter().map(|(entry, _)| entry).collect();
        if before == entries.iter().collect::<Vec<_>>() {
            return;
        }
        // Kept before anybody is asked by it, as everything that is enforced.
        self.keeper.route(routing(entries));
        if let Err(error) = self.keeper.keep(&self.rules.engine(), crate::clock::utc()) {
            // Who is gone is not asked any more, whatever the disk does.
            kept(Reason::PartyKept, &error);
            let gone = |entry: &AgencyEntry| entries.iter().all(|other| other.id != entry.id);
            let stays = self.routes.iter().filter(|(entry, _)| !gone(entry)).cloned().collect();
            return self.put(stays);
        }
        let routes = entries.iter().filter_map(|entry| {
            let known = self.routes.iter().find(|(known, _)| known == entry);
            known.cloned().or_else(|| match self.roads.open(entry) {
                Ok(route) => Some(route),
                Err(error) => {
                    kept(Reason::PartyKept, &error);
                    self.routes.iter().find(|(known, _)| known.id == entry.id).cloned()
                }
            })
        });
        let routes = routes.collect();
        self.put(routes);
    }

    /// Asks these from now on. What was put to others is answered by them.
    fn put(&mut self, routes: Vec<Route>) {
        let Some(gateway) = self.gateway.upgrade() else { return };
        gateway.replace_clients(routes.iter().map(|(_, client)| client.clone()).collect());
        let before = std::mem::replace(&mut self.routes, routes);
        for (entry, client) in before {
            let now = self.routes.iter().find(|(now, _)| now.id == entry.id);
            match now {
                Some((_, same)) if Arc::ptr_eq(same, &client) => continue,
                Some((now, _)) => {
                    let endpoints = now.endpoints.join(", ");
                    tracing::info!(agency = %entry.id, endpoints, "the agency is asked by its new entry");
                }
                None => {
                    tracing::info!(agency = %entry.id, "the agency is not asked any more");
                }
            }
            client.leave();
        }
    }
}
