//! How long what was counted is kept, and so which rows of a database are old. When old rows
//! are deleted is the business of [`super::writer`].

use super::Job;

/// Requests are forgotten after a week; uses a week after the grant expired, for
/// the clocks of replicas may differ.
pub(super) const KEEP: i64 = 7 * 86_400;

/// So many old rows are deleted at a time.
pub(super) const ROWS: i64 = 1000;

/// The moment at which whatever had ended before is old, as this batch has the time.
pub(super) fn old(batch: &[Job]) -> i64 {
    batch.iter().map(|job| job.at).max().unwrap_or_default() - KEEP
}
