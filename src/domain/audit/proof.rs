//! Proofs that need no log at hand: inclusion of an entry, consistency of two
//! checkpoints.
//!
//! The file form is C2SP tlog-proof; its `extra` line carries the entry, which is
//! hashed here and not believed.
//!
//! Source: <https://c2sp.org/tlog-proof>.

use data_encoding::BASE64;
use tlog_tiles::tlog::{check_record, check_tree};

use super::note::{Checkpoint, NoteError, SignedCheckpoint, VerifyingKey};
use super::tree::{Hash, leaf_hash};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A path in a tree of 2^64 leaves has no more hashes.
const MAX_HASHES: usize = 64;

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not a proof file.
    #[error("this is not a proof (C2SP tlog-proof): {0}")]
    Form(&'static str),
    /// The checkpoint in it is refused.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The hashes do not lead to the root.
    #[error(
        "the proof does not lead from entry {index} to the root of the checkpoint of size {size}"
    )]
    Inclusion {
        /// The entry's index.
        index: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// The smaller log is no prefix of the larger.
    #[error("the log of size {new} is not a continuation of the log of size {old}")]
    Consistency {
        /// The smaller size.
        old: u64,
        /// The larger size.
        new: u64,
    },
}

/// A self-contained proof that an entry is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// The entry's index.
    pub index: u64,
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The Merkle path, from the leaf's sibling upward.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl TlogProof {
    /// The proof as a file.
    pub fn to_text(&self) -> String {
        let mut text =
            format!("{HEADER}\nextra {}\nindex {}\n", BASE64.encode(&self.entry), self.index);
        for hash in &self.path {
            text.push_str(&BASE64.encode(&hash.0));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a proof file; checks nothing but its form.
    ///
    /// # Errors
    /// [`ProofError::Form`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(ProofError::Form("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(ProofError::Form("its first line is another"));
        }
        let entry = lines
            .next()
            .and_then(|line| line.strip_prefix("extra "))
            .and_then(|text| BASE64.decode(text.as_bytes()).ok())
            .ok_or(ProofError::Form("it does not carry the entry on a line `extra`"))?;
        let digits = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .ok_or(ProofError::Form("it has no line `index`"))?;
        let index: u64 = digits.parse().map_err(|_| ProofError::Form("its index is no number"))?;
        if digits != index.to_string() {
            return Err(ProofError::Form("its index is not in canonical form"));
        }
        let path = lines
            .map(|line| BASE64.decode(line.as_bytes()).ok()?.try_into().ok().map(Hash))
            .collect::<Option<Vec<_>>>()
            .filter(|path| path.len() <= MAX_HASHES)
            .ok_or(ProofError::Form("a line of its path is no hash"))?;
        Ok(Self { index, entry, path, checkpoint: checkpoint.to_owned() })
    }

    /// Checks signature and path.
    ///
    /// # Errors
    /// [`ProofError`] unless the entry is in the log that the key belongs to.
    pub fn verify(&self, key: &VerifyingKey) -> Result<SignedCheckpoint, ProofError> {
        let signed = key.verify(&self.checkpoint)?;
        self.leads_to(signed.checkpoint())?;
        Ok(signed)
    }

    /// Checks the path alone, against a checkpoint that is trusted already.
    ///
    /// # Errors
    /// [`ProofError::Inclusion`].
    pub fn leads_to(&self, checkpoint: &Checkpoint) -> Result<(), ProofError> {
        check_inclusion(checkpoint, self.index, leaf_hash(&self.entry), &self.path)
    }
}

/// Checks a Merkle path from a leaf to the root of a checkpoint that is trusted
/// already.
///
/// # Errors
/// [`ProofError::Inclusion`].
pub fn check_inclusion(
    checkpoint: &Checkpoint,
    index: u64,
    leaf: Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    let refused = ProofError::Inclusion { index, size: checkpoint.size };
    if path.len() > MAX_HASHES {
        return Err(refused);
    }
    let path = path.iter().map(|hash| (*hash).into()).collect();
    check_record(&path, checkpoint.size, checkpoint.root.into(), index, leaf.into())
        .map_err(|_| refused)
}

/// Checks that the log of one checkpoint is continued by that of another.
///
/// # Errors
/// [`ProofError::Consistency`] when it is not, or the proof does not show it.
pub fn check_consistency(
    old: &Checkpoint,
    new: &Checkpoint,
    proof: &[Hash],
) -> Result<(), ProofError> {
    let refused = ProofError::Consistency { old: old.size, new: new.size };
    if old.origin != new.origin || proof.len() > MAX_HASHES {
        return Err(refused);
    }
    if old.size == 0 {
        // Every log continues the empty one, whose root is fixed.
        let empty = Hash::from(tlog_tiles::tlog::EMPTY_HASH);
        return if old.root == empty && proof.is_empty() { Ok(()) } else { Err(refused) };
    }
    let proof = proof.iter().map(|hash| (*hash).into()).collect();
    check_tree(&proof, new.size, new.root.into(), old.size, old.root.into()).map_err(|_| refused)
}
