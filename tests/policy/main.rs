//! The policy: what loads, what the rules open, what survives a bad reload.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers stop at the first surprise"
)]

mod city;
mod command;
mod decisions;
mod forbids;
mod loads;
mod reload;
mod support;
