//! The gateway's side of one agency: a few lanes, kept open, replaced when they
//! end, with backoff between attempts.
//!
//! Each lane has a keeper task of its own. Where an agency's server has no
//! Exchange, the same slots hold a plain connection and questions go out as
//! FetchSection calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};
use tonic::Code;
use tonic::transport::Channel;
use tower::retry::budget::{Budget, TpsBudget};

use crate::clock;
use crate::domain::catalogue::{AgencyId, CatalogueDigest};
use crate::domain::grant::Shown;
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::reason::Reason;
use crate::link::connect::{ConnectError, Connector};
use crate::service::agencies::breaker::Breaker;
use crate::service::agencies::pending::UnderWay;
use crate::service::agencies::replies::Reply;
use crate::service::agencies::request::Question;
use crate::service::agencies::stream::{Arrival, Failure, Lane, LaneState};
use crate::service::agencies::way::Way;
use crate::service::audit::monitor::{Peer, Swap, Witnesses};
use crate::wire::MAX_MESSAGE_BYTES;
use crate::wire::grant;
use crate::wire::proto::pb;
use crate::wire::proto::pb::agency_service_client::AgencyServiceClient;

/// How long an agency may take to say Hello on a new lane.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// How long a drained lane may go on beside its replacement.
const DRAIN_GRACE: Duration = Duration::from_secs(15);

/// Waits between attempts to connect: from, to.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Why an agency cannot be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// The first attempt is still under way.
    Connecting,
    /// Attempts fail, for the given reason.
    Failing(Reason),
}

/// What an agency said of itself, held against what we expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Described {
    items: ItemSet,
}

/// The gateway's side of one agency.
#[derive(Debug)]
pub struct Uplink {
    agency: AgencyId,
    connector: Connector,
    digest: CatalogueDigest,
    slots: Vec<ArcSwapOption<Way>>,
    next: AtomicUsize,
    described: ArcSwapOption<Described>,
    down: ArcSwap<Down>,
    /// Counts ways that came up or went down; for those who wait.
    changes: watch::Sender<u64>,
    /// A question found no way: try again now.
    wanted: Notify,
    retries: TpsBudget,
    breaker: Breaker,
    /// The parts of grants that it was shown whole and answered for.
    shown: Shown,
    witnesses: Arc<Witnesses>,
    /// What is known of the agency's log, if it is pinned.
    peer: Option<Arc<Peer>>,
}

