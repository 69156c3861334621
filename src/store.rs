//! What is kept in files: the audit log, and the checkpoints of other logs.
//!
//! Blocking IO on threads of its own; no profile value ever comes here. The rules
//! about records and proofs are `domain::audit`'s.

pub mod audit_log;
pub mod disk;
pub mod proof;
pub mod verify;
mod wal;
pub mod walk;
pub mod witness;
