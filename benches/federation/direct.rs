//! Direct: the consumer calls FetchSection at each agency, all at once, and
//! holds the sections against its questions and merges them as the gateway does.
//!
//! Agencies believe gateways alone, so it comes with the gateway's certificate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use prost::Message;
use tonic::transport::Channel;
use tributary::clock;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::profile::{self, Profile};
use tributary::domain::section::Section;
use tributary::link::connect::Connector;
use tributary::link::identity::OwnIdentity;
use tributary::link::limits::ConnectLimits;
use tributary::link::tls::LinkTls;
use tributary::link::trust::{Trust, TrustStore};
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::agency_service_client::AgencyServiceClient;
use tributary::wire::section::{self, Question, RequestHash};

use crate::city::{Asked, City, Person};

const DEADLINE: Duration = Duration::from_secs(2);

/// A consumer with connections to every agency.
pub struct Direct {
    /// For each agency, its connections.
    clients: Vec<Vec<AgencyServiceClient<Channel>>>,
    consumer: String,
    next: AtomicUsize,
}

impl Direct {
    pub async fn connect(city: &City, connections: usize) -> anyhow::Result<Self> {
        let config = GatewayConfig::load(&city.federation.gateway.config)?;
        let link = config.link;
        let identity = OwnIdentity::load(&link.certificate, &link.key, clock::utc())?;
        let tls = LinkTls::new(identity, Trust::new(TrustStore::load(&link.trust)?));
        let mut clients = Vec::new();
        for asked in &city.agencies {
            let entry = config.agency.iter().find(|entry| entry.id == asked.id);
            let entry = entry.with_context(|| format!("the gateway does not know {}", asked.id))?;
            let limits = ConnectLimits::default();
            let connector =
                Connector::new(&entry.endpoint, entry.identity.clone(), tls.clone(), limits)?;
            let mut lanes = Vec::new();
            for _ in 0..connections {
                lanes.push(AgencyServiceClient::new(connector.channel().await?));
            }
            clients.push(lanes);
        }
        let consumer = city.federation.consumers.first().context("no consumer")?.id.clone();
        Ok(Self { clients, consumer, next: AtomicUsize::new(0) })
    }

    pub async fn fetch(&self, city: &City, person: &Person) -> anyhow::Result<Profile> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let request_id = format!("{turn:032x}");
        let asked = city.agencies.iter().zip(&self.clients).zip(&person.parts);
        let sections = asked.map(|((asked, lanes), part)| {
            let lane = lanes.get(turn % lanes.len());
            self.section(city, asked, lane, part, &request_id)
        });
        let sections = try_join_all(sections).await?;
        Ok(profile::merge(&city.catalogue, &sections, &[]))
    }

    async fn section(
        &self,
        city: &City,
        asked: &Asked,
        client: Option<&AgencyServiceClient<Channel>>,
        grant: &Bytes,
        request_id: &str,
    ) -> anyhow::Result<Section> {
        let message = pb::FetchSectionRequest {
            request_id: request_id.to_owned(),
            items: asked.items.to_bytes().into(),
            catalogue_digest: Bytes::copy_from_slice(&city.catalogue.digest().0),
            consumer: self.consumer.clone(),
            grant: Some(pb::GrantPresentation { sd_jwt: grant.clone() }),
            ..Default::default()
        };
        let hash = RequestHash::of(&message.encode_to_vec());
        let mut request = tonic::Request::new(message);
        request.set_timeout(DEADLINE);
        let mut client = client.context("no connection")?.clone();
        let response = client.fetch_section(request).await?.into_inner();
        let question = Question {
            agency: &asked.id,
            asked: &asked.items,
            request: hash,
            catalogue: &city.catalogue,
        };
        let section = section::believe(response, &question)?;
        ensure!(section.status.is_answered(), "{}: {}", asked.id, section.reason);
        Ok(section)
    }
}
