//! What an operator writes down: the shapes of the configuration files, read
//! strictly, so that a misspelt key is an error and not a silent default.
//!
//! Only shapes and reading live here. Opening what a file points at
//! (certificates, keys, databases) is the business of the floor that uses it.

pub mod agency;
pub mod catalogue;
pub mod file;
pub mod gateway;
pub mod link;
pub mod mapping;
pub mod subject;
