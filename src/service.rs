//! What the two roles do with a request: the agency answers about what it holds,
//! the gateway plans, fans out and merges.
//!
//! | room | what lives there |
//! | --- | --- |
//! | [`gateway`] | the consumers' side: a request from admission to profile |
//! | [`agencies`] | the gateway's client to its agencies |
//! | [`agency`] | an agency's side: one question answered from its own holdings |
//! | [`audit`] | what both ends write into their logs, and show of them |
//!
//! Beside them stands what both ends use. Nothing here reads a file or opens a
//! listening socket.

pub mod agencies;
pub mod agency;
pub mod audit;
pub mod catalogue;
pub mod edge;
mod ending;
pub mod gateway;
pub mod health;
pub mod judge;
pub mod lately;
pub mod metered;
pub mod peer;
pub mod random;
pub mod readiness;
pub mod rulebook;
pub mod status_lists;
pub mod timing;
pub mod traced;
