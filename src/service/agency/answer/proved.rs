//! The consumer's proof of its request at the agency: exactly what this gateway asks now was
//! asked by the consumer whom the grant names. The gateway's word counts for nothing.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock;
use crate::domain::audit::Hash;
use crate::domain::grant::VerifiedGrant;
use crate::domain::peer::PeerId;
use crate::domain::request_proof::{ProofFault, Proven, Wanted};
use crate::service::judge;
use crate::service::lately::{self, Lately, hash};
use crate::wire::fetch::FetchRequest;
use crate::wire::refusal::Refusal;

use super::Agency;

/// For how long a leaf is remembered: its 60 seconds, the 5 by which it may lie ahead, and some
/// by which our own clock may be set back.
const WITHIN: Duration = Duration::from_secs(75);

/// Leaves of one half; 16 MiB for both.
const MOST: usize = 1 << 17;

/// The leaves of late, each with the items that were asked under it. What is remembered is
/// bounded; beyond that the counters of uses find the same by the request's id.
#[derive(Debug)]
pub(super) struct Leaves(Mutex<Lately<lately::Hash>>);

impl Default for Leaves {
    fn default() -> Self {
        Self(Mutex::new(Lately::new(WITHIN, MOST)))
    }
}

impl Leaves {
    /// Notes that these items are asked under a leaf. One leaf asks one agency one thing.
    fn note(&self, leaf: &Hash, items: &[Box<str>]) -> Result<(), ProofFault> {
        let texts: Vec<&[u8]> = items.iter().map(|item| item.as_bytes()).collect();
        let (leaf, asked) = (hash(&[&leaf.0]), hash(&texts));
        match self.0.lock().note(leaf, asked, clock::now()) {
            Some(before) if before != asked => Err(ProofFault::Replayed),
            _ => Ok(()),
        }
    }
}

impl Agency {
    /// Holds a question against the proof that it came with.
    pub(super) fn check_proof(
        &self,
        gateway: &PeerId,
        question: &FetchRequest,
        grant: &VerifiedGrant,
    ) -> Result<(), Refusal> {
        let Some((proof, ids)) = &question.proof else { return Ok(()) };
        let mut items = ids.clone();
        items.sort_unstable();
        let wanted = Wanted { agency: self.parts.id.clone(), items };
        let by = self.parts.authority.proving();
        let request = Proven::under(grant, &question.request_id, gateway.spiffe(), by);
        let checked = proof.check(&request, &wanted);
        let noted = checked.and_then(|leaf| self.leaves.note(&leaf, &wanted.items));
        noted.map_err(|fault| judge::unproved(&fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_shown_again_for_the_same_items_alone() {
        let leaves = Leaves::default();
        let items = |ids: &[&str]| -> Vec<Box<str>> { ids.iter().map(|id| (*id).into()).collect() };
        let (one, other) = (Hash([1; 32]), Hash([2; 32]));
        assert_eq!(leaves.note(&one, &items(&["a.b", "c.d"])), Ok(()));
        assert_eq!(leaves.note(&one, &items(&["a.b", "c.d"])), Ok(()));
        for wrong in [&["a.b"][..], &["a.b", "c.d", "e.f"], &["a.bc.d"], &["c.d"]] {
            assert_eq!(leaves.note(&one, &items(wrong)), Err(ProofFault::Replayed));
        }
        assert_eq!(leaves.note(&other, &items(&["a.b"])), Ok(()));
    }
}
