//! A naive gateway: one call in, one call to each agency, merged, and nothing
//! else. No grant, no policy, no log, no limits; one connection an agency.
//!
//! It is what a service made with tonic in an afternoon would be, on the same TLS
//! and HTTP/2, a process of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio_stream::Empty;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use tributary::clock;
use tributary::config::catalogue;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::catalogue::{AgencyId, Catalogue};
use tributary::domain::item::ItemSet;
use tributary::domain::profile;
use tributary::domain::section::Section;
use tributary::link::connect::Connector;
use tributary::link::identity::OwnIdentity;
use tributary::link::limits::ConnectLimits;
use tributary::link::tls::LinkTls;
use tributary::link::trust::{Trust, TrustStore};
use tributary::wire::profile::encode_profile;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::agency_service_client::AgencyServiceClient;
use tributary::wire::proto::pb::profile_service_server::{ProfileService, ProfileServiceServer};
use tributary::wire::section::{self, Question, RequestHash};

use crate::child;

const DEADLINE: Duration = Duration::from_secs(2);

/// Where the agencies are, written for the process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The gateway's configuration, for certificate, trust and catalogue.
    pub gateway: PathBuf,
    /// Each agency's name, address and items.
    pub agencies: Vec<(AgencyId, String, Vec<u8>)>,
}

/// Serves until standard input ends.
pub async fn serve(plan: &Path) -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_str(&std::fs::read_to_string(plan)?)?;
    let config = GatewayConfig::load(&plan.gateway)?;
    let identity = OwnIdentity::load(&config.link.certificate, &config.link.key, clock::utc())?;
    let tls = LinkTls::new(identity, Trust::new(TrustStore::load(&config.link.trust)?));
    let mut agencies = Vec::new();
    for (id, address, items) in plan.agencies {
        let entry = config.agency.iter().find(|entry| entry.id == id).context("unknown agency")?;
        let limits = ConnectLimits::default();
        let connector = Connector::new(&address, entry.identity.clone(), tls.clone(), limits)?;
        let client = AgencyServiceClient::new(connector.channel().await?);
        let items = ItemSet::from_bytes(&items).context("items")?;
        agencies.push(Agency { id, items, client });
    }
    let catalogue = catalogue::load(&config.catalogue)?;
    let naive = Naive(Arc::new(Parts { catalogue, agencies }));
    child::serve(tls, Routes::new(ProfileServiceServer::new(naive))).await
}

struct Parts {
    catalogue: Catalogue,
    agencies: Vec<Agency>,
}

struct Agency {
    id: AgencyId,
    items: ItemSet,
    client: AgencyServiceClient<Channel>,
}

/// What a bare agency is asked.
pub fn ask(items: &ItemSet, catalogue: &Catalogue, number: Bytes) -> pb::FetchSectionRequest {
    pb::FetchSectionRequest {
        items: items.to_bytes().into(),
        catalogue_digest: Bytes::copy_from_slice(&catalogue.digest().0),
        grant: Some(pb::GrantPresentation { sd_jwt: number, ..Default::default() }),
        ..Default::default()
    }
}

/// What the consumer is answered.
pub fn answer(sections: &[Section], catalogue: &Catalogue) -> pb::GetProfileResponse {
    let reports = sections.iter().map(|section| pb::SectionReport {
        agency: section.agency.to_string(),
        status: section::encode_status(section.status).into(),
        ..Default::default()
    });
    let reports = reports.collect();
    let merged = profile::merge(catalogue, sections, &[]);
    pb::GetProfileResponse {
        profile: Some(encode_profile(merged, catalogue)),
        sections: reports,
        ..Default::default()
    }
}

struct Naive(Arc<Parts>);

impl Naive {
    async fn section(&self, agency: &Agency, number: Bytes) -> anyhow::Result<Section> {
        let catalogue = &self.0.catalogue;
        let message = ask(&agency.items, catalogue, number);
        let request = RequestHash::of(&message.encode_to_vec());
        let mut message = Request::new(message);
        message.set_timeout(DEADLINE);
        let response = agency.client.clone().fetch_section(message).await?.into_inner();
        let question = Question { agency: &agency.id, asked: &agency.items, request, catalogue };
        let section = section::believe(response, &question)?;
        ensure!(
            section.status.is_answered(),
            "{}: {}",
            agency.id,
            section::reason_word(section.reason)
        );
        Ok(section)
    }

    async fn profile(
        &self,
        request: pb::GetProfileRequest,
    ) -> anyhow::Result<pb::GetProfileResponse> {
        let number = request.grant.context("no number")?.sd_jwt;
        let asked = self.0.agencies.iter().map(|agency| self.section(agency, number.clone()));
        let sections = try_join_all(asked).await?;
        Ok(answer(&sections, &self.0.catalogue))
    }
}

#[tonic::async_trait]
impl ProfileService for Naive {
    async fn get_profile(
        &self,
        request: Request<pb::GetProfileRequest>,
    ) -> Result<Response<pb::GetProfileResponse>, Status> {
        let answer = self.profile(request.into_inner()).await;
        answer.map(Response::new).map_err(|error| Status::internal(format!("{error:#}")))
    }

    type StreamProfilesStream = Empty<Result<pb::StreamProfilesResponse, Status>>;

    async fn stream_profiles(
        &self,
        _: Request<Streaming<pb::StreamProfilesRequest>>,
    ) -> Result<Response<Self::StreamProfilesStream>, Status> {
        Err(Status::unimplemented("naive"))
    }
}
