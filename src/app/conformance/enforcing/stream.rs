//! One Exchange stream, held by hand: what goes out is any bytes, what comes in
//! is read message by message.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Bench, word};
use crate::app::conformance::{Verdict, failed, raw, skipped};
use crate::wire::proto::pb;
use crate::wire::proto::pb::exchange_request::Message as Asked;
use crate::wire::proto::pb::exchange_response::Message as Told;

const EXCHANGE: &str = "/tributary.v1.AgencyService/Exchange";

/// Messages that may wait to be written.
const ROOM: usize = 64;

/// An open stream that said Hello.
pub(super) struct Stream {
    out: Option<mpsc::Sender<Bytes>>,
    answers: Streaming<Bytes>,
    patience: Duration,
    /// What the agency said of itself.
    pub hello: pb::DescribeResponse,
}

/// How a question on a stream ended.
#[derive(Debug)]
pub(super) struct Answered {
    pub id: u64,
    pub hash: Bytes,
    /// The encoded response, or the failure's code and reason.
    pub outcome: Result<Bytes, (i32, String)>,
}

impl Stream {
    /// Opens a stream; skips where the agency announces none.
    pub async fn open(bench: &Bench) -> Verdict<Self> {
        let features = &bench.described().await?.features;
        if !features.contains(&pb::ProtocolFeature::Exchange.into()) {
            return skipped("Exchange is not announced");
        }
        let (out, queue) = mpsc::channel(ROOM);
        let patience = bench.plan.deadline;
        let channel = bench.channel().await?;
        let opening = async {
            let mut answers = raw::stream(channel, EXCHANGE, ReceiverStream::new(queue)).await?;
            let first = answers.message().await?;
            Ok::<_, Status>((answers, first))
        };
        let (answers, first) = match tokio::time::timeout(patience, opening).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(status)) => return failed(format!("no stream opens: {}", word(&status))),
            Err(_) => return failed("no Hello came in time"),
        };
        let first = first.and_then(|bytes| pb::ExchangeResponse::decode(bytes).ok());
        match first.and_then(|first| first.message) {
            Some(Told::Hello(pb::ExchangeHello { description: Some(hello) })) => {
                Ok(Self { out: Some(out), answers, patience, hello: *hello })
            }
            _ => failed("the stream does not begin with Hello"),
        }
    }

    /// Sends bytes as a message. A stream that was closed takes no more, which the
    /// next read tells.
    pub async fn raw(&self, bytes: Vec<u8>) {
        if let Some(out) = &self.out {
            let sending = out.send(bytes.into());
            let _ = tokio::time::timeout(self.patience, sending).await;
        }
    }

    pub async fn say(&self, message: Option<Asked>) {
        self.raw(pb::ExchangeRequest { message }.encode_to_vec()).await;
    }

    /// Puts a question with the plan's whole time.
    pub async fn ask(&self, exchange_id: u64, request: Bytes) {
        let micros = u64::try_from(self.patience.as_micros()).unwrap_or(u64::MAX);
        self.ask_within(exchange_id, request, micros).await;
    }

    pub async fn ask_within(&self, exchange_id: u64, request: Bytes, remaining_micros: u64) {
        let trace_context = Bytes::new();
        let fetch = pb::ExchangeFetch { exchange_id, remaining_micros, request, trace_context };
        self.say(Some(Asked::Fetch(fetch))).await;
    }

    /// The next answer; `None` when the stream ended, well or not.
    pub async fn next(&mut self) -> Verdict<Option<Answered>> {
        loop {
            let told = match self.told().await? {
                Some(told) => told,
                None => return Ok(None),
            };
            return match told {
                Told::Answer(answer) => Ok(Some(Answered {
                    id: answer.exchange_id,
                    hash: answer.request_hash,
                    outcome: Ok(answer.response),
                })),
                Told::Failure(failure) => Ok(Some(Answered {
                    id: failure.exchange_id,
                    hash: failure.request_hash,
                    outcome: Err((failure.code, failure.reason)),
                })),
                Told::Hello(_) => failed("a second Hello came"),
                Told::Drain(_) => skipped("the stream was drained meanwhile: run the kit again"),
                // The kit keeps no log, and an agency goes on without seeing one.
                Told::AskLog(_) => continue,
                Told::Alive(_) => failed("it said that it is alive and was not asked"),
                Told::ShowLog(_) => failed("a log was shown that was not asked for"),
            };
        }
    }

    /// The next message; `None` when the stream ended, well or not.
    async fn told(&mut self) -> Verdict<Option<Told>> {
        let patience = self.patience + Duration::from_secs(1);
        let bytes = match tokio::time::timeout(patience, self.answers.message()).await {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None) | Err(_)) => return Ok(None),
            Err(_) => return failed("no answer came in time"),
        };
        let Ok(message) = pb::ExchangeResponse::decode(bytes) else {
            return failed("a message came that is none");
        };
        match message.message {
            Some(told) => Ok(Some(told)),
            None => failed("a message without content came"),
        }
    }

    /// The next answer; that the stream ended is a failure.
    pub async fn answer(&mut self) -> Verdict<Answered> {
        match self.next().await? {
            Some(answered) => Ok(answered),
            None => failed("the stream ended"),
        }
    }
}
