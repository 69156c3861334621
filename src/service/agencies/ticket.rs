//! A question that was let through: its place within the agency's limit, its leave from
//! the endpoint, and what its outcome means to both.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tonic::Code;

use crate::clock;
use crate::domain::grant::{PresentationDigest, Shown};
use crate::domain::reason::Reason;
use crate::wire::section;

use super::circuit::{Leave, Outcome};
use super::gate::Gate;
use super::limit::{Asker, Limit};
use super::outcome::Failure;
use super::usual::Usual;

/// What is counted of an agency, whichever of its endpoints is asked.
#[derive(Debug)]
pub struct Account {
    /// How many questions may be under way.
    pub limit: Mutex<Limit>,
    /// How long it usually takes.
    pub usual: Mutex<Usual>,
}

impl Account {
    /// Takes a place within the limit.
    pub fn enter(self: &Arc<Self>, asker: Asker) -> Option<Place> {
        let entered = self.limit.lock().enter(asker);
        entered.then(|| Place { account: self.clone(), asker })
    }
}

/// A place within the limit; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    account: Arc<Account>,
    asker: Asker,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.account.limit.lock().leave(self.asker);
    }
}

/// One question that was let through. Dropped before it is settled, it was given up:
/// at its deadline, or because nobody waits for it any more.
#[derive(Debug)]
pub struct Ticket {
    place: Place,
    gate: Arc<Gate>,
    leave: Leave,
    kind: u64,
    asked: Instant,
    until: Instant,
    settled: bool,
}

impl Ticket {
    /// For a question of this kind that is put now and waited for until `until`.
    pub const fn new(
        place: Place,
        gate: Arc<Gate>,
        leave: Leave,
        kind: u64,
        asked: Instant,
        until: Instant,
    ) -> Self {
        Self { place, gate, leave, kind, asked, until, settled: false }
    }

    /// Until when the answer is waited for.
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// Whether it is a probe of an endpoint whose circuit is open.
    pub const fn is_probe(&self) -> bool {
        self.leave.probe().is_some()
    }

    /// What came of it.
    pub fn settle(mut self, now: Instant, outcome: &Result<Bytes, Failure>) {
        let account = &self.place.account;
        let means = match outcome {
            // The agency answered for a source that was late.
            Ok(response) if section::is_late(response) => self.late(now),
            Ok(_) => {
                let took = now.saturating_duration_since(self.asked);
                account.usual.lock().took(self.kind, took);
                account.limit.lock().answered();
                Outcome::Answered
            }
            Err(Failure::StreamLost | Failure::Hung | Failure::WrongEcho) => self.lost(),
            Err(Failure::Refused { code: Code::ResourceExhausted, .. }) => {
                account.limit.lock().troubled(now);
                Outcome::Answered
            }
            Err(Failure::Refused { code: Code::Unavailable, reason })
                if Reason::stated_by_agency(reason).is_none() =>
            {
                Outcome::Failed
            }
            Err(_) => Outcome::Answered,
        };
        self.tell(now, means);
    }

    /// It was never put.
    pub fn unused(mut self) {
        self.tell(clock::now(), Outcome::Unknown);
    }

    /// The stream's end is told of by itself; a probe that went with it has failed.
    const fn lost(&self) -> Outcome {
        match self.is_probe() {
            true => Outcome::Failed,
            false => Outcome::Unknown,
        }
    }

    /// No answer by now: a failure only if the agency had long enough.
    fn late(&self, now: Instant) -> Outcome {
        let account = &self.place.account;
        let had = now.min(self.until).saturating_duration_since(self.asked);
        if had < account.usual.lock().enough(self.kind) {
            return Outcome::Unknown;
        }
        account.limit.lock().troubled(now);
        Outcome::Failed
    }

    fn tell(&mut self, now: Instant, outcome: Outcome) {
        self.settled = true;
        self.gate.settle(now, self.leave, self.place.asker.consumer, outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let now = clock::now();
        let outcome = match now >= self.until {
            true => self.late(now),
            false => Outcome::Unknown,
        };
        self.tell(now, outcome);
    }
}

/// What is noted of an agency's process by its answer: whether it knows this part of a
/// grant.
#[derive(Debug)]
pub struct ToRemember(pub Arc<Shown>, pub PresentationDigest);
