//! What an accept loop does when the system refuses to accept: wait, longer each
//! time, instead of burning a core (no file descriptors left, mostly).

use std::io;
use std::time::Duration;

use crate::domain::reason::Reason;

/// First and longest pause.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_millis(500);

/// The pause that comes next.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Pause {
    /// Waits after a failed accept; not at all if the peer only gave up while it
    /// waited to be accepted.
    pub(super) async fn after(&mut self, error: &io::Error) {
        if is_peers(error) {
            return;
        }
        tracing::warn!(
            reason = %Reason::AcceptFailed,
            %error,
            pause_ms = self.0.as_millis(),
            "cannot accept connections: pausing; if file descriptors ran out, raise the limit"
        );
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST);
    }
}

fn is_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
