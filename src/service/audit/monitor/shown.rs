//! What a peer shows of its log, judged: whose log it is, whether it is signed, and whether it
//! goes on from what is held of it. What follows from that is the business of [`super`].

use crate::domain::audit::{Hash, NoteError, Origin, SignedCheckpoint};
use crate::store::witness::{Witness, WitnessError};
use crate::wire::proto::pb;

use super::peer::{Peer, Standing};

/// A consistency proof in a tree of 2^64 leaves has no more hashes.
const MAX_HASHES: usize = 64;

/// What was seen of each log when the question was put: its size, and the checkpoint that
/// is held of it.
pub(super) type Seen = Vec<(Origin, Option<SignedCheckpoint>)>;

pub(super) fn size(seen: Option<&SignedCheckpoint>) -> u64 {
    seen.map_or(0, |seen| seen.checkpoint().size)
}

/// Why a shown log is not taken up.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the peer shows the log `{0}`, which is not one of its own as pinned here")]
    NotPinned(Origin),
    #[error("the peer's proof has other than at most 64 hashes of 32 bytes")]
    Proof,
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error(transparent)]
    Witness(#[from] WitnessError),
}

impl Fault {
    /// `None` for a fault of this end.
    pub(super) const fn standing(&self) -> Option<Standing> {
        match self {
            Self::NotPinned(_) => Some(Standing::NotPinned),
            Self::Proof | Self::Note(_) | Self::Witness(WitnessError::Note(_)) => {
                Some(Standing::NotSigned)
            }
            Self::Witness(WitnessError::Fork { .. }) => Some(Standing::Forked),
            Self::Witness(WitnessError::Rollback { .. }) => Some(Standing::RolledBack),
            Self::Witness(WitnessError::Io { .. }) => None,
        }
    }
}

/// Judges what a peer shows, and keeps its checkpoint if that goes on from what is held.
pub(super) fn judge(
    held: &Witness,
    peer: &Peer,
    seen: &Seen,
    shown: &pb::ExchangeShowLog,
) -> Result<(), Fault> {
    if shown.consistency.len() > MAX_HASHES {
        return Err(Fault::Proof);
    }
    let hash = |bytes: &bytes::Bytes| <[u8; 32]>::try_from(&**bytes).ok().map(Hash);
    let proof: Option<Vec<Hash>> = shown.consistency.iter().map(hash).collect();
    let proof = proof.ok_or(Fault::Proof)?;
    // Whose log it claims to be; the signature is checked with that log's key.
    let named = SignedCheckpoint::parse_unverified(&shown.checkpoint)?;
    let origin = &named.checkpoint().origin;
    let key = peer.keys().iter().find(|key| key.origin() == origin);
    let key = key.ok_or_else(|| Fault::NotPinned(origin.clone()))?;
    let asked = seen.iter().find(|(log, _)| log == origin).and_then(|(_, held)| held.as_ref());
    held.offer(key, size(asked), &shown.checkpoint, &proof)?;
    Ok(())
}
