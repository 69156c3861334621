//! The protocol at the edge: generated messages, and the one way from each of
//! them into the domain and back.
//!
//! Everything that comes in is bounded and checked here, and refused with the
//! field named. Nothing here opens a socket.

pub mod audit;
pub mod catalogue;
pub mod deadline;
pub mod fetch;
pub mod grant;
pub mod json;
pub mod profile;
pub mod proto;
pub mod refusal;
pub mod section;
pub mod value;

/// Bytes of one encoded request or section at most.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;
