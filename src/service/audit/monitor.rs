//! The swap of checkpoints: gateway and agencies are each other's witnesses.
//!
//! On each Exchange stream either side asks the other to show that its audit log
//! goes on from what was seen of it, and keeps the highest checkpoint. A log that
//! was forked, put back to an older copy or exchanged for another cannot, and is
//! named. Signature, origin and proof are checked here and in `store::witness`;
//! nothing is believed because a peer said so.
//!
//! How the messages travel is the business of [`crate::service::agency::exchange`] and
//! [`crate::service::agencies::stream`].

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::config::audit::{MAX_LOGS, OnContradiction, PinnedLogs};
use crate::domain::audit::{Hash, NoteError, Origin, SignedCheckpoint, VerifyingKey};
use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;
use crate::service::audit::recorder::Recorder;
use crate::store::proof::{ProveError, prove_consistency, published};
use crate::store::witness::{Contradiction, Witness, WitnessError};
use crate::wire::proto::pb;
use crate::wire::refusal::Refusal;
use tokio::sync::watch;

/// Questions that a peer may leave unanswered before that is an alarm.
const PATIENCE: u32 = 3;

/// A consistency proof in a tree of 2^64 leaves has no more hashes.
const MAX_HASHES: usize = 64;

/// How long an own checkpoint is waited for that a peer has seen already: after a
/// loss of power publishing may have to catch up, within about a second.
const CATCH_UP: (u32, Duration) = (30, Duration::from_millis(100));

/// What a peer's log has shown of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Standing {
    /// Nothing yet.
    Unseen,
    /// It goes on from what was seen.
    Sound,
    /// It contradicts what was seen: it was rewritten.
    Forked,
    /// It is shorter than what was seen: it was put back to an older copy.
    RolledBack,
    /// The peer shows a log that is not one of its own as pinned here.
    NotPinned,
    /// What the peer shows is not signed with the pinned key, or is no checkpoint.
    NotSigned,
}

impl Standing {
    const ALL: [Self; 6] = [
        Self::Unseen,
        Self::Sound,
        Self::Forked,
        Self::RolledBack,
        Self::NotPinned,
        Self::NotSigned,
    ];

    /// What is wrong.
    pub const fn fault(self) -> Option<Reason> {
        match self {
            Self::Unseen | Self::Sound => None,
            Self::Forked => Some(Reason::LogForked),
            Self::RolledBack => Some(Reason::LogRolledBack),
            Self::NotPinned => Some(Reason::LogNotPinned),
            Self::NotSigned => Some(Reason::LogNotSigned),
        }
    }

    /// Whether signed notes prove it. It stays until somebody has looked into it and
    /// taken the evidence away.
    const fn is_proven(self) -> bool {
        matches!(self, Self::Forked | Self::RolledBack)
    }
}

/// A peer whose logs are pinned.
#[derive(Debug)]
pub struct Peer {
    identity: SpiffeId,
    keys: Vec<VerifyingKey>,
    standing: AtomicU8,
    /// Questions in a row that got no answer.
    unanswered: AtomicU32,
    refuse: bool,
}

impl Peer {
    /// What its log has shown of itself.
    pub fn standing(&self) -> Standing {
        let at = usize::from(self.standing.load(Ordering::Acquire));
        Standing::ALL.get(at).copied().unwrap_or(Standing::Unseen)
    }

    /// The keys of its logs.
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.keys
    }

    /// The origins of its logs.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.keys.iter().map(VerifyingKey::origin)
    }

    /// Why nothing may be disclosed to it or asked of it. What is not proven bars
    /// nobody, since a peer that means ill would rather show nothing.
    pub fn barred(&self) -> Option<Reason> {
        Some(self.standing()).filter(|now| self.refuse && now.is_proven())?.fault()
    }
}

/// Everything that an end knows of its peers' logs, and its own log to show.
#[derive(Debug)]
pub struct Witnesses {
    own: Arc<Own>,
    held: Witness,
    every: Duration,
    /// Replaced as a whole when pins change.
    peers: ArcSwap<HashMap<SpiffeId, Arc<Peer>>>,
    changes: watch::Sender<u64>,
    /// Whether a contradiction is a reason to refuse.
    refuse: bool,
}

#[derive(Debug)]
struct Own {
    folder: PathBuf,
    key: VerifyingKey,
    /// Weak, for the log is closed when its recorder goes.
    recorder: Weak<Recorder>,
    /// A peer has shown our own signature under more than there is.
    rolled_back: AtomicBool,
}

impl Own {
    /// How many entries there are, published or not.
    fn size(&self) -> u64 {
        self.recorder.upgrade().map_or(0, |recorder| recorder.size())
    }
}

