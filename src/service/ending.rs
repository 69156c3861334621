//! Why a long stream is to end, of whichever service.

use tokio::sync::watch;

use crate::domain::reason::Reason;
use crate::link::validity::{Link, Phase};

/// Waits until the process stops, the connection is to go, or the peer is no
/// longer believed, and says which: nothing where the peer is no longer believed, for
/// then nothing more is released on the stream. One future serves a stream's whole life.
pub async fn ending(link: &Link, stop: &mut watch::Receiver<bool>) -> Option<Reason> {
    tokio::select! {
        // A connection goes because the process stops, so that is asked first.
        biased;
        _ = stop.wait_for(|stop| *stop) => Some(Reason::Stopping),
        phase = link.closing() => match phase {
            Phase::Distrusted => None,
            Phase::Draining(reason) => Some(reason),
            // Not what was waited for.
            Phase::Open => Some(Reason::ConnectionAge),
        },
    }
}
