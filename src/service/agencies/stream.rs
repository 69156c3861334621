//! The gateway's end of an Exchange stream: one connection to one agency, on
//! which any number of questions are under way.
//!
//! A lane lives until its stream ends; whatever is under way then fails with
//! [`Failure::LaneLost`] and may be asked again on another lane. An answer whose
//! echo is wrong ends the lane: nothing after it is to be believed. Connecting
//! and replacing lanes is the business of [`crate::service::agencies::pool`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::clock;
use crate::domain::reason::Reason;
use crate::service::agencies::replies::Reply;
use crate::service::agencies::request::Form;
use crate::service::audit::monitor::Swap;
use crate::wire::MAX_MESSAGE_BYTES;
use crate::wire::grant;
use crate::wire::proto::pb;
use crate::wire::proto::pb::agency_service_client::AgencyServiceClient;
use crate::wire::proto::pb::exchange_request::Message as Asked;
use crate::wire::proto::pb::exchange_response::Message as Told;
use crate::wire::section::RequestHash;

/// Questions that wait to be written to the connection.
const OUTBOUND_ROOM: usize = 2048;

/// Room that an outer frame needs beside the inner message.
const FRAME_ROOM: usize = 4096;

/// What came of one question.
#[derive(Debug)]
pub struct Arrival {
    /// When it came.
    pub at: Instant,
    /// The encoded `FetchSectionResponse`, or why there is none.
    pub outcome: Result<Bytes, Failure>,
}

/// Why a question got no section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The stream ended first. Another lane may be tried.
    LaneLost,
    /// The answer echoed another request. The lane was ended for it.
    WrongEcho,
    /// As many questions are under way as the agency takes.
    WindowFull,
    /// There is no way to the agency, for the given reason.
    NoWay(Reason),
    /// The agency does not know the grant by the digest that named it. The question
    /// may be put whole.
    Forgotten,
    /// The agency refused the question.
    Refused {
        /// Its gRPC code.
        code: Code,
        /// Its reason, as it stated it: a stranger's text.
        reason: String,
    },
}

impl Failure {
    /// What an agency's refusal means for a question that named its grant by the
    /// digest, or showed it whole.
    pub fn refused(code: Code, reason: String, named: bool) -> Self {
        match named && grant::is_unknown(code, &reason) {
            true => Self::Forgotten,
            false => Self::Refused { code, reason },
        }
    }
}

/// A lane that said Hello.
#[derive(Debug)]
pub struct Lane {
    outbound: mpsc::Sender<pb::ExchangeRequest>,
    shared: Arc<Shared>,
    next_id: AtomicU64,
    window: usize,
    swap: Arc<Swap>,
    /// Whether the agency knows what to do when asked to show its log.
    shows_log: bool,
    /// Whether it takes a grant's digest for the grant.
    takes_digests: bool,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<HashMap<u64, Pending>>,
    /// Takes no new question: it drains, or its stream ended.
    shut: AtomicBool,
}

