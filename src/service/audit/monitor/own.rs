//! The own log, as it is shown to a peer: its newest checkpoint, and the proof that it goes
//! on from what the peer has seen. Who asked, and how often, is no matter of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::domain::audit::VerifyingKey;
use crate::domain::reason::Reason;
use crate::service::audit::recorder::Recorder;
use crate::store::proof::{ProveError, prove_consistency, published};
use crate::wire::proto::pb;

/// How long an own checkpoint is waited for that a peer has seen already: after a
/// loss of power publishing may have to catch up, within about a second.
const CATCH_UP: (u32, Duration) = (30, Duration::from_millis(100));

/// The own log, where it lies and by which key it is known.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) folder: PathBuf,
    pub(super) key: VerifyingKey,
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
}

/// Shows the own log, going on from a size that the peer has seen.
pub(super) async fn show(
    own: &Arc<Own>,
    claim: pb::SeenLog,
) -> Result<pb::ExchangeShowLog, ProveError> {
    let seen = claim.size;
    let (tries, wait) = CATCH_UP;
    let mut left = tries;
    loop {
        let (own, proved) = (own.clone(), own.clone());
        let proving = tokio::task::spawn_blocking(move || {
            let newest = published(&proved.folder, &proved.key)?;
            if newest.checkpoint().size < seen {
                return Ok::<_, ProveError>((newest, None));
            }
            let proof = prove_consistency(&proved.folder, &proved.key, seen)?;
            Ok((proof.checkpoint, Some(proof.hashes)))
        });
        let (checkpoint, hashes) = proving.await.map_err(|_| ProveError::Tiles)??;
        if hashes.is_none() && left > 0 && own.size() >= seen {
            left -= 1;
            tokio::time::sleep(wait).await;
            continue;
        }
        if hashes.is_none() {
            let size = checkpoint.checkpoint().size;
            // Our own signature under more than there is proves it; a peer's word does not.
            let signed = own.key.verify(&claim.checkpoint);
            if signed.is_ok_and(|signed| signed.checkpoint().size > own.size()) {
                own.rolled_back.store(true, Ordering::Release);
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
        let hashes = hashes.unwrap_or_default();
        return Ok(pb::ExchangeShowLog {
            checkpoint: checkpoint.as_str().to_owned(),
            consistency: hashes.iter().map(|hash| hash.0.to_vec().into()).collect(),
        });
    }
}
