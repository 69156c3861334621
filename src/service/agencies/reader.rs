//! What reads an Exchange stream: each message is settled and nothing is waited for but
//! the next one.

use std::sync::Arc;

use tokio::sync::mpsc;
use tonic::{Code, Streaming};

use crate::clock;
use crate::domain::reason::Reason;
use crate::service::audit::monitor::Swap;
use crate::wire::MAX_SECTION_BYTES;
use crate::wire::proto::pb;
use crate::wire::proto::pb::exchange_request::Message as Asked;
use crate::wire::proto::pb::exchange_response::Message as Told;

use super::gate::Gate;
use super::outcome::Failure;
use super::pending::{Event, Shared};

/// What reads the agency's messages.
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) gate: Arc<Gate>,
    pub(super) swap: Arc<Swap>,
    pub(super) outbound: mpsc::WeakSender<pb::ExchangeRequest>,
    pub(super) events: mpsc::Sender<(u64, Event)>,
    pub(super) number: u64,
}

/// What a message from the agency meant.
enum Meaning {
    Settled,
    Drain,
    Broken(Reason),
}

impl Reader {
    /// Reads until the stream ends.
    pub(super) async fn read(self, mut inbound: Streaming<pb::ExchangeResponse>) {
        let ended = loop {
            match inbound.message().await {
                Ok(Some(message)) => {
                    self.shared.hear();
                    match self.settle(message) {
                        Meaning::Settled => {}
                        Meaning::Drain => self.drained().await,
                        Meaning::Broken(reason) => break reason,
                    }
                }
                Ok(None) => break Reason::Ended,
                // tonic goes on with misread bytes after a decode error: this stream
                // is never polled again.
                Err(_) => break Reason::StreamError,
            }
        };
        self.ended(ended).await;
    }

    async fn drained(&self) {
        if self.shared.shut() {
            let now = clock::now();
            let lived = self.shared.lived(now);
            self.gate.change("", |endpoint| endpoint.drained(now, lived));
        }
        let _ = self.events.send((self.number, Event::Drained)).await;
    }

    async fn ended(&self, reason: Reason) {
        if self.shared.shut() {
            let now = clock::now();
            let lived = self.shared.lived(now);
            let broken = !matches!(reason, Reason::Ended | Reason::StreamError);
            let failing = broken || self.shared.len() > 0;
            let words = "the stream ended";
            self.gate.change(words, |endpoint| endpoint.lost(now, lived, reason, failing));
        }
        self.shared.fail(&Failure::StreamLost);
        let _ = self.events.send((self.number, Event::Ended)).await;
    }

    fn settle(&self, message: pb::ExchangeResponse) -> Meaning {
        match message.message {
            Some(Told::Answer(answer)) => {
                let too_large = answer.response.len() > MAX_SECTION_BYTES;
                let outcome = if too_large { Err(()) } else { Ok(answer.response) };
                self.answer(answer.exchange_id, &answer.request_hash, |_| {
                    outcome.map_err(|()| Failure::TooLarge)
                })
            }
            Some(Told::Failure(failure)) => {
                let (code, reason) = (Code::from(failure.code), failure.reason);
                self.answer(failure.exchange_id, &failure.request_hash, |named| {
                    Err(Failure::refused(code, reason, named))
                })
            }
            Some(Told::Drain(_)) => Meaning::Drain,
            // That it came is all that it says.
            Some(Told::Alive(_)) => Meaning::Settled,
            Some(Told::Hello(_)) => Meaning::Broken(Reason::SecondHello),
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
            None => Meaning::Broken(Reason::EmptyMessage),
        }
    }

    fn answer(
        &self,
        id: u64,
        hash: &[u8],
        outcome: impl FnOnce(bool) -> Result<bytes::Bytes, Failure>,
    ) -> Meaning {
        // An answer to what is no longer awaited (cancelled, timed out) is dropped.
        let Some(pending) = self.shared.take(id) else { return Meaning::Settled };
        if !pending.hash.is(hash) {
            pending.settle(Err(Failure::WrongEcho));
            return Meaning::Broken(Reason::WrongEcho);
        }
        let outcome = outcome(pending.named);
        pending.settle(outcome);
        Meaning::Settled
    }
}
