//! What holds without a network: catalogue, grants, policy and merge, and every reader
//! of bytes from outside under mutations.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod catalogue;
mod fuzz;
mod grant;
mod merge;
mod policy;
mod request_proof;
