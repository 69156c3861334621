//! The consumers' side of the gateway: a request is admitted, answered and, on a
//! stream, read beside others.
//!
//! How an agency is reached is the business of [`super::agencies`].

pub mod answer;
pub mod fan_out;
pub mod ids;
mod lines;
mod proved;
pub mod routes;
pub mod server;
pub mod status;
pub mod stream;
