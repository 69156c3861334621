//! One request of the signed tree.

use super::fault::ProofFault;
use super::head::ProofHead;
use super::tree::{leads, leaf_of};
use crate::domain::audit::Hash;
use crate::domain::grant::subject::length_prefixed;
use crate::domain::names::RequestId;

/// What makes a leaf one of this tree and of no other.
const DOMAIN: &str = "tributary-request-leaf-v1";

/// What a leaf says.
#[derive(Debug)]
pub struct RequestLeaf<'a> {
    /// The consumer's own id of the request.
    pub request_id: &'a RequestId,
    /// SHA-256 of the grant's signed part.
    pub grant: [u8; 32],
    /// Fresh for each attempt.
    pub nonce: [u8; 16],
    /// How many entries there are, decoys among them, and the root of their tree.
    pub entries: (u64, Hash),
}

impl RequestLeaf<'_> {
    /// Its hash.
    pub fn hash(&self) -> Hash {
        let (size, root) = &self.entries;
        let mut data = length_prefixed(&[DOMAIN, self.request_id.as_str()]);
        data.extend_from_slice(&self.grant);
        data.extend_from_slice(&self.nonce);
        data.extend_from_slice(&size.to_be_bytes());
        data.extend_from_slice(&root.0);
        leaf_of(&data)
    }
}

/// A leaf's place under a signature, as it travels; nothing in it has been believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedLeaf {
    /// The signed head.
    pub token: Box<str>,
    /// The leaf's index in the tree.
    pub index: u64,
    /// From the leaf's sibling upward.
    pub path: Vec<Hash>,
    /// The leaf's nonce.
    pub nonce: [u8; 16],
}

impl SignedLeaf {
    /// Whether the head's tree has this leaf here.
    ///
    /// # Errors
    /// [`ProofFault::Leaf`].
    pub(super) fn check(&self, head: &ProofHead, leaf: Hash) -> Result<(), ProofFault> {
        match leads(head.root, head.size, self.index, leaf, &self.path) {
            true => Ok(()),
            false => Err(ProofFault::Leaf),
        }
    }
}
