//! What is said once about the sources stays true: floors, rooms, circles, names, proof types,
//! reasons, and the page of the fault matrix. Each check is shown sources that break its
//! rule, too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod circles;
mod fault_matrix;
mod floors;
mod keys;
mod names;
mod proofs;
mod reading;
mod reasons;
mod rooms;
mod syntax;
mod watched;

use syntax::{File, Source, attributes_of, is_test_only, ours, parse};

fn without_opening(sources: &[Source]) -> Vec<&str> {
    let closed = sources.iter().filter(|(_, text)| !text.starts_with("//! "));
    closed.map(|(path, _)| path.as_str()).collect()
}

#[test]
fn every_file_says_what_it_is() {
    assert_eq!(without_opening(&ours()), Vec::<&str>::new());
}

#[test]
fn a_file_that_says_nothing_of_itself() {
    let sources: Vec<Source> = [("src/a.rs", "//! What it is.\n"), ("src/b.rs", "use x;\n")]
        .map(|(path, text)| (path.into(), text.into()))
        .into();
    assert_eq!(without_opening(&sources), ["src/b.rs"]);
}
