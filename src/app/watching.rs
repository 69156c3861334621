//! Tasks that look at files about twice a second until the process stops, and at once
//! when it gets SIGHUP.

use std::time::Duration;

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

/// Looks at files, off the threads that serve requests.
pub(super) fn keep_looking(stop: &watch::Receiver<bool>, mut look: impl FnMut() + Send + 'static) {
    let mut stop = stop.clone();
    let mut hangup = Hangup::new();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = hangup.next() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let looked = tokio::task::spawn_blocking(move || {
                look();
                look
            });
            let Ok(same) = looked.await else { return };
            look = same;
        }
    });
}
