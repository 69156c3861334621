//! The gateway's client to its agencies: connections that are kept, requests put on
//! them, and the answers that come back.
//!
//! Which agency is asked for what is decided in [`super::gateway`].

pub mod breaker;
pub mod pending;
pub mod pool;
pub mod replies;
pub mod request;
pub mod stream;
pub mod way;
