//! Tasks that look at files about twice a second until the process stops, and at once
//! when it gets SIGHUP.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How often files are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The order to look at once.
pub(super) struct Hangup(Option<Signal>);

impl Hangup {
    /// Where the system has no handler left, nobody can give the order.
    pub(super) fn new() -> Self {
        Self(signal(SignalKind::hangup()).ok())
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

type Look = Box<dyn FnMut() + Send>;

/// The looks at files of one process, all of them in one go: each round wakes one thread,
/// and an idle process sleeps between.
#[derive(Clone)]
pub(super) struct Rounds {
    looks: Arc<Mutex<Vec<Look>>>,
    stop: watch::Receiver<bool>,
}

impl Rounds {
    /// Begins, with nothing to look at yet, until `stop` turns true.
    pub(super) fn start(stop: &watch::Receiver<bool>) -> Self {
        let rounds = Self { looks: Arc::default(), stop: stop.clone() };
        tokio::spawn(rounds.clone().go());
        rounds
    }

    /// What ends them.
    pub(super) const fn stop(&self) -> &watch::Receiver<bool> {
        &self.stop
    }

    /// Looks at some files in each round, off the threads that serve requests.
    pub(super) fn keep_looking(&self, look: impl FnMut() + Send + 'static) {
        self.looks.lock().push(Box::new(look));
    }

    async fn go(self) {
        let Self { looks, mut stop } = self;
        let mut hangup = Hangup::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = hangup.next() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let looks = looks.clone();
            let round = move || {
                for look in &mut *looks.lock() {
                    // One that fails keeps no other from looking.
                    let _ = catch_unwind(AssertUnwindSafe(look));
                }
            };
            let _ = tokio::task::spawn_blocking(round).await;
        }
    }
}
