//! The gateway's end of an Exchange stream: one connection to one process of an agency,
//! on which any number of questions are under way.
//!
//! A stream lives until it ends; whatever is under way then fails and may be asked again
//! on another. An answer whose echo is wrong ends it: nothing after that is to be
//! believed. Connecting and replacing streams is the business of [`super::keeper`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::clock;
use crate::domain::grant::Shown;
use crate::domain::reason::Reason;
use crate::service::audit::monitor::Swap;
use crate::wire::proto::pb;
use crate::wire::proto::pb::agency_service_client::AgencyServiceClient;
use crate::wire::proto::pb::exchange_request::Message as Asked;
use crate::wire::proto::pb::exchange_response::Message as Told;
use crate::wire::{MAX_FRAME_BYTES, grant};

use super::gate::Gate;
use super::outcome::Failure;
use super::pending::{Event, Pending, Shared};
use super::reader::Reader;
use super::replies::Reply;
use super::request::Form;
use super::rest::Rest;
use super::ticket::{Ticket, ToRemember};

/// Questions that wait to be written to the connection.
const OUTBOUND_ROOM: usize = 2048;

/// A stream that said Hello and is not used yet.
#[derive(Debug)]
pub struct Greeted {
    outbound: mpsc::Sender<pb::ExchangeRequest>,
    inbound: Streaming<pb::ExchangeResponse>,
    /// How the agency describes itself.
    pub description: Box<pb::DescribeResponse>,
}

/// Opens a stream on a connection of its own and waits for its Hello.
///
/// # Errors
/// Why there is none, and in words.
pub async fn greet(channel: Channel, within: Duration) -> Result<Greeted, (Reason, String)> {
    let (outbound, queue) = mpsc::channel(OUTBOUND_ROOM);
    let mut client = AgencyServiceClient::new(channel)
        .max_decoding_message_size(MAX_FRAME_BYTES)
        .max_encoding_message_size(MAX_FRAME_BYTES);
    let opening = async {
        let mut inbound = client.exchange(ReceiverStream::new(queue)).await?.into_inner();
        let first = inbound.message().await?;
        Ok::<_, Status>((inbound, first))
    };
    let (inbound, first) = tokio::time::timeout(within, opening)
        .await
        .map_err(|_| (Reason::NoExchange, format!("no Hello came within {within:?}")))?
        .map_err(|status| {
            let code = status.code();
            (Reason::NoExchange, format!("the Exchange stream was refused ({code:?})"))
        })?;
    match first.and_then(|first| first.message) {
        Some(Told::Hello(pb::ExchangeHello { description: Some(description) })) => {
            Ok(Greeted { outbound, inbound, description })
        }
        _ => Err((Reason::NoExchange, "the stream does not begin with Hello".to_owned())),
    }
}

/// A stream that takes questions.
#[derive(Debug)]
pub struct Stream {
    number: u64,
    outbound: mpsc::Sender<pb::ExchangeRequest>,
    shared: Arc<Shared>,
    next_id: AtomicU64,
    window: usize,
    swap: Arc<Swap>,
    description: Features,
    /// The digest of the catalogue by which the process answers.
    catalogue: Bytes,
    /// The parts of grants that the process at the other end was shown and answered for.
    shown: Arc<Shown>,
    rest: Arc<Rest>,
    reader: AbortHandle,
}

/// What the process at the other end can do.
#[derive(Debug, Clone, Copy)]
struct Features {
    shows_log: bool,
    takes_digests: bool,
    says_alive: bool,
}

impl Stream {
    /// A stream that is not read yet: once it is [known](super::endpoint::Endpoint::opened)
    /// at this gate, it is to be. What becomes of it is told with its number, and its
    /// keeper's rest ends with its questions.
    pub fn new(
        greeted: Greeted,
        number: u64,
        (gate, rest): (Arc<Gate>, Arc<Rest>),
        swap: Arc<Swap>,
        shown: Arc<Shown>,
        events: mpsc::Sender<(u64, Event)>,
    ) -> (Arc<Self>, impl FnOnce()) {
        let Greeted { outbound, inbound, description } = greeted;
        let window = description.limits.as_ref().map_or(1, |limits| limits.max_in_flight.max(1));
        let shared = Arc::new(Shared::new(clock::now()));
        let has = |feature| description.features().any(|is| is == feature);
        // Weak, for the stream is to end with its owner.
        let reader = Reader {
            shared: shared.clone(),
            gate,
            swap: swap.clone(),
            outbound: outbound.downgrade(),
            events,
            number,
        };
        let (go, waits) = tokio::sync::oneshot::channel();
        let reading = async move {
            // Dropped, the stream is, too.
            if waits.await.is_ok() {
                reader.read(inbound).await;
            }
        };
        let reader = tokio::spawn(reading).abort_handle();
        let stream = Arc::new(Self {
            number,
            outbound,
            shared,
            next_id: AtomicU64::new(1),
            window: usize::try_from(window).unwrap_or(usize::MAX),
            swap,
            description: Features {
                shows_log: has(pb::ProtocolFeature::Witness),
                takes_digests: grant::takes_digests(&description),
                says_alive: has(pb::ProtocolFeature::Liveness),
            },
            catalogue: description.catalogue_digest.clone(),
            shown,
            rest,
            reader,
        });
        let read = move || {
            let _ = go.send(());
        };
        (stream, read)
    }

    /// Its number among those of its endpoint.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// How long it has lived.
    pub fn lived(&self, now: Instant) -> Duration {
        self.shared.lived(now)
    }

