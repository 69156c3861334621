//! The gateway: one request of a consumer, step by step from peer to profile.
//!
//! The steps are those of ARCHITECTURE.md, in that order; each takes what the one
//! before has proved.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::clock;
use crate::config::gateway::GatewayLimitsConfig;
use crate::domain::audit::{Decision, Record};
use crate::domain::grant::{Receiver, VerifiedGrant};
use crate::domain::item::ItemSet;
use crate::domain::names::RequestId;
use crate::domain::peer::{PeerId, Role, SpiffeId};
use crate::domain::plan::{self, Plan};
use crate::domain::policy::Permit;
use crate::domain::profile;
use crate::domain::reason::Reason;
use crate::domain::section::{Section, SectionStatus};
use crate::domain::shares::{Full, Place, Shares, Sizes};
use crate::domain::trace::TraceContext;
use crate::service::agencies::client::AgencyClient;
use crate::service::audit::recorder::{self, Line, Recorder};
use crate::service::gateway::fan_out::{self, Asked};
use crate::service::gateway::ids::Ids;
use crate::service::gateway::lines::{abandoned, asked, spent, whole};
use crate::service::gateway::proved::Proved;
use crate::service::gateway::routes::Routes;
use crate::service::judge::{Authority, Ruling};
use crate::service::rulebook::Rulebook;
use crate::service::{random, traced};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::spans::{Spans, Step};
use crate::wire::profile as message;
use crate::wire::proto::pb;
use crate::wire::refusal::Refusal;
use crate::wire::status::AgencyNow;

/// What a gateway answers with.
#[derive(Debug)]
pub struct Gateway {
    id: SpiffeId,
    authority: Authority,
    recorder: Arc<Recorder>,
    /// Whom it asks; a request takes the list once.
    routes: ArcSwap<Routes>,
    limits: ArcSwap<GatewayLimitsConfig>,
    room: Arc<Shares>,
    ids: Ids,
    metrics: Arc<Metrics>,
    spans: Spans,
    started: Instant,
}

/// A request whose grant holds.
struct Admitted<'a> {
    peer: &'a PeerId,
    /// By which all of it is judged, whatever comes into force meanwhile.
    rules: Arc<Rulebook>,
    items: ItemSet,
    grant: VerifiedGrant,
    request_id: RequestId,
    /// Whether the receipt is to be proved.
    prove: bool,
    /// What its consumer has signed.
    proof: Option<Proved>,
    /// When the gateway stops waiting for agencies.
    until: Instant,
}

/// The places of requests.
const fn sizes(limits: &GatewayLimitsConfig) -> Sizes {
    Sizes::for_domains(limits.max_in_flight, limits.max_in_flight_per_consumer)
}

/// What policy, grant and agencies make of a request.
type Decided = (Ruling, Permit, Plan, Arc<Routes>);

impl Gateway {
    /// A gateway to these agencies; `id` is the audience of its grants.
    pub fn new(
        id: SpiffeId,
        authority: Authority,
        recorder: Arc<Recorder>,
        clients: Vec<Arc<AgencyClient>>,
        limits: GatewayLimitsConfig,
        (metrics, spans): (Arc<Metrics>, Spans),
    ) -> Self {
        let routes = Routes::new(clients, &metrics, &Routes::default());
        Self {
            id,
            authority,
            recorder,
            routes: ArcSwap::from_pointee(routes),
            room: Shares::new(sizes(&limits)),
            limits: ArcSwap::from_pointee(limits),
            ids: Ids::default(),
            metrics,
            spans,
            started: clock::now(),
        }
    }

    /// Asks these agencies from now on. Requests that are under way go on with those that
    /// they began with.
    pub fn replace_clients(&self, clients: Vec<Arc<AgencyClient>>) {
        let before = self.routes.load();
        let routes = Routes::new(clients, &self.metrics, &before);
        self.routes.store(Arc::new(routes));
    }

    /// What its requests are judged by.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The agencies that it asks now.
    pub fn clients(&self) -> Vec<Arc<AgencyClient>> {
        self.routes.load().clients().to_vec()
    }

    /// Limits of its own, as they are now.
    pub fn limits(&self) -> Arc<GatewayLimitsConfig> {
        self.limits.load_full()
    }

    /// Keeps to these limits from now on. What was let in goes on by those before.
    pub fn replace_limits(&self, limits: GatewayLimitsConfig) {
        self.room.resize(sizes(&limits));
        self.limits.store(Arc::new(limits));
    }

