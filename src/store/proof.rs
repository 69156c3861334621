//! Makes proofs from a log's tiles.
//!
//! Nothing is believed because it stood in a tile: a proof is checked against the
//! signed root before it is given out, so a forged tile can at most prevent one.

use std::io;
use std::path::{Path, PathBuf};

use tlog_tiles::tlog::{
    Error as TlogError, Hash as TlogHash, HashReader, prove_record, prove_tree,
    split_stored_hash_index, tree_hash,
};

use super::pruned::{self, PrunedError};
use super::sealed;
use super::walk::CHECKPOINT;
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile, split_bundle};
use crate::domain::audit::{
    Checkpoint, Edge, Hash, NoteError, ProofError, ReceiptFile, SignedCheckpoint, TlogProof,
    VerifyingKey, check_consistency, check_inclusion, leaf_hash,
};
use crate::files;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// A file of the log cannot be read.
    #[error("cannot read {path}: check that this is a log's folder and complete", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The checkpoint is refused.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The log has no such entry, or not yet in its tiles.
    #[error(
        "the published log has {size} entries, and no entry {index}: tiles follow a record within about a second"
    )]
    NoEntry {
        /// The index that was asked for.
        index: u64,
        /// The published size.
        size: u64,
    },
    /// The entry was pruned.
    #[error(
        "{words}; whoever has the bytes of entry {index} can have it proved: give them with --entry"
    )]
    Pruned {
        /// The index that was asked for.
        index: u64,
        /// What is not there, since when.
        words: String,
    },
    /// What the log says of its pruning.
    #[error(transparent)]
    NotPruned(#[from] PrunedError),
    /// What the tiles hold does not lead to the signed root.
    #[error("the log's tiles do not lead to its signed root: run `tributary audit verify`")]
    Tiles,
    /// A receipt's fields contradict each other.
    #[error("the receipt is not in order: {0}")]
    Receipt(&'static str),
    /// The log is not the one of the receipt.
    #[error(
        "the log does not hold what the receipt says: at entry {index} it has another record, or another history"
    )]
    Contradicted {
        /// The receipt's index.
        index: u64,
    },
}

/// A proof that a log continues a smaller one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The published checkpoint.
    pub checkpoint: SignedCheckpoint,
    /// The root that the log had at the smaller size.
    pub old_root: Hash,
    /// The hashes of RFC 6962, section 2.1.2.
    pub hashes: Vec<Hash>,
}

/// Reads the published checkpoint and checks its signature.
///
/// # Errors
/// [`ProveError::Io`] and [`ProveError::Note`].
pub fn published(log: &Path, key: &VerifyingKey) -> Result<SignedCheckpoint, ProveError> {
    let path = log.join(CHECKPOINT);
    let note =
        files::read_text(&path, files::SMALL).map_err(|source| ProveError::Io { path, source })?;
    Ok(key.verify(&note)?)
}

/// Proves that an entry is in the published log.
///
/// # Errors
/// [`ProveError`].
pub fn prove(log: &Path, key: &VerifyingKey, index: u64) -> Result<TlogProof, ProveError> {
    let signed = published(log, key)?;
    let size = signed.checkpoint().size;
    if index >= size {
        return Err(ProveError::NoEntry { index, size });
    }
    if let Some(own) = pruned::read(log, key)?.filter(|own| index < own.before) {
        return Err(ProveError::Pruned { index, words: own.words() });
    }
    let entry = entry(log, size, index)?;
    prove_bytes(log, &signed, index, entry)
}

/// Proves that an entry of which somebody has the bytes is in the published log, whether or
/// not it was pruned there.
///
/// # Errors
/// [`ProveError::Contradicted`] where the log has another entry; otherwise as [`prove`].
pub fn prove_held(
    log: &Path,
    key: &VerifyingKey,
    index: u64,
    entry: Vec<u8>,
) -> Result<TlogProof, ProveError> {
    let proved = prove_leaf(log, key, index)?;
    if leaf_hash(&entry) != proved.leaf {
        return Err(ProveError::Contradicted { index });
    }
    prove_bytes(log, &proved.checkpoint, index, entry)
}

