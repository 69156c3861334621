//! The swap of checkpoints: gateway and agencies are each other's witnesses.
//!
//! On each Exchange stream either side asks the other to show that its audit log
//! goes on from what was seen of it, and keeps the highest checkpoint. A log that
//! was forked, put back to an older copy or exchanged for another cannot, and is
//! named. Signature, origin and proof are checked in [`shown`] and in `store::witness`;
//! nothing is believed because a peer said so.
//!
//! Here is the list of the peers and what an end knows of all of them; of one it is in
//! [`peer`], and [`swap`] is the part of one stream.

mod own;
mod peer;
mod shown;
mod swap;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::config::audit::{OnContradiction, PinnedLog, PinnedLogs};
use crate::domain::audit::{Origin, VerifyingKey};
use crate::domain::peer::SpiffeId;
use crate::service::audit::recorder::Recorder;
use crate::store::witness::{Contradiction, Witness};
use crate::wire::refusal::Refusal;

use self::own::Own;
pub use self::peer::{Peer, Standing};
use self::shown::Fault;
pub use self::swap::Swap;

/// Everything that an end knows of its peers' logs, and its own log to show.
#[derive(Debug)]
pub struct Witnesses {
    /// Replaced as a whole when another log goes on from it.
    own: ArcSwap<Own>,
    held: Witness,
    every: Duration,
    /// Replaced as a whole when pins change.
    peers: ArcSwap<HashMap<SpiffeId, Arc<Peer>>>,
    changes: watch::Sender<u64>,
    /// Whether a contradiction is a reason to refuse.
    refuse: bool,
}

impl Witnesses {
    /// Shows the recorder's log, which lies in `folder` and has this key, and where it goes
    /// on from another `before`, that this is so; keeps what peers show in `held`.
    #[expect(clippy::too_many_arguments, reason = "each is another thing, named where it is given")]
    pub fn new(
        recorder: &Arc<Recorder>,
        folder: PathBuf,
        key: VerifyingKey,
        before: Option<(PathBuf, VerifyingKey)>,
        held: Witness,
        pinned: Vec<PinnedLogs>,
        every: Duration,
        reaction: OnContradiction,
    ) -> Self {
        let refuse = reaction == OnContradiction::Refuse;
        let witnesses = Self {
            own: ArcSwap::from_pointee(Own {
                folder,
                key,
                before,
                recorder: Arc::downgrade(recorder),
                rolled_back: AtomicBool::new(false),
            }),
            held,
            every,
            peers: ArcSwap::default(),
            changes: watch::channel(0).0,
            refuse,
        };
        witnesses.replace(pinned);
        witnesses
    }

    /// Shows this log of the recorder's from now on, which goes on from the one `before`. Its
    /// first entry must be published.
    pub fn turn(
        &self,
        folder: PathBuf,
        key: VerifyingKey,
        before: Option<(PathBuf, VerifyingKey)>,
    ) {
        let shown = self.own.load();
        let recorder = shown.recorder.clone();
        // Peers that refuse the log before refuse its owner, whatever it begins.
        let rolled_back = AtomicBool::new(shown.rolled_back.load(Ordering::Acquire));
        self.own.store(Arc::new(Own { folder, key, before, recorder, rolled_back }));
    }

    /// Knows these peers from now on. What was seen of one stays known, unless its logs
    /// are others.
    pub fn replace(&self, pinned: Vec<PinnedLogs>) {
        let before = self.peers.load_full();
        let peers = pinned.into_iter().map(|PinnedLogs { identity, logs }| {
            let peer = match before.get(&identity) {
                Some(known) if known.logs() == logs => known.clone(),
                _ => Arc::new(self.begin(identity.clone(), logs)),
            };
            (identity, peer)
        });
        self.peers.store(Arc::new(peers.collect()));
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A peer of which nothing has been seen with these logs but what is kept.
    fn begin(&self, identity: SpiffeId, logs: Vec<PinnedLog>) -> Peer {
        // Found before a restart, and nobody has taken the evidence away.
        let standing = match logs.iter().find_map(|log| self.held.contradicted(&log.key)) {
            None => Standing::Unseen,
            Some(Contradiction::Fork) => Standing::Forked,
            Some(Contradiction::Rollback) => Standing::RolledBack,
        };
        if let Some(reason) = standing.fault() {
            tracing::error!(%reason, peer = %identity, "its log contradicted itself before");
        }
        Peer::new(identity, logs, standing, self.refuse)
    }

    /// Whether the own log is known to have been put back to an older copy, so that peers
    /// refuse everything that it would record.
    pub fn own_is_rolled_back(&self) -> bool {
        self.refuse && self.own.load().rolled_back.load(Ordering::Acquire)
    }

    /// The own log's origin.
    pub fn origin(&self) -> Origin {
        self.own.load().key.origin().clone()
    }

    /// A peer, if its logs are pinned.
    pub fn peer(&self, identity: &SpiffeId) -> Option<Arc<Peer>> {
        self.peers.load().get(identity).cloned()
    }

    /// Every peer whose logs are pinned.
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.peers.load().values().cloned().collect()
    }

    /// Is told each time a peer's standing changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How often a peer is asked.
    pub const fn every(&self) -> Duration {
        self.every
    }

    /// Refuses a peer whose log contradicts what was seen of it.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`.
    pub fn check(&self, identity: &SpiffeId) -> Result<(), Refusal> {
        match self.peers.load().get(identity).and_then(|peer| peer.barred()) {
            None => Ok(()),
            Some(reason) => {
                let message = "the audit log that you show is not the one that was seen before";
                Err(Refusal::new(reason, message))
            }
        }
    }

    /// Keeps the evidence of a contradiction beside what is held of the log.
    async fn keep_evidence(&self, peer: &Arc<Peer>, fault: Fault) {
        let (held, peer) = (self.held.clone(), peer.clone());
        let kept = tokio::task::spawn_blocking(move || {
            let Fault::Witness(found) = fault else { return };
            let Some((origin, ..)) = found.contradiction() else { return };
            let Some(log) = peer.log(origin) else { return };
            if let Err(error) = held.keep_evidence(&log.key, &found) {
                tracing::error!(peer = %peer.identity(), "the evidence against a peer's log cannot be kept, so that a restart forgets it: {error}");
            }
        });
        let _ = kept.await;
    }

    /// Whether that is new.
    fn set(&self, peer: &Peer, standing: Standing) -> bool {
        let new = peer.set(standing);
        if new {
            self.changes.send_modify(|count| *count = count.wrapping_add(1));
        }
        new
    }
}
