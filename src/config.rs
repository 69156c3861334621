//! What an operator writes down: the shapes of the configuration files, read
//! strictly, so that a misspelt key is an error and not a silent default.
//!
//! Only shapes and reading live here, keys of grants included. Opening what else
//! a file points at (certificates, databases) is the business of the floor that
//! uses it.

pub mod agency;
pub mod audit;
pub mod catalogue;
pub mod counters;
pub mod door;
pub mod faults;
pub mod federation;
pub mod file;
pub mod gateway;
pub mod grants;
pub mod key_file;
pub mod link;
pub mod mapping;
pub mod mirror;
pub mod parties;
pub mod pem;
pub mod policy;
pub mod private_file;
pub mod reload;
pub mod review;
mod shape;
pub mod status;
pub mod subject;
pub mod telemetry;
