//! The audit log's rules: what a record says, how it becomes a leaf, and how a
//! checkpoint, a receipt and a proof are checked.
//!
//! Pure: no files, no clock, no randomness; blinds, times and keys come in as
//! arguments. Files and threads are the business of `store`.
//!
//! A leaf's bytes are this module's own canonical form; everything around it is
//! public: RFC 6962 hashing, C2SP tlog-checkpoint, signed-note, tlog-tiles and
//! tlog-proof.

pub mod access;
mod codec;
mod dictionary;
pub mod disclosed;
mod entry;
pub mod export;
mod note;
mod proof;
mod query;
mod receipt;
pub mod reconcile;
mod record;
mod refusals;
mod successor;
mod term;
pub mod tiles;
mod tree;

pub use super::names::{GrantId, ReasonWord, RequestId, RuleId, TextError};
pub use super::subject::SubjectTag;
pub use codec::DecodeError;
pub use dictionary::{Dictionary, DictionaryError};
pub use entry::{Entry, MAX_ENTRY_BYTES, SectionEntry};
pub use note::{Checkpoint, NoteError, Origin, SignedCheckpoint, SigningKey, VerifyingKey};
pub use proof::{ProofError, TlogProof, check_consistency, check_inclusion};
pub use query::Query;
pub use receipt::{NameFile, Named, Receipt, ReceiptFile, ReceiptProof};
pub use record::{
    Blind, CountRecord, Counted, Decision, Record, RefusalsRecord, RuleSet, RuleSetError,
    SearchKeys, SearchKind, SearchRecord, SectionRecord, Timestamp,
};
pub use refusals::RefusalCounts;
pub use successor::{Successor, SuccessorError};
pub use term::Term;
pub use tree::{Edge, Hash, TreeError, leaf_hash};