impl Uplink {
    /// Starts keeping `lanes` lanes to an agency until `stop` turns true.
    pub fn start(
        agency: AgencyId,
        connector: Connector,
        digest: CatalogueDigest,
        lanes: usize,
        witnesses: &Arc<Witnesses>,
        stop: &watch::Receiver<bool>,
    ) -> Arc<Self> {
        let uplink = Arc::new(Self {
            witnesses: witnesses.clone(),
            peer: witnesses.peer(connector.expected()),
            agency,
            connector,
            digest,
            slots: (0..lanes.max(1)).map(|_| ArcSwapOption::empty()).collect(),
            next: AtomicUsize::new(0),
            described: ArcSwapOption::empty(),
            down: ArcSwap::from_pointee(Down::Connecting),
            changes: watch::channel(0).0,
            wanted: Notify::new(),
            // A tenth of what is asked, and a small burst, may be asked again.
            retries: TpsBudget::new(Duration::from_secs(10), 10, 0.1),
            breaker: Breaker::default(),
            shown: Shown::default(),
        });
        for slot in 0..uplink.slots.len() {
            let (keeper, mut stop) = (uplink.clone(), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = keeper.keep(slot) => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            });
        }
        uplink
    }

    /// The agency.
    pub const fn agency(&self) -> &AgencyId {
        &self.agency
    }

    /// What the agency says it offers; `None` before it has said so.
    pub fn described_items(&self) -> Option<ItemSet> {
        self.described.load().as_ref().map(|described| described.items)
    }

    /// Why the agency is not to be asked nor believed: its audit log contradicts
    /// what was seen of it.
    pub fn barred(&self) -> Option<Reason> {
        self.peer.as_ref().and_then(|peer| peer.barred())
    }

    /// Whether a question could be put now.
    pub fn is_up(&self) -> bool {
        self.slots.iter().any(|slot| slot.load().as_ref().is_some_and(|way| way.is_open()))
    }

    /// Is told each time a way comes up or goes down.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Puts a question. What comes of it goes to `reply`, whatever it is.
    ///
    /// # Errors
    /// The reply, unused, while the first connection is still under way: wait
    /// until it is [known](Self::known) whether there is one, and ask then.
    pub fn ask(&self, question: &Question, reply: Reply) -> Result<UnderWay, Reply> {
        if let Some(reason) = self.barred() {
            reply.fail(Failure::NoWay(reason));
            return Ok(UnderWay::Nowhere);
        }
        if !self.breaker.admits(clock::now()) {
            reply.fail(Failure::NoWay(Reason::AgencyFailing));
            return Ok(UnderWay::Nowhere);
        }
        self.retries.deposit();
        self.try_ask(question, reply)
    }

    /// Takes note of what came of a question in the end.
    pub fn note(&self, question: &Question, arrival: &Arrival) {
        if arrival.outcome.is_ok() && !question.last().named {
            question.digest().into_iter().for_each(|digest| self.shown.answered(digest));
        }
        match &arrival.outcome {
            Err(Failure::LaneLost | Failure::Refused { code: Code::Unavailable, .. }) => {
                if self.breaker.failed(arrival.at) {
                    tracing::error!(
                        agency = %self.agency,
                        reason = %Reason::AgencyFailing,
                        "question after question is lost: the agency is left alone for a while"
                    );
                }
            }
            // It was not asked.
            Err(Failure::NoWay(_) | Failure::WindowFull) => {}
            Ok(_) | Err(_) => self.breaker.answered(),
        }
    }

    /// Puts a question once more after its lane was lost, if the budget allows.
    /// `reply` is called for only then.
    pub fn ask_again(
        &self,
        question: &Question,
        reply: impl FnOnce() -> Reply,
    ) -> Option<UnderWay> {
        if !self.is_up() || !self.retries.withdraw() {
            return None;
        }
        // Connecting for the first time it cannot be: a lane was lost.
        self.try_ask(question, reply()).ok()
    }

    /// Puts a question whole, which named its grant by a digest that the agency does not
    /// know. That is no failure of anybody's, so it takes nothing from the budget.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn ask_whole(&self, question: &Question, reply: Reply) -> Result<UnderWay, Reply> {
        question.digest().iter().for_each(|digest| self.shown.forget(digest));
        question.always_whole();
        if let Some(reason) = self.barred() {
            reply.fail(Failure::NoWay(reason));
            return Ok(UnderWay::Nowhere);
        }
        self.try_ask(question, reply)
    }

    /// Waits while the first connection is under way.
    pub async fn known(&self) {
        let mut changes = self.changes.subscribe();
        while **self.down.load() == Down::Connecting && !self.is_up() {
            // The sender is ours.
            let _ = changes.changed().await;
        }
    }

    fn try_ask(&self, question: &Question, mut reply: Reply) -> Result<UnderWay, Reply> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut full = false;
        for step in 0..self.slots.len() {
            let slot = self.slots.get(first.wrapping_add(step) % self.slots.len());
            let Some(way) = slot.map(ArcSwapOption::load) else { continue };
            let Some(way) = &*way else { continue };
            reply = match way.ask(question, &self.shown, reply) {
                Ok(asked) => return Ok(asked),
                Err((failure, reply)) => {
                    full |= failure == Failure::WindowFull;
                    reply
                }
            };
        }
        if full {
            reply.fail(Failure::WindowFull);
            return Ok(UnderWay::Nowhere);
        }
        self.wanted.notify_one();
        match **self.down.load() {
            Down::Connecting => Err(reply),
            Down::Failing(reason) => {
                reply.fail(Failure::NoWay(reason));
                Ok(UnderWay::Nowhere)
            }
        }
    }

    /// Keeps one slot filled, for ever.
    async fn keep(&self, slot: usize) {
        let mut waits = backoff();
        loop {
            let reason = match self.open(slot).await {
                Ok(Opened::Lane(lane, state)) => {
                    waits = backoff();
                    let Some(reason) = hold(&lane, state).await else {
                        // The replacement comes up before the old lane is let go.
                        tokio::spawn(let_go(lane));
                        continue;
                    };
                    reason
                }
                Ok(Opened::Unary(mut client)) => {
                    waits = backoff();
                    self.probe(&mut client).await
                }
                Err(reason) => reason,
            };
            self.put(slot, None, Some(reason));
            let wait = waits.next().unwrap_or(BACKOFF.1);
            tracing::warn!(agency = %self.agency, %reason, wait_ms = wait.as_millis(), "no way to the agency");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Even when wanted, not faster than the first wait.
                () = async {
                    tokio::time::sleep(BACKOFF.0).await;
                    self.wanted.notified().await;
                } => {}
            }
        }
    }

    async fn open(&self, slot: usize) -> Result<Opened, Reason> {
        let channel = self.connector.channel().await.map_err(|error| {
            tracing::warn!(agency = %self.agency, error = %error, "connecting failed");
            connect_reason(&error)
        })?;
        let swap = Swap::new(&self.witnesses, self.connector.expected());
        match Lane::open(channel.clone(), HELLO_WITHIN, swap).await {
            Ok((lane, description, state)) => {
                self.accept(&description)?;
                let lane = Arc::new(lane);
                self.put(slot, Some(Way::Exchange(lane.clone())), None);
                Ok(Opened::Lane(lane, state))
            }
            Err(status) if status.code() == Code::Unimplemented => {
                let mut client =
                    AgencyServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
                let description = describe(&mut client).await?;
                self.accept(&description)?;
                let takes_digests = grant::takes_digests(&description);
                let way = Way::Unary { client: client.clone(), takes_digests };
                self.put(slot, Some(way), None);
                Ok(Opened::Unary(client))
            }
            Err(status) => {
                tracing::warn!(agency = %self.agency, code = ?status.code(), "no exchange stream");
                Err(Reason::NoExchange)
            }
        }
    }

    /// Holds an agency's description against what we expect of it.
    fn accept(&self, description: &pb::DescribeResponse) -> Result<(), Reason> {
        if description.agency != self.agency.as_str() {
            tracing::error!(
                agency = %self.agency,
                "the server names another agency in its description: nothing is sent to it; \
                 correct the endpoint in the gateway's configuration"
            );
            return Err(Reason::WrongAgency);
        }
        if *description.catalogue_digest != self.digest.0 {
            tracing::error!(
                agency = %self.agency,
                ours = %self.digest,
                "the agency answers by another catalogue: nothing is sent to it; \
                 give both the same catalogue folder"
            );
            return Err(Reason::WrongCatalogue);
        }
        let items = description.items.iter().filter_map(|number| ItemNumber::new(*number));
        self.described.store(Some(Arc::new(Described { items: items.collect() })));
        Ok(())
    }

    fn put(&self, slot: usize, way: Option<Way>, down: Option<Reason>) {
        if let Some(reason) = down {
            self.down.store(Arc::new(Down::Failing(reason)));
        }
        if let Some(slot) = self.slots.get(slot) {
            slot.store(way.map(Arc::new));
        }
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Asks a server without Exchange now and then whether it is still there.
    async fn probe(&self, client: &mut AgencyServiceClient<Channel>) -> Reason {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Err(reason) = describe(client).await {
                return reason;
            }
        }
    }
}

