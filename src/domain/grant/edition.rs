//! Which state of something a grant was held against, so that what cannot have changed
//! since is not looked at again.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a state, unlike that of every other in this process. Equal numbers are
/// of equal states; the opposite need not be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edition(u64);

impl Edition {
    /// Of a state that has just come to be.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
