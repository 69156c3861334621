//! From configuration to a running process: read, wire, serve, stop in order.

pub mod agency;
pub mod client;
pub mod demo;
pub mod gateway;
mod governing;
mod serving;

pub use serving::{StartError, stop_signal};
