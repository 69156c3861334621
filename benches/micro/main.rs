//! Small, hot parts of one request, each alone on one thread.
//!
//! `cargo bench --bench micro`; with `-- merge` only what has that in its name.
//! Fastest, slowest, median and mean of each. Everything is of the city's whole
//! catalogue, 493 items, unless its name says otherwise.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench stops at what it did not expect"
)]

mod audit;
mod authority;
mod flows;
mod profile;
mod world;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}
