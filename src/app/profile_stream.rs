//! Fetches many profiles over one stream, and goes on over another where that
//! one is lost.
//!
//! Whatever had no answer is asked again under the same request id, which the
//! agencies do not count twice. Where requests come from and what answers become
//! is the caller's business.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::client::{Address, ClientError, GatewayClient};
use crate::clock;
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
    let mut waits = backoff();
    loop {
        let mut progress = false;
        let mut give = |answer| {
            progress = true;
            answered(answer);
        };
        let lost = match once(address, pace, &mut asks, &mut under_way, &mut give).await {
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
    asks: &mut mpsc::Receiver<Ask>,
    under_way: &mut HashMap<String, UnderWay>,
    answered: &mut impl FnMut(Answer),
) -> Result<(), ClientError> {
    let client = GatewayClient::connect(address).await?;
    let (requests, queue) = mpsc::channel(pace.in_flight.max(under_way.len()).max(1));
    for waiting in under_way.values_mut() {
        waiting.until = clock::now() + pace.deadline;
        send(&requests, &waiting.ask, pace).await?;
    }
    let mut inbound = client.stream(ReceiverStream::new(queue)).await?;
    let mut requests = Some(requests);
    loop {
        let room = requests.is_some() && under_way.len() < pace.in_flight;
        // A gateway that holds its tongue long past every deadline is lost too.
        let silence = under_way.values().map(|waiting| waiting.until).max();
        let silent = async {
            match silence {
                Some(until) => tokio::time::sleep_until((until + 5 * pace.deadline).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = inbound.message() => settle(message?, under_way, answered)?,
            next = asks.recv(), if room => match (next, &requests) {
                (Some(ask), _) if under_way.contains_key(&ask.request_id) => {
                    answered(Answer { ask, outcome: Err(repeated()) });
                }
                (Some(ask), Some(requests)) => {
                    send(requests, &ask, pace).await?;
                    let until = clock::now() + pace.deadline;
                    under_way.insert(ask.request_id.clone(), UnderWay { ask, until });
                }
                // Nothing more to ask: the gateway finishes, then ends the stream.
                _ => requests = None,
            },
            () = silent => return Err(Status::unavailable("the gateway does not answer").into()),
        }
        if requests.is_none() && under_way.is_empty() {
            ended(&mut inbound).await;
            return Ok(());
        }
    }
}

async fn send(
    requests: &mpsc::Sender<pb::StreamProfilesRequest>,
    ask: &Ask,
    pace: Pace,
) -> Result<(), ClientError> {
    let request = pb::GetProfileRequest {
        request_id: ask.request_id.clone(),
        items: ask.items.clone(),
        grant: Some(pb::GrantPresentation {
            sd_jwt: ask.grant.clone().into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let request = pb::StreamProfilesRequest {
        request: request.encode_to_vec().into(),
        remaining_micros: pace.deadline.as_micros().try_into().unwrap_or(u64::MAX),
    };
    requests.send(request).await.map_err(|_| Status::unavailable("the stream ended").into())
}

fn settle(
    message: Option<pb::StreamProfilesResponse>,
    under_way: &mut HashMap<String, UnderWay>,
    answered: &mut impl FnMut(Answer),
) -> Result<(), ClientError> {
    let message = message.ok_or_else(|| Status::unavailable("the gateway ended the stream"))?;
    let unknown = || Status::internal("the gateway answers what it was not asked");
    let outcome = match message.outcome.ok_or_else(unknown)? {
        Outcome::Profile(profile) => Ok(profile),
        Outcome::Failure(failure) => Err(failure),
    };
    let waiting = under_way.remove(&message.request_id).ok_or_else(unknown)?;
    answered(Answer { ask: waiting.ask, outcome });
    Ok(())
}

/// What an id gets that is under way already: its answers could not be told apart.
fn repeated() -> pb::ProfileFailure {
    pb::ProfileFailure {
        code: Code::AlreadyExists.into(),
        reason: "REQUEST_ID_REUSED".into(),
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
