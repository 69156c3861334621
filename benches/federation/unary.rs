//! Through the gateway, one GetProfile call for each profile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use tributary::app::client::{Address, GatewayClient};
use tributary::wire::proto::pb;

use crate::city::{City, Person};

const DEADLINE: Duration = Duration::from_secs(2);

/// A consumer with connections to the gateway.
pub struct Unary {
    clients: Vec<GatewayClient>,
    next: AtomicUsize,
}

/// A new connection to the gateway.
pub async fn client(city: &City) -> anyhow::Result<GatewayClient> {
    let federation = &city.federation;
    let consumer = federation.consumers.first().context("no consumer")?;
    let address = Address {
        endpoint: federation.gateway.endpoint.clone(),
        gateway: federation.gateway.id.parse()?,
        certificate: consumer.certificate.clone(),
        key: consumer.key.clone(),
        trust_bundle: federation.trust_bundle.clone(),
    };
    Ok(GatewayClient::connect(&address).await?)
}

impl Unary {
    pub async fn connect(city: &City, connections: usize) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(client(city).await?);
        }
        Ok(Self { clients, next: AtomicUsize::new(0) })
    }

    pub async fn fetch(&self, city: &City, person: &Person) -> anyhow::Result<pb::Profile> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let client = self.clients.get(turn % self.clients.len()).context("no connection")?;
        let mut client = client.clone();
        let response = client.profile(&person.grant, city.items.clone(), DEADLINE).await?;
        ensure!(response.sections.len() == city.agencies.len(), "a section is missing");
        for section in &response.sections {
            let answered =
                matches!(section.status(), pb::SectionStatus::Ok | pb::SectionStatus::NoRecord);
            ensure!(answered, "{}: {}", section.agency, section.reason);
        }
        response.profile.context("the answer has no profile")
    }
}
