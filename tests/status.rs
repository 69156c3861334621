//! Status lists on their way: published by the issuer, fetched by whoever checks
//! grants, over real sockets with real certificates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "tests fail by panicking"
)]

#[path = "status/client.rs"]
mod client;
#[path = "status/issuer.rs"]
mod issuer;
#[path = "status/poll.rs"]
mod poll;
#[path = "status/server.rs"]
mod server;
#[path = "status/support.rs"]
mod support;
#[path = "support/waiting.rs"]
mod waiting;
