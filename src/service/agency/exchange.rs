//! The agency's end of an Exchange stream.
//!
//! A stream carries no authority: each exchange is admitted on its own. The
//! reader never awaits work; what exceeds the window is refused at once. After
//! an error of the stream itself nothing more is read from it, since what
//! follows a misread frame is not to be believed.

mod lifetime;
mod outbound;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant as TokioInstant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use crate::clock;
use crate::config::agency::AgencyLimitsConfig;
use crate::domain::reason::Reason;
use crate::domain::trace::TraceContext;
use crate::link::unread::UntilSent;
use crate::link::validity::{Link, Phase};
use crate::service::agency::answer::Agency;
use crate::service::audit::monitor::Swap;
use crate::wire::MAX_SECTION_BYTES;
use crate::wire::proto::pb;
use crate::wire::proto::pb::exchange_request::Message as Asked;
use crate::wire::proto::pb::exchange_response::Message as Told;
use crate::wire::refusal::Refusal;
use crate::wire::section::RequestHash;

use self::lifetime::{due, spread};
use self::outbound::{Answer, Answers, PLACE, Waiting, answer, failure};

/// How long a drained stream may take to finish what is under way.
const DRAIN_GRACE: Duration = Duration::from_secs(10);

/// Messages beside answers that may wait to be sent: Hello, Drain and refusals
/// of a burst.
const CONTROL_ROOM: usize = 64;

/// Serves one stream until either side ends it. The answers come out of the
/// returned stream.
pub fn serve(
    agency: Arc<Agency>,
    link: Link,
    inbound: Streaming<pb::ExchangeRequest>,
    stop: watch::Receiver<bool>,
) -> (impl Stream<Item = Answer>, UntilSent) {
    // The stream keeps to the limits that its Hello states.
    let limits = agency.limits();
    let window = usize::try_from(limits.max_in_flight).unwrap_or(usize::MAX);
    let (answers, outbound) = mpsc::channel(window.saturating_add(CONTROL_ROOM));
    let swap = Swap::new(agency.witnesses(), link.peer().spiffe());
    let session = Session {
        under_way: Arc::default(),
        spent: Arc::default(),
        swap,
        agency,
        link,
        answers,
        limits,
        window,
        last_id: None,
    };
    tokio::spawn(session.run(inbound, stop));
    let kept = UntilSent::default();
    let keeping = kept.clone();
    let outbound = ReceiverStream::new(outbound).map(move |Waiting { answer, charge, place }| {
        place.into_iter().for_each(|place| keeping.keep(place));
        drop(charge);
        answer
    });
    (outbound, kept)
}

/// Exchanges under way, each with the handle that cancels it.
#[derive(Debug, Default)]
struct UnderWay(Mutex<HashMap<u64, AbortHandle>>);

impl UnderWay {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<u64, AbortHandle>) -> T) -> T {
        act(&mut self.0.lock())
    }
}

struct Session {
    agency: Arc<Agency>,
    link: Link,
    answers: Answers,
    under_way: Arc<UnderWay>,
    swap: Arc<Swap>,
    /// Told when the gateway has as much waiting as a peer may.
    spent: Arc<Notify>,
    limits: Arc<AgencyLimitsConfig>,
    window: usize,
    last_id: Option<u64>,
}

/// What the reader does after a message.
enum Next {
    Read,
    Finish,
    Close(Reason),
}

