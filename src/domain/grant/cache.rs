//! A bounded memory of grants whose signature and digests hold.
//!
//! Keyed by the SHA-256 of the exact presentation, so that a grant with another
//! disclosure is another grant. Nothing that can change is remembered, and no
//! refusal is: every use is authorised anew.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::GrantError;
use super::presentation::{MAX_BYTES, PresentationDigest};
use super::presented::Presented;
use super::signed::SignedGrant;
use super::verified::{Context, VerifiedGrant};

const SHARDS: usize = 16;

/// Bytes of a presentation for which one place is taken.
const PLACE: usize = 16 * 1024;

/// Two generations: what is used moves to the young one, and when that is full
/// the old one is dropped.
#[derive(Debug, Default)]
struct Shard {
    young: HashMap<PresentationDigest, Arc<SignedGrant>>,
    old: HashMap<PresentationDigest, Arc<SignedGrant>>,
    /// Places that the young ones take.
    taken: usize,
}

impl Shard {
    fn get(&mut self, digest: &PresentationDigest, half: usize) -> Option<Arc<SignedGrant>> {
        if let Some(found) = self.young.get(digest) {
            return Some(Arc::clone(found));
        }
        let found = self.old.remove(digest)?;
        self.insert(*digest, Arc::clone(&found), half);
        Some(found)
    }

    fn insert(&mut self, digest: PresentationDigest, grant: Arc<SignedGrant>, half: usize) {
        let places = grant.bytes().div_ceil(PLACE);
        if self.taken + places > half && self.taken > 0 {
            self.old = std::mem::take(&mut self.young);
            self.taken = 0;
        }
        if self.young.insert(digest, grant).is_none() {
            self.taken += places;
        }
    }
}

/// The cache. Shared by reference; its locks are held for a look-up only.
#[derive(Debug)]
pub struct GrantCache {
    shards: Vec<Mutex<Shard>>,
    /// Places of one generation of one shard.
    half: usize,
}

impl GrantCache {
    /// A cache with `capacity` places, and never fewer than 32. A grant takes one
    /// for every 16 KiB or part of it, and of memory about three times its bytes.
    pub fn new(capacity: usize) -> Self {
        let half = (capacity / SHARDS / 2).max(1);
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), half }
    }

    /// A grant with this digest, if it is remembered.
    pub fn get(&self, digest: &PresentationDigest) -> Option<Arc<SignedGrant>> {
        let shard = self.shard(digest)?;
        shard.lock().get(digest, self.half)
    }

    /// Remembers a grant.
    pub fn insert(&self, grant: Arc<SignedGrant>) {
        if let Some(shard) = self.shard(&grant.digest()) {
            shard.lock().insert(grant.digest(), grant, self.half);
        }
    }

    /// Verifies what was presented: signature and digests from memory if they were
    /// checked before, everything else anew.
    ///
    /// # Errors
    /// As [`SignedGrant::check`] and [`SignedGrant::authorise`];
    /// [`GrantError::Unknown`] for a digest of none that is remembered.
    pub fn verify<'a>(
        &self,
        presented: impl Into<Presented<&'a [u8]>>,
        context: &Context<'_>,
    ) -> Result<VerifiedGrant, GrantError> {
        let presentation = match presented.into() {
            Presented::Whole(presentation) => presentation,
            Presented::Digest(digest) => {
                return self.get(&digest).ok_or(GrantError::Unknown)?.authorise(context);
            }
        };
        if presentation.len() > MAX_BYTES {
            return Err(GrantError::Size);
        }
        if let Some(known) = self.get(&PresentationDigest::of(presentation)) {
            return known.authorise(context);
        }
        let signed = Arc::new(SignedGrant::check(presentation, context.pins)?);
        let verified = signed.authorise(context)?;
        // Only what someone may use takes up room.
        self.insert(signed);
        Ok(verified)
    }

    /// How many grants are remembered.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                let shard = shard.lock();
                shard.young.len() + shard.old.len()
            })
            .sum()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, digest: &PresentationDigest) -> Option<&Mutex<Shard>> {
        let first = digest.0.first().copied().unwrap_or_default();
        self.shards.get(usize::from(first) % SHARDS)
    }
}
