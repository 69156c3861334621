//! One endpoint's [state](Endpoint), shared by those who ask and the one who keeps its
//! streams, and the log line of each change.

use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock;
use crate::domain::catalogue::AgencyId;
use crate::domain::reason::Reason;

use super::circuit::{Leave, Outcome};
use super::endpoint::{Change, Endpoint, Refused, State};

/// One endpoint's state.
#[derive(Debug)]
pub struct Gate {
    agency: AgencyId,
    address: String,
    endpoint: Mutex<Endpoint>,
    /// Since when it is not asked, if it was before.
    away: Mutex<Option<Instant>>,
    /// Counts changes; for those who wait for one.
    changes: watch::Sender<u64>,
}

impl Gate {
    /// The state of an endpoint of this agency, which `changes` is told of.
    pub const fn new(
        agency: AgencyId,
        address: String,
        endpoint: Endpoint,
        changes: watch::Sender<u64>,
    ) -> Self {
        Self { agency, address, endpoint: Mutex::new(endpoint), away: Mutex::new(None), changes }
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.endpoint.lock().state()
    }

    /// Counts the changes of state of this agency's endpoints.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// When the next attempt to connect may begin.
    pub fn due(&self) -> Option<Instant> {
        self.endpoint.lock().due()
    }

    /// Begins an attempt to connect, if one is due.
    pub fn begin(&self) -> bool {
        self.endpoint.lock().begin(clock::now())
    }

    /// Leave to put a question.
    ///
    /// # Errors
    /// As [`Endpoint::admit`].
    pub fn admit(&self, now: Instant, deadline: Instant) -> Result<Leave, Refused> {
        self.endpoint.lock().admit(now, deadline)
    }

    /// What came of a question that had leave.
    pub fn settle(&self, now: Instant, leave: Leave, consumer: u64, outcome: Outcome) {
        self.change("", |endpoint| endpoint.settle(now, leave, consumer, outcome));
    }

    /// Lets something happen to it, and tells if that changed its state. `cause` is for
    /// people.
    pub fn change(&self, cause: &str, event: impl FnOnce(&mut Endpoint) -> Option<Change>) {
        let change = event(&mut self.endpoint.lock());
        let Some(change) = change else { return };
        self.tell(&change, cause);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn tell(&self, change: &Change, cause: &str) {
        if matches!(change.from, State::Up { .. } | State::Draining) {
            self.away.lock().get_or_insert_with(clock::now);
        }
        let (agency, endpoint) = (&self.agency, &self.address);
        let wait = change.next.map(|next| next.saturating_duration_since(clock::now()));
        let next_ms = wait.unwrap_or_default().as_millis();
        match change.to {
            State::Up { .. } if change.from == State::Draining => {
                tracing::debug!(%agency, endpoint, "a new connection replaces the drained ones");
            }
            State::Up { .. } => {
                let before = match change.from {
                    State::Opening { last, .. } => last.map(Reason::as_str),
                    State::Open { why, .. } => Some(why.as_str()),
                    State::Up { .. } | State::Draining => None,
                };
                let away = self.away.lock().take();
                let after_ms =
                    away.and_then(|since| u64::try_from(since.elapsed().as_millis()).ok());
                tracing::info!(
                    %agency, endpoint, before, after_ms,
                    "agency is asked at this endpoint"
                );
            }
            State::Draining => {
                tracing::debug!(%agency, endpoint, "agency drains its connections; opening another");
            }
            State::Opening { last, .. } => {
                let reason = last.map(Reason::as_str);
                tracing::warn!(
                    %agency, endpoint, reason, next_ms,
                    "agency not reachable at this endpoint, trying again: {cause}"
                );
            }
            State::Open { why, .. } => {
                let reason = why.as_str();
                tracing::warn!(
                    %agency, endpoint, reason, next_ms,
                    "circuit breaker opened: at least half of the newest questions failed; \
                     one question at a time will try"
                );
            }
        }
    }
}
