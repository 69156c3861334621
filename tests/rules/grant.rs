//! Grants: vectors of the standard, round trips, laws, and everything that must
//! be refused, at both ends.

mod cache;
mod cli;
mod config;
mod laws;
mod oracle;
mod refusals;
mod round_trip;
mod status;
mod support;
mod vectors;
