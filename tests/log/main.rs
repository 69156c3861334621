//! What is written down and must last: the audit log, the counters of uses, and both
//! of them under a gateway and an agency that are killed.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../kit/mod.rs"]
mod kit;

mod audit;
mod durability;
mod frequency;
