//! A bounded memory of signed heads whose signature holds, so that another request under one
//! costs a few hashes. Only what a consumer's own key has signed takes up room. Nothing that
//! can change is remembered, and no refusal is: gateway and time are looked at each time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::fault::ProofFault;
use super::head::ProofHead;
use crate::domain::grant::{JwsKey, digest};

/// Heads of one half: some 300 bytes each.
const MOST: usize = 4096;

/// A head, and the key that signed it.
#[derive(Debug)]
struct Known {
    key: JwsKey,
    head: ProofHead,
}

type Half = HashMap<[u8; 32], Arc<Known>>;

/// The memory. Its lock is held for a look-up only.
#[derive(Debug, Default)]
pub struct VerifiedHeads(Mutex<Halves>);

/// Two generations: when the young one is full, the old one is dropped.
#[derive(Debug, Default)]
struct Halves {
    young: Half,
    old: Half,
}

impl VerifiedHeads {
    /// As [`ProofHead::verify`], from memory where this key's signature was checked before.
    ///
    /// # Errors
    /// As [`ProofHead::verify`].
    pub fn verify(&self, token: &str, key: &JwsKey) -> Result<ProofHead, ProofFault> {
        let digest = digest(token);
        if let Some(known) = self.0.lock().get(&digest).filter(|known| known.key == *key) {
            return Ok(known.head.clone());
        }
        let head = ProofHead::verify(token, key)?;
        self.0.lock().insert(digest, Known { key: key.clone(), head: head.clone() });
        Ok(head)
    }

    /// How many heads are remembered.
    pub fn len(&self) -> usize {
        let halves = self.0.lock();
        halves.young.len() + halves.old.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Halves {
    fn get(&self, digest: &[u8; 32]) -> Option<Arc<Known>> {
        self.young.get(digest).or_else(|| self.old.get(digest)).cloned()
    }

    fn insert(&mut self, digest: [u8; 32], known: Known) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, Arc::new(known));
    }
}
