//! One endpoint of an agency: its state, when a connection is tried, and whether a
//! question may be put.
//!
//! Pure: time is an argument, and nothing here connects, waits or logs. Each event
//! tells whether it changed the state, so that every change is told once. What connects
//! is [`super::keeper`].

use std::time::{Duration, Instant};

use super::circuit::{Circuit, Leave, Outcome};
use crate::domain::reason::Reason;

#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;

/// A stream that lived so long has shown that connecting works.
const PROVEN: Duration = Duration::from_secs(5);

/// Waits between attempts: the first, the longest in the first while after a loss, the
/// longest later, and the longest between streams that the agency drains.
const WAIT: Duration = Duration::from_millis(50);
const SOON: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(150));
const LATER: Duration = Duration::from_secs(2);
const DRAINED: Duration = Duration::from_millis(500);

/// An attempt that took its time has waited already; the next one comes so soon.
const AFTER_TIMEOUT: Duration = Duration::from_millis(150);

/// Where an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No stream takes questions: one is being opened, or will be.
    Opening {
        /// Attempts in a row that failed.
        attempt: u32,
        /// Since when there is none.
        since: Instant,
        /// Why the last one ended or was not made; none before the first attempt's end.
        last: Option<Reason>,
    },
    /// It is asked.
    Up {
        /// Streams that take questions.
        streams: usize,
    },
    /// Every stream was drained, and the next one is on its way: questions wait for it.
    Draining,
    /// Its circuit is open: it takes connections and fails the questions.
    Open {
        /// Until when nothing is asked.
        until: Instant,
        /// Why.
        why: Reason,
    },
}

impl State {
    /// Whether two states differ in what a person is told.
    const fn is_like(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Opening { .. }, Self::Opening { .. })
                | (Self::Up { .. }, Self::Up { .. })
                | (Self::Draining, Self::Draining)
                | (Self::Open { .. }, Self::Open { .. })
        )
    }
}

/// A change of state, to be told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub from: State,
    /// From now on.
    pub to: State,
    /// When a connection or a question is tried next, where one is to be.
    pub next: Option<Instant>,
}

/// Why no question may be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It will soon be known whether one can be: wait.
    Wait,
    /// Not now, for this reason.
    No(Reason),
}

/// One endpoint.
#[derive(Debug)]
pub struct Endpoint {
    wanted: usize,
    up: usize,
    /// The last stream was drained, and no attempt has failed since.
    drained: bool,
    /// Since when no stream was up that had proven itself.
    since: Instant,
    last: Option<Reason>,
    /// Attempts in a row that failed, and streams that ended unproven.
    failures: u32,
    /// When the attempt under way began.
    attempting: Option<Instant>,
    not_before: Instant,
    circuit: Circuit,
    /// Reasons that were told since it was last up.
    told: Vec<Reason>,
    jitter: Jitter,
}

impl Endpoint {
    /// An endpoint to which `wanted` streams are kept. `seed` spreads its waits.
    pub fn new(wanted: usize, now: Instant, seed: u64) -> Self {
        Self {
            wanted,
            up: 0,
            drained: false,
            since: now,
            last: None,
            failures: 0,
            attempting: None,
            not_before: now,
            circuit: Circuit::default(),
            told: Vec::new(),
            jitter: Jitter(seed),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        match (self.up, self.circuit.until()) {
            (1.., Some(until)) => State::Open { until, why: Reason::AgencyFailing },
            (streams @ 1.., None) => State::Up { streams },
            (0, _) if self.drained => State::Draining,
            (0, _) => State::Opening { attempt: self.failures, since: self.since, last: self.last },
        }
    }

    /// When the next attempt to connect may begin; `None` while one is under way or
    /// none is wanted.
    pub const fn due(&self) -> Option<Instant> {
        match self.attempting.is_none() && self.up < self.wanted {
            true => Some(self.not_before),
            false => None,
        }
    }

    /// Begins an attempt, if one is due.
    pub fn begin(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|due| due <= now);
        if due {
            self.attempting = Some(now);
        }
        due
    }

    /// The attempt made a stream.
    pub fn opened(&mut self) -> Option<Change> {
        self.changing(|this| {
            this.attempting = None;
            this.drained = false;
            this.up += 1;
            this.told.clear();
        })
    }

