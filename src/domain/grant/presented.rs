//! What a receiver is given for a grant: the whole presentation, or the digest of one
//! that it was given before.
//!
//! A digest is a name and no authority. What it names is held against everything that
//! the whole presentation would be held against.

use super::presentation::PresentationDigest;

/// A grant as it was presented; nothing in it has been believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented<B> {
    /// The exact bytes.
    Whole(B),
    /// Their digest.
    Digest(PresentationDigest),
}

impl<B: AsRef<[u8]>> Presented<B> {
    /// The same, borrowed.
    pub fn as_bytes(&self) -> Presented<&[u8]> {
        match self {
            Self::Whole(bytes) => Presented::Whole(bytes.as_ref()),
            Self::Digest(digest) => Presented::Digest(*digest),
        }
    }
}

impl<'a> From<&'a [u8]> for Presented<&'a [u8]> {
    fn from(presentation: &'a [u8]) -> Self {
        Self::Whole(presentation)
    }
}
