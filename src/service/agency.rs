//! An agency's side: one question about one person, answered from its own holdings,
//! as a call of its own or on an Exchange stream.
//!
//! How its database is read is the business of `source`.

pub mod answer;
pub mod exchange;
pub mod server;