    /// Whether it takes questions.
    pub fn is_open(&self) -> bool {
        !self.shared.is_shut()
    }

    /// When something last came.
    pub fn heard(&self) -> Instant {
        self.shared.heard()
    }

    /// How many questions are under way.
    pub fn in_flight(&self) -> usize {
        self.shared.len()
    }

    /// The digest of the catalogue by which the process at its other end answers.
    pub fn catalogue(&self) -> &[u8] {
        &self.catalogue
    }

    /// What the process at its other end was shown, if it takes digests.
    pub fn shown(&self) -> Option<&Arc<Shown>> {
        self.description.takes_digests.then_some(&self.shown)
    }

    /// Puts a question, whose answer goes to `reply`. Dropping the returned
    /// [`Asking`] before it came cancels the question at the agency.
    ///
    /// # Errors
    /// Why not, at once, and what was given, for another stream.
    pub fn ask(
        self: &Arc<Self>,
        form: &Form,
        ticket: Ticket,
        remember: Option<ToRemember>,
        reply: Reply,
    ) -> Result<Asking, Box<NotPut>> {
        let remaining = ticket.until().saturating_duration_since(clock::now());
        // One lock around taking an id and queueing, so that ids rise on the wire.
        let mut pending = self.shared.lock();
        if !self.is_open() {
            return Err(NotPut::new(Failure::StreamLost, ticket, reply));
        }
        if pending.len() >= self.window {
            return Err(NotPut::new(Failure::WindowFull, ticket, reply));
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let fetch = pb::ExchangeFetch {
            exchange_id: id,
            remaining_micros: remaining.as_micros().try_into().unwrap_or(u64::MAX),
            request: form.request.clone(),
            trace_context: form.trace.clone(),
        };
        match self.say(Asked::Fetch(fetch)) {
            Ok(()) => {}
            Err(failure) => return Err(NotPut::new(failure, ticket, reply)),
        }
        pending.insert(id, Pending::new(form, ticket, remember, reply));
        self.rest.question();
        drop(pending);
        Ok(Asking { stream: self.clone(), id, answered: false })
    }

    /// Asks the process whether it is alive; the answer counts as heard. Without the
    /// feature nothing is asked, and nothing may be made of the silence.
    pub fn ask_alive(&self, number: u64) -> bool {
        let may = self.description.says_alive;
        may && self.say(Asked::AskAlive(pb::ExchangeAskAlive { number })).is_ok()
    }

    /// How often the agency is to be asked to show its log.
    pub fn look_every(&self) -> Option<Duration> {
        Some(self.swap.every()).filter(|_| self.description.shows_log)
    }

    /// Asks the agency to show its log; the answer is judged when it comes.
    pub async fn ask_log(&self) {
        if let Some(question) = self.swap.clone().ask().await {
            let message = Some(Asked::AskLog(question));
            let _ = self.outbound.send(pb::ExchangeRequest { message }).await;
        }
    }

    /// Tells the agency that nothing more will be asked here.
    pub async fn finish(&self) {
        let message = Asked::Finish(pb::ExchangeFinish {});
        let _ = self.outbound.send(pb::ExchangeRequest { message: Some(message) }).await;
    }

    /// Puts nothing more on it. Whoever shuts it, which this tells, tells the endpoint.
    pub fn shut(&self) -> bool {
        self.shared.shut()
    }

    /// Ends it here and now.
    pub fn end(&self, failure: &Failure) {
        self.reader.abort();
        self.shared.shut();
        self.shared.fail(failure);
    }

    /// Gives a question up for this reason, if its answer has not come.
    fn give_up(&self, id: u64, reason: Reason) {
        if let Some(pending) = self.shared.take(id) {
            self.cancel(id);
            pending.give_up(reason);
        }
    }

    fn cancel(&self, exchange_id: u64) {
        // A full queue loses the cancel; the agency then stops at the deadline.
        let _ = self.say(Asked::Cancel(pb::ExchangeCancel { exchange_id }));
    }

    fn say(&self, message: Asked) -> Result<(), Failure> {
        let message = pb::ExchangeRequest { message: Some(message) };
        self.outbound.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::WindowFull,
            mpsc::error::TrySendError::Closed(_) => Failure::StreamLost,
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end(&Failure::StreamLost);
    }
}

/// A question that a stream did not take, for another one.
#[derive(Debug)]
pub struct NotPut {
    /// Why: [`Failure::StreamLost`] or [`Failure::WindowFull`].
    pub failure: Failure,
    /// Its ticket, unused.
    pub ticket: Ticket,
    /// Where its answer goes.
    pub reply: Reply,
}

impl NotPut {
    fn new(failure: Failure, ticket: Ticket, reply: Reply) -> Box<Self> {
        Box::new(Self { failure, ticket, reply })
    }
}

/// A question under way.
#[derive(Debug)]
pub struct Asking {
    stream: Arc<Stream>,
    id: u64,
    answered: bool,
}

impl Asking {
    /// Its answer has come: there is nothing to cancel.
    pub fn answered(mut self) {
        self.answered = true;
    }

    /// Gives it up at `until`, for this reason, whoever still waits.
    pub fn give_up_at(&self, until: Instant, reason: Reason) {
        let (stream, id) = (Arc::downgrade(&self.stream), self.id);
        tokio::spawn(async move {
            tokio::time::sleep_until(until.into()).await;
            if let Some(stream) = stream.upgrade() {
                stream.give_up(id, reason);
            }
        });
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.answered && self.stream.shared.take(self.id).is_some() {
            self.stream.cancel(self.id);
        }
    }
}
