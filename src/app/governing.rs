//! What governs a running process and may change meanwhile: its audit log, the rulebook, the
//! kill switch. Which certificates are believed is watched by [`super::rotation`].

pub(super) mod authority;
pub(super) mod counting;
pub(super) mod fixed;
pub(super) mod health;
pub(super) mod limits;
pub(super) mod log;
pub(super) mod mirror;
pub(super) mod peers;
pub(super) mod published;
pub(super) mod ready;
pub(super) mod rulebook;
pub(super) mod switch;
pub(super) mod turn;

use crate::domain::finding::causes;
use crate::domain::reason::Reason;

/// Says that something stays as it was.
pub(super) fn kept(reason: Reason, error: &dyn std::error::Error) {
    kept_as(reason, causes(error));
}

/// The same, of an error in words.
pub(super) fn kept_as(reason: Reason, error: String) {
    tracing::error!(
        %reason,
        error,
        "a changed file cannot be used; the last good one stays in force"
    );
}
