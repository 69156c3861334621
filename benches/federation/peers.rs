//! What Tributary is compared with, as running processes: agencies without checks,
//! and in front of them a naive gateway, Envoy, and our own way of asking alone.

use std::ffi::OsStr;
use std::path::Path;

use futures_util::future::try_join_all;

use crate::child::Server;
use crate::city::City;
use crate::envoy::{self, Envoy};
use crate::naive::Plan;

/// The peers' processes; dropping them ends them.
pub struct Peers {
    /// In the order of the city's agencies.
    pub bare: Vec<Server>,
    pub naive: Server,
    pub relay: Server,
    /// Or why there is none.
    pub envoy: Result<Envoy, String>,
}

impl Peers {
    pub async fn start(city: &City, envoy: &Path) -> anyhow::Result<Self> {
        let bare = city
            .agencies
            .iter()
            .map(async |asked| Server::ours("bare-agency", &[asked.config.as_os_str()]).await);
        let bare = try_join_all(bare).await?;
        let agencies = city.agencies.iter().zip(&bare).map(|(asked, bare)| {
            (asked.id.clone(), bare.address.to_string(), asked.items.to_bytes())
        });
        let plan =
            Plan { gateway: city.federation.gateway.config.clone(), agencies: agencies.collect() };
        let file = city.home.path().join("naive.json");
        std::fs::write(&file, serde_json::to_vec(&plan)?)?;
        let naive = Server::ours("naive-gateway", &[file.as_os_str() as &OsStr]).await?;
        let relay = Server::ours("relay", &[file.as_os_str()]).await?;
        let envoy = envoy::start(city, envoy, &bare).await?;
        Ok(Self { bare, naive, relay, envoy })
    }

    /// Where the bare agencies are.
    pub fn endpoints(&self) -> Vec<String> {
        self.bare.iter().map(|bare| bare.address.to_string()).collect()
    }

    pub fn agencies(&self) -> Vec<u32> {
        self.bare.iter().map(|bare| bare.pid).collect()
    }
}
