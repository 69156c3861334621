//! The agency: one question about one person, answered from its own holdings.
//!
//! It verifies the grant itself and follows its own policy; the gateway's word
//! counts for nothing. How questions and answers travel is in
//! [`crate::service::agency::server`] and [`crate::service::agency::exchange`].

mod counting;
mod description;
mod holding;
mod proved;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::agency::AgencyLimitsConfig;
use crate::config::reload::LastGood;
use crate::domain::audit::Decision;
use crate::domain::catalogue::AgencyId;
use crate::domain::grant::{GrantError, OpeningKeys, Receiver, VerifiedGrant};
use crate::domain::peer::{PeerId, Role};
use crate::domain::policy::Permit;
use crate::domain::reason::Reason;
use crate::domain::shares::{Full, Place, Shares, Sizes};
use crate::domain::subject::{Subject, SubjectFormat};
use crate::domain::trace::TraceContext;
use crate::service::audit::monitor::Witnesses;
use crate::service::audit::recorder::{self, Line, Recorder};
use crate::service::judge::{self, Authority, Ruling};
use crate::service::rulebook::Rulebook;
use crate::service::{random, traced};
use crate::source::Holdings;
use crate::store::frequency::Counters;
use crate::telemetry::metrics::{AgencyMeter, Metrics};
use crate::telemetry::spans::{Spans, Step};
use crate::wire::fetch::FetchRequest;
use crate::wire::refusal::Refusal;
use crate::wire::section::RequestHash;
use crate::wire::{fetch, section};
use bytes::Bytes;
use tokio::sync::watch;

/// What an agency answers from, and by whose leave.
pub struct Agency {
    parts: AgencyParts,
    limits: ArcSwap<AgencyLimitsConfig>,
    room: Arc<Shares>,
    meter: AgencyMeter,
    leaves: proved::Leaves,
    /// Random, and new at each start.
    instance: Bytes,
}

/// What an agency is made of.
pub struct AgencyParts {
    /// Its name in the catalogue.
    pub id: AgencyId,
    /// What grants and requests are held against, and its records.
    pub authority: Authority<Arc<Holdings>>,
    /// Its keys that open subjects.
    pub keys: Arc<LastGood<OpeningKeys>>,
    /// How often grants were used.
    pub counters: Counters,
    /// Its audit log.
    pub recorder: Arc<Recorder>,
    /// What it knows of gateways' logs.
    pub witnesses: Arc<Witnesses>,
    /// The format of card numbers.
    pub format: SubjectFormat,
    /// Its limits at the start.
    pub limits: AgencyLimitsConfig,
    /// The kill switch: nothing is released while it is false.
    pub enabled: Arc<AtomicBool>,
    /// Names the counters that it counts in.
    pub counters_domain: Bytes,
    /// The time that it gives one statement on its source.
    pub statement_limit: Option<Duration>,
    /// Where what it does is counted.
    pub metrics: Arc<Metrics>,
    /// Where its steps are told.
    pub spans: Spans,
}

impl std::fmt::Debug for Agency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agency").field("id", &self.parts.id).finish_non_exhaustive()
    }
}

/// The places of questions: one gateway may take all of them.
const fn sizes(limits: &AgencyLimitsConfig) -> Sizes {
    Sizes::for_domains(limits.max_total, limits.max_total)
}

/// What questions are judged by, with what the agency holds of the catalogue's items.
type Rules = Rulebook<Arc<Holdings>>;

/// A question whose grant holds.
struct Admitted {
    /// By which all of it is judged and answered, whatever comes into force meanwhile.
    rules: Arc<Rules>,
    question: FetchRequest,
    grant: VerifiedGrant,
}

impl Agency {
    /// An agency of these parts.
    pub fn new(parts: AgencyParts) -> Self {
        let room = Shares::new(sizes(&parts.limits));
        let limits = ArcSwap::from_pointee(parts.limits.clone());
        let instance = random::sixteen().map_or_else(|_| Bytes::new(), Bytes::from_owner);
        let meter = parts.metrics.agency(&parts.id);
        let leaves = proved::Leaves::default();
        Self { parts, limits, room, meter, leaves, instance }
    }

    /// Its limits, as they are now.
    pub fn limits(&self) -> Arc<AgencyLimitsConfig> {
        self.limits.load_full()
    }

