//! What the command line says of itself, and what an agency does with it.

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

mod adding;
mod checking;
mod conformance;
mod faults;
mod help;
mod output;
mod starting;
