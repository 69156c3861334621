//! A Merkle tree that is made at once (RFC 9162, section 2.1). The arithmetic is that of
//! `tlog_tiles`; what a leaf is, and so of which tree it is one, its data says.

use tlog_tiles::tlog::{
    Error as TlogError, Hash as TlogHash, HashReader, check_record, prove_record, record_hash,
    stored_hashes_for_record_hash, tree_hash,
};

use super::fault::ProofFault;
use crate::domain::audit::Hash;

/// Most hashes of a path that is taken at all.
pub const MAX_PATH: usize = 12;

/// A whole tree.
#[derive(Debug)]
pub struct SmallTree {
    size: u64,
    stored: Stored,
}

/// Every hash of a tree, in the library's order.
#[derive(Debug, Default)]
struct Stored(Vec<TlogHash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<TlogHash>, TlogError> {
        let read = |index: &u64| usize::try_from(*index).ok().and_then(|at| self.0.get(at));
        indexes.iter().map(|index| read(index).copied().ok_or(TlogError::InvalidTile)).collect()
    }
}

/// The hash of a leaf with this data.
pub(super) fn leaf_of(data: &[u8]) -> Hash {
    record_hash(data).into()
}

impl SmallTree {
    /// The tree of these leaves.
    ///
    /// # Errors
    /// None for leaves that fit into memory.
    pub fn of(leaves: &[Hash]) -> Result<Self, ProofFault> {
        let (mut stored, mut size) = (Stored::default(), 0);
        for leaf in leaves {
            let more = stored_hashes_for_record_hash(size, (*leaf).into(), &stored);
            stored.0.extend(more.map_err(|_| ProofFault::Tree)?);
            size += 1;
        }
        Ok(Self { size, stored })
    }

    /// How many leaves it has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Its root.
    ///
    /// # Errors
    /// None for a tree that was made.
    pub fn root(&self) -> Result<Hash, ProofFault> {
        tree_hash(self.size, &self.stored).map(Hash::from).map_err(|_| ProofFault::Tree)
    }

    /// The path of a leaf, from its sibling upward.
    ///
    /// # Errors
    /// There is no such leaf.
    pub fn path(&self, index: u64) -> Result<Vec<Hash>, ProofFault> {
        let path = prove_record(self.size, index, &self.stored).map_err(|_| ProofFault::Tree)?;
        Ok(path.into_iter().map(Hash::from).collect())
    }
}

/// Whether a path leads from a leaf to a root.
pub(super) fn leads(root: Hash, size: u64, index: u64, leaf: Hash, path: &[Hash]) -> bool {
    let path: Vec<TlogHash> = path.iter().map(|hash| (*hash).into()).collect();
    path.len() <= MAX_PATH && check_record(&path, size, root.into(), index, leaf.into()).is_ok()
}
