//! What the two roles do with a request: the agency answers about what it holds,
//! the gateway plans, fans out and merges.
//!
//! Nothing here reads a file or opens a listening socket.

pub mod agency;
pub mod agency_server;
pub mod authority;
pub mod breaker;
pub mod catalogue;
pub mod edge;
mod ending;
pub mod exchange;
pub mod fan_out;
pub mod gateway;
pub mod gateway_server;
pub mod gather;
pub mod lane;
pub mod profile_stream;
pub mod question;
pub mod random;
pub mod recorder;
pub mod review;
pub mod room;
pub mod status_poll;
pub mod under_way;
pub mod uplink;
pub mod way;
pub mod witness;
