//! The receipt: evidence that a request's records are on disk in the log.
//!
//! A [`Receipt`] is a proof type: only the log makes one, after the sync; the
//! architecture test holds that. A [`ReceiptFile`] is what travels, and is worth
//! what its checks are worth.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::note::{Origin, SignedCheckpoint};
use super::tree::Hash;

/// Proof that the records of one request are durable and covered by a signed
/// checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    first: u64,
    leaf_hashes: Arc<[Hash]>,
    entries: Arc<[Vec<u8>]>,
    checkpoint: SignedCheckpoint,
}

impl Receipt {
    /// Records what the log's writer did. Called by `store::audit_log` alone, and
    /// there only after the sync returned.
    pub const fn from_durable_log(
        first: u64,
        leaf_hashes: Arc<[Hash]>,
        entries: Arc<[Vec<u8>]>,
        checkpoint: SignedCheckpoint,
    ) -> Self {
        Self { first, leaf_hashes, entries, checkpoint }
    }

    /// Which log.
    pub const fn origin(&self) -> &Origin {
        &self.checkpoint.checkpoint().origin
    }

    /// The records' indexes in the log, in the order in which they were given.
    pub fn indexes(&self) -> Range<u64> {
        self.first..self.first + self.leaf_hashes.len() as u64
    }

    /// The records' leaf hashes, in the same order.
    pub fn leaf_hashes(&self) -> &[Hash] {
        &self.leaf_hashes
    }

    /// The records' bytes in the log, in the same order.
    pub fn entries(&self) -> &[Vec<u8>] {
        &self.entries
    }

    /// The signed checkpoint that covers them.
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The receipt in the form in which it travels as a file, with the proof that was made
    /// for it; without one it does not say what its records say.
    pub fn file(&self, proof: Option<&ReceiptProof>) -> ReceiptFile {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let texts = |hashes: &[Hash]| hashes.iter().map(Hash::to_string).collect::<Vec<_>>();
        ReceiptFile {
            origin: self.origin().to_string(),
            first_index: self.first,
            leaf_hashes: texts(&self.leaf_hashes),
            checkpoint: self.checkpoint.as_str().to_owned(),
            proofs: proof.iter().flat_map(|proof| &proof.paths).map(|path| texts(path)).collect(),
            entries: proof.iter().flat_map(|_| self.entries()).map(|entry| hex(entry)).collect(),
            names: proof
                .iter()
                .flat_map(|proof| &proof.names)
                .map(|((index, entry), path)| NameFile {
                    index: *index,
                    entry: hex(entry),
                    proof: texts(path),
                })
                .collect(),
        }
    }
}

/// An entry of the log that a record refers to: where it stands, and its bytes.
pub type Named = (u64, Vec<u8>);

/// What a receipt's proof is made of, beside its records' own leaves.
#[derive(Debug, Clone, Default)]
pub struct ReceiptProof {
    /// For each record the path to the checkpoint's root.
    pub paths: Vec<Vec<Hash>>,
    /// The names that the records refer to, each with its path.
    pub names: Vec<(Named, Vec<Hash>)>,
}

/// A receipt as JSON: what somebody claims, until it is checked. Hashes are 64
/// lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFile {
    /// The log's origin.
    pub origin: String,
    /// The first record's index; the others follow it.
    pub first_index: u64,
    /// Each record's leaf hash.
    pub leaf_hashes: Vec<String>,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// For each record the Merkle path to the checkpoint's root, from the leaf's
    /// sibling upward; empty when no proof was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Vec<String>>,
    /// What each record says: its entry in the log, in hexadecimal digits; empty when no
    /// proof was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
    /// The dictionary entries that the records refer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<NameFile>,
}

/// A dictionary entry of the log, with its proof under the receipt's checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameFile {
    /// Its index in the log.
    pub index: u64,
    /// Its bytes, in hexadecimal digits.
    pub entry: String,
    /// The Merkle path to the checkpoint's root.
    pub proof: Vec<String>,
}

impl ReceiptFile {
    /// Each record's index and leaf hash; `None` if a text is no hash or an index
    /// leaves its range.
    pub fn records(&self) -> Option<Vec<(u64, Hash)>> {
        let record = |(place, text): (u64, &String)| {
            Some((self.first_index.checked_add(place)?, Hash(parse_hex(text)?)))
        };
        (0..).zip(&self.leaf_hashes).map(record).collect()
    }

    /// The paths; `None` if a text is no hash.
    pub fn paths(&self) -> Option<Vec<Vec<Hash>>> {
        self.proofs.iter().map(|path| parse_path(path)).collect()
    }

    /// Index, bytes and path of each name; `None` if a text is not hexadecimal.
    pub(super) fn names(&self) -> Option<Vec<(Named, Vec<Hash>)>> {
        let name = |name: &NameFile| {
            Some(((name.index, parse_bytes(&name.entry)?), parse_path(&name.proof)?))
        };
        self.names.iter().map(name).collect()
    }
}

fn parse_path(path: &[String]) -> Option<Vec<Hash>> {
    path.iter().map(|text| parse_hex(text).map(Hash)).collect()
}

/// Bytes from lower-case hexadecimal digits.
pub(super) fn parse_bytes(text: &str) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()
}

/// 32 bytes from 64 lower-case hexadecimal digits.
pub(super) fn parse_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}
