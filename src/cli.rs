//! The command line: what is typed, and what people read.
//!
//! Each subcommand is a file of its own with its arguments and a `run`.

pub mod audit;
