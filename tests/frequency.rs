//! The counters of uses: exact under any concurrency, and no use that was
//! acknowledged is ever given back.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

#[path = "frequency/address.rs"]
mod address;
#[path = "frequency/cases.rs"]
mod cases;
#[path = "frequency/crash.rs"]
mod crash;
#[path = "frequency/laws.rs"]
mod laws;
#[path = "frequency/measure.rs"]
mod measure;
#[path = "frequency/model.rs"]
mod model;
#[path = "frequency/postgres.rs"]
mod postgres;
#[path = "frequency/proxy.rs"]
mod proxy;
#[path = "frequency/sqlite.rs"]
mod sqlite;
#[path = "frequency/support.rs"]
mod support;
#[path = "support/waiting.rs"]
mod waiting;
