//! What a peer shows of its log, judged: whose log it is, whether it is signed, and whether it
//! goes on from what is held of it or of the log before it. What follows from that is the
//! business of [`super`].

use crate::config::audit::PinnedLog;
use crate::domain::audit::{Hash, MAX_ENTRY_BYTES, NoteError, Origin, SignedCheckpoint, TlogProof};
use crate::store::witness::{Contradiction, Succession, Witness, WitnessError};
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
    #[error("the first entry that the peer shows of its log has more than {MAX_ENTRY_BYTES} bytes")]
    Entry,
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error(transparent)]
    Witness(#[from] WitnessError),
}

impl Fault {
    /// `None` for a fault of this end.
    pub(super) fn standing(&self) -> Option<Standing> {
        match self {
            Self::NotPinned(_) | Self::Witness(WitnessError::Unproven { .. }) => {
                Some(Standing::NotPinned)
            }
            Self::Proof | Self::Entry | Self::Note(_) | Self::Witness(WitnessError::Note(_)) => {
                Some(Standing::NotSigned)
            }
            Self::Witness(found) => match found.contradiction()? {
                (_, Contradiction::Fork, _) => Some(Standing::Forked),
                (_, Contradiction::Rollback, _) => Some(Standing::RolledBack),
            },
        }
    }
}

/// Judges what a peer shows, and keeps its checkpoint if that goes on from what is held: of
/// that log or, where a note is all that speaks for it and nothing is held of it, of the one
/// before it.
pub(super) fn judge(
    held: &Witness,
    peer: &Peer,
    seen: &Seen,
    shown: &pb::ExchangeShowLog,
) -> Result<(), Fault> {
    let proof = hashes(&shown.consistency)?;
    // Whose log it claims to be; the signature is checked with that log's key.
    let named = SignedCheckpoint::parse_unverified(&shown.checkpoint)?;
    let origin = &named.checkpoint().origin;
    let log = peer.log(origin).ok_or_else(|| Fault::NotPinned(origin.clone()))?;
    if let Some(before) = &log.succeeds
        && held.held(&log.key)?.is_none()
    {
        return judge_succession(held, peer, (log, before), seen, shown);
    }
    held.offer(&log.key, asked(seen, origin), &shown.checkpoint, &proof)?;
    Ok(())
}

/// Judges the first that is shown of a log which must go on from the one `before`.
fn judge_succession(
    held: &Witness,
    peer: &Peer,
    (log, before): (&PinnedLog, &Origin),
    seen: &Seen,
    shown: &pb::ExchangeShowLog,
) -> Result<(), Fault> {
    let unproven = |missing| {
        let (origin, before) = (log.key.origin().clone(), before.clone());
        Fault::Witness(WitnessError::Unproven { origin, before, missing })
    };
    let Some(old) = peer.log(before) else {
        return Err(unproven("the log before it is not pinned here any more"));
    };
    let Some(succession) = &shown.succession else {
        return Err(unproven(
            "neither the last checkpoint of the log before nor the own first entry is there",
        ));
    };
    if succession.first_entry.len() > MAX_ENTRY_BYTES {
        return Err(Fault::Entry);
    }
    let (consistency, path) = (hashes(&succession.consistency)?, hashes(&succession.inclusion)?);
    // What is held of the first logs of a row binds the last one through those between.
    if held.held(&old.key)?.is_none() && is_held_above(held, peer, old)? {
        return Err(unproven(
            "a log between what was seen of its logs and this one was never shown here: compare the logs and pin this one by its own key",
        ));
    }
    let first = TlogProof {
        index: 0,
        entry: succession.first_entry.to_vec(),
        path,
        checkpoint: shown.checkpoint.clone(),
    };
    held.succeed(&Succession {
        old: &old.key,
        asked: asked(seen, before),
        last: &succession.checkpoint,
        consistency: &consistency,
        new: &log.key,
        first: &first,
    })?;
    Ok(())
}

/// Whether anything is held of the logs before one, as the notes name them.
fn is_held_above(held: &Witness, peer: &Peer, log: &PinnedLog) -> Result<bool, WitnessError> {
    let mut log = log;
    // Notes that went round would be refused where they are read.
    for _ in peer.logs() {
        let Some(above) = log.succeeds.as_ref().and_then(|above| peer.log(above)) else { break };
        if held.held(&above.key)?.is_some() {
            return Ok(true);
        }
        log = above;
    }
    Ok(false)
}

/// The size of a log that was held when the question was put.
fn asked(seen: &Seen, origin: &Origin) -> u64 {
    size(seen.iter().find(|(log, _)| log == origin).and_then(|(_, held)| held.as_ref()))
}

fn hashes(shown: &[bytes::Bytes]) -> Result<Vec<Hash>, Fault> {
    if shown.len() > MAX_HASHES {
        return Err(Fault::Proof);
    }
    let hash = |bytes: &bytes::Bytes| <[u8; 32]>::try_from(&**bytes).ok().map(Hash);
    shown.iter().map(hash).collect::<Option<Vec<Hash>>>().ok_or(Fault::Proof)
}
