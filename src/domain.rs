//! The rules of the federation: catalogue, identities, plan, merge.
//!
//! Pure: no IO, no clock, no randomness, no gRPC. Time comes in as an argument.

pub mod peer;
pub mod sensitive;
