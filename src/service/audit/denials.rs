//! Which denials have a record of their own already. What a peer is denied again, under
//! the same grant, for the same reason and in the same window of its frequency, is counted
//! like a refusal without a grant, so that a log grows with releases and with minutes, and
//! not with requests.

use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use time::OffsetDateTime;

use crate::domain::grant::VerifiedGrant;
use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;
use crate::domain::section::SectionStatus;
use crate::service::lately::{Hash, Lately, hash};

/// For how long one record stands for those that follow it.
const WITHIN: Duration = Duration::from_secs(3600);

/// Denials of one half; some 8 MiB for both.
const MOST: usize = 1 << 16;

/// The denials of late.
#[derive(Debug)]
pub(super) struct Denials(Mutex<Lately<()>>);

impl Default for Denials {
    fn default() -> Self {
        Self(Mutex::new(Lately::new(WITHIN, MOST)))
    }
}

/// A peer and the grant under which it asks, at a time.
#[derive(Debug, Clone, Copy)]
pub struct Under<'a> {
    pub(super) peer: &'a SpiffeId,
    pub(super) grant: &'a VerifiedGrant,
    pub(super) utc: OffsetDateTime,
    pub(super) now: Instant,
}

impl Under<'_> {
    fn key(&self, reason: Reason) -> Hash {
        let grant = self.grant;
        let window = grant.window(self.utc).to_be_bytes();
        let (peer, issuer) = (self.peer.as_str(), grant.issuer().as_str());
        let (jti, reason) = (grant.jti().as_str(), reason.as_str());
        let [peer, issuer, jti, reason] = [peer, issuer, jti, reason].map(str::as_bytes);
        hash(&[peer, issuer, jti, reason, &window])
    }
}

impl Denials {
    /// Notes a denial; whether one like it was noted before. What is no denial may pass by
    /// itself, and has a record each time.
    pub(super) fn is_repeated(&self, under: &Under<'_>, reason: Reason) -> bool {
        reason.section_status() == SectionStatus::Denied
            && self.lately().note(under.key(reason), (), under.now).is_some()
    }

    /// Whether the grant's uses are known to be spent.
    pub(super) fn is_spent(&self, under: &Under<'_>) -> bool {
        self.lately().get(&under.key(Reason::FrequencyExhausted), under.now).is_some()
    }

    fn lately(&self) -> MutexGuard<'_, Lately<()>> {
        self.0.lock()
    }
}
