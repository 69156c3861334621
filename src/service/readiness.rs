//! Whether this process would answer, and if not, why.
//!
//! It is not ready while every request would be refused for a cause of its own: then
//! others may take its place. What all replicas share, such as an issuer that cannot be
//! reached, takes none of them out: it shows under a name of its own ([`Health`]).
//!
//! Each check is a look at what is known already, and costs next to nothing.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::clock;
use crate::domain::reason::Reason;
use crate::service::health::{Health, Several};

/// The check that every process has: it is not being stopped.
pub const RUNNING: &str = "running";

/// Why nothing would be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// The reason that requests are refused with, or that the log has.
    pub reason: Reason,
    /// What is wrong and what to do.
    pub what: &'static str,
}

type Look = Box<dyn Fn() -> Option<Cause> + Send + Sync>;

/// What a process holds itself against.
pub struct Readiness {
    checks: Vec<(&'static str, Look)>,
    stop: watch::Receiver<bool>,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|(name, _)| name)).finish()
    }
}

impl Readiness {
    /// Of a process that is ready until `stop` turns true.
    pub const fn new(stop: watch::Receiver<bool>) -> Self {
        Self { checks: Vec::new(), stop }
    }

    /// With one more check. `look` gives what is wrong now; it must not wait.
    #[must_use]
    pub fn with(
        mut self,
        name: &'static str,
        look: impl Fn() -> Option<Cause> + Send + Sync + 'static,
    ) -> Self {
        self.checks.push((name, Box::new(look)));
        self
    }

    /// Every check with what is wrong there now.
    pub fn look(&self) -> Vec<(&'static str, Option<Cause>)> {
        let stopping = Cause { reason: Reason::Stopping, what: "the process is being stopped" };
        let running = (RUNNING, self.stop.borrow().then_some(stopping));
        let checks = self.checks.iter().map(|(name, look)| (*name, look()));
        std::iter::once(running).chain(checks).collect()
    }

    /// Why it is not ready, if it is not: the first of its causes.
    pub fn cause(&self) -> Option<Cause> {
        self.look().into_iter().find_map(|(_, cause)| cause)
    }

    /// What tells health, under the empty name and that of the service: it did so once, and is
    /// to be called about twice a second from then on, until the process stops; that health
    /// knows by itself. `beside` are other names whose state only time changes.
    pub fn teller(
        self: &Arc<Self>,
        health: Health,
        service: &'static str,
        beside: impl Fn() -> Vec<(String, ServingStatus)> + Send + 'static,
    ) -> impl FnMut() + Send + 'static {
        let readiness = self.clone();
        let (mut told, mut names) = (Told::default(), Several::of(health));
        let mut tell = move || {
            let cause = readiness.cause();
            let status = match cause {
                None => ServingStatus::Serving,
                Some(_) => ServingStatus::NotServing,
            };
            let own = ["", service].map(|name| (name.to_owned(), status));
            names.say(own.into_iter().chain(beside()).collect());
            told.log(cause);
        };
        tell();
        tell
    }
}

/// What the log was told last.
#[derive(Debug, Default)]
struct Told(Option<(Cause, std::time::Instant)>);

impl Told {
    /// A change is one line.
    fn log(&mut self, cause: Option<Cause>) {
        match (&self.0, cause) {
            (None, Some(now)) => {
                let reason = now.reason;
                tracing::error!(%reason, "not ready, every request is refused: {}", now.what);
                self.0 = Some((now, clock::now()));
            }
            (Some((before, since)), Some(now)) if *before != now => {
                let reason = now.reason;
                if reason != Reason::Stopping {
                    tracing::error!(%reason, "still not ready: {}", now.what);
                }
                self.0 = Some((now, *since));
            }
            (Some((_, since)), None) => {
                let after_s = clock::now().saturating_duration_since(*since).as_secs();
                tracing::info!(after_s, "ready again");
                self.0 = None;
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn every_cause_is_named_and_a_stop_is_one() {
        let (stop, stopped) = watch::channel(false);
        let full = Arc::new(AtomicBool::new(false));
        let seen = full.clone();
        let cause = Cause { reason: Reason::AuditDown, what: "full" };
        let readiness = Readiness::new(stopped)
            .with("log", move || seen.load(Ordering::Relaxed).then_some(cause));
        assert_eq!(readiness.look(), [(RUNNING, None), ("log", None)]);
        full.store(true, Ordering::Relaxed);
        assert_eq!(readiness.cause(), Some(cause));
        stop.send_replace(true);
        let reasons = readiness.look().into_iter().filter_map(|(_, cause)| Some(cause?.reason));
        assert_eq!(reasons.collect::<Vec<_>>(), [Reason::Stopping, Reason::AuditDown]);
    }
}
