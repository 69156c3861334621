//! The request ids that consumers used of late, and for what: one that is used again for
//! something else is refused before any agency is asked, so that an id stands for one
//! request in every log.
//!
//! What is remembered is bounded; beyond that the agencies' counters find the same, which
//! outlive a process too.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::domain::grant::VerifiedGrant;
use crate::domain::item::ItemSet;
use crate::domain::names::RequestId;
use crate::service::lately::{Hash, Lately, hash};
use crate::store::frequency::REPEAT_WITHIN;

/// Ids of one half; 16 MiB for both.
const MOST: usize = 1 << 17;

/// The ids of late.
#[derive(Debug)]
pub struct Ids(Mutex<Lately<Hash>>);

impl Default for Ids {
    fn default() -> Self {
        let within = Duration::from_secs(REPEAT_WITHIN.unsigned_abs());
        Self(Mutex::new(Lately::new(within, MOST)))
    }
}

impl Ids {
    /// Notes that the grant's consumer uses an id for these items. False if it used it for
    /// another grant or other items, too lately.
    pub fn note(
        &self,
        id: &RequestId,
        grant: &VerifiedGrant,
        items: &ItemSet,
        now: Instant,
    ) -> bool {
        let consumer = grant.client().as_str().as_bytes();
        let key = hash(&[consumer, id.as_str().as_bytes()]);
        let (issuer, jti) = (grant.issuer().as_str(), grant.jti().as_str());
        let what = hash(&[issuer.as_bytes(), jti.as_bytes(), &items.to_bytes()]);
        let before = self.0.lock().note(key, what, now);
        before.is_none_or(|before| before == what)
    }
}
