//! What both ends write into their audit logs, what reviewers are shown of them, and
//! the watch that each end keeps on the other's log.
//!
//! How a record gets to disk is `store`'s business, what it looks like `domain::audit`'s.

mod denials;
pub mod monitor;
pub mod recorder;
mod refusals;
pub mod server;
