//! Why a long stream is to end, of whichever service.

use tokio::sync::watch;

use crate::link::validity::{Link, Phase};

/// What a stream is ended for when its peer is no longer believed: nothing more is
/// released on it.
pub const DISTRUSTED: &str = "DISTRUSTED";

/// Waits until the process stops, the connection is to go, or the peer is no
/// longer believed, and says which. One future serves a stream's whole life.
pub async fn ending(link: &Link, stop: &mut watch::Receiver<bool>) -> &'static str {
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => "STOPPING",
        phase = link.closing() => match phase {
            Phase::Distrusted => DISTRUSTED,
            Phase::Open | Phase::Draining => "CONNECTION_AGE",
        },
    }
}