/// A proof of an entry's hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafProof {
    /// The published checkpoint.
    pub checkpoint: SignedCheckpoint,
    /// The hash.
    pub leaf: Hash,
    /// From the leaf's sibling upward.
    pub path: Vec<Hash>,
}

/// Proves that an entry with this hash is in the published log; it may be pruned.
///
/// # Errors
/// As [`prove`].
pub fn prove_leaf(log: &Path, key: &VerifyingKey, index: u64) -> Result<LeafProof, ProveError> {
    let checkpoint = published(log, key)?;
    let size = checkpoint.checkpoint().size;
    if index >= size {
        return Err(ProveError::NoEntry { index, size });
    }
    let leaves = pruned::leaves(log, size, index / TILE_WIDTH)?;
    let at = usize::try_from(index % TILE_WIDTH).ok();
    let leaf = at.and_then(|at| leaves.get(at)).copied().ok_or(ProveError::Tiles)?;
    let path = prove_record(size, index, &Tiles { log, size }).map_err(|_| ProveError::Tiles)?;
    let path: Vec<Hash> = path.into_iter().map(Hash::from).collect();
    check_inclusion(checkpoint.checkpoint(), index, leaf, &path).map_err(|_| ProveError::Tiles)?;
    Ok(LeafProof { checkpoint, leaf, path })
}

fn prove_bytes(
    log: &Path,
    signed: &SignedCheckpoint,
    index: u64,
    entry: Vec<u8>,
) -> Result<TlogProof, ProveError> {
    let size = signed.checkpoint().size;
    let path = prove_record(size, index, &Tiles { log, size }).map_err(|_| ProveError::Tiles)?;
    let proof = TlogProof {
        index,
        entry,
        path: path.into_iter().map(Hash::from).collect(),
        checkpoint: signed.as_str().to_owned(),
    };
    proof.leads_to(signed.checkpoint()).map_err(|_: ProofError| ProveError::Tiles)?;
    Ok(proof)
}

/// Proves that the published log continues the one that had `old` entries.
///
/// # Errors
/// [`ProveError`].
pub fn prove_consistency(
    log: &Path,
    key: &VerifyingKey,
    old: u64,
) -> Result<ConsistencyProof, ProveError> {
    let signed = published(log, key)?;
    let new = signed.checkpoint();
    if old > new.size {
        return Err(ProveError::NoEntry { index: old, size: new.size });
    }
    let tiles = Tiles { log, size: new.size };
    let old_root: Hash = tree_hash(old, &tiles).map_err(|_| ProveError::Tiles)?.into();
    let hashes: Vec<Hash> = if old == 0 {
        Vec::new()
    } else {
        let hashes = prove_tree(new.size, old, &tiles).map_err(|_| ProveError::Tiles)?;
        hashes.into_iter().map(Hash::from).collect()
    };
    let before = Checkpoint { origin: new.origin.clone(), size: old, root: old_root };
    check_consistency(&before, new, &hashes).map_err(|_| ProveError::Tiles)?;
    Ok(ConsistencyProof { checkpoint: signed, old_root, hashes })
}

/// What a receipt is worth without its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AloneReceipt {
    /// Its checkpoint.
    pub checkpoint: SignedCheckpoint,
    /// Each record's index and leaf hash.
    pub records: Vec<(u64, Hash)>,
    /// Whether it carries the paths that show its records under the checkpoint.
    pub is_proven: bool,
}

/// Checks a receipt by itself: its signature, that its parts fit together, and the
/// proofs that it carries. Without these, that its records are under the checkpoint
/// needs the log.
///
/// # Errors
/// [`ProveError::Note`] and [`ProveError::Receipt`].
pub fn check_receipt_alone(
    receipt: &ReceiptFile,
    key: &VerifyingKey,
) -> Result<AloneReceipt, ProveError> {
    let checkpoint = key.verify(&receipt.checkpoint)?;
    if receipt.origin != key.origin().as_str() {
        return Err(ProveError::Receipt("its origin is not that of its checkpoint"));
    }
    let records =
        receipt.records().ok_or(ProveError::Receipt("a leaf hash is not 64 hexadecimal digits"))?;
    match records.last() {
        None => return Err(ProveError::Receipt("it names no record")),
        Some((last, _)) if *last >= checkpoint.checkpoint().size => {
            return Err(ProveError::Receipt("its checkpoint does not reach to its records"));
        }
        Some(_) => {}
    }
    let paths = receipt
        .paths()
        .ok_or(ProveError::Receipt("a hash of a proof is not 64 hexadecimal digits"))?;
    if !paths.is_empty() && paths.len() != records.len() {
        return Err(ProveError::Receipt("it does not have one proof for each record"));
    }
    for ((index, leaf), path) in records.iter().zip(&paths) {
        check_inclusion(checkpoint.checkpoint(), *index, *leaf, path).map_err(|_| {
            ProveError::Receipt("a proof does not lead from its record to its checkpoint's root")
        })?;
    }
    Ok(AloneReceipt { checkpoint, records, is_proven: !paths.is_empty() })
}

