//! What lasts: a gateway and an agency, each killed, given bad disks, or put on a
//! log that is not the one that its peers have seen. All people are synthetic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod acknowledged;
mod counts;
mod disk;
mod kills;
mod points;
mod town;
#[path = "../support/waiting.rs"]
mod waiting;
mod withheld;
mod witness;
