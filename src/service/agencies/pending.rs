//! The questions that are under way on one stream, shared by those who put them and the
//! one who reads the answers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use crate::clock;
use crate::domain::reason::Reason;
use crate::wire::section::RequestHash;

use super::outcome::{Arrival, Failure};
use super::replies::Reply;
use super::request::Form;
use super::ticket::{Ticket, ToRemember};

/// What became of a stream, for the one who keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The agency takes no more on it, and finishes what is under way.
    Drained,
    /// It ended.
    Ended,
}

/// What the stream's reader shares with it.
#[derive(Debug)]
pub(super) struct Shared {
    pending: Mutex<HashMap<u64, Pending>>,
    /// Takes no new question: it drains, or it ended.
    shut: AtomicBool,
    opened: Instant,
    /// When something last came, in microseconds since it was opened.
    heard: AtomicU64,
}

/// A question whose answer has not come.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) hash: RequestHash,
    pub(super) named: bool,
    reply: Reply,
    ticket: Ticket,
    remember: Option<ToRemember>,
}

impl Pending {
    /// A question that was put in this form.
    pub(super) const fn new(
        form: &Form,
        ticket: Ticket,
        remember: Option<ToRemember>,
        reply: Reply,
    ) -> Self {
        Self { hash: form.hash, named: form.named, reply, ticket, remember }
    }

    /// Nobody waits for it any more, for this reason. Its ticket sees whether its time is
    /// over.
    pub(super) fn give_up(self, reason: Reason) {
        drop(self.ticket);
        self.reply.fail(Failure::NoWay(reason));
    }

    /// Tells whoever waits and whoever counts.
    pub(super) fn settle(self, outcome: Result<Bytes, Failure>) {
        let at = clock::now();
        self.ticket.settle(at, &outcome);
        match (&outcome, self.remember) {
            (Ok(_), Some(ToRemember(shown, digest))) if !self.named => shown.answered(digest),
            (Err(Failure::Forgotten), Some(ToRemember(shown, digest))) => shown.forget(&digest),
            _ => {}
        }
        self.reply.give(Arrival { at, outcome });
    }
}

impl Shared {
    pub(super) fn new(opened: Instant) -> Self {
        let (pending, shut) = (Mutex::default(), AtomicBool::new(false));
        Self { pending, shut, opened, heard: AtomicU64::new(0) }
    }

    /// When something last came.
    pub(super) fn heard(&self) -> Instant {
        self.opened + Duration::from_micros(self.heard.load(Ordering::Relaxed))
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.pending.lock().len()
    }

    /// All of them, for one who adds to them.
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<u64, Pending>> {
        self.pending.lock()
    }

    pub(super) fn hear(&self) {
        let since = clock::now().saturating_duration_since(self.opened).as_micros();
        self.heard.store(since.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn take(&self, id: u64) -> Option<Pending> {
        self.pending.lock().remove(&id)
    }

    /// From now on nothing is put. Whoever shuts it, which this tells, tells the endpoint,
    /// and before any question is failed: what is asked again is not to be led here.
    pub(super) fn shut(&self) -> bool {
        !self.shut.swap(true, Ordering::AcqRel)
    }

    /// Since it was opened.
    pub(super) fn lived(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened)
    }

    /// Fails what is under way, where nothing more is put.
    pub(super) fn fail(&self, failure: &Failure) {
        let pending = std::mem::take(&mut *self.pending.lock());
        for (_, pending) in pending {
            pending.settle(Err(failure.clone()));
        }
    }
}
