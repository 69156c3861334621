//! How long an open connection may go on, and what handlers are told of it.
//!
//! A handshake proves an identity at one moment. Afterwards the certificate
//! expires, a revocation list names it, a trust domain is taken out: the chain is
//! verified again whenever the trust store is replaced and whenever what was
//! verified runs out.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::budget::HeldBytes;
use super::trust::{Trust, TrustError, TrustStore, Usage};
use crate::clock;
use crate::domain::peer::PeerId;
use crate::domain::reason::Reason;

/// Longest sleep before the time of day is read again: it may be set while we
/// sleep, and an expired certificate is to be noticed within ten seconds.
const CLOCK_CHECK: Duration = Duration::from_secs(5);

/// How a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Everything is in order.
    Open,
    /// The connection goes soon, for this reason: no new work, finish the old.
    Draining(Reason),
    /// The peer is no longer believed: release nothing.
    Distrusted,
}

/// The connection that a request came on. It stands in the request's extensions,
/// beside its [`PeerId`].
#[derive(Debug, Clone)]
pub struct Link {
    peer: PeerId,
    connection: u64,
    phase: watch::Receiver<Phase>,
    memory: HeldBytes,
    standstill: Duration,
}

impl Link {
    pub(super) const fn new(
        peer: PeerId,
        connection: u64,
        phase: watch::Receiver<Phase>,
        memory: HeldBytes,
        standstill: Duration,
    ) -> Self {
        Self { peer, connection, phase, memory, standstill }
    }

    /// How long a message that was begun may stand still.
    pub const fn standstill(&self) -> Duration {
        self.standstill
    }

    /// What the connection makes us hold.
    pub const fn memory(&self) -> &HeldBytes {
        &self.memory
    }

    /// Who is at the other end.
    pub const fn peer(&self) -> &PeerId {
        &self.peer
    }

    /// The connection's number, as it stands in log lines.
    pub const fn connection(&self) -> u64 {
        self.connection
    }

    /// How the connection stands now. A long stream asks before each release.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the peer is no longer believed, or the connection is gone.
    pub async fn distrusted(&self) {
        let mut phase = self.phase.clone();
        let _ = phase.wait_for(|phase| *phase == Phase::Distrusted).await;
    }

    /// Waits until the connection is to go. Whoever serves a long stream then
    /// sends its Drain message and finishes.
    pub async fn closing(&self) -> Phase {
        let mut phase = self.phase.clone();
        // An error means that the connection's task is gone, and the connection
        // with it.
        match phase.wait_for(|phase| *phase != Phase::Open).await {
            Ok(phase) => *phase,
            Err(_) => Phase::Draining(Reason::ConnectionAge),
        }
    }
}

/// A verified chain, watched.
pub(super) struct Believed {
    trust: Trust,
    changes: watch::Receiver<std::sync::Arc<TrustStore>>,
    chain: Vec<CertificateDer<'static>>,
    usage: Usage,
    until: OffsetDateTime,
}

impl Believed {
    /// `changes` was subscribed before the handshake, so that no replacement of
    /// the trust store falls in between.
    pub(super) const fn new(
        trust: Trust,
        changes: watch::Receiver<std::sync::Arc<TrustStore>>,
        chain: Vec<CertificateDer<'static>>,
        usage: Usage,
        until: OffsetDateTime,
    ) -> Self {
        Self { trust, changes, chain, usage, until }
    }

    /// Waits until the peer is no longer believed.
    pub(super) async fn lost(mut self) -> TrustError {
        loop {
            let left = self.until - clock::process().now().latest;
            // Certificates count whole seconds and are valid through the last.
            let left = Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1);
            // The sender lives as long as `self.trust`.
            let replaced = tokio::select! {
                changed = self.changes.changed() => changed.is_ok(),
                () = tokio::time::sleep(left) => false,
                () = clock::beat(CLOCK_CHECK) => false,
            };
            let now = clock::process().now().latest;
            if replaced || now > self.until {
                match self.trust.current().verify(&self.chain, self.usage, now) {
                    Ok(verified) => self.until = verified.until,
                    Err(error) => return error,
                }
            }
        }
    }
}