impl Witnesses {
    /// Shows the recorder's log, which lies in `folder` and has this key; keeps what
    /// peers show in `held`.
    pub fn new(
        recorder: &Arc<Recorder>,
        folder: PathBuf,
        key: VerifyingKey,
        held: Witness,
        pinned: Vec<PinnedLogs>,
        every: Duration,
        reaction: OnContradiction,
    ) -> Self {
        let refuse = reaction == OnContradiction::Refuse;
        let witnesses = Self {
            own: Arc::new(Own {
                folder,
                key,
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

    /// Knows these peers from now on. What was seen of one stays known, unless its keys
    /// are others.
    pub fn replace(&self, pinned: Vec<PinnedLogs>) {
        let before = self.peers.load_full();
        let peers = pinned.into_iter().map(|PinnedLogs { identity, keys }| {
            let peer = match before.get(&identity) {
                Some(known) if known.keys == keys => known.clone(),
                _ => Arc::new(self.begin(identity.clone(), keys)),
            };
            (identity, peer)
        });
        self.peers.store(Arc::new(peers.collect()));
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A peer of which nothing has been seen with these keys but what is kept.
    fn begin(&self, identity: SpiffeId, keys: Vec<VerifyingKey>) -> Peer {
        // Found before a restart, and nobody has taken the evidence away.
        let standing = match keys.iter().find_map(|key| self.held.contradicted(key)) {
            None => Standing::Unseen,
            Some(Contradiction::Fork) => Standing::Forked,
            Some(Contradiction::Rollback) => Standing::RolledBack,
        };
        if let Some(reason) = standing.fault() {
            tracing::error!(%reason, peer = %identity, "its log contradicted itself before");
        }
        let (standing, unanswered) = (AtomicU8::new(standing as u8), AtomicU32::new(0));
        Peer { identity, keys, standing, unanswered, refuse: self.refuse }
    }

    /// Whether the own log is known to have been put back to an older copy, so that peers
    /// refuse everything that it would record.
    pub fn own_is_rolled_back(&self) -> bool {
        self.refuse && self.own.rolled_back.load(Ordering::Acquire)
    }

    /// The own log's origin.
    pub fn origin(&self) -> &Origin {
        self.own.key.origin()
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
            let origin = match &found {
                WitnessError::Fork { origin, .. } | WitnessError::Rollback { origin, .. } => origin,
                WitnessError::Note(_) | WitnessError::Io { .. } => return,
            };
            let Some(key) = peer.keys.iter().find(|key| key.origin() == origin) else { return };
            if let Err(error) = held.keep_evidence(key, &found) {
                tracing::error!(peer = %peer.identity, "the evidence against a peer's log cannot be kept, so that a restart forgets it: {error}");
            }
        });
        let _ = kept.await;
    }

    /// Whether that is new.
    fn set(&self, peer: &Peer, standing: Standing) -> bool {
        let before = peer.standing();
        let new = before != standing && !before.is_proven();
        if new {
            peer.standing.store(standing as u8, Ordering::Release);
            self.changes.send_modify(|count| *count = count.wrapping_add(1));
        }
        new
    }
}

/// What was seen of each log when the question was put: its size, and the checkpoint that
/// is held of it.
type Seen = Vec<(Origin, Option<SignedCheckpoint>)>;

fn size(seen: Option<&SignedCheckpoint>) -> u64 {
    seen.map_or(0, |seen| seen.checkpoint().size)
}

/// One stream's part in the swap.
#[derive(Debug)]
pub struct Swap {
    witnesses: Arc<Witnesses>,
    peer: SpiffeId,
    /// The question that is not answered yet.
    asked: Mutex<Option<Seen>>,
    showing: AtomicBool,
}

impl Swap {
    /// The part of a stream with this peer.
    pub fn new(witnesses: &Arc<Witnesses>, peer: &SpiffeId) -> Arc<Self> {
        Arc::new(Self {
            witnesses: witnesses.clone(),
            peer: peer.clone(),
            asked: Mutex::default(),
            showing: AtomicBool::new(false),
        })
    }

    /// How often to ask.
    pub fn every(&self) -> Duration {
        self.witnesses.every
    }

    /// The peer as it is pinned now, if it is.
    fn peer(&self) -> Option<Arc<Peer>> {
        self.witnesses.peer(&self.peer)
    }

    /// The question to put now; none while one is open, or when the peer's logs are not
    /// pinned.
    pub async fn ask(self: Arc<Self>) -> Option<pb::ExchangeAskLog> {
        let peer = self.peer()?;
        if self.with_asked(|asked| asked.is_some()) {
            self.count_unanswered(&peer);
            return None;
        }
        let (held, keys) = (self.witnesses.held.clone(), peer.clone());
        let read = tokio::task::spawn_blocking(move || {
            let seen = keys.keys.iter().map(|key| {
                let held = held.held(key)?;
                Ok((key.origin().clone(), held))
            });
            seen.collect::<Result<Seen, WitnessError>>()
        });
        let seen = match read.await.ok()? {
            Ok(seen) => seen,
            Err(error) => {
                tracing::error!(peer = %peer.identity, "what was seen of a peer's log cannot be read: {error}");
                return None;
            }
        };
        let named = seen.iter().map(|(origin, held)| pb::SeenLog {
            origin: origin.to_string(),
            size: size(held.as_ref()),
            checkpoint: held.as_ref().map(|held| held.as_str().to_owned()).unwrap_or_default(),
        });
        let question = pb::ExchangeAskLog { seen: named.collect() };
        self.with_asked(|asked| *asked = Some(seen));
        Some(question)
    }

    /// The answer to a question of the peer's; none while another is being made.
    pub async fn show(
        self: Arc<Self>,
        question: pb::ExchangeAskLog,
    ) -> Option<pb::ExchangeShowLog> {
        if self.showing.swap(true, Ordering::AcqRel) {
            return None;
        }
        let own = self.witnesses.own.clone();
        let origin = own.key.origin().as_str();
        let seen = question.seen.into_iter().take(MAX_LOGS).find(|seen| seen.origin == origin);
        let shown = show(&own, seen.unwrap_or_default()).await;
        self.showing.store(false, Ordering::Release);
        match shown {
            Ok(shown) => Some(shown),
            Err(error) => {
                tracing::error!("the own audit log cannot be shown to a peer: {error}");
                None
            }
        }
    }

    /// Takes the open question, when its answer has come; `None` if none is open.
    pub fn take_asked(&self) -> Option<Seen> {
        self.with_asked(Option::take)
    }

    /// Judges the answer to a question that was open.
    pub async fn judge(self: Arc<Self>, seen: Seen, shown: pb::ExchangeShowLog) {
        let Some(peer) = self.peer() else { return };
        if !peer.origins().eq(seen.iter().map(|(origin, _)| origin)) {
            // Other logs are pinned since the question; the next one is about them.
            return;
        }
        peer.unanswered.store(0, Ordering::Relaxed);
        let (held, judged) = (self.witnesses.held.clone(), peer.clone());
        let judging = tokio::task::spawn_blocking(move || judge(&held, &judged, &seen, &shown));
        let standing = match judging.await {
            Ok(Ok(())) => Standing::Sound,
            Ok(Err(fault)) => {
                let standing = fault.standing();
                // Barred first: its evidence may find no room on the disk. What stays as it is
                // was told before.
                if standing.is_none_or(|standing| self.witnesses.set(&peer, standing)) {
                    tracing::error!(reason = standing.and_then(Standing::fault).map(tracing::field::display), peer = %peer.identity, "{fault}");
                }
                return self.witnesses.keep_evidence(&peer, fault).await;
            }
            Err(_) => return,
        };
        self.witnesses.set(&peer, standing);
    }

    fn count_unanswered(&self, peer: &Peer) {
        if peer.unanswered.fetch_add(1, Ordering::Relaxed) + 1 == PATIENCE {
            tracing::error!(reason = %Reason::LogUnseen, peer = %peer.identity, "the peer does not show its audit log");
        }
    }

    fn with_asked<T>(&self, act: impl FnOnce(&mut Option<Seen>) -> T) -> T {
        act(&mut self.asked.lock())
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // A peer that ends its streams instead of answering is silent too.
        if let Some(peer) = self.peer()
            && self.take_asked().is_some()
        {
            self.count_unanswered(&peer);
        }
    }
}

/// Shows the own log, going on from a size that the peer has seen.
async fn show(own: &Arc<Own>, claim: pb::SeenLog) -> Result<pb::ExchangeShowLog, ProveError> {
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

/// Why a shown log is not taken up.
#[derive(Debug, thiserror::Error)]
enum Fault {
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
    const fn standing(&self) -> Option<Standing> {
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

fn judge(
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
    let key = peer.keys.iter().find(|key| key.origin() == origin);
    let key = key.ok_or_else(|| Fault::NotPinned(origin.clone()))?;
    let asked = seen.iter().find(|(log, _)| log == origin).and_then(|(_, held)| held.as_ref());
    held.offer(key, size(asked), &shown.checkpoint, &proof)?;
    Ok(())
}
