//! A whole federation, as processes of the real binary, asked as anybody would
//! ask it: through the network. All people are synthetic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "../kit/mod.rs"]
mod kit;

mod bad_input;
mod catalogues;
mod changes;
mod demo;
mod digests;
mod evidence;
mod exchange;
mod faults;
mod heap;
mod intersection;
mod limits;
mod omitted;
mod orders;
mod outcomes;
mod parties;
mod privacy;
mod proofs;
mod records;
mod refusals;
mod review;
mod rotation;
mod running;
mod seen;
#[cfg(feature = "traces")]
mod spans;
mod stopping;
mod streaming;
mod traces;
mod turned;
mod whole;
