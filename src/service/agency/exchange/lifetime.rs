//! How long a stream is kept: its age, and what else is a reason to drain or end it. What is
//! under way then is the business of [`super`].

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant as TokioInstant, sleep_until};

use crate::domain::reason::Reason;
use crate::link::validity::Link;
use crate::service::ending::ending;
use crate::service::random;

/// An age up to a tenth younger, so that streams that were opened together are not
/// drained together.
pub(super) fn spread(age: Duration) -> Duration {
    let random = random::sixteen().map_or(0, |bytes| bytes[0]);
    age - age / 10 * u32::from(random) / 256
}

/// Waits until a stream must be drained or ended, and says why.
pub(super) async fn due(
    link: &Link,
    stop: &mut watch::Receiver<bool>,
    catalogues: &mut watch::Receiver<u64>,
    end: TokioInstant,
) -> Option<Reason> {
    tokio::select! {
        () = sleep_until(end) => Some(Reason::Age),
        // The next stream's Hello tells of the new one.
        Ok(()) = catalogues.changed() => Some(Reason::CatalogueChanged),
        reason = ending(link, stop) => reason,
    }
}