    /// Keeps to these limits from now on. What was let in, and streams that are open, go on by
    /// those before.
    pub fn replace_limits(&self, limits: AgencyLimitsConfig) {
        self.room.resize(sizes(&limits));
        self.limits.store(Arc::new(limits));
    }

    /// How many questions are under way, and how many may be.
    pub fn in_flight(&self) -> (usize, usize) {
        self.room.in_use()
    }

    fn rules(&self) -> Arc<Rules> {
        self.parts.authority.rules().now()
    }

    /// Is told each time it has another catalogue.
    pub fn catalogues(&self) -> watch::Receiver<u64> {
        self.parts.authority.rules().catalogues()
    }

    /// What it knows of gateways' logs.
    pub const fn witnesses(&self) -> &Arc<Witnesses> {
        &self.parts.witnesses
    }

    /// A place for one more question of this gateway, which is to be kept until its answer
    /// was taken.
    ///
    /// # Errors
    /// There is none.
    pub fn enter(&self, gateway: &PeerId) -> Result<Place, Refusal> {
        self.room.enter(gateway.spiffe()).map_err(|full| {
            Refusal::overloaded(match full {
                Full::Altogether => "the agency has as many requests under way as it takes",
                Full::OfPeer | Full::OfDomain => {
                    "you have as many requests under way, or answers unread, as one gateway may"
                }
            })
        })
    }

    /// Works on a question's answer within the trace that the gateway states.
    ///
    /// # Errors
    /// That of the answer.
    pub fn traced<T, A>(
        &self,
        stated: Option<TraceContext>,
        answer: A,
    ) -> impl Future<Output = A::Output> + use<T, A>
    where
        A: Future<Output = Result<T, Refusal>>,
    {
        let step = Step::Answer(self.parts.id.clone());
        traced::call(&self.parts.spans, step, stated, answer, |refusal| refusal)
    }

    /// Answers one encoded `FetchSectionRequest` with an encoded
    /// `FetchSectionResponse`, if it has a place.
    ///
    /// # Errors
    /// A refusal of the question itself: malformed, not granted, not permitted,
    /// used too often, from no gateway, or too many at once.
    pub async fn answer(
        &self,
        gateway: &PeerId,
        place: Result<&Place, Refusal>,
        request: Bytes,
        hash: RequestHash,
        until: Instant,
    ) -> Result<Bytes, Refusal> {
        let work = async {
            let admitted = place.and_then(|_| self.admit(gateway, request));
            let admitted = admitted.inspect_err(|refusal| {
                self.parts.recorder.count_refusal(gateway.spiffe(), refusal.reason);
            })?;
            self.answer_recorded(gateway, &admitted, hash, until).await
        };
        let answered = self.parts.recorder.guarded(gateway.spiffe(), work).await;
        answered.inspect_err(|refusal| self.note(gateway, refusal))
    }

    fn note(&self, gateway: &PeerId, refusal: &Refusal) {
        self.parts.metrics.refused(refusal.reason);
        // To be shown the grant whole is no trouble of anybody's.
        if refusal.reason != GrantError::Unknown.reason() {
            tracing::info!(peer = %gateway, reason = %refusal.reason, code = ?refusal.code(), "refused");
        }
    }

    /// Everything that needs no waiting: who asks for whom, and whether the grant
    /// holds. What is refused here is only counted.
    fn admit(&self, gateway: &PeerId, request: Bytes) -> Result<Admitted, Refusal> {
        if gateway.spiffe().role() != Role::Gateway {
            let message = "only an identity in the role of a gateway may ask an agency";
            return Err(Refusal::new(Reason::NotAGateway, message));
        }
        let rules = self.rules();
        let question = fetch::decode(request, rules.catalogue(), &rules.earlier)?;
        self.check_enabled()?;
        self.parts.witnesses.check(gateway.spiffe())?;
        self.parts.recorder.check_ready()?;
        let receiver = self.receiver(gateway, &question);
        let grant = self.parts.authority.verify(question.grant.as_bytes(), receiver, &rules)?;
        judge::demand(question.proof.is_some(), &rules)?;
        self.check_proof(gateway, &question, &grant)?;
        Ok(Admitted { rules, question, grant })
    }