#[derive(Debug)]
struct Pending {
    hash: RequestHash,
    named: bool,
    reply: Reply,
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<u64, Pending>) -> T) -> T {
        act(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How a lane ended, for the one who replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneState {
    /// Takes questions.
    Open,
    /// The agency asked for another lane; this one finishes what is under way.
    Draining,
    /// Ended, for the given reason.
    Closed(Reason),
}

impl Lane {
    /// Opens a stream on a connection of its own and waits for its Hello.
    ///
    /// # Errors
    /// The status with which the agency refused, `UNIMPLEMENTED` when its server
    /// has no Exchange, `DEADLINE_EXCEEDED` when no Hello came in time.
    pub async fn open(
        channel: Channel,
        hello_within: Duration,
        swap: Arc<Swap>,
    ) -> Result<(Self, pb::DescribeResponse, watch::Receiver<LaneState>), Status> {
        let (outbound, queue) = mpsc::channel(OUTBOUND_ROOM);
        let mut client = AgencyServiceClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES + FRAME_ROOM)
            .max_encoding_message_size(MAX_MESSAGE_BYTES + FRAME_ROOM);
        let opening = async {
            let mut inbound = client.exchange(ReceiverStream::new(queue)).await?.into_inner();
            let first = inbound.message().await?;
            Ok::<_, Status>((inbound, first))
        };
        let (inbound, first) = tokio::time::timeout(hello_within, opening)
            .await
            .map_err(|_| Status::deadline_exceeded("no Hello on the exchange stream"))??;
        let Some(Told::Hello(pb::ExchangeHello { description: Some(description) })) =
            first.and_then(|first| first.message)
        else {
            return Err(Status::failed_precondition(
                "the exchange stream does not begin with Hello",
            ));
        };
        let window = description.limits.as_ref().map_or(1, |limits| limits.max_in_flight.max(1));
        let shared = Arc::new(Shared::default());
        let (state, watched) = watch::channel(LaneState::Open);
        let shows_log = description.features().any(|is| is == pb::ProtocolFeature::Witness);
        let takes_digests = grant::takes_digests(&description);
        // Weak, for the stream is to end with the lane.
        let reader =
            Reader { shared: shared.clone(), swap: swap.clone(), outbound: outbound.downgrade() };
        tokio::spawn(reader.read(inbound, state));
        let lane = Self {
            outbound,
            shared,
            next_id: AtomicU64::new(1),
            window: usize::try_from(window).unwrap_or(usize::MAX),
            swap,
            shows_log,
            takes_digests,
        };
        Ok((lane, description, watched))
    }

    /// Whether it takes questions.
    pub fn is_open(&self) -> bool {
        !self.shared.shut.load(Ordering::Acquire)
    }

    /// Whether the agency says that a grant may be named by its digest.
    pub const fn takes_digests(&self) -> bool {
        self.takes_digests
    }

    /// How many questions are under way.
    pub fn in_flight(&self) -> usize {
        self.shared.with(|pending| pending.len())
    }

    /// Puts a question, whose answer goes to `reply`. Dropping the returned
    /// [`Asking`] before it came cancels the question at the agency.
    ///
    /// # Errors
    /// [`Failure::LaneLost`] or [`Failure::WindowFull`], at once, and the reply
    /// for another lane.
    pub fn ask(
        self: &Arc<Self>,
        form: &Form,
        until: Instant,
        reply: Reply,
    ) -> Result<Asking, (Failure, Reply)> {
        let remaining = until.saturating_duration_since(clock::now());
        // One lock around taking an id and queueing, so that ids rise on the wire.
        let id = self.shared.with(|pending| {
            if !self.is_open() {
                return Err((Failure::LaneLost, reply));
            }
            if pending.len() >= self.window {
                return Err((Failure::WindowFull, reply));
            }
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let fetch = pb::ExchangeFetch {
                exchange_id: id,
                remaining_micros: remaining.as_micros().try_into().unwrap_or(u64::MAX),
                request: form.request.clone(),
            };
            let message = pb::ExchangeRequest { message: Some(Asked::Fetch(fetch)) };
            match self.outbound.try_send(message) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(_)) => {
                    return Err((Failure::WindowFull, reply));
                }
                Err(mpsc::error::TrySendError::Closed(_)) => {
                    return Err((Failure::LaneLost, reply));
                }
            }
            pending.insert(id, Pending { hash: form.hash, named: form.named, reply });
            Ok(id)
        })?;
        Ok(Asking { lane: self.clone(), id, answered: false })
    }

    /// How often the agency is to be asked to show its log.
    pub fn look_every(&self) -> Option<Duration> {
        self.swap.every().filter(|_| self.shows_log)
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
        self.shared.shut.store(true, Ordering::Release);
        let message = Asked::Finish(pb::ExchangeFinish {});
        let _ = self.outbound.send(pb::ExchangeRequest { message: Some(message) }).await;
    }
}

/// A question under way.
#[derive(Debug)]
pub struct Asking {
    lane: Arc<Lane>,
    id: u64,
    answered: bool,
}

