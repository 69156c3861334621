//! What the log's handle, writer and publisher tell each other.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;

use super::Health;
use super::figures::Figures;
use super::tail::Tail;
use crate::domain::audit::{Hash, SignedCheckpoint};

#[derive(Debug)]
struct State {
    health: Health,
    latest: SignedCheckpoint,
    published: SignedCheckpoint,
    tail: Tail,
    stopping: bool,
    /// The last checkpoint is published.
    ending: bool,
}

impl State {
    fn is_at_rest(&self) -> bool {
        self.health == Health::Ready
            && self.latest.checkpoint().size == self.published.checkpoint().size
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
    pub(super) fn new(latest: SignedCheckpoint, published: SignedCheckpoint) -> Arc<Self> {
        let tail = Tail::after(latest.checkpoint().size);
        let state = State {
            health: Health::Ready,
            latest,
            published,
            tail,
            stopping: false,
            ending: false,
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

    pub(super) fn latest(&self) -> SignedCheckpoint {
        self.lock().latest.clone()
    }

    /// The leaves are those that came since the checkpoint before.
    pub(super) fn set_latest(&self, checkpoint: SignedCheckpoint, leaves: &[Hash]) {
        let mut state = self.lock();
        let first = state.is_at_rest();
        state.tail.extend(leaves);
        state.latest = checkpoint;
        if first {
            self.changed.notify_all();
        }
    }

    pub(super) fn published(&self) -> SignedCheckpoint {
        self.lock().published.clone()
    }

    pub(super) fn set_published(&self, checkpoint: SignedCheckpoint) {
        let mut state = self.lock();
        state.tail.forget_before(checkpoint.checkpoint().size);
        state.published = checkpoint;
        self.published.notify_all();
    }

    /// The size that the tiles hold, and the leaves after it.
    pub(super) fn tail(&self) -> (u64, Tail) {
        let state = self.lock();
        (state.published.checkpoint().size, state.tail.clone())
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
        self.changed.wait_while_for(&mut state, |state| !state.stopping, round);
        state.stopping
    }

    /// Nothing more will be published.
    pub(super) fn end(&self) {
        self.lock().ending = true;
        self.published.notify_all();
    }

    pub(super) fn is_ending(&self) -> bool {
        self.lock().ending
    }

    /// Waits until more than `seen` entries are published, or so long; true when nothing
    /// more will be.
    pub(super) fn wait_for_more(&self, seen: u64, at_most: Duration) -> bool {
        let mut state = self.lock();
        let rests = |state: &mut State| {
            let is_poisoned = matches!(state.health, Health::Poisoned(_));
            !state.ending && !is_poisoned && state.published.checkpoint().size <= seen
        };
        self.published.wait_while_for(&mut state, rests, at_most);
        state.ending
    }

    /// Rests so long, or until nothing more will be published.
    pub(super) fn pause(&self, at_most: Duration) {
        let mut state = self.lock();
        self.published.wait_while_for(&mut state, |state| !state.ending, at_most);
    }
}
