//! What is kept: the audit log, the checkpoints of other logs, and how often
//! grants were used. No profile value ever comes here.
//!
//! The log does blocking IO on threads of its own; the rules about records and
//! proofs are `domain::audit`'s.

pub mod audit_log;
pub mod disk;
pub mod enforced;
pub mod frequency;
pub mod index;
pub mod mirror;
pub mod proof;
pub mod prune;
pub mod pruned;
mod sealed;
pub mod succession;
pub mod verify;
mod wal;
pub mod walk;
pub mod witness;
