//! The Merkle tree's right edge: enough to add leaves and to give the root.
//!
//! The arithmetic is `tlog_tiles`' own; this file only keeps the few hashes that
//! it asks for. It reads no tiles: what comes from a file is recomputed.

use std::fmt;

use tlog_tiles::tlog::{
    Hash as TlogHash, HashReader, record_hash, stored_hash_index, stored_hashes_for_record_hash,
    tree_hash,
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

/// The roots of the complete subtrees along the right edge.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    size: u64,
    peaks: Vec<(u64, TlogHash)>,
}

impl HashReader for Edge {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<TlogHash>, tlog_tiles::tlog::Error> {
        indexes
            .iter()
            .map(|index| {
                let peak = self.peaks.iter().find(|(at, _)| at == index);
                peak.map(|(_, hash)| *hash).ok_or(tlog_tiles::tlog::Error::IndexesNotInTree)
            })
            .collect()
    }
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
        let hashes = reader
            .read_hashes(&indexes)
            .map_err(|error| TreeError { size, reason: error.to_string() })?;
        Ok(Self { size, peaks: indexes.into_iter().zip(hashes).collect() })
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
        let added = stored_hashes_for_record_hash(self.size, leaf.into(), self)
            .map_err(|error| self.error(&error))?;
        // The new leaf and as many subtrees as it completes: each of these swallows
        // one of the old roots.
        let completed = added.len().saturating_sub(1);
        self.peaks.truncate(self.peaks.len().saturating_sub(completed));
        if let (Some(root), Ok(level)) = (added.last(), u8::try_from(completed)) {
            self.peaks.push((stored_hash_index(level, self.size >> level), *root));
        }
        self.size += 1;
        Ok(())
    }

    /// The tree's root.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn root(&self) -> Result<Hash, TreeError> {
        tree_hash(self.size, self).map(Hash::from).map_err(|error| self.error(&error))
    }

    fn error(&self, error: &tlog_tiles::tlog::Error) -> TreeError {
        TreeError { size: self.size, reason: error.to_string() }
    }
}
