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
    checkpoint: SignedCheckpoint,
}

impl Receipt {
    /// Records what the log's writer did. Called by `store::audit_log` alone, and
    /// there only after the sync returned.
    pub const fn from_durable_log(
        first: u64,
        leaf_hashes: Arc<[Hash]>,
        checkpoint: SignedCheckpoint,
    ) -> Self {
        Self { first, leaf_hashes, checkpoint }
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

    /// The signed checkpoint that covers them.
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The receipt of one record, in the form in which it travels: the message
    /// `tributary.v1.Receipt`, or a file.
    pub fn files(&self) -> impl Iterator<Item = ReceiptFile> + '_ {
        self.indexes().zip(self.leaf_hashes.iter()).map(|(index, leaf)| ReceiptFile {
            origin: self.origin().to_string(),
            index,
            leaf_hash: leaf.to_string(),
            checkpoint: self.checkpoint.as_str().to_owned(),
        })
    }
}

/// A receipt of one record as JSON: what somebody claims, until it is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFile {
    /// The log's origin.
    pub origin: String,
    /// The record's index.
    pub index: u64,
    /// The record's leaf hash, in hexadecimal digits.
    pub leaf_hash: String,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl ReceiptFile {
    /// The leaf hash, if it is one.
    pub fn hash(&self) -> Option<Hash> {
        parse_hex(&self.leaf_hash).map(Hash)
    }
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
