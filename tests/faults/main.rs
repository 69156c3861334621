//! The fault matrix over a whole federation: agencies that lie, stall, die and
//! drain, callers that send nonsense, processes that cannot start or must stop.
//! All people are synthetic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/federation.rs"]
mod federation;
#[path = "../support/frames.rs"]
mod frames;
#[path = "../support/rogue.rs"]
mod rogue;
#[path = "../support/rude.rs"]
mod rude;
#[path = "../support/sqlite_file.rs"]
mod sqlite_file;
#[path = "../support/waiting.rs"]
mod waiting;

mod answers;
mod deadlines;
mod descriptors;
mod digests;
mod lanes;
mod lies;
mod overload;
mod process;
mod processes;
mod raw;
mod requests;
mod slow_readers;
mod startup;
mod unread;
