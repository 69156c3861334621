//! Threads that look at files about twice a second until the process stops, and at once
//! when it gets SIGHUP. A look takes one waking of one thread: no thread that serves
//! requests takes part.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::clock::until_beat;

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
    /// Its sender goes with the thread.
    lives: watch::Receiver<()>,
}

impl Rounds {
    /// Begins, with nothing to look at yet, until `stop` turns true.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(stop: &watch::Receiver<bool>) -> std::io::Result<Self> {
        Self::every(LOOK_EVERY, stop)
    }

    /// The same, with other pauses between the rounds.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(super) fn every(pause: Duration, stop: &watch::Receiver<bool>) -> std::io::Result<Self> {
        let (order, orders) = sync_channel(1);
        let (alive, lives) = watch::channel(());
        let looks = Arc::<Mutex<Vec<Look>>>::default();
        let (kept, runtime) = (looks.clone(), Handle::current());
        std::thread::Builder::new().name("file-looks".to_owned()).spawn(move || {
            // What a look begins runs where requests are served.
            let _entered = runtime.enter();
            go(&kept, &orders, pause);
            kept.lock().clear();
            drop(alive);
        })?;
        let mut stopped = stop.clone();
        tokio::spawn(async move {
            let mut hangup = Hangup::new();
            loop {
                tokio::select! {
                    // One that waits already is as good as two.
                    () = hangup.next() => drop(order.try_send(())),
                    _ = stopped.wait_for(|stop| *stop) => return,
                }
            }
        });
        Ok(Self { looks, stop: stop.clone(), lives })
    }

    /// What ends them.
    pub(super) const fn stop(&self) -> &watch::Receiver<bool> {
        &self.stop
    }

    /// Looks at some files in each round, off the threads that serve requests.
    pub(super) fn keep_looking(&self, look: impl FnMut() + Send + 'static) {
        self.looks.lock().push(Box::new(look));
    }

    /// Waits until they were told to stop and the last look is over.
    pub(super) async fn ended(mut self) {
        while self.lives.changed().await.is_ok() {}
    }
}

/// Looks until nobody can give orders any more.
fn go(looks: &Mutex<Vec<Look>>, orders: &Receiver<()>, pause: Duration) {
    while orders.recv_timeout(until_beat(pause)) != Err(RecvTimeoutError::Disconnected) {
        for look in &mut *looks.lock() {
            // One that fails keeps no other from looking.
            let _ = catch_unwind(AssertUnwindSafe(look));
        }
    }
}