impl Session {
    async fn run(
        mut self,
        mut inbound: Streaming<pb::ExchangeRequest>,
        mut stop: watch::Receiver<bool>,
    ) {
        // Before it is described: whatever changes then ends the stream.
        let mut catalogues = self.agency.catalogues();
        let description = Some(Box::new(self.agency.describe(&self.limits)));
        let hello = pb::ExchangeHello { description };
        if self.tell(Told::Hello(hello)).await.is_err() {
            return;
        }
        let link = self.link.clone();
        let age = spread(self.limits.max_stream_age);
        let end = TokioInstant::from_std(clock::now()) + age;
        let mut draining = false;
        // One future for the stream's life: its timer is not set anew for each
        // message.
        let mut due = pin!(due(&link, &mut stop, &mut catalogues, end));
        let mut grace = pin!(sleep_until(end));
        let mut look = interval(self.swap.every());
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = inbound.message() => {
                    let next = match message {
                        Ok(Some(message)) => self.take(message),
                        Ok(None) => Next::Finish,
                        Err(status) => {
                            tracing::info!(peer = %self.link.peer(), code = ?status.code(), "exchange stream lost");
                            self.end(status).await;
                            break;
                        }
                    };
                    match next {
                        Next::Read => {}
                        Next::Finish => {
                            self.finish().await;
                            break;
                        }
                        Next::Close(reason) => {
                            tracing::warn!(peer = %self.link.peer(), %reason, "exchange stream closed");
                            let refusal = Refusal::new(reason, "the stream's rules were broken");
                            self.end(refusal.into_status("")).await;
                            break;
                        }
                    }
                }
                _ = look.tick() => self.ask_log(),
                () = self.answers.closed() => break,
                () = self.spent.notified() => {
                    let message = "the gateway does not take its answers";
                    self.end(Refusal::new(Reason::MemorySpent, message).into_status("")).await;
                    break;
                }
                () = grace.as_mut(), if draining => break,
                reason = due.as_mut(), if !draining => {
                    let Some(reason) = reason else { break };
                    draining = true;
                    grace.as_mut().reset(TokioInstant::from_std(clock::now()) + DRAIN_GRACE);
                    let drain = pb::ExchangeDrain { reason: reason.to_string() };
                    if self.tell(Told::Drain(drain)).await.is_err() {
                        break;
                    }
                }
            }
        }
        self.under_way.with(|under_way| {
            for (_, task) in under_way.drain() {
                task.abort();
            }
        });
    }

    fn take(&mut self, message: pb::ExchangeRequest) -> Next {
        match message.message {
            Some(Asked::Fetch(fetch)) => self.fetch(fetch),
            Some(Asked::Cancel(cancel)) => {
                let task = self.under_way.with(|under_way| under_way.remove(&cancel.exchange_id));
                if let Some(task) = task {
                    task.abort();
                }
                Next::Read
            }
            // From this loop, which also takes the questions: that is what is asked.
            Some(Asked::AskAlive(asked)) => {
                let alive = pb::ExchangeAlive { number: asked.number };
                let message = Some(Told::Alive(alive));
                match self.answers.try_send(Waiting::few(Ok(pb::ExchangeResponse { message }))) {
                    Ok(()) => Next::Read,
                    Err(_) => Next::Close(Reason::PeerDoesNotRead),
                }
            }
            Some(Asked::Finish(_)) => Next::Finish,
            Some(Asked::AskLog(question)) => {
                let (swap, answers) = (self.swap.clone(), self.answers.clone());
                tokio::spawn(async move {
                    if let Some(shown) = swap.show(question).await {
                        let message = Some(Told::ShowLog(shown));
                        let _ =
                            answers.send(Waiting::few(Ok(pb::ExchangeResponse { message }))).await;
                    }
                });
                Next::Read
            }
            Some(Asked::ShowLog(shown)) => match self.swap.take_asked() {
                Some(seen) => {
                    tokio::spawn(self.swap.clone().judge(seen, shown));
                    Next::Read
                }
                None => Next::Close(Reason::UnaskedLog),
            },
            None => Next::Close(Reason::EmptyMessage),
        }
    }

    fn fetch(&mut self, fetch: pb::ExchangeFetch) -> Next {
        let id = fetch.exchange_id;
        // Ids only rise, which is how they never repeat without a list of them.
        if self.last_id.is_some_and(|last| id <= last) {
            return Next::Close(Reason::RepeatedExchangeId);
        }
        self.last_id = Some(id);
        let hash = RequestHash::of(&fetch.request);
        if self.under_way.with(|under_way| under_way.len()) >= self.window {
            let refusal = Refusal::overloaded("the stream's window is full");
            // The window's room in the queue is taken by answers; if even the
            // room for control messages is full the peer does not read.
            let failed = self.answers.try_send(Waiting::few(Ok(failure(id, hash, &refusal))));
            return if failed.is_ok() { Next::Read } else { Next::Close(Reason::PeerDoesNotRead) };
        }
        if self.link.memory().is_spent() {
            // Whoever reads no answers gets no more of them; the stream ends.
            self.spent.notify_one();
            return Next::Read;
        }
        let cap = self.agency.limits().max_deadline;
        let until = clock::now() + Duration::from_micros(fetch.remaining_micros).min(cap);
        let (agency, link) = (self.agency.clone(), self.link.clone());
        let (answers, under_way) = (self.answers.clone(), self.under_way.clone());
        let spent = self.spent.clone();
        let place = agency.enter(link.peer());
        // The entry must stand before the task can end and remove it.
        self.under_way.with(|entries| {
            let task = tokio::spawn(async move {
                let asked = place.as_ref().map_err(Clone::clone);
                let stated = TraceContext::from_bytes(&fetch.trace_context);
                let answered = agency.answer(link.peer(), asked, fetch.request, hash, until);
                let answered = agency.traced(stated, answered).await;
                let response = match answered {
                    Ok(response) if response.len() > MAX_SECTION_BYTES => {
                        let message = "the section is larger than one may be: ask for fewer items";
                        failure(id, hash, &Refusal::new(Reason::SectionTooLarge, message))
                    }
                    Ok(response) => answer(id, hash, response),
                    Err(refusal) => failure(id, hash, &refusal),
                };
                // Authority is checked once more, right before release.
                if link.phase() != Phase::Distrusted {
                    let charge = link.memory().charge(response.encoded_len() + PLACE);
                    if link.memory().is_spent() {
                        spent.notify_one();
                    } else {
                        let (charge, place) = (Some(charge), place.ok());
                        let _ = answers.send(Waiting { answer: Ok(response), charge, place }).await;
                    }
                }
                // Only now: an answer that nobody reads still fills the window.
                under_way.with(|entries| entries.remove(&id));
            });
            entries.insert(id, task.abort_handle());
        });
        Next::Read
    }

    /// Asks the gateway to show its log. The reader does not wait for it.
    fn ask_log(&self) {
        let (swap, answers) = (self.swap.clone(), self.answers.clone());
        tokio::spawn(async move {
            if let Some(question) = swap.ask().await {
                let message = Some(Told::AskLog(question));
                let _ = answers.send(Waiting::few(Ok(pb::ExchangeResponse { message }))).await;
            }
        });
    }

    /// Answers what is under way, within bounds.
    async fn finish(&self) {
        let idle = async {
            while self.under_way.with(|under_way| !under_way.is_empty()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(DRAIN_GRACE, idle).await;
    }

    /// Answers what is under way, within bounds, and says why the stream ends.
    async fn end(&self, status: Status) {
        let told = async {
            self.finish().await;
            let _ = self.answers.send(Waiting::few(Err(status))).await;
        };
        tokio::select! {
            _ = timeout(DRAIN_GRACE, told) => {}
            () = self.answers.closed() => {}
            () = self.link.distrusted() => {}
        }
    }

    async fn tell(&self, message: Told) -> Result<(), ()> {
        let response = pb::ExchangeResponse { message: Some(message) };
        self.answers.send(Waiting::few(Ok(response))).await.map_err(|_| ())
    }
}