impl Asking {
    /// Its answer has come: there is nothing to cancel.
    pub fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let waiting = self.lane.shared.with(|pending| pending.remove(&self.id));
        if waiting.is_some() {
            let cancel = Asked::Cancel(pb::ExchangeCancel { exchange_id: self.id });
            // A full queue loses the cancel; the agency then stops at the deadline.
            let _ = self.lane.outbound.try_send(pb::ExchangeRequest { message: Some(cancel) });
        }
    }
}

/// What reads the agency's messages.
struct Reader {
    shared: Arc<Shared>,
    swap: Arc<Swap>,
    outbound: mpsc::WeakSender<pb::ExchangeRequest>,
}

impl Reader {
    /// Reads answers until the stream ends. Never awaits anything else.
    async fn read(
        self,
        mut inbound: Streaming<pb::ExchangeResponse>,
        state: watch::Sender<LaneState>,
    ) {
        let shared = &self.shared;
        let ended = loop {
            match inbound.message().await {
                Ok(Some(message)) => match self.settle(message) {
                    Meaning::Settled => {}
                    Meaning::Drain => {
                        shared.shut.store(true, Ordering::Release);
                        state.send_replace(LaneState::Draining);
                    }
                    Meaning::Broken(reason) => break reason,
                },
                Ok(None) => break Reason::Ended,
                // tonic goes on with misread bytes after a decode error: this stream
                // is never polled again.
                Err(_) => break Reason::StreamError,
            }
        };
        shared.shut.store(true, Ordering::Release);
        for (_, pending) in shared.with(std::mem::take) {
            pending.reply.fail(Failure::LaneLost);
        }
        state.send_replace(LaneState::Closed(ended));
    }

    fn settle(&self, message: pb::ExchangeResponse) -> Meaning {
        match message.message {
            Some(Told::AskLog(question)) => {
                let (swap, outbound) = (self.swap.clone(), self.outbound.clone());
                tokio::spawn(async move {
                    let Some(shown) = swap.show(question).await else { return };
                    if let Some(outbound) = outbound.upgrade() {
                        let message = Some(Asked::ShowLog(shown));
                        let _ = outbound.send(pb::ExchangeRequest { message }).await;
                    }
                });
                Meaning::Settled
            }
            Some(Told::ShowLog(shown)) => match self.swap.take_asked() {
                Some(seen) => {
                    tokio::spawn(self.swap.clone().judge(seen, shown));
                    Meaning::Settled
                }
                None => Meaning::Broken(Reason::UnaskedLog),
            },
            Some(told) => settle(told, &self.shared),
            None => Meaning::Broken(Reason::EmptyMessage),
        }
    }
}

/// What a message from the agency meant.
enum Meaning {
    Settled,
    Drain,
    Broken(Reason),
}

fn settle(told: Told, shared: &Shared) -> Meaning {
    let (id, hash, outcome) = match told {
        Told::Answer(answer) => (answer.exchange_id, answer.request_hash, Ok(answer.response)),
        Told::Failure(failure) => {
            let refused = (Code::from(failure.code), failure.reason);
            (failure.exchange_id, failure.request_hash, Err(refused))
        }
        Told::Drain(_) => return Meaning::Drain,
        Told::Hello(_) => return Meaning::Broken(Reason::SecondHello),
        // Settled before this.
        Told::AskLog(_) | Told::ShowLog(_) => return Meaning::Settled,
    };
    // An answer to what is no longer awaited (cancelled, timed out) is dropped.
    let Some(pending) = shared.with(|pending| pending.remove(&id)) else { return Meaning::Settled };
    if !pending.hash.is(&hash) {
        pending.reply.fail(Failure::WrongEcho);
        return Meaning::Broken(Reason::WrongEcho);
    }
    let outcome = outcome.map_err(|(code, reason)| Failure::refused(code, reason, pending.named));
    pending.reply.give(Arrival { at: clock::now(), outcome });
    Meaning::Settled
}
