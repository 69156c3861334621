//! Direct: the consumer calls FetchSection at each agency, all at once, and
//! holds the sections against its questions and merges them as the gateway does.
//!
//! Agencies believe gateways alone, so it comes with the gateway's certificate.
//! The agencies are the real ones, with every check, or the bare ones; those also
//! behind a proxy. To the real ones a grant that they were shown is named by its digest,
//! as the gateway names it.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use prost::Message;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tributary::clock;
use tributary::config::gateway::GatewayConfig;
use tributary::config::link::TrustConfig;
use tributary::domain::catalogue::AgencyId;
use tributary::domain::grant::{Presented, Shown};
use tributary::domain::peer::{Role, SpiffeId};
use tributary::domain::profile::{self, Profile};
use tributary::domain::section::Section;
use tributary::link::connect::Connector;
use tributary::link::identity::OwnIdentity;
use tributary::link::limits::ConnectLimits;
use tributary::link::tls::LinkTls;
use tributary::link::trust::{Trust, TrustStore};
use tributary::wire::grant;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::agency_service_client::AgencyServiceClient;
use tributary::wire::refusal::reason_of;
use tributary::wire::section::{self, Question, RequestHash};

use crate::city::{Asked, City};
use crate::grants::{Part, Person};
use crate::row::next_request;

/// By this header a proxy knows the agency.
pub const AGENCY_HEADER: &str = "x-agency";

const DEADLINE: Duration = Duration::from_secs(2);

/// What the agencies at the other end want to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agencies {
    /// A grant.
    Checking,
    /// The person's number.
    Bare,
}

/// A consumer with connections to every agency.
pub struct Direct {
    lanes: Vec<Lanes>,
    agencies: Agencies,
    consumer: String,
}

/// The connections over which one agency is asked.
struct Lanes {
    clients: Vec<AgencyServiceClient<Channel>>,
    header: MetadataValue<Ascii>,
    /// The parts of grants that the agency was shown.
    shown: Shown,
}

impl Lanes {
    fn new(clients: Vec<AgencyServiceClient<Channel>>, agency: &AgencyId) -> anyhow::Result<Self> {
        Ok(Self { clients, header: agency.as_str().parse()?, shown: Shown::default() })
    }
}

impl Direct {
    /// `endpoints`: where each of the city's agencies is asked.
    pub async fn connect(
        city: &City,
        endpoints: &[String],
        agencies: Agencies,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let mut lanes = Vec::new();
        for (asked, endpoint) in city.agencies.iter().zip(endpoints) {
            let connector = connector(city, endpoint, &asked.identity)?;
            let mut clients = Vec::new();
            for _ in 0..connections {
                clients.push(AgencyServiceClient::new(connector.channel().await?));
            }
            lanes.push(Lanes::new(clients, &asked.id)?);
        }
        Self::over(city, lanes, agencies)
    }

    /// Every agency behind one proxy, which shows the gateway's certificate.
    pub async fn through(city: &City, proxy: &str, connections: usize) -> anyhow::Result<Self> {
        let connector = connector(city, proxy, &city.federation.gateway.id.parse()?)?;
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(AgencyServiceClient::new(connector.channel().await?));
        }
        let lanes = city.agencies.iter().map(|asked| Lanes::new(clients.clone(), &asked.id));
        Self::over(city, lanes.collect::<anyhow::Result<_>>()?, Agencies::Bare)
    }

    fn over(city: &City, lanes: Vec<Lanes>, agencies: Agencies) -> anyhow::Result<Self> {
        let consumer = city.federation.consumers.first().context("no consumer")?.id.clone();
        Ok(Self { lanes, agencies, consumer })
    }

    pub async fn fetch(&self, city: &City, person: &Person) -> anyhow::Result<Profile> {
        let turn = next_request();
        let asked = city.agencies.iter().zip(&self.lanes).zip(&person.parts);
        let sections = asked.map(async |((asked, lanes), part)| match self.agencies {
            Agencies::Checking => self.checked(city, asked, lanes, part, turn).await,
            Agencies::Bare => {
                let number = Bytes::copy_from_slice(person.subject.expose().as_bytes());
                let section = self.section(city, asked, lanes, Presented::Whole(number), turn);
                section.await?.context("a bare agency knows no digests")
            }
        });
        let sections = try_join_all(sections).await?;
        Ok(profile::merge(&city.catalogue, &sections, &[]))
    }

    /// By the digest where the agency was shown the part, and whole where it was not
    /// or has forgotten.
    async fn checked(
        &self,
        city: &City,
        asked: &Asked,
        lanes: &Lanes,
        part: &Part,
        turn: usize,
    ) -> anyhow::Result<Section> {
        if lanes.shown.knows(&part.digest) {
            let named = Presented::Digest(part.digest);
            if let Some(section) = self.section(city, asked, lanes, named, turn).await? {
                return Ok(section);
            }
            lanes.shown.forget(&part.digest);
        }
        let whole = Presented::Whole(part.whole.clone());
        let section = self.section(city, asked, lanes, whole, turn).await?;
        lanes.shown.answered(part.digest);
        section.with_context(|| format!("{}: it was shown the grant", asked.id))
    }

    /// None where the agency does not know the grant by its digest.
    async fn section(
        &self,
        city: &City,
        asked: &Asked,
        lanes: &Lanes,
        presented: Presented<Bytes>,
        turn: usize,
    ) -> anyhow::Result<Option<Section>> {
        let message = pb::FetchSectionRequest {
            request_id: format!("{turn:032x}"),
            items: asked.items.to_bytes().into(),
            catalogue_digest: Bytes::copy_from_slice(&city.catalogue.digest().0),
            consumer: self.consumer.clone(),
            grant: Some(grant::encode(presented)),
            ..Default::default()
        };
        let hash = RequestHash::of(&message.encode_to_vec());
        let mut request = tonic::Request::new(message);
        request.set_timeout(DEADLINE);
        request.metadata_mut().insert(AGENCY_HEADER, lanes.header.clone());
        let client = lanes.clients.get(turn % lanes.clients.len());
        let mut client = client.context("no connection")?.clone();
        let response = match client.fetch_section(request).await {
            Ok(response) => response.into_inner(),
            Err(status) if grant::is_unknown(status.code(), &reason_of(&status)) => {
                return Ok(None);
            }
            Err(status) => return Err(status.into()),
        };
        let question = Question {
            agency: &asked.id,
            asked: &asked.items,
            request: hash,
            catalogue: &city.catalogue,
        };
        let section = section::believe(response, &question)?;
        ensure!(
            section.status.is_answered(),
            "{}: {}",
            asked.id,
            section::reason_word(section.reason)
        );
        Ok(Some(section))
    }
}

/// As the gateway, to anybody whom the gateway believes, and to itself.
fn connector(city: &City, endpoint: &str, expected: &SpiffeId) -> anyhow::Result<Connector> {
    let link = GatewayConfig::load(&city.federation.gateway.config)?.link;
    let identity = OwnIdentity::load(&link.certificate, &link.key, clock::utc())?;
    let mut trusted = link.trust;
    trusted.push(TrustConfig {
        domain: identity.id().trust_domain().clone(),
        roles: vec![Role::Gateway],
        anchors: city.federation.trust_bundle.clone(),
        crl: None,
    });
    let tls = LinkTls::new(identity, Trust::new(TrustStore::load(&trusted)?));
    Ok(Connector::new(endpoint, expected.clone(), tls, ConnectLimits::default())?)
}
