//! What the log's handle, writer and publisher tell each other, and which folder it is
//! that they write.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;

use super::Health;
use super::figures::Figures;
use super::tail::Tail;
use crate::domain::audit::{Hash, Origin, SignedCheckpoint, VerifyingKey};

/// Where a log lies, and the key by which it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The folder.
    pub dir: PathBuf,
    /// What verifies its checkpoints, with its origin.
    pub key: VerifyingKey,
}

impl Folder {
    pub(super) fn new(dir: &Path, key: VerifyingKey) -> Self {
        Self { dir: dir.to_owned(), key }
    }
}

/// Where the log stands, in one folder.
#[derive(Debug, Clone)]
pub(super) struct Position {
    pub(super) folder: Folder,
    pub(super) latest: SignedCheckpoint,
    pub(super) published: SignedCheckpoint,
}

#[derive(Debug)]
struct State {
    health: Health,
    at: Position,
    tail: Tail,
    /// The log that ended when this one began, in this process; all of it is published.
    before: Option<Position>,
    stopping: bool,
    /// What there is to publish is waited for.
    soon: bool,
    /// The last checkpoint is published, and sealing has so long.
    ending: Option<Duration>,
}

/// How it was before a turn.
pub(super) struct Back {
    at: Position,
    before: Option<Position>,
}

impl State {
    fn move_to(&mut self, to: Position) -> Position {
        self.tail = Tail::after(to.latest.checkpoint().size);
        std::mem::replace(&mut self.at, to)
    }

    fn is_at_rest(&self) -> bool {
        self.health == Health::Ready
            && self.at.latest.checkpoint().size == self.at.published.checkpoint().size
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// For the publisher: there is something to publish, or it is to stop.
    changed: Condvar,
    /// For the sealer: more is published, or it is to end.
    published: Condvar,
    /// Why the log is out of use, once it is.
    lost: watch::Sender<Option<Arc<str>>>,
    pub(super) figures: Figures,
}

impl Shared {
    pub(super) fn new(at: Position) -> Arc<Self> {
        let tail = Tail::after(at.latest.checkpoint().size);
        let state = State {
            health: Health::Ready,
            at,
            tail,
            before: None,
            stopping: false,
            soon: false,
            ending: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            published: Condvar::new(),
            lost: watch::Sender::new(None),
            figures: Figures::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn health(&self) -> Health {
        self.lock().health.clone()
    }

    /// Puts the log out of use; the first reason stays.
    pub(super) fn poison(&self, reason: &str) -> Arc<str> {
        let mut state = self.lock();
        if let Health::Poisoned(reason) = &state.health {
            return reason.clone();
        }
        tracing::error!(reason, "the audit log is out of use");
        let reason: Arc<str> = reason.into();
        state.health = Health::Poisoned(reason.clone());
        self.changed.notify_all();
        self.published.notify_all();
        self.lost.send_replace(Some(reason.clone()));
        reason
    }

    /// Told when it is put out of use, and why.
    pub(super) fn lost(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.lost.subscribe()
    }

    /// Notes whether there is room; never revives a poisoned log.
    pub(super) fn set_full(&self, full: bool) {
        let mut state = self.lock();
        let health = if full { Health::DiskFull } else { Health::Ready };
        if !matches!(state.health, Health::Poisoned(_)) && state.health != health {
            tracing::warn!(full, "the audit log's disk");
            state.health = health;
        }
    }

    /// Goes on in another folder; everything is published in both. Whoever derives tiles
    /// and seals has ended, and begins anew. Gives the way back.
    pub(super) fn turn(&self, to: Position) -> Back {
        let mut state = self.lock();
        let ended = state.move_to(to);
        let before = state.before.replace(ended.clone());
        Back { at: ended, before }
    }

    /// Takes a turn back.
    pub(super) fn turn_back(&self, back: Back) {
        let mut state = self.lock();
        state.move_to(back.at);
        state.before = back.before;
    }

    pub(super) fn folder(&self) -> Folder {
        self.lock().at.folder.clone()
    }

    pub(super) fn latest(&self) -> SignedCheckpoint {
        self.lock().at.latest.clone()
    }

    /// The leaves are those that came since the checkpoint before.
    pub(super) fn set_latest(&self, checkpoint: SignedCheckpoint, leaves: &[Hash]) {
        let mut state = self.lock();
        let first = state.is_at_rest();
        state.tail.extend(leaves);
        state.at.latest = checkpoint;
        if first {
            self.changed.notify_all();
        }
    }

    pub(super) fn published(&self) -> SignedCheckpoint {
        self.lock().at.published.clone()
    }

    pub(super) fn set_published(&self, checkpoint: SignedCheckpoint) {
        let mut state = self.lock();
        state.tail.forget_before(checkpoint.checkpoint().size);
        state.at.published = checkpoint;
        state.soon = false;
        self.published.notify_all();
    }

    /// Where the log of this origin lies, the size that its tiles hold, and the leaves after
    /// it: for the log that is written, and the one before.
    pub(super) fn tail_of(&self, origin: &Origin) -> Option<(PathBuf, u64, Tail)> {
        let state = self.lock();
        let is_of = |at: &&Position| at.folder.key.origin() == origin;
        let size = |at: &Position| at.published.checkpoint().size;
        if let Some(at) = Some(&state.at).filter(is_of) {
            return Some((at.folder.dir.clone(), size(at), state.tail.clone()));
        }
        let before = state.before.as_ref().filter(is_of)?;
        Some((before.folder.dir.clone(), size(before), Tail::after(size(before))))
    }

    /// There is somebody again who derives tiles and seals.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        (state.stopping, state.ending) = (false, None);
    }

    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Waits until something is to be published, and then for the next round; true when
    /// it is the last.
    pub(super) fn wait(&self, round: Duration) -> bool {
        let mut state = self.lock();
        self.changed.wait_while(&mut state, |state| !state.stopping && state.is_at_rest());
        self.changed.wait_while_for(&mut state, |state| !state.stopping && !state.soon, round);
        state.stopping
    }

    /// Nothing more will be published, and what seals has so long.
    pub(super) fn end(&self, grace: Duration) {
        self.lock().ending = Some(grace);
        self.published.notify_all();
    }

    /// How long what seals has, once nothing more will be published.
    pub(super) fn ends_within(&self) -> Option<Duration> {
        self.lock().ending
    }

    /// Waits until more than `seen` entries are published, or so long; true when nothing
    /// more will be.
    pub(super) fn wait_for_more(&self, seen: u64, at_most: Duration) -> bool {
        let mut state = self.lock();
        let rests = |state: &mut State| {
            let is_poisoned = matches!(state.health, Health::Poisoned(_));
            state.ending.is_none() && !is_poisoned && state.at.published.checkpoint().size <= seen
        };
        self.published.wait_while_for(&mut state, rests, at_most);
        state.ending.is_some()
    }

    /// Waits until something is published in this folder, at most so long.
    pub(super) fn publish_soon(&self, at_most: Duration) {
        self.lock().soon = true;
        self.changed.notify_all();
        self.wait_for_more(0, at_most);
    }

    /// Rests so long, or until nothing more will be published.
    pub(super) fn pause(&self, at_most: Duration) {
        let mut state = self.lock();
        self.published.wait_while_for(&mut state, |state| state.ending.is_none(), at_most);
    }
}
