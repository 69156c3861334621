//! Configuration: files as an operator writes them, checked whole before
//! anything starts.

pub mod catalogue;
