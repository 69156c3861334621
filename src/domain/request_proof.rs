//! The consumer's proof of its request: its own signature, which every agency checks, so that
//! no gateway asks what no consumer has asked. Byte for byte in `docs/protocol/sealed.md`.
//!
//! A [`ProofHead`] is what the consumer's key signs: the root of a tree of requests. A
//! [`RequestLeaf`] is one request, and holds the root of [`AgencyEntries`]: for each agency
//! what exactly it is asked, among decoys. Pure: keys, time and randomness are arguments.

mod agency;
mod entries;
mod fault;
mod head;
mod heads;
mod leaf;
mod tree;

pub use agency::{AgencyProof, ConsumerProof, OpenedProof, Proven};
pub use entries::{AgencyEntries, EntryProof, Wanted};
pub use fault::ProofFault;
pub use head::{MAX_LEAVES, MAX_TOKEN_BYTES, ProofHead, TOKEN_TYPE};
pub use heads::VerifiedHeads;
pub use leaf::{RequestLeaf, SignedLeaf};
pub use tree::{MAX_PATH, SmallTree};