/// Checks a receipt against the log: its records are there, and the log continues
/// the one that the receipt's checkpoint signed. Gives a proof for each record; for one that
/// was pruned its hash is proved, and none is given.
///
/// # Errors
/// [`ProveError`].
pub fn check_receipt(
    receipt: &ReceiptFile,
    key: &VerifyingKey,
    log: &Path,
) -> Result<Vec<TlogProof>, ProveError> {
    let alone = check_receipt_alone(receipt, key)?;
    let signed = alone.checkpoint.checkpoint();
    let consistent = prove_consistency(log, key, signed.size)?;
    let mut proofs = Vec::with_capacity(alone.records.len());
    for (index, leaf) in alone.records {
        let proof = match prove(log, key, index) {
            Err(ProveError::Pruned { .. }) => {
                let proved = prove_leaf(log, key, index)?;
                if leaf != proved.leaf || consistent.old_root != signed.root {
                    return Err(ProveError::Contradicted { index });
                }
                continue;
            }
            proved => proved?,
        };
        if leaf != leaf_hash(&proof.entry) || consistent.old_root != signed.root {
            return Err(ProveError::Contradicted { index });
        }
        proofs.push(proof);
    }
    Ok(proofs)
}

/// The bytes of an entry of the published log, as its bundle holds them.
fn entry(log: &Path, size: u64, index: u64) -> Result<Vec<u8>, ProveError> {
    let bundle = read_tile(log, size, Shelf::Entries, index / TILE_WIDTH)?;
    usize::try_from(index % TILE_WIDTH)
        .ok()
        .and_then(|at| split_bundle(&bundle).nth(at).flatten())
        .map(<[u8]>::to_vec)
        .ok_or(ProveError::Tiles)
}

/// Reads the tile of a tree of this size, or the wider one that has replaced it.
pub(super) fn read_tile(
    log: &Path,
    size: u64,
    shelf: Shelf,
    number: u64,
) -> Result<Vec<u8>, ProveError> {
    let count = match shelf {
        Shelf::Entries => size,
        Shelf::Level(level) => size.checked_shr(8 * u32::from(level)).unwrap_or_default(),
    };
    let width = count.saturating_sub(number.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH);
    let tile = Tile { shelf, number, width };
    let found = sealed::read(log, &tile)
        .map_err(|source| ProveError::Io { path: log.join(tile.path()), source })?;
    found.content.ok_or(ProveError::Tiles)
}

/// The tree's stored hashes, recomputed from tiles.
pub(super) struct Tiles<'a> {
    pub(super) log: &'a Path,
    pub(super) size: u64,
}

impl Tiles<'_> {
    pub(super) fn hash(&self, index: u64) -> Option<TlogHash> {
        let (level, number) = split_stored_hash_index(index);
        let height = level % 8;
        let first = number << height;
        let shelf = Shelf::Level(level / 8);
        let tile = read_tile(self.log, self.size, shelf, first / TILE_WIDTH).ok()?;
        let mut edge = Edge::default();
        for at in first % TILE_WIDTH..first % TILE_WIDTH + (1 << height) {
            let from = usize::try_from(at).ok()? * 32;
            edge.push(Hash(tile.get(from..from + 32)?.try_into().ok()?)).ok()?;
        }
        edge.root().ok().map(TlogHash::from)
    }
}

impl HashReader for Tiles<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<TlogHash>, TlogError> {
        indexes.iter().map(|index| self.hash(*index).ok_or(TlogError::InvalidTile)).collect()
    }
}
