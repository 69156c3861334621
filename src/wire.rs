//! The protocol at the edge: generated messages, and the one way from each of
//! them into the domain and back.
//!
//! Everything that comes in is bounded and checked here, and refused with the
//! field named. Nothing here opens a socket.

pub mod audit;
pub mod catalogue;
pub mod codec;
pub mod deadline;
pub mod fetch;
pub mod grant;
pub mod json;
pub mod profile;
pub mod proto;
pub mod refusal;
pub mod request_proof;
pub mod section;
pub mod status;
pub mod trace;
pub mod value;

/// Bytes of one encoded request at most.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// Bytes of one encoded section at most: what an agency may send is what a gateway
/// takes.
pub const MAX_SECTION_BYTES: usize = 512 * 1024;

/// Bytes of one message of an agency on an Exchange stream at most. More than a section
/// and what is around it, so that one that is too large loses its exchange and not the
/// stream. What a gateway sends is bounded by [`MAX_MESSAGE_BYTES`].
pub const MAX_FRAME_BYTES: usize = 2 * MAX_SECTION_BYTES;

/// Bytes of an agency's description of itself at most.
pub const MAX_HELLO_BYTES: usize = 64 * 1024;
