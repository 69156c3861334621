//! The review of data flows: declared flows against Cedar itself, edits and what
//! they are blamed on.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "../kit/mod.rs"]
mod kit;

mod accepted;
mod command;
mod drift;
mod edits;
mod flows;
mod keys;
mod many;
mod packed;
mod page;
mod parties;
mod prove;
mod remapped;
mod subject;
mod support;
mod trust;
