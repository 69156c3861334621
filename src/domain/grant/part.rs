//! The part of a grant that one agency gets: the signed part and its disclosure alone.
//!
//! It is cut out only when it is to be sent whole; its digest is computed once and
//! kept with the signed grant.

use std::fmt;
use std::sync::Arc;

use super::presentation::PresentationDigest;
use super::signed::{Granted, SignedGrant};

/// One agency's part of a grant.
#[derive(Clone)]
pub struct Part {
    signed: Arc<SignedGrant>,
    /// Of the disclosure, in the order of the presentation.
    place: usize,
}

impl Part {
    pub(super) fn new(signed: &Arc<SignedGrant>, place: usize) -> Self {
        Self { signed: Arc::clone(signed), place }
    }

    /// The exact bytes that the agency is shown.
    pub fn whole(&self) -> Vec<u8> {
        self.granted().and_then(|granted| self.signed.forward(granted)).unwrap_or_default()
    }

    /// The digest of those bytes.
    pub fn digest(&self) -> PresentationDigest {
        let digest = || PresentationDigest::of(&self.whole());
        self.granted().map_or_else(digest, |granted| *granted.part.get_or_init(digest))
    }

    fn granted(&self) -> Option<&Granted> {
        self.signed.contents.granted.get(self.place)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} of {:?})", self.place, self.signed)
    }
}
