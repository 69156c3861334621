//! Through the gateway over `StreamProfiles`: a few long-lived streams, on each of
//! them many requests. A grant that was answered for is named by its digest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tributary::domain::grant::{Presented, Shown};
use tributary::wire::grant;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::stream_profiles_response::Outcome;

use crate::city::City;
use crate::grants::Person;
use crate::row::next_request;
use crate::unary::{self, DEADLINE};

/// Requests that wait to be written on a stream.
const QUEUE: usize = 512;

type Waiting = Arc<Mutex<HashMap<usize, oneshot::Sender<Outcome>>>>;

/// A consumer with streams to the gateway.
pub struct Streams {
    lanes: Vec<Lane>,
    /// The grants that the gateway was shown.
    shown: Shown,
}

struct Lane {
    requests: mpsc::Sender<pb::StreamProfilesRequest>,
    waiting: Waiting,
}

impl Streams {
    /// `streams` of them, dealt out over the connections.
    pub async fn open(
        city: &City,
        endpoint: &str,
        streams: usize,
        connections: usize,
    ) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..connections.min(streams) {
            clients.push(unary::client(city, endpoint).await?);
        }
        let mut lanes = Vec::new();
        for client in clients.iter().cycle().take(streams) {
            let (requests, queue) = mpsc::channel(QUEUE);
            let inbound = client.stream(ReceiverStream::new(queue)).await?;
            let waiting = Waiting::default();
            tokio::spawn(read(inbound, waiting.clone()));
            lanes.push(Lane { requests, waiting });
        }
        Ok(Self { lanes, shown: Shown::default() })
    }

    pub async fn fetch(
        &self,
        city: &City,
        person: &Person,
    ) -> anyhow::Result<pb::GetProfileResponse> {
        let whole = || Bytes::copy_from_slice(person.grant.as_bytes());
        let presented = self.shown.present(person.digest, whole);
        let named = matches!(presented, Presented::Digest(_));
        let mut outcome = self.ask(city, presented).await?;
        if let Outcome::Failure(failure) = &outcome
            && named
            && grant::is_unknown(failure.code.into(), &failure.reason)
        {
            self.shown.forget(&person.digest);
            outcome = self.ask(city, Presented::Whole(whole())).await?;
        }
        match outcome {
            Outcome::Profile(response) => {
                self.shown.answered(person.digest);
                Ok(response)
            }
            Outcome::Failure(failure) => bail!("{}: {}", failure.reason, failure.message),
        }
    }

    async fn ask(&self, city: &City, presented: Presented<Bytes>) -> anyhow::Result<Outcome> {
        let turn = next_request();
        let lane = self.lanes.get(turn % self.lanes.len()).context("no stream")?;
        let request = pb::GetProfileRequest {
            request_id: turn.to_string(),
            items: city.items.clone(),
            grant: Some(grant::encode(presented)),
            ..Default::default()
        };
        let request = pb::StreamProfilesRequest {
            request: request.encode_to_vec().into(),
            remaining_micros: DEADLINE.as_micros().try_into()?,
            traceparent: String::new(),
        };
        let (answered, answer) = oneshot::channel();
        lock(&lane.waiting).insert(turn, answered);
        lane.requests.send(request).await.map_err(|_| anyhow!("the stream ended"))?;
        answer.await.context("the stream ended")
    }
}

/// Gives each answer to whoever waits for it. When the stream ends, nobody waits
/// any more: dropping their ends tells them.
async fn read(mut inbound: Streaming<pb::StreamProfilesResponse>, waiting: Waiting) {
    while let Ok(Some(message)) = inbound.message().await {
        let waiter = message.request_id.parse().ok().and_then(|turn| lock(&waiting).remove(&turn));
        if let (Some(waiter), Some(outcome)) = (waiter, message.outcome) {
            let _ = waiter.send(outcome);
        }
    }
    lock(&waiting).clear();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
