//! Grants: vectors of the standard, round trips, laws, and everything that must
//! be refused, at both ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests fail by panicking"
)]

#[path = "grant/cache.rs"]
mod cache;
#[path = "grant/cli.rs"]
mod cli;
#[path = "grant/config.rs"]
mod config;
#[path = "grant/laws.rs"]
mod laws;
#[path = "grant/oracle.rs"]
mod oracle;
#[path = "grant/pages.rs"]
mod pages;
#[path = "grant/refusals.rs"]
mod refusals;
#[path = "grant/round_trip.rs"]
mod round_trip;
#[path = "grant/status.rs"]
mod status;
#[path = "grant/support.rs"]
mod support;
#[path = "grant/vectors.rs"]
mod vectors;
