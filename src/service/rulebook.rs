//! What requests are judged by, as one whole: the catalogue, the policy over it, whose grants
//! are believed for what, and whatever else is made for the catalogue's items.
//!
//! Every part names items as the one catalogue numbers and defines them. So all of it is
//! replaced together, and a request keeps the one that it began with. What reads the files
//! is above.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::config::grants::Grants;
use crate::domain::catalogue::Catalogue;
use crate::domain::policy::engine::Engine;

/// What requests are judged by at one moment. `M` is what an agency maps to the items.
#[derive(Debug, Clone)]
pub struct Rulebook<M = ()> {
    /// Pinned issuers, and purposes with their ceilings.
    pub grants: Arc<Grants>,
    /// The policy, over the catalogue.
    pub engine: Arc<Engine>,
    /// Catalogues that were in force before in this process, the newest first: peers that
    /// have not heard of the change go on asking by them.
    pub earlier: Vec<Arc<Catalogue>>,
    /// What is mapped to the catalogue's items.
    pub mapped: M,
}

impl<M> Rulebook<M> {
    /// The catalogue over which all of it was made.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        self.engine.catalogue()
    }
}

/// The rulebook in force.
#[derive(Debug)]
pub struct InForce<M = ()> {
    now: ArcSwap<Rulebook<M>>,
    keeps_policy: AtomicBool,
    keeps_catalogue: AtomicBool,
    catalogues: watch::Sender<u64>,
}

impl<M> InForce<M> {
    /// Begins with one that was judged as a start judges it.
    pub fn new(first: Rulebook<M>) -> Arc<Self> {
        Arc::new(Self {
            now: ArcSwap::from_pointee(first),
            keeps_policy: AtomicBool::new(false),
            keeps_catalogue: AtomicBool::new(false),
            catalogues: watch::channel(0).0,
        })
    }

    /// The one in force now.
    pub fn now(&self) -> Arc<Rulebook<M>> {
        self.now.load_full()
    }

    /// The policy in force now.
    pub fn engine(&self) -> Arc<Engine> {
        self.now.load().engine.clone()
    }

    /// Puts another one in force, for every request that begins from here on.
    pub fn put(&self, next: Rulebook<M>) {
        let before = self.now.swap(Arc::new(next));
        if self.now.load().catalogue().digest() != before.catalogue().digest() {
            self.catalogues.send_modify(|changes| *changes += 1);
        }
    }

    /// Is told each time another catalogue is in force.
    pub fn catalogues(&self) -> watch::Receiver<u64> {
        self.catalogues.subscribe()
    }

    /// Notes whether the policy in the files is another than the one in force.
    pub fn keep_policy(&self, kept: bool) {
        self.keeps_policy.store(kept, Ordering::Release);
    }

    /// Notes whether the catalogue in the files is another than the one in force.
    pub fn keep_catalogue(&self, kept: bool) {
        self.keeps_catalogue.store(kept, Ordering::Release);
    }

    /// Whether the policy in the files cannot be used.
    pub fn keeps_policy(&self) -> bool {
        self.keeps_policy.load(Ordering::Acquire)
    }

    /// Whether the catalogue in the files cannot be used.
    pub fn keeps_catalogue(&self) -> bool {
        self.keeps_catalogue.load(Ordering::Acquire)
    }
}
