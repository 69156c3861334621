//! Tasks that look at files about twice a second until the process stops.

use std::time::Duration;

use tokio::sync::watch;

/// How often files are looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks at files, off the threads that serve requests.
pub(super) fn keep_looking(stop: &watch::Receiver<bool>, mut look: impl FnMut() + Send + 'static) {
    let mut stop = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
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
