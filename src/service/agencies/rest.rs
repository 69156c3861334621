//! The rest of a [keeper](super::keeper) whose agency is asked nothing: it is not woken ten
//! times a second, but when a question is put or the agency has long been silent.
//!
//! Whoever puts questions pays one look at a flag for it, and wakes the keeper with the
//! first question alone.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether a keeper rests, and what wakes it.
#[derive(Debug, Default)]
pub struct Rest {
    resting: AtomicBool,
    woken: Notify,
}

impl Rest {
    /// Begins to rest. Questions that were put before are to be looked for only after this.
    pub fn begin(&self) {
        self.resting.store(true, Ordering::SeqCst);
    }

    /// Is at work again.
    pub fn end(&self) {
        self.resting.store(false, Ordering::Relaxed);
    }

    /// A question was put, under the lock under which the keeper looks for it.
    pub fn question(&self) {
        if self.resting.load(Ordering::SeqCst) && self.resting.swap(false, Ordering::Relaxed) {
            self.woken.notify_one();
        }
    }

    /// Waits for a question; one that came before this was called counts.
    pub async fn over(&self) {
        self.woken.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_first_question_alone_wakes_who_rests() {
        let rest = Rest::default();
        let woken = || rest.over().now_or_never().is_some();
        rest.question();
        assert!(!woken(), "it did not rest");
        rest.begin();
        assert!(!woken(), "nobody asked");
        rest.question();
        rest.question();
        assert!(woken());
        assert!(!woken(), "the second said nothing new");
        rest.begin();
        rest.end();
        rest.question();
        assert!(!woken(), "it was at work");
    }
}
