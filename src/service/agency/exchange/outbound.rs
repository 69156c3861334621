//! What the agency says on a stream, while it waits to be taken: answers, each with what it
//! counts for and keeps until then, and control messages, which count for nothing. What is
//! said when is decided in [`super`].

use tokio::sync::mpsc;
use tonic::Status;

use crate::domain::shares::Place;
use crate::link::budget::Charge;
use crate::wire::proto::pb;
use crate::wire::proto::pb::exchange_response::Message as Told;
use crate::wire::refusal::Refusal;
use crate::wire::section::RequestHash;

/// What an answer takes in the queue beside its content.
pub(super) const PLACE: usize = 512;

pub(super) type Answer = Result<pb::ExchangeResponse, Status>;

pub(super) type Answers = mpsc::Sender<Waiting>;

/// An answer that waits to be taken.
pub(super) struct Waiting {
    pub(super) answer: Answer,
    /// What it counts for until it is taken.
    pub(super) charge: Option<Charge>,
    /// What it keeps until it has left.
    pub(super) place: Option<Place>,
}

impl Waiting {
    /// One that counts for nothing: there are few.
    pub(super) const fn few(answer: Answer) -> Self {
        Self { answer, charge: None, place: None }
    }
}

pub(super) fn answer(
    exchange_id: u64,
    hash: RequestHash,
    response: bytes::Bytes,
) -> pb::ExchangeResponse {
    let answer = pb::ExchangeAnswer { exchange_id, request_hash: hash.to_bytes(), response };
    pb::ExchangeResponse { message: Some(Told::Answer(answer)) }
}

pub(super) fn failure(
    exchange_id: u64,
    hash: RequestHash,
    refusal: &Refusal,
) -> pb::ExchangeResponse {
    let failure = pb::ExchangeFailure {
        exchange_id,
        request_hash: hash.to_bytes(),
        code: refusal.code().into(),
        reason: refusal.reason.to_string(),
    };
    pb::ExchangeResponse { message: Some(Told::Failure(failure)) }
}
