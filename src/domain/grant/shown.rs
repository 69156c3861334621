//! The sender's side of naming by digest: which presentations one receiver was shown
//! whole and answered for, so that it probably remembers them.
//!
//! It is a guess about somebody else's memory and proves nothing. The receiver may
//! have forgotten, and says so.

use std::collections::HashSet;

use parking_lot::Mutex;

use super::presentation::PresentationDigest;
use super::presented::Presented;

/// As many digests as a receiver remembers grants, unless it is told otherwise.
const CAPACITY: usize = 4096;

/// Two generations, as the receiver has them: what is named moves to the young one,
/// and when that is full the old one is dropped.
#[derive(Debug, Default)]
struct Generations {
    young: HashSet<PresentationDigest>,
    old: HashSet<PresentationDigest>,
}

impl Generations {
    fn insert(&mut self, digest: PresentationDigest, half: usize) {
        if self.young.len() >= half && !self.young.contains(&digest) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&digest);
        self.young.insert(digest);
    }
}

/// What one receiver was shown. Shared by reference; its lock is held for a look-up
/// only.
#[derive(Debug)]
pub struct Shown {
    generations: Mutex<Generations>,
    half: usize,
}

impl Default for Shown {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Shown {
    /// Room for so many digests, and never fewer than two.
    pub fn new(capacity: usize) -> Self {
        Self { generations: Mutex::default(), half: (capacity / 2).max(1) }
    }

    /// Whether the receiver may be named this one by its digest.
    pub fn knows(&self, digest: &PresentationDigest) -> bool {
        self.with(|generations| {
            if generations.young.contains(digest) {
                return true;
            }
            let known = generations.old.contains(digest);
            if known {
                generations.insert(*digest, self.half);
            }
            known
        })
    }

    /// What to present: the digest where the receiver may be named it, and else the
    /// whole presentation.
    pub fn present<B>(
        &self,
        digest: PresentationDigest,
        whole: impl FnOnce() -> B,
    ) -> Presented<B> {
        match self.knows(&digest) {
            true => Presented::Digest(digest),
            false => Presented::Whole(whole()),
        }
    }

    /// The receiver was shown it whole, and answered.
    pub fn answered(&self, digest: PresentationDigest) {
        self.with(|generations| generations.insert(digest, self.half));
    }

    /// The receiver says that it does not know it.
    pub fn forget(&self, digest: &PresentationDigest) {
        self.with(|generations| {
            generations.young.remove(digest);
            generations.old.remove(digest);
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Generations) -> T) -> T {
        act(&mut self.generations.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u32) -> PresentationDigest {
        PresentationDigest::of(&number.to_be_bytes())
    }

    fn held(shown: &Shown) -> usize {
        shown.with(|generations| generations.young.len() + generations.old.len())
    }

    #[test]
    fn what_was_answered_is_known_until_it_is_forgotten() {
        let shown = Shown::new(8);
        assert!(!shown.knows(&digest(1)));
        shown.answered(digest(1));
        assert!(shown.knows(&digest(1)) && !shown.knows(&digest(2)));
        // In either generation.
        (2..6).for_each(|number| shown.answered(digest(number)));
        for number in [1, 5] {
            shown.forget(&digest(number));
            assert!(!shown.knows(&digest(number)), "{number}");
        }
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_named() {
        let shown = Shown::new(8);
        shown.answered(digest(0));
        for number in 1..1000 {
            shown.answered(digest(number));
            assert!(shown.knows(&digest(0)), "after {number}");
            assert!(shown.knows(&digest(number)));
            assert!(held(&shown) <= 8, "{}", held(&shown));
        }
        assert!(!shown.knows(&digest(900)), "nobody named it for long");
    }

    #[test]
    fn naming_again_and_again_drops_nothing() {
        let shown = Shown::new(8);
        (0..8).for_each(|number| shown.answered(digest(number)));
        for _ in 0..100 {
            shown.answered(digest(7));
            assert!(shown.knows(&digest(7)));
        }
        assert_eq!(held(&shown), 8);
    }
}
