//! From configuration to a running process: read, wire, serve, stop in order.

pub mod agency;
pub mod checking;
pub mod client;
pub mod demo;
pub mod gateway;
mod governing;
pub mod issuer;
pub mod review;
mod serving;
pub mod starting;
pub mod statuses;

pub use serving::{StartError, stop_signal};
