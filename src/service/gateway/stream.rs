//! A consumer's stream of profiles: many requests under way, answers in any order.
//!
//! A stream carries no authority: each request is admitted on its own, by the
//! same steps as a call of its own. The reader takes the next request only while
//! there is room in the window. An answer keeps its room, and its consumer's place,
//! until it has left: a consumer that does not read its answers waits and takes up no
//! more than that. Once a request found no place, the next is read when every answer of
//! the stream has left.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Status, Streaming};

use crate::clock;
use crate::domain::reason::Reason;
use crate::domain::shares::Place;
use crate::domain::trace::TraceContext;
use crate::link::budget::Charge;
use crate::link::unread::UntilSent;
use crate::link::validity::{Link, Phase};
use crate::service::ending::ending;
use crate::service::gateway::answer::Gateway;
use crate::wire::profile::decode_streamed;
use crate::wire::proto::pb;
use crate::wire::proto::pb::stream_profiles_response::Outcome;
use crate::wire::refusal::Refusal;

/// How long a stream that is to end may take to finish what is under way.
const DRAIN_GRACE: Duration = Duration::from_secs(10);

type Answer = Result<pb::StreamProfilesResponse, Status>;

type Answers = mpsc::Sender<Waiting>;

/// An answer that waits to be taken.
struct Waiting {
    answer: Answer,
    /// What it counts for until it is taken.
    charge: Option<Charge>,
    /// What it keeps until it has left.
    keeps: Option<(OwnedSemaphorePermit, Option<Place>)>,
}

/// What an answer takes in the queue beside its content.
const PLACE: usize = 512;

/// Serves one stream until the consumer has no more to ask, or hangs up, or the
/// gateway stops. The answers come out of the returned stream.
pub fn serve(
    gateway: Arc<Gateway>,
    link: Link,
    inbound: Streaming<pb::StreamProfilesRequest>,
    stop: watch::Receiver<bool>,
) -> (impl Stream<Item = Answer>, UntilSent) {
    let window = gateway.limits().stream_window.max(1);
    let (answers, outbound) = mpsc::channel(window);
    let (room, kept) = (Arc::new(Semaphore::new(window)), UntilSent::default());
    let (spent, under_way) = (Arc::default(), JoinSet::new());
    let session = Session { gateway, link, answers, room, spent, under_way, crowded: false };
    tokio::spawn(session.run(inbound, stop));
    let keeping = kept.clone();
    let outbound = ReceiverStream::new(outbound).map(move |Waiting { answer, charge, keeps }| {
        keeps.into_iter().for_each(|keeps| keeping.keep(keeps));
        drop(charge);
        answer
    });
    (outbound, kept)
}

struct Session {
    gateway: Arc<Gateway>,
    link: Link,
    answers: Answers,
    room: Arc<Semaphore>,
    /// Told when the consumer has as much waiting as a peer may.
    spent: Arc<Notify>,
    /// Whether the last request found no place.
    crowded: bool,
    /// Dropped with the session, which ends whatever is under way; what was
    /// begun is recorded all the same.
    under_way: JoinSet<()>,
}

impl Session {
    async fn run(
        mut self,
        mut inbound: Streaming<pb::StreamProfilesRequest>,
        mut stop: watch::Receiver<bool>,
    ) {
        let link = self.link.clone();
        let window = u32::try_from(self.room.available_permits()).unwrap_or(u32::MAX);
        let mut ending = pin!(ending(&link, &mut stop));
        let ended = loop {
            // Room first: what is not read stays with the consumer.
            let next = async {
                let room = room(&self.room, self.crowded.then_some(window)).await;
                (room, inbound.message().await)
            };
            tokio::select! {
                (room, message) = next => match (room, message) {
                    (Some(_), Ok(Some(_))) if link.memory().is_spent() => {
                        break Some(ended_for(Reason::MemorySpent));
                    }
                    (Some(room), Ok(Some(request))) => self.take(request, room),
                    (_, Ok(_)) => break None,
                    // Nothing after it is to be believed. What came before it is answered.
                    (_, Err(status)) => {
                        let code = status.code();
                        tracing::info!(peer = %self.link.peer(), ?code, "profile stream lost");
                        break Some(status);
                    }
                },
                () = self.answers.closed() => return,
                () = self.spent.notified() => break Some(ended_for(Reason::MemorySpent)),
                reason = ending.as_mut() => match reason {
                    None => return,
                    Some(reason) => break Some(ended_for(reason)),
                },
            }
            // Tasks that ended are let go of.
            while self.under_way.try_join_next().is_some() {}
        };
        self.finish(ended).await;
    }

