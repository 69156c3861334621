//! Links over real sockets, and the status lists that come over them.

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

mod admission;
mod authorities;
mod bounds;
mod certificates;
mod chains;
mod city;
mod http2;
mod lists;
mod revocation;
mod status;
