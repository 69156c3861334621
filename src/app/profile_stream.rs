//! Fetches many profiles over one stream, and goes on over another where that
//! one is lost.
//!
//! Whatever had no answer is asked again under the same request id, which the
//! agencies do not count twice, and so is what was refused for a reason that passes by
//! itself, see [`super::patience`]. A grant that was answered for is named by its digest,
//! and sent whole where the gateway has forgotten it. Where requests come from and what
//! answers become is the caller's business.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::client::{Address, ClientError, GatewayClient};
use super::patience::{self, Patience};
use super::proving::ToProve;
use crate::clock;
use crate::domain::grant::{PresentationDigest, Presented, Shown};
use crate::domain::reason::Reason;
use crate::wire::grant;
use crate::wire::proto::pb;
use crate::wire::proto::pb::stream_profiles_response::Outcome;

/// Attempts in a row to go on without one answer in between.
const ATTEMPTS: usize = 6;

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The caller's own number of it.
    pub line: u64,
    /// Names it on the stream; no other under way may have it.
    pub request_id: String,
    /// The grant, with every disclosure.
    pub grant: String,
    /// Ids of the items wanted.
    pub items: Vec<String>,
}

/// What came of one request.
#[derive(Debug)]
pub struct Answer {
    /// The request.
    pub ask: Ask,
    /// The profile, or why there is none.
    pub outcome: Result<pb::GetProfileResponse, pb::ProfileFailure>,
}

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Requests under way at once.
    pub in_flight: usize,
    /// Time for each.
    pub deadline: Duration,
}

/// A request under way, and when its time ends on our side too.
struct UnderWay {
    ask: Ask,
    until: Instant,
    digest: PresentationDigest,
    /// Whether it names its grant by the digest.
    named: bool,
    patience: Patience,
}

impl UnderWay {
    fn new(ask: Ask, pace: Pace) -> Self {
        let digest = PresentationDigest::of(ask.grant.as_bytes());
        Self {
            until: clock::now() + pace.deadline,
            digest,
            named: false,
            patience: Patience::default(),
            ask,
        }
    }

    /// Puts it on a stream, for the time that it has left. A stream has room for each
    /// request under way, so nothing waits here.
    async fn put(
        &mut self,
        requests: &mpsc::Sender<pb::StreamProfilesRequest>,
        shown: &Shown,
        proof: Option<pb::RequestProof>,
    ) -> Result<(), ClientError> {
        let whole = || Bytes::copy_from_slice(self.ask.grant.as_bytes());
        let presented = shown.present(self.digest, whole);
        self.named = matches!(presented, Presented::Digest(_));
        let request = pb::GetProfileRequest {
            request_id: self.ask.request_id.clone(),
            items: self.ask.items.clone(),
            grant: Some(grant::encode(presented)),
            proof,
            ..Default::default()
        };
        let left = self.until.saturating_duration_since(clock::now()).as_micros();
        let request = pb::StreamProfilesRequest {
            request: request.encode_to_vec().into(),
            // 0 would be as long as the gateway likes.
            remaining_micros: left.try_into().unwrap_or(u64::MAX).max(1),
            traceparent: String::new(),
        };
        requests.send(request).await.map_err(|_| Status::unavailable("the stream ended").into())
    }
}

/// What a message of the gateway's means.
enum Meaning {
    /// The request is answered.
    Answered(Answer),
    /// The gateway has forgotten the grant of this one.
    Forgotten(UnderWay),
    /// This one is to be asked again after a while.
    Later(UnderWay, Duration),
}

/// Asks everything that comes out of `asks`, and gives each answer to `answered`
/// as it comes.
///
/// # Errors
/// A link that cannot be made, a gateway that refuses the stream itself, and a
/// stream that is lost time after time without an answer. The answers that came
/// before were given.
pub async fn run(
    address: &Address,
    pace: Pace,
    mut asks: mpsc::Receiver<Ask>,
    mut answered: impl FnMut(Answer),
) -> Result<(), ClientError> {
    let mut under_way = HashMap::new();
    let shown = Shown::default();
    let mut waits = backoff();
    loop {
        let mut progress = false;
        let mut give = |answer| {
            progress = true;
            answered(answer);
        };
        let lost = match once(address, pace, &shown, &mut asks, &mut under_way, &mut give).await {
            Ok(()) => return Ok(()),
            Err(error) if !passes(&error) => return Err(error),
            Err(error) => error,
        };
        if progress {
            waits = backoff();
        }
        let Some(wait) = waits.next() else { return Err(lost) };
        tracing::warn!(unanswered = under_way.len(), "the stream was lost ({lost}); going on");
        tokio::time::sleep(wait).await;
    }
}