enum Opened {
    Lane(Arc<Lane>, watch::Receiver<LaneState>),
    Unary(AgencyServiceClient<Channel>),
}

/// Waits until a lane must be replaced, and says why: nothing where the agency drains it. Meanwhile the agency is asked
/// now and then to show its log.
async fn hold(lane: &Lane, mut state: watch::Receiver<LaneState>) -> Option<Reason> {
    let every = lane.look_every();
    let mut look = interval(every.unwrap_or(HELLO_WITHIN));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        match *state.borrow_and_update() {
            LaneState::Draining => return None,
            LaneState::Closed(reason) => return Some(reason),
            LaneState::Open => {}
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() {
                return Some(if lane.is_open() { Reason::Ended } else { Reason::LaneLost });
            },
            _ = look.tick(), if every.is_some() => lane.ask_log().await,
        }
    }
}

/// Lets a drained lane finish what is under way.
async fn let_go(lane: Arc<Lane>) {
    let finishing = async {
        lane.finish().await;
        while lane.in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = tokio::time::timeout(DRAIN_GRACE, finishing).await;
}

async fn describe(
    client: &mut AgencyServiceClient<Channel>,
) -> Result<pb::DescribeResponse, Reason> {
    let mut request = tonic::Request::new(pb::DescribeRequest {});
    request.set_timeout(HELLO_WITHIN);
    let described = tokio::time::timeout(HELLO_WITHIN, client.describe(request)).await;
    described
        .map_err(|_| Reason::NoDescription)?
        .map(tonic::Response::into_inner)
        .map_err(|_| Reason::NoDescription)
}

fn backoff() -> backon::ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(BACKOFF.0)
        .with_max_delay(BACKOFF.1)
        .with_jitter()
        .without_max_times()
        .build()
}

/// A connection's failure as the reason that a section states.
const fn connect_reason(error: &ConnectError) -> Reason {
    match error {
        ConnectError::Address(_) => Reason::BadAddress,
        ConnectError::Unreachable { .. } => Reason::Unreachable,
        ConnectError::TimedOut { .. } => Reason::ConnectTimeout,
        ConnectError::WrongIdentity { .. } => Reason::WrongIdentity,
        ConnectError::Untrusted { .. } => Reason::Untrusted,
        ConnectError::Refused { .. } => Reason::LinkRefused,
        ConnectError::Protocol { .. } => Reason::LinkBroken,
    }
}
