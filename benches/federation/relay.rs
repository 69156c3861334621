//! Tributary's way of asking, alone: one call in, one question to each bare agency over
//! the streams that the gateway itself keeps to its agencies, merged by the gateway's
//! merge. No grant, no policy, no log, no limits.
//!
//! It is what tells the price of the way from that of the checks. No product: the real
//! gateway has no switch for any of this.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_stream::Empty;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tributary::clock;
use tributary::config::audit::OnContradiction;
use tributary::config::catalogue;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::audit::{Origin, SigningKey};
use tributary::domain::catalogue::{AgencyId, Catalogue};
use tributary::domain::item::ItemSet;
use tributary::domain::section::Section;
use tributary::link::connect::Connector;
use tributary::link::identity::OwnIdentity;
use tributary::link::limits::ConnectLimits;
use tributary::link::tls::LinkTls;
use tributary::link::trust::{Trust, TrustStore};
use tributary::service::agencies::client::{AgencyClient, ClientParts};
use tributary::service::agencies::outcome::Arrival;
use tributary::service::agencies::replies::{Gather, Woken};
use tributary::service::agencies::request::Question;
use tributary::service::audit::monitor::Witnesses;
use tributary::service::audit::recorder::Recorder;
use tributary::store::audit_log::AuditLog;
use tributary::store::witness::Witness;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::profile_service_server::{ProfileService, ProfileServiceServer};
use tributary::wire::section;

use crate::child;
use crate::naive::{Plan, answer, ask};

const DEADLINE: Duration = Duration::from_secs(2);

/// Serves until standard input ends.
pub async fn serve(plan: &Path) -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_str(&std::fs::read_to_string(plan)?)?;
    let config = GatewayConfig::load(&plan.gateway)?;
    let identity = OwnIdentity::load(&config.link.certificate, &config.link.key, clock::utc())?;
    let tls = LinkTls::new(identity, Trust::new(TrustStore::load(&config.link.trust)?));
    let catalogue = Arc::new(catalogue::load(&config.catalogue)?);
    let unused = Unused::open()?;
    let (_run, stop) = watch::channel(false);
    let mut agencies = Vec::new();
    for (id, address, items) in plan.agencies {
        let entry = config.agency.iter().find(|entry| entry.id == id).context("unknown agency")?;
        let limits = ConnectLimits::default();
        let connector = Connector::new(&address, entry.identity.clone(), tls.clone(), limits)?;
        let parts = ClientParts {
            agency: id.clone(),
            endpoints: vec![(address, connector)],
            catalogue: catalogue.clone(),
            connections: entry.connections,
            max_in_flight: entry.max_in_flight,
            witnesses: unused.witnesses.clone(),
            hearing: Arc::default(),
        };
        let client = AgencyClient::start(parts, &stop);
        client.known().await;
        ensure!(client.is_up(), "{id}: no exchange stream");
        agencies.push(Agency { id, items: ItemSet::from_bytes(&items).context("items")?, client });
    }
    let relay = Relay(Arc::new(Parts { catalogue, agencies }));
    child::serve(tls, Routes::new(ProfileServiceServer::new(relay))).await
}

/// A stream shows its gateway's log to whoever asks; here nobody does.
struct Unused {
    witnesses: Arc<Witnesses>,
    _recorder: Arc<Recorder>,
    _folder: TempDir,
}

impl Unused {
    fn open() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let origin: Origin = "relay.bench.example/1".parse()?;
        let key = || SigningKey::from_seed(&[7; 32]);
        let log = AuditLog::open(&folder.path().join("log"), &origin, key()?)?;
        let recorder = Arc::new(Recorder::new(log, None));
        let witnesses = Witnesses::new(
            &recorder,
            folder.path().join("log"),
            key()?.verifying_key(&origin)?,
            None,
            Witness::open(&folder.path().join("held"))?,
            Vec::new(),
            DEADLINE,
            OnContradiction::Refuse,
        );
        Ok(Self { witnesses: Arc::new(witnesses), _recorder: recorder, _folder: folder })
    }
}

struct Parts {
    catalogue: Arc<Catalogue>,
    agencies: Vec<Agency>,
}

struct Agency {
    id: AgencyId,
    items: ItemSet,
    client: Arc<AgencyClient>,
}

struct Relay(Arc<Parts>);

impl Relay {
    fn question(&self, agency: &Agency, number: Bytes, until: Instant) -> Question {
        let message = ask(&agency.items, &self.0.catalogue, number);
        Question::new(message, None, until)
    }

    fn section(
        &self,
        agency: &Agency,
        question: &Question,
        arrival: Option<Arrival>,
    ) -> anyhow::Result<Section> {
        let id = &agency.id;
        let outcome = arrival.with_context(|| format!("{id}: no answer"))?.outcome;
        let response = outcome.map_err(|failure| anyhow::anyhow!("{id}: {failure:?}"))?;
        let (request, catalogue) = (question.last().hash, &self.0.catalogue);
        let asked = section::Question { agency: id, asked: &agency.items, request, catalogue };
        let section = section::decode(response, &asked)?;
        ensure!(section.status.is_answered(), "{id}: {}", section::reason_word(section.reason));
        Ok(section)
    }

    async fn profile(
        &self,
        request: pb::GetProfileRequest,
    ) -> anyhow::Result<pb::GetProfileResponse> {
        let Parts { catalogue, agencies } = &*self.0;
        let number = request.grant.context("no number")?.sd_jwt;
        let until = clock::now() + DEADLINE;
        let asked: Vec<_> =
            agencies.iter().map(|one| self.question(one, number.clone(), until)).collect();
        let gather = Gather::new(agencies.len());
        let mut under_way = Vec::new();
        for (place, (agency, question)) in agencies.iter().zip(&asked).enumerate() {
            let asking = agency.client.ask(question, gather.reply(place));
            under_way.push(asking.ok().context("not connected")?);
        }
        match tokio::time::timeout_at(until.into(), gather.woken()).await? {
            Woken::All => {}
            Woken::Missed(missed) => bail!("streams were lost: {missed:?}"),
        }
        under_way.into_iter().flatten().for_each(|asked| asked.answered());
        let arrivals = agencies.iter().zip(&asked).zip(gather.arrivals());
        let sections = arrivals
            .map(|((agency, question), arrival)| self.section(agency, question, arrival))
            .collect::<anyhow::Result<Vec<_>>>()?;
        Ok(answer(&sections, catalogue))
    }
}

#[tonic::async_trait]
impl ProfileService for Relay {
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
        Err(Status::unimplemented("relay"))
    }
}
