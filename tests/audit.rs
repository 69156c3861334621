//! The audit log, from record to proof: hardening rows 34, 36 to 40, and whatever
//! an enemy with a disk editor can do.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests stop where something is not as it must be"
)]

#[path = "audit/command.rs"]
mod command;
#[path = "audit/crash.rs"]
mod crash;
#[path = "audit/faults.rs"]
mod faults;
#[path = "audit/independent.rs"]
mod independent;
#[path = "audit/index.rs"]
mod index;
#[path = "audit/load.rs"]
mod load;
#[path = "audit/measure.rs"]
mod measure;
#[path = "audit/panics.rs"]
mod panics;
#[path = "audit/record.rs"]
mod record;
#[path = "audit/recovery.rs"]
mod recovery;
#[path = "audit/second.rs"]
mod second;
#[path = "audit/sides.rs"]
mod sides;
#[path = "audit/support.rs"]
mod support;
#[path = "audit/tamper.rs"]
mod tamper;
