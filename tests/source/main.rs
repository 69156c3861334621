//! The source floor against real sources. `scripts/test-postgres` and
//! `scripts/test-mariadb` give the servers; without one its part is skipped, and said.

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

mod answers;
mod chaos;
mod days;
mod deliveries;
mod files;
mod mixing;
mod pooler;
mod sampled;
mod service;
mod sessions;
mod shared;
mod site;
mod statements;
mod tls;
mod town;
mod typed;
mod weather;
mod web;
mod wire;
