//! Through a gateway, one GetProfile call for each profile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use tributary::app::client::{Address, GatewayClient};
use tributary::wire::proto::pb;

use crate::city::City;

pub const DEADLINE: Duration = Duration::from_secs(2);

/// A consumer with connections to a gateway.
pub struct Unary {
    clients: Vec<GatewayClient>,
    next: AtomicUsize,
}

/// A new connection to a gateway.
pub async fn client(city: &City, endpoint: &str) -> anyhow::Result<GatewayClient> {
    let federation = &city.federation;
    let consumer = federation.consumers.first().context("no consumer")?;
    let address = Address {
        endpoint: endpoint.to_owned(),
        gateway: federation.gateway.id.parse()?,
        certificate: consumer.certificate.clone(),
        key: consumer.key.clone(),
        trust_bundle: federation.trust_bundle.clone(),
        proof_key: None,
    };
    Ok(GatewayClient::connect(&address).await?)
}

impl Unary {
    pub async fn connect(city: &City, endpoint: &str, connections: usize) -> anyhow::Result<Self> {
        Self::balanced(city, [endpoint], connections).await
    }

    /// To a gateway that remembers no grants.
    pub async fn whole(city: &City, endpoint: &str, connections: usize) -> anyhow::Result<Self> {
        let Self { clients, next } = Self::connect(city, endpoint, connections).await?;
        let clients = clients.into_iter().map(GatewayClient::always_whole).collect();
        Ok(Self { clients, next })
    }

    /// Over several gateways in turn, with so many connections to each.
    pub async fn balanced(
        city: &City,
        endpoints: impl IntoIterator<Item = &str> + Clone,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..connections {
            for endpoint in endpoints.clone() {
                clients.push(client(city, endpoint).await?);
            }
        }
        Ok(Self { clients, next: AtomicUsize::new(0) })
    }

    /// `grant`: what stands where the grant does; bare agencies want a number there.
    pub async fn fetch(&self, city: &City, grant: &str) -> anyhow::Result<pb::GetProfileResponse> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let client = self.clients.get(turn % self.clients.len()).context("no connection")?;
        let mut client = client.clone();
        Ok(client.profile(grant, city.items.clone(), DEADLINE).await?)
    }
}
