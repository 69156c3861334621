//! The gateway: one request of a consumer, step by step from peer to profile.
//!
//! The steps are those of ARCHITECTURE.md, in that order; each takes what the one
//! before has proved.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status};

use super::agency_server::peer_of;
use super::authority::{Authorised, Authority};
use super::fan_out::{self, Asked};
use super::random;
use super::recorder::{self, Line, Recorder};
use super::uplink::Uplink;
use crate::clock;
use crate::config::gateway::GatewayLimitsConfig;
use crate::domain::audit::{Decision, Record, SubjectTag};
use crate::domain::catalogue::Catalogue;
use crate::domain::grant::Receiver;
use crate::domain::item::ItemSet;
use crate::domain::peer::{Role, SpiffeId};
use crate::domain::plan::{self, Fetch, Offer};
use crate::domain::profile;
use crate::domain::section::{Absence, Section};
use crate::wire::proto::pb;
use crate::wire::proto::pb::profile_service_server::ProfileService;
use crate::wire::refusal::Refusal;
use crate::wire::{deadline, profile as message};

/// What a gateway answers with.
#[derive(Debug)]
pub struct Gateway {
    id: SpiffeId,
    catalogue: Arc<Catalogue>,
    authority: Authority,
    recorder: Arc<Recorder>,
    uplinks: Vec<Arc<Uplink>>,
    owned: Vec<ItemSet>,
    limits: GatewayLimitsConfig,
    room: Semaphore,
}

impl Gateway {
    /// A gateway to these agencies; `id` is the audience of its grants.
    pub fn new(
        id: SpiffeId,
        catalogue: Arc<Catalogue>,
        authority: Authority,
        recorder: Arc<Recorder>,
        uplinks: Vec<Arc<Uplink>>,
        limits: GatewayLimitsConfig,
    ) -> Self {
        let owned = uplinks.iter().map(|uplink| catalogue.owned_by(uplink.agency())).collect();
        Self {
            id,
            catalogue,
            authority,
            recorder,
            uplinks,
            owned,
            room: Semaphore::new(limits.max_in_flight),
            limits,
        }
    }

    async fn answer(
        &self,
        request: Request<pb::GetProfileRequest>,
    ) -> Result<pb::GetProfileResponse, Refusal> {
        let now = clock::now();
        let until = deadline::deadline(request.metadata(), now, self.limits.max_deadline);
        let peer = peer_of(&request)?;
        let _room = self.room.try_acquire().map_err(|_| {
            Refusal::overloaded("the gateway has as many requests under way as it takes")
        })?;
        if peer.spiffe().role() != Role::Consumer {
            let message = "only an identity in the role of a consumer may ask for a profile";
            return Err(Refusal::new(Code::PermissionDenied, "NOT_A_CONSUMER", message));
        }
        self.recorder.check_ready()?;
        let wanted = message::decode_request(request.into_inner(), &self.catalogue)?;
        let receiver = Receiver::Gateway { audience: &self.id, consumer: &peer };
        let authorised = self.authority.admit(&wanted.grant, receiver, &wanted.items).await?;
        let permit = &authorised.permit;
        let plan = plan::plan(permit, &self.offers());
        let request_id = match wanted.request_id {
            id if id.is_empty() => new_request_id()?,
            id => id,
        };
        // From here on the request is recorded, even if the caller hangs up.
        let unrecorded = self.recorder.begin(|| {
            let refused = || recorder::refused("ABANDONED");
            let lines = plan.fetches.iter().map(|fetch| line(fetch, refused()));
            self.records(&request_id, &authorised, lines).unwrap_or_default()
        });
        let asked = Asked {
            request_id: &request_id,
            grant: &authorised.grant,
            catalogue: &self.catalogue,
            until: fan_out::slice(until, now),
        };
        let timed = fan_out::fan_out(&plan, &self.uplinks, asked).await;
        let (sections, elapsed): (Vec<Section>, Vec<Duration>) = timed.into_iter().unzip();
        let unasked = [(permit.denied(), Absence::Denied), (plan.not_offered, Absence::NotOffered)];
        let profile = profile::merge(&self.catalogue, &sections, &unasked);
        let confirmed = self.authority.confirm(&authorised, receiver, &wanted.items).await;
        let lines = plan.fetches.iter().zip(&sections).map(|(fetch, section)| {
            let decision = match &confirmed {
                Ok(()) => Decision::Section(section.status),
                Err(refusal) => recorder::refused(refusal.reason),
            };
            line(fetch, decision)
        });
        let mut lines: Vec<Line> = lines.collect();
        let withheld = permit.denied();
        if lines.is_empty() || !withheld.is_empty() {
            let decision = recorder::refused("NOT_PERMITTED");
            lines.push(Line { agency: None, items: withheld, decision });
        }
        let records = self.records(&request_id, &authorised, lines)?;
        let receipt = unrecorded.record(records).await?;
        confirmed?;
        let timed = sections.iter().zip(elapsed);
        Ok(message::encode_response(request_id, profile, timed, &receipt, &self.catalogue))
    }

    fn records(
        &self,
        request_id: &str,
        authorised: &Authorised,
        lines: impl IntoIterator<Item = Line>,
    ) -> Result<Vec<Record>, Refusal> {
        let tag = authorised.grant.subject_tag().map(|tag| SubjectTag::new(tag.0));
        self.recorder.records(request_id, authorised, tag, lines)
    }

    fn offers(&self) -> Vec<Offer> {
        self.uplinks
            .iter()
            .zip(&self.owned)
            .map(|(uplink, owned)| Offer {
                agency: uplink.agency().clone(),
                owned: *owned,
                described: uplink.described_items(),
            })
            .collect()
    }
}

fn line(fetch: &Fetch, decision: Decision) -> Line {
    Line { agency: Some(fetch.agency.clone()), items: fetch.items, decision }
}

/// A random id for a request that came without one.
fn new_request_id() -> Result<String, Refusal> {
    Ok(format!("{:032x}", u128::from_be_bytes(random::sixteen()?)))
}

/// The gateway's gRPC service.
#[derive(Debug, Clone)]
pub struct GatewayServer(Arc<Gateway>);

impl GatewayServer {
    /// Serves a gateway.
    pub const fn new(gateway: Arc<Gateway>) -> Self {
        Self(gateway)
    }
}

#[tonic::async_trait]
impl ProfileService for GatewayServer {
    async fn get_profile(
        &self,
        request: Request<pb::GetProfileRequest>,
    ) -> Result<Response<pb::GetProfileResponse>, Status> {
        let peer = peer_of(&request);
        self.0.answer(request).await.map(Response::new).map_err(|refusal| {
            if let Ok(peer) = &peer {
                self.0.recorder.count_refusal(peer.spiffe(), refusal.reason);
            }
            let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
            let id = new_request_id().unwrap_or_default();
            tracing::info!(peer, refusal = id, reason = refusal.reason, code = ?refusal.code, "refused");
            refusal.into_status(&id)
        })
    }
}