    /// How many requests are under way, and how many may be.
    pub fn in_flight(&self) -> (usize, usize) {
        self.room.in_use()
    }

    /// A place for one more request of this peer, which is to be kept until its answer was
    /// taken: who leaves answers unread gets nothing more asked.
    ///
    /// # Errors
    /// There is none.
    pub fn enter(&self, peer: &PeerId) -> Result<Place, Refusal> {
        self.room.enter(peer.spiffe()).map_err(|full| {
            Refusal::overloaded(match full {
                Full::Altogether => "the gateway has as many requests under way as it takes",
                Full::OfPeer => {
                    "you have as many requests under way, or answers unread, as one consumer may"
                }
                Full::OfDomain => {
                    "your organisation has as many requests under way, or answers unread, as one may"
                }
            })
        })
    }

    /// Works on a request's answer within the trace that its consumer states.
    ///
    /// # Errors
    /// That of the answer.
    pub fn traced<T, A>(
        &self,
        stated: Option<TraceContext>,
        answer: A,
    ) -> impl Future<Output = A::Output> + use<T, A>
    where
        A: Future<Output = Result<T, (Refusal, String)>>,
    {
        let step = Step::Profile { asked: 0 };
        traced::call(&self.spans, step, stated, answer, |(refusal, _)| refusal)
    }

    /// Answers one request of a consumer by `until`, if it has a place.
    ///
    /// # Errors
    /// Why nothing is disclosed, and the id under which our log has more.
    pub async fn answer(
        &self,
        peer: &PeerId,
        place: Result<&Place, Refusal>,
        request: pb::GetProfileRequest,
        until: Instant,
    ) -> Result<pb::GetProfileResponse, (Refusal, String)> {
        let work = async {
            let admitted = place.and_then(|_| self.admit(peer, request, until));
            let admitted = admitted.inspect_err(|refusal| {
                self.recorder.count_refusal(peer.spiffe(), refusal.reason);
            })?;
            self.answer_admitted(&admitted).await
        };
        self.recorder.guarded(peer.spiffe(), work).await.map_err(|refusal| {
            self.metrics.refused(refusal.reason);
            let id = random::id().unwrap_or_default();
            tracing::info!(%peer, refusal = id, reason = %refusal.reason, code = ?refusal.code(), "refused");
            (refusal, id)
        })
    }

