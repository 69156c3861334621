//! The leaves that are durable and not in tiles yet, and the proofs that they make
//! possible: a receipt can be proved at once, without waiting for tiles.

use std::path::Path;

use tlog_tiles::tlog::{
    Error as TlogError, Hash as TlogHash, HashReader, node_hash, prove_record,
    split_stored_hash_index,
};

use crate::domain::audit::{Checkpoint, Hash, check_inclusion};
use crate::store::proof::{ProveError, Tiles};

/// Most leaves that are kept, 8 MiB. Tiles follow within about a second; should they
/// fall behind further, receipts are not proved until they have caught up.
const MAX_LEAVES: usize = 1 << 18;

/// Leaf hashes side by side, up to the end of the log.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    first: u64,
    leaves: Vec<Hash>,
}

impl Tail {
    /// No leaves, after a log of this size.
    pub(super) const fn after(size: u64) -> Self {
        Self { first: size, leaves: Vec::new() }
    }

    pub(super) fn extend(&mut self, leaves: &[Hash]) {
        if self.leaves.len() + leaves.len() > MAX_LEAVES {
            self.forget_before(self.first + self.leaves.len() as u64);
        }
        self.leaves.extend_from_slice(leaves);
    }

    pub(super) fn forget_before(&mut self, size: u64) {
        let gone = usize::try_from(size.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let gone = gone.min(self.leaves.len());
        self.leaves.drain(..gone);
        self.first += gone as u64;
    }

    fn leaf(&self, index: u64) -> Option<TlogHash> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.leaves.get(at).map(|leaf| (*leaf).into())
    }
}

/// Tiles up to a size, and the leaves after it.
struct Grown<'a> {
    tiles: Tiles<'a>,
    tail: &'a Tail,
}

impl Grown<'_> {
    fn hash(&self, level: u8, number: u64, index: u64) -> Option<TlogHash> {
        if (number + 1) << level <= self.tiles.size {
            return self.tiles.hash(index);
        }
        let Some(below) = level.checked_sub(1) else { return self.tail.leaf(number) };
        let child =
            |number| self.hash(below, number, tlog_tiles::tlog::stored_hash_index(below, number));
        Some(node_hash(child(2 * number)?, child(2 * number + 1)?))
    }
}

impl HashReader for Grown<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<TlogHash>, TlogError> {
        let read = |index: &u64| {
            let (level, number) = split_stored_hash_index(*index);
            self.hash(level, number, *index).ok_or(TlogError::InvalidTile)
        };
        indexes.iter().map(read).collect()
    }
}

/// For each leaf, at its index, the path to the root of the checkpoint. Reads a few tiles
/// and checks what comes of them.
pub(super) fn prove(
    log: &Path,
    checkpoint: &Checkpoint,
    leaves: impl IntoIterator<Item = (u64, Hash)>,
    published: u64,
    tail: &Tail,
) -> Result<Vec<Vec<Hash>>, ProveError> {
    let tiles = Tiles { log, size: published };
    let grown = Grown { tiles, tail };
    leaves
        .into_iter()
        .map(|(index, leaf)| {
            let path =
                prove_record(checkpoint.size, index, &grown).map_err(|_| ProveError::Tiles)?;
            let path: Vec<Hash> = path.into_iter().map(Hash::from).collect();
            check_inclusion(checkpoint, index, leaf, &path).map_err(|_| ProveError::Tiles)?;
            Ok(path)
        })
        .collect()
}
