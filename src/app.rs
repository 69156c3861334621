//! From configuration to a running process: read, wire, serve, stop in order.

pub mod agency;
pub mod agency_init;
pub mod agency_new;
pub mod checking;
pub mod client;
pub mod conformance;
pub mod demo;
pub mod gateway;
mod governing;
pub mod issuer;
mod mapped;
mod mapping_file;
mod named;
mod patience;
pub mod profile_stream;
pub mod proving;
mod reading;
pub mod review;
pub mod reviewer;
mod rotation;
mod routes;
mod running_out;
mod serving;
pub mod signed_catalogue;
mod standing;
pub mod statuses;
mod telemetry;
pub mod verdict;
mod watching;

pub use serving::StartError;
