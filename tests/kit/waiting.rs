//! Waiting for what will come true, and for what must not be hurried: nothing here
//! measures a machine. Only a hang reaches the bounds, and a failure says what was
//! seen last.

#![allow(dead_code, reason = "each suite uses what it needs")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpSocket;

/// Longer than anything may take on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The time that a request may take where its deadline is not what is tested: a
/// machine with much else to do may stop a process for seconds.
pub const UNHURRIED: Duration = Duration::from_secs(60);

/// Looks again and again until what is seen satisfies; gives it.
pub async fn until<T: Debug>(
    what: &str,
    mut look: impl AsyncFnMut() -> T,
    satisfies: impl Fn(&T) -> bool,
) -> T {
    let end = tributary::clock::now() + PATIENCE;
    loop {
        let seen = look().await;
        if satisfies(&seen) {
            return seen;
        }
        assert!(tributary::clock::now() < end, "in vain: {what}; seen last: {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Looks until what is seen is this.
pub async fn becomes<T: Debug + PartialEq<U>, U>(
    what: &str,
    expected: U,
    look: impl AsyncFnMut() -> T,
) {
    until(what, look, |seen| *seen == expected).await;
}

/// Fails where an event does not come at all.
pub async fn within<T>(event: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(PATIENCE, event).await;
    came.unwrap_or_else(|_| panic!("what was awaited did not come"))
}

/// A port of loopback that is kept: the system gives it to nobody who asks for any
/// port, nobody listens, and whoever asks for this very one gets it, any number of
/// times. So a test may say where something will be, or was, and still mean it.
#[derive(Debug)]
pub struct Reserved(TcpSocket);

impl Reserved {
    pub fn new() -> Self {
        Self::try_at(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
    }

    /// Keeps the port of what was told to end: its sockets are closed a moment later.
    pub async fn after(address: SocketAddr) -> Self {
        let keep = async || Self::try_at(address);
        until("the port of what has ended", keep, |kept| kept.is_ok()).await.unwrap()
    }

    fn try_at(address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self(socket))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}