    fn receiver<'a>(&'a self, gateway: &'a PeerId, question: &'a FetchRequest) -> Receiver<'a> {
        Receiver::Agency { agency: &self.parts.id, gateway, consumer: &question.consumer }
    }

    /// Answers a question whose grant holds. However it ends, it is recorded.
    async fn answer_recorded(
        &self,
        gateway: &PeerId,
        admitted: &Admitted,
        hash: RequestHash,
        until: Instant,
    ) -> Result<Bytes, Refusal> {
        let began = clock::now();
        let Admitted { rules, question, grant } = admitted;
        let subject = self.open(grant);
        let tag = subject.as_ref().ok().and_then(|subject| self.parts.recorder.tag_of(subject));
        let counted = OnceLock::new();
        let records = |ruling: Option<&Ruling>, decision| {
            let agency = Some(self.parts.id.clone());
            let count = counted.get().cloned();
            let line = Line { agency, items: question.items, decision, count };
            let judged = (ruling, rules.catalogue().digest());
            self.parts.recorder.records(&question.request_id, grant, judged, tag, [line])
        };
        let ruled = OnceLock::new();
        // From here on the question is recorded, even if the gateway hangs up.
        let unrecorded = self.parts.recorder.begin(gateway.spiffe(), || {
            records(ruled.get(), recorder::refused(Reason::Abandoned)).unwrap_or_default()
        });
        let mut unrecorded = unrecorded.under_grant(grant);
        let answered = async {
            let subject = subject?;
            let ruling = Ruling::by(&rules.engine, grant).await?;
            let ruling = ruled.get_or_init(|| ruling);
            let permit = ruling.permit(grant, &question.alike)?;
            let section = self.look_up(admitted, &permit, &subject, until).await;
            if section.status.is_answered() {
                let count = self.count(question, grant, until).await?;
                counted.get_or_init(|| count);
            }
            self.confirm(gateway, admitted, &permit, ruling).await?;
            Ok::<_, Refusal>((section, permit, ruling))
        };
        let answered = answered.await;
        let decision = match &answered {
            Ok((section, ..)) => Decision::Section(section.status),
            Err(refusal) => recorder::refused(refusal.reason),
        };
        if let Err(refusal) = &answered
            && counted.get().is_none()
            && unrecorded.is_counted(refusal.reason)
        {
            return answered.map(|_| Bytes::new());
        }
        // No record, no data: this waits until the record is on disk.
        unrecorded.record(records(ruled.get(), decision.clone())).await?;
        let (section, permit, ruling) = answered?;
        // The disk took its time, and authority may have ended meanwhile.
        if let Err(refusal) = self.confirm(gateway, admitted, &permit, ruling).await {
            self.parts.recorder.withhold(records(Some(ruling), decision)?, refusal.reason);
            return Err(refusal);
        }
        self.meter.section(section.status, section.reason, began.elapsed());
        // The blind: without it a body's digest would tell of guessable values.
        let (catalogue, blind) = (rules.catalogue(), random::sixteen()?);
        Ok(match admitted.question.foreign {
            true => section::encode_for_other(&section, catalogue, hash, blind),
            false => section::encode(&section, catalogue, hash, blind),
        })
    }

    async fn confirm(
        &self,
        gateway: &PeerId,
        admitted: &Admitted,
        permit: &Permit,
        ruling: &Ruling,
    ) -> Result<(), Refusal> {
        let receiver = self.receiver(gateway, &admitted.question);
        let (grant, proved) = (&admitted.grant, admitted.question.proof.is_some());
        self.parts.authority.confirm(grant, permit, ruling, receiver, proved).await?;
        self.parts.witnesses.check(gateway.spiffe())?;
        self.check_enabled()
    }

    fn check_enabled(&self) -> Result<(), Refusal> {
        if self.parts.enabled.load(Ordering::Acquire) {
            return Ok(());
        }
        let message = "the agency's administrator has switched it off";
        Err(Refusal::new(Reason::AgencyClosed, message))
    }

    /// Opens the subject, which only this agency can.
    fn open(&self, grant: &VerifiedGrant) -> Result<Subject, Refusal> {
        let refused = |_| {
            let message = "the grant's subject cannot be opened or is no card number";
            Refusal::new(Reason::GrantSubject, message)
        };
        let opened = grant.open_subject(&self.parts.keys.current()).map_err(|_| refused(()))?;
        self.parts.format.parse(opened.expose()).map_err(|_| refused(()))
    }
}
