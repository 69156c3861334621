//! The conformance kit against servers that hold and servers that do not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[path = "../support/sqlite_file.rs"]
mod sqlite_file;

mod broken;
mod command;
mod enforcing;
mod faults;
mod kit;
mod open_door;
mod proxy;
mod source;
