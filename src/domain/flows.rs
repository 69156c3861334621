//! The review of data flows: what can flow, what a change would open, and whether
//! what happened was declared.
//!
//! A flow is an agency, an item, a consumer, a purpose, a legal basis and the
//! condition under which it is open. [`open`] computes them from the
//! configuration of a whole federation, [`diff`] holds two federations against one
//! another and blames each change on the line that made it.
//!
//! Pure: reading files, git and logs is the business of `app::review`, printing
//! that of `cli::review`.

pub mod acceptance;
pub mod acceptors;
mod blame;
pub mod change;
pub mod diff;
mod digest;
pub mod drift;
pub mod edits;
pub mod federation;
pub mod keys;
mod lanes;
pub mod lock;
pub mod open;
pub mod places;
pub mod settings;
