//! The Merkle tree's right edge: enough to add leaves and to give the root.
//!
//! Leaves and nodes are hashed by `tlog_tiles`; this file only keeps the few hashes
//! that the next leaf can need (RFC 6962, section 2.1). It reads no tiles: what comes
//! from a file is recomputed.

use std::fmt;

use tlog_tiles::tlog::{
    EMPTY_HASH, Hash as TlogHash, HashReader, node_hash, record_hash, stored_hash_index,
};

/// A SHA-256 hash of the tree (RFC 6962, section 2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<TlogHash> for Hash {
    fn from(hash: TlogHash) -> Self {
        Self(hash.0)
    }
}

impl From<Hash> for TlogHash {
    fn from(hash: Hash) -> Self {
        Self(hash.0)
    }
}

/// The hash of an entry as a leaf: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    record_hash(entry).into()
}

/// The tree's arithmetic found a hash missing, which no input can bring about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Merkle tree of {size} leaves cannot be computed: {reason}")]
pub struct TreeError {
    size: u64,
    reason: String,
}

/// The roots of the complete subtrees along the right edge, the largest first: one
/// for each bit of the size.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    size: u64,
    peaks: Vec<TlogHash>,
}

impl Edge {
    /// The edge of a tree of this size, its hashes read from elsewhere: it is worth
    /// what its [`root`](Self::root) is held against.
    ///
    /// # Errors
    /// [`TreeError`] when a hash is not there.
    pub fn resume(size: u64, reader: &impl HashReader) -> Result<Self, TreeError> {
        let (mut indexes, mut before) = (Vec::new(), 0u64);
        for level in (0..64u8).rev().filter(|level| (size >> level) & 1 == 1) {
            indexes.push(stored_hash_index(level, before >> level));
            before += 1 << level;
        }
        let peaks = reader
            .read_hashes(&indexes)
            .map_err(|error| TreeError { size, reason: error.to_string() })?;
        Ok(Self { size, peaks })
    }

    /// How many leaves there are.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash.
    ///
    /// # Errors
    /// [`TreeError`] never for an edge that grew from the empty one.
    pub fn push(&mut self, leaf: Hash) -> Result<(), TreeError> {
        self.push_each(leaf, |_, _| ())
    }

    /// The same, and hands over the leaf, level 0, and the root of each subtree that
    /// it completes, with its level.
    pub(super) fn push_each(
        &mut self,
        leaf: Hash,
        mut on_root: impl FnMut(u32, Hash),
    ) -> Result<(), TreeError> {
        let mut hash = leaf.into();
        on_root(0, leaf);
        // Each completed subtree swallows one of the old roots.
        for level in 1..=self.size.trailing_ones() {
            let left = self.peaks.pop().ok_or_else(|| self.missing())?;
            hash = node_hash(left, hash);
            on_root(level, hash.into());
        }
        self.peaks.push(hash);
        self.size += 1;
        Ok(())
    }

    /// The tree's root.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn root(&self) -> Result<Hash, TreeError> {
        if self.peaks.len() != self.size.count_ones() as usize {
            return Err(self.missing());
        }
        let root = self.peaks.iter().rev().copied().reduce(|right, left| node_hash(left, right));
        Ok(root.unwrap_or(EMPTY_HASH).into())
    }

    fn missing(&self) -> TreeError {
        TreeError { size: self.size, reason: "a subtree's root is missing".into() }
    }
}