    /// The attempt failed. That is told once for each reason.
    pub fn failed(&mut self, now: Instant, reason: Reason) -> Option<Change> {
        let change = self.changing(|this| {
            let began = this.attempting.take().unwrap_or(now);
            this.drained = false;
            // Whoever hangs cannot finish a handshake either.
            if !(this.last == Some(Reason::AgencyHung) && reason == Reason::ConnectTimeout) {
                this.last = Some(reason);
            }
            let wait = this.wait(now, SOON.1, LATER);
            this.failures = this.failures.saturating_add(1);
            this.not_before = (began + wait).max(now + wait.min(AFTER_TIMEOUT));
        });
        let state = self.state();
        let again = self.up > 0 || self.told.contains(&reason);
        self.tell(reason);
        match change {
            None if !again => Some(Change { from: state, to: state, next: self.due() }),
            change => change,
        }
    }

    /// The agency takes nothing more on a stream that lived so long.
    pub fn drained(&mut self, now: Instant, lived: Duration) -> Option<Change> {
        self.changing(|this| {
            this.up = this.up.saturating_sub(1);
            this.drained = this.up == 0;
            let wait = this.ended(now, lived, DRAINED, DRAINED);
            this.not_before = this.not_before.max(now + wait);
        })
    }

    /// A stream that took questions ended. `failing` where questions were lost with it.
    pub fn lost(
        &mut self,
        now: Instant,
        lived: Duration,
        reason: Reason,
        failing: bool,
    ) -> Option<Change> {
        self.changing(|this| {
            this.up = this.up.saturating_sub(1);
            this.drained = false;
            this.last = Some(reason);
            if this.up == 0 {
                this.tell(reason);
            }
            let wait = this.ended(now, lived, SOON.1, LATER);
            this.not_before = this.not_before.max(now + wait);
            if failing {
                this.circuit.stream_lost(now);
            }
        })
    }

    /// Leave to put a question that is waited for until `deadline`.
    ///
    /// # Errors
    /// Whether to wait, or the state's own reason.
    pub fn admit(&mut self, now: Instant, deadline: Instant) -> Result<Leave, Refused> {
        if deadline <= now {
            return Err(Refused::No(Reason::Deadline));
        }
        match self.state() {
            State::Draining | State::Opening { last: None, .. } => Err(Refused::Wait),
            State::Opening { last: Some(last), .. } => Err(Refused::No(last)),
            State::Open { why, .. } => self.circuit.admit(now, deadline).ok_or(Refused::No(why)),
            State::Up { .. } => {
                self.circuit.admit(now, deadline).ok_or(Refused::No(Reason::AgencyFailing))
            }
        }
    }

    /// What came of a question that had leave.
    pub fn settle(
        &mut self,
        now: Instant,
        leave: Leave,
        consumer: u64,
        outcome: Outcome,
    ) -> Option<Change> {
        self.changing(|this| {
            this.circuit.settle(now, leave, consumer, outcome);
        })
    }

    /// Time has passed. An open circuit that nobody tries is closed again.
    pub fn rest(&mut self, now: Instant) -> Option<Change> {
        self.changing(|this| this.circuit.rest(now))
    }

    fn changing(&mut self, act: impl FnOnce(&mut Self)) -> Option<Change> {
        let from = self.state();
        act(self);
        let to = self.state();
        let next = match to {
            State::Open { until, .. } => Some(until),
            _ => self.due(),
        };
        (!from.is_like(&to)).then_some(Change { from, to, next })
    }

    fn tell(&mut self, reason: Reason) {
        if !self.told.contains(&reason) {
            self.told.push(reason);
        }
    }

    /// A stream ended: how long to wait before the next attempt.
    fn ended(
        &mut self,
        now: Instant,
        lived: Duration,
        soon: Duration,
        later: Duration,
    ) -> Duration {
        if lived >= PROVEN {
            self.failures = 0;
            self.since = now;
            // Not all at the same moment.
            return WAIT - self.jitter.of(WAIT);
        }
        let wait = self.wait(now, soon, later);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    fn wait(&mut self, now: Instant, soon: Duration, later: Duration) -> Duration {
        let early = now.saturating_duration_since(self.since) < SOON.0;
        let most = if early { soon } else { later };
        let wait = (WAIT * 2_u32.saturating_pow(self.failures.min(16))).min(most);
        wait - self.jitter.of(wait / 4)
    }
}

/// Numbers that spread waits; not for secrets.
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    /// Some part of a time.
    fn of(&mut self, most: Duration) -> Duration {
        // An LCG (Knuth, MMIX); its upper bits are good enough.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let thousandths = u32::try_from((self.0 >> 33) % 1_000).unwrap_or(0);
        most * thousandths / 1_000
    }
}