    fn take(&mut self, request: pb::StreamProfilesRequest, room: OwnedSemaphorePermit) {
        let (gateway, link) = (self.gateway.clone(), self.link.clone());
        let (answers, spent) = (self.answers.clone(), self.spent.clone());
        let place = gateway.enter(link.peer());
        self.crowded = place.is_err();
        self.under_way.spawn(async move {
            let asked = place.as_ref().map_err(Clone::clone);
            let answer = answer(&gateway, &link, asked, request).await;
            // The peer's standing is looked at once more, right before release.
            if link.phase() != Phase::Distrusted {
                let charge = link.memory().charge(answer.encoded_len() + PLACE);
                if link.memory().is_spent() {
                    spent.notify_one();
                } else {
                    let (charge, keeps) = (Some(charge), Some((room, place.ok())));
                    let _ = answers.send(Waiting { answer: Ok(answer), charge, keeps }).await;
                }
            }
        });
    }

    /// Answers what is under way, within bounds, and says why the stream ends.
    async fn finish(mut self, ended: Option<Status>) {
        let link = self.link.clone();
        let told = async {
            while self.under_way.join_next().await.is_some() {}
            if let Some(status) = ended {
                let last = Waiting { answer: Err(status), charge: None, keeps: None };
                let _ = self.answers.send(last).await;
            }
        };
        tokio::select! {
            _ = timeout(DRAIN_GRACE, told) => {}
            () = self.answers.closed() => {}
            () = link.distrusted() => {}
        }
    }
}

/// Room for one more answer, or that of all of them, of which one is kept.
async fn room(room: &Arc<Semaphore>, all: Option<u32>) -> Option<OwnedSemaphorePermit> {
    let mut permits = room.clone().acquire_many_owned(all.unwrap_or(1)).await.ok()?;
    permits.split(1)
}

fn ended_for(reason: Reason) -> Status {
    let message = "the stream ends; ask again on another, under the same request ids";
    Refusal::new(reason, message).into_status("")
}

async fn answer(
    gateway: &Gateway,
    link: &Link,
    place: Result<&Place, Refusal>,
    request: pb::StreamProfilesRequest,
) -> pb::StreamProfilesResponse {
    let until = until(request.remaining_micros, gateway.limits().max_deadline);
    let stated = TraceContext::parse(&request.traceparent);
    let request = match decode_streamed(request) {
        Ok(request) => request,
        Err(refusal) => return response(String::new(), failure(refusal, String::new())),
    };
    let id = request.request_id.clone();
    let answer = gateway.answer(link.peer(), place, request, until);
    match gateway.traced(stated, answer).await {
        Ok(profile) => response(id, Outcome::Profile(profile)),
        Err((refusal, refusal_id)) => response(id, failure(refusal, refusal_id)),
    }
}

fn until(remaining_micros: u64, cap: Duration) -> Instant {
    let stated = match remaining_micros {
        0 => cap,
        stated => Duration::from_micros(stated).min(cap),
    };
    clock::now() + stated
}

fn response(request_id: String, outcome: Outcome) -> pb::StreamProfilesResponse {
    pb::StreamProfilesResponse { request_id, outcome: Some(outcome) }
}

fn failure(refusal: Refusal, refusal_id: String) -> Outcome {
    let retry = refusal.retry_after.unwrap_or_default().as_micros();
    Outcome::Failure(pb::ProfileFailure {
        code: refusal.code().into(),
        reason: refusal.reason.to_string(),
        message: refusal.text(),
        refusal_id,
        retry_after_micros: retry.try_into().unwrap_or(u64::MAX),
    })
}