    /// Everything that needs no waiting: who asks, and whether the grant holds.
    /// What is refused here is only counted.
    fn admit<'a>(
        &'a self,
        peer: &'a PeerId,
        request: pb::GetProfileRequest,
        until: Instant,
    ) -> Result<Admitted<'a>, Refusal> {
        if peer.spiffe().role() != Role::Consumer {
            let message = "only an identity in the role of a consumer may ask for a profile";
            return Err(Refusal::new(Reason::NotAConsumer, message));
        }
        self.recorder.check_ready()?;
        let rules = self.authority.rules().now();
        let wanted = message::decode_request(request, rules.catalogue())?;
        let receiver = Receiver::Gateway { audience: &self.id, consumer: peer };
        let grant = self.authority.verify(wanted.grant.as_bytes(), receiver, &rules)?;
        let request_id = match wanted.request_id {
            Some(id) => id,
            None => RequestId::of_random(random::sixteen()?),
        };
        let (about, by) = ((&wanted.items, &*rules), self.authority.proving());
        let proof = Proved::of(wanted.proof, &request_id, &grant, about, by)?;
        if !self.ids.note(&request_id, &grant, &wanted.items, clock::now()) {
            let message = "the request id was used for another request; take a new one";
            return Err(Refusal::new(Reason::RequestIdReused, message));
        }
        let until = fan_out::sections_until(until, clock::now());
        let (items, prove) = (wanted.items, wanted.prove);
        Ok(Admitted { peer, rules, items, grant, request_id, prove, proof, until })
    }

    /// Answers a request whose grant holds. However it ends, it is recorded.
    async fn answer_admitted(
        &self,
        request: &Admitted<'_>,
    ) -> Result<pb::GetProfileResponse, Refusal> {
        let (decided, catalogue) = (OnceLock::new(), request.rules.catalogue());
        // From here on the request is recorded, even if the caller hangs up.
        let unrecorded = self.recorder.begin(request.peer.spiffe(), || {
            let (ruling, lines) = match decided.get() {
                Some((ruling, _, plan, _)) => (Some(ruling), asked(plan, |_| abandoned())),
                None => (None, vec![whole(request.items, abandoned())]),
            };
            self.records(request, ruling, lines).unwrap_or_default()
        });
        let mut unrecorded = unrecorded.under_grant(&request.grant);
        let (ruling, permit, plan, routes) = match self.decide(request).await {
            Ok(decision) => decided.get_or_init(|| decision),
            Err((_, refusal)) if unrecorded.is_counted(refusal.reason) => return Err(refusal),
            Err((ruling, refusal)) => {
                let line = whole(request.items, recorder::refused(refusal.reason));
                let records = self.records(request, ruling.as_ref(), vec![line]);
                unrecorded.record(records).await?;
                return Err(refusal);
            }
        };
        let question = Asked {
            request_id: request.request_id.as_str(),
            grant: &request.grant,
            catalogue,
            until: request.until,
            proof: request.proof.as_ref(),
        };
        let timed = fan_out::fan_out(plan, routes.clients(), question).await;
        routes.count(plan, &timed, self.second());
        let (sections, elapsed): (Vec<Section>, Vec<Duration>) = timed.into_iter().unzip();
        if let Some(reason) = spent(&sections).filter(|reason| unrecorded.is_counted(*reason)) {
            let message = "this was denied under the grant before; ask no more until that changes";
            return Err(Refusal::new(reason, message));
        }
        let profile = profile::merge(catalogue, &sections, &plan.silent());

        let proved = request.proof.is_some();
        let confirm = || {
            let receiver = Receiver::Gateway { audience: &self.id, consumer: request.peer };
            self.authority.confirm(&request.grant, permit, ruling, receiver, proved)
        };
        let confirmed = confirm().await;
        let status = |at: usize| {
            let status = sections.get(at).map_or(SectionStatus::Invalid, |found| found.status);
            Decision::Section(status)
        };
        let mut lines = match &confirmed {
            Ok(()) => asked(plan, status),
            Err(refusal) => asked(plan, |_| recorder::refused(refusal.reason)),
        };
        let withheld = permit.denied();
        if lines.is_empty() || !withheld.is_empty() {
            lines.push(whole(withheld, recorder::refused(Reason::NotPermitted)));
        }
        let records = self.records(request, Some(ruling), lines);
        let shown = if request.prove { records.clone().unwrap_or_default() } else { Vec::new() };
        let receipt = unrecorded.record(records).await?;
        confirmed?;
        let proof = match request.prove {
            true => self.recorder.prove(&receipt, &shown).await,
            false => None,
        };
        // The disk took its time, and authority may have ended meanwhile.
        if let Err(refusal) = confirm().await {
            let records = self.records(request, Some(ruling), asked(plan, status))?;
            self.recorder.withhold(records, refusal.reason);
            return Err(refusal);
        }
        let timed = sections.iter().zip(elapsed);
        let id = request.request_id.to_string();
        Ok(message::encode_response(id, profile, timed, (&receipt, proof), catalogue))
    }

    /// What grant and policy allow, and what each agency is asked of it.
    async fn decide(&self, request: &Admitted<'_>) -> Result<Decided, (Option<Ruling>, Refusal)> {
        let ruling = Ruling::by(&request.rules.engine, &request.grant)
            .await
            .map_err(|refusal| (None, refusal))?;
        match ruling.permit(&request.grant, &request.items) {
            Ok(permit) => {
                let (routes, catalogue) = (self.routes.load_full(), request.rules.catalogue());
                let plan = plan::plan(&permit, catalogue, &routes.offers(catalogue));
                let plan = match &request.proof {
                    Some(proof) => plan.as_signed(&permit, |agency| proof.items_of(agency)),
                    None => plan,
                };
                Ok((ruling, permit, plan, routes))
            }
            Err(refusal) => Err((Some(ruling), refusal)),
        }
    }

    /// How each agency does and did, in the order of the clients.
    pub fn agencies_now(&self) -> Vec<AgencyNow> {
        self.routes.load().now(self.second())
    }

    fn second(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn records(
        &self,
        request: &Admitted<'_>,
        ruling: Option<&Ruling>,
        lines: Vec<Line>,
    ) -> Result<Vec<Record>, Refusal> {
        let tag = request.grant.subject_tag();
        let judged = (ruling, request.rules.catalogue().digest());
        self.recorder.records(&request.request_id, &request.grant, judged, tag, lines)
    }
}
