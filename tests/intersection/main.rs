//! What may leave an agency at all: nothing outside requested ∩ granted ∩ gateway
//! policy ∩ agency policy ∩ offered, whatever grants, policies and requests there
//! are, and whatever a gateway in an attacker's hands sends. Counted at the
//! agency's own door, over real links, grants, policies and databases. All people
//! are synthetic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

#[allow(dead_code, reason = "other suites use the rest of it")]
#[path = "../support/federation.rs"]
mod federation;
#[path = "../support/forged.rs"]
mod forged;
#[path = "../support/waiting.rs"]
mod waiting;

mod grants;
mod hostile;
mod law;
mod policies;
mod tap;
mod under_way;
mod world;
