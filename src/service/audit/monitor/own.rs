//! The own log, as it is shown to a peer: its newest checkpoint, and the proof that it goes
//! on from what the peer has seen, of this log or of the one before it. Who asked, and how
//! often, is no matter of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::config::audit::MAX_LOGS;
use crate::domain::audit::{Hash, SignedCheckpoint, TlogProof, VerifyingKey};
use crate::domain::reason::Reason;
use crate::service::audit::recorder::Recorder;
use crate::store::proof::{ProveError, prove, prove_consistency, published};
use crate::wire::proto::pb;

/// How long an own checkpoint is waited for that a peer has seen already: after a
/// loss of power publishing may have to catch up, within about a second.
const CATCH_UP: (u32, Duration) = (30, Duration::from_millis(100));

/// The own log, where it lies and by which key it is known.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) folder: PathBuf,
    pub(super) key: VerifyingKey,
    /// The log from which it goes on, which has ended.
    pub(super) before: Option<(PathBuf, VerifyingKey)>,
    /// Weak, for the log is closed when its recorder goes.
    pub(super) recorder: Weak<Recorder>,
    /// A peer has shown our own signature under more than there is.
    pub(super) rolled_back: AtomicBool,
}

impl Own {
    /// How many entries there are, published or not.
    fn size(&self) -> u64 {
        self.recorder.upgrade().map_or(0, |recorder| recorder.size())
    }

    /// Notes that a peer says it has seen more of a log of ours, which has this key, than
    /// there is. Our own signature proves it; a peer's word does not.
    fn note_claim(
        &self,
        key: Option<&VerifyingKey>,
        claim: &pb::SeenLog,
        newest: &SignedCheckpoint,
    ) {
        let (seen, size) = (claim.size, newest.checkpoint().size);
        let is_current = key == Some(&self.key);
        // What is not published yet is there all the same; a log that has ended has no more.
        let all = if is_current { self.size() } else { size };
        let signed = key.and_then(|key| key.verify(&claim.checkpoint).ok());
        if signed.is_some_and(|signed| signed.checkpoint().size > all) {
            self.rolled_back.store(true, Ordering::Release);
            tracing::error!(
                reason = %Reason::LogRolledBack,
                seen,
                size,
                "a peer has seen more of the own audit log than there is: it was put back to an older copy"
            );
        } else {
            tracing::info!(
                seen,
                size,
                "a peer claims to have seen more of the own audit log than there is, without proof"
            );
        }
    }
}

/// What a peer says that it has seen of the own logs.
#[derive(Debug, Default)]
pub(super) struct Claims {
    now: pb::SeenLog,
    before: pb::SeenLog,
}

impl Claims {
    /// Out of a question.
    pub(super) fn of(question: pb::ExchangeAskLog, own: &Own) -> Self {
        let mut claims = Self::default();
        let before = own.before.as_ref().map(|(_, key)| key.origin().as_str());
        for seen in question.seen.into_iter().take(MAX_LOGS) {
            if seen.origin == own.key.origin().as_str() {
                claims.now = seen;
            } else if before == Some(seen.origin.as_str()) {
                claims.before = seen;
            }
        }
        claims
    }
}

/// What is shown now: a published checkpoint, and the proof that it goes on from what was
/// seen; no proof where the log has less than that.
type Shown = (SignedCheckpoint, Option<Vec<Hash>>);

/// Shows the own log, going on from what the peer has seen of it, or of the log before it.
pub(super) async fn show(
    own: &Arc<Own>,
    claims: Claims,
) -> Result<pb::ExchangeShowLog, ProveError> {
    let Claims { now, before } = claims;
    if now.size == 0 && own.before.is_some() {
        let (proved, asked) = (own.clone(), before.size);
        let proving = tokio::task::spawn_blocking(move || begun(&proved, asked));
        match proving.await.map_err(|_| ProveError::Tiles)? {
            Ok((first, last, hashes)) => {
                if hashes.is_none() {
                    own.note_claim(own.before.as_ref().map(|(_, key)| key), &before, &last);
                }
                return Ok(pb::ExchangeShowLog {
                    checkpoint: first.checkpoint,
                    consistency: Vec::new(),
                    succession: Some(pb::LogSuccession {
                        checkpoint: last.as_str().to_owned(),
                        consistency: bytes(&hashes.unwrap_or_default()),
                        first_entry: first.entry.into(),
                        inclusion: bytes(&first.path),
                    }),
                });
            }
            // Whoever has pinned the key itself goes on with that.
            Err(error) => {
                tracing::error!(
                    "how the audit log goes on from the one before it cannot be shown to a peer: {error}"
                );
            }
        }
    }
    let (seen, (tries, wait)) = (now.size, CATCH_UP);
    let mut left = tries;
    loop {
        let (own, proved) = (own.clone(), own.clone());
        let proving =
            tokio::task::spawn_blocking(move || goes_on(&proved.folder, &proved.key, seen));
        let (checkpoint, hashes) = proving.await.map_err(|_| ProveError::Tiles)??;
        if hashes.is_none() && left > 0 && own.size() >= seen {
            left -= 1;
            tokio::time::sleep(wait).await;
            continue;
        }
        if hashes.is_none() {
            own.note_claim(Some(&own.key), &now, &checkpoint);
        }
        return Ok(pb::ExchangeShowLog {
            checkpoint: checkpoint.as_str().to_owned(),
            consistency: bytes(&hashes.unwrap_or_default()),
            succession: None,
        });
    }
}

/// That a log goes on from the size that was seen of it.
fn goes_on(folder: &Path, key: &VerifyingKey, seen: u64) -> Result<Shown, ProveError> {
    let newest = published(folder, key)?;
    if newest.checkpoint().size < seen {
        return Ok((newest, None));
    }
    let proof = prove_consistency(folder, key, seen)?;
    Ok((proof.checkpoint, Some(proof.hashes)))
}

/// The log's first entry under its newest checkpoint, and the end of the log before, going on
/// from the size that was seen of that.
fn begun(
    own: &Own,
    seen: u64,
) -> Result<(TlogProof, SignedCheckpoint, Option<Vec<Hash>>), ProveError> {
    let Some((folder, key)) = &own.before else { return Err(ProveError::Tiles) };
    let (last, hashes) = goes_on(folder, key, seen)?;
    Ok((prove(&own.folder, &own.key, 0)?, last, hashes))
}

fn bytes(hashes: &[Hash]) -> Vec<bytes::Bytes> {
    hashes.iter().map(|hash| hash.0.to_vec().into()).collect()
}
