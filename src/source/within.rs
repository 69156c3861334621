//! A bound in time around whatever a source does.

use std::time::Instant;

use futures_util::future::{BoxFuture, FutureExt};

use super::fault::{Reason, SourceError};

/// Ends by `until`, whatever the source does: dropping the future closes its
/// connection and frees its place in the pool.
pub(super) fn within<'a, T: Send + 'a>(
    until: Instant,
    asking: impl Future<Output = Result<T, SourceError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, SourceError>> {
    async move {
        let late = |_| SourceError::new(Reason::Timeout, "the statement did not end in time");
        tokio::time::timeout_at(until.into(), asking).await.map_err(late)?
    }
    .boxed()
}