/// One stream, until everything is answered or it is lost.
async fn once(
    address: &Address,
    pace: Pace,
    shown: &Shown,
    asks: &mut mpsc::Receiver<Ask>,
    under_way: &mut HashMap<String, UnderWay>,
    answered: &mut impl FnMut(Answer),
) -> Result<(), ClientError> {
    let client = GatewayClient::connect(address).await?;
    let (requests, queue) = mpsc::channel(pace.in_flight.max(under_way.len()).max(1));
    for waiting in under_way.values_mut() {
        waiting.until = clock::now() + pace.deadline;
    }
    let outbound = Outbound { client: &client, shown, requests };
    outbound.put(&under_way.keys().cloned().collect::<Vec<_>>(), under_way).await?;
    let mut inbound = client.stream(ReceiverStream::new(queue)).await?;
    let (mut more, mut next) = (true, Vec::new());
    // The ids of those that are asked again later. They are under way all the while.
    let mut later = FuturesUnordered::new();
    loop {
        let room = if more { pace.in_flight.saturating_sub(under_way.len()) } else { 0 };
        // A gateway that holds its tongue long past every deadline is lost too.
        let silence = under_way.values().map(|waiting| waiting.until).max();
        let silent = async {
            match silence {
                Some(until) => tokio::time::sleep_until((until + 5 * pace.deadline).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = inbound.message() => match settle(message?, shown, under_way)? {
                Meaning::Answered(answer) => answered(answer),
                Meaning::Forgotten(waiting) => {
                    let id = waiting.ask.request_id.clone();
                    under_way.insert(id.clone(), waiting);
                    outbound.put(&[id], under_way).await?;
                }
                Meaning::Later(waiting, wait) => {
                    let id = waiting.ask.request_id.clone();
                    under_way.insert(id.clone(), waiting);
                    later.push(async move {
                        tokio::time::sleep(wait).await;
                        id
                    });
                }
            },
            Some(id) = later.next(), if !later.is_empty() => {
                outbound.put(&[id], under_way).await?;
            }
            // As many as are there, so that they are proved together.
            count = asks.recv_many(&mut next, room), if room > 0 => {
                more = count > 0;
                let mut new = Vec::with_capacity(count);
                for ask in next.drain(..) {
                    match under_way.entry(ask.request_id.clone()) {
                        Entry::Occupied(_) => {
                            answered(Answer { ask, outcome: Err(repeated()) });
                        }
                        Entry::Vacant(place) => {
                            new.push(place.key().clone());
                            place.insert(UnderWay::new(ask, pace));
                        }
                    }
                }
                outbound.put(&new, under_way).await?;
            }
            () = silent => return Err(Status::unavailable("the gateway does not answer").into()),
        }
        // Whatever is under way may have to be asked again. With nothing left the gateway
        // ends the stream.
        if !more && under_way.is_empty() {
            drop(outbound);
            ended(&mut inbound).await;
            return Ok(());
        }
    }
}

/// The way out of one stream.
struct Outbound<'a> {
    client: &'a GatewayClient,
    shown: &'a Shown,
    requests: mpsc::Sender<pb::StreamProfilesRequest>,
}

impl Outbound<'_> {
    /// Puts requests that are under way, whatever becomes of the stream. They are proved
    /// together, under one signature.
    async fn put(
        &self,
        ids: &[String],
        under_way: &mut HashMap<String, UnderWay>,
    ) -> Result<(), ClientError> {
        let asks = ids.iter().filter_map(|id| under_way.get(id)).map(|waiting| &waiting.ask);
        let to_prove = asks.map(|ask| ToProve {
            request_id: &ask.request_id,
            grant: &ask.grant,
            items: &ask.items,
        });
        let to_prove: Vec<ToProve<'_>> = to_prove.collect();
        let mut proofs = self.client.proofs(&to_prove)?.into_iter();
        for id in ids {
            if let Some(waiting) = under_way.get_mut(id) {
                let proof = proofs.next().flatten();
                waiting.put(&self.requests, self.shown, proof).await?;
            }
        }
        Ok(())
    }
}

fn settle(
    message: Option<pb::StreamProfilesResponse>,
    shown: &Shown,
    under_way: &mut HashMap<String, UnderWay>,
) -> Result<Meaning, ClientError> {
    let message = message.ok_or_else(|| Status::unavailable("the gateway ended the stream"))?;
    let unknown = || Status::internal("the gateway answers what it was not asked");
    let outcome = match message.outcome.ok_or_else(unknown)? {
        Outcome::Profile(profile) => Ok(profile),
        Outcome::Failure(failure) => Err(failure),
    };
    let mut waiting = under_way.remove(&message.request_id).ok_or_else(unknown)?;
    match &outcome {
        Err(failure) if waiting.named && is_unknown(failure) => {
            shown.forget(&waiting.digest);
            return Ok(Meaning::Forgotten(waiting));
        }
        Ok(_) if !waiting.named => shown.answered(waiting.digest),
        _ => {}
    }
    let stated = match &outcome {
        Ok(profile) => patience::of_profile(profile),
        Err(failure) => patience::of_failure(failure),
    };
    if let Some(wait) = waiting.patience.wait(stated, clock::now(), waiting.until) {
        return Ok(Meaning::Later(waiting, wait));
    }
    Ok(Meaning::Answered(Answer { ask: waiting.ask, outcome }))
}

/// Whether the gateway wants to be sent the grant whole.
fn is_unknown(failure: &pb::ProfileFailure) -> bool {
    grant::is_unknown(failure.code.into(), &failure.reason)
}

/// What an id gets that is under way already: its answers could not be told apart.
fn repeated() -> pb::ProfileFailure {
    pb::ProfileFailure {
        code: Code::AlreadyExists.into(),
        reason: Reason::RequestIdReused.to_string(),
        message: "another request under way has this id; give each its own".into(),
        ..Default::default()
    }
}

/// Everything is answered: how the stream ends does not matter any more.
async fn ended(inbound: &mut Streaming<pb::StreamProfilesResponse>) {
    let end = async { while let Ok(Some(_)) = inbound.message().await {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), end).await;
}

/// Whether it may be gone by the next attempt.
fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::Connect(_) => true,
        ClientError::Refused { status, .. } => matches!(
            status.code(),
            // A broken connection shows as Unknown or Internal, and a reset as Cancelled.
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
        ),
        _ => false,
    }
}

fn backoff() -> backon::ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(ATTEMPTS)
        .with_jitter()
        .build()
}
