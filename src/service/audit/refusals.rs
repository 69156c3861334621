//! What was refused before it had a record of its own: counted, a peer, reason and minute,
//! and written when the minute is over. Which refusals those are is decided by who calls.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock;
use crate::domain::audit::{Record, RefusalCounts, RefusalsRecord, Timestamp};
use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;
use crate::store::audit_log::AuditLog;

/// How often it is looked which counted refusals are to be written, while there are any.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The counts that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    counts: Mutex<RefusalCounts>,
    /// Told when there are counts again.
    counted: Notify,
}

impl Refusals {
    /// Counts one. A count that it closes is queued for the log.
    pub(super) fn count(&self, log: &AuditLog, peer: &SpiffeId, reason: Reason) {
        let closed = self.counts(|counts| counts.count(now(), peer, reason.into()));
        if let Some(record) = closed {
            let queued = log.append(vec![Record::Refusals(record.clone())]);
            if let Some(Err(_)) = queued.now_or_never() {
                self.counts(|counts| counts.take_back(record));
            }
        }
    }

    /// Writes each count when its minute is over; sleeps while there is none.
    pub(super) async fn write_always(&self, log: &AuditLog) -> Infallible {
        loop {
            if self.counts(|counts| counts.is_empty()) {
                self.counted.notified().await;
            }
            clock::beat(LOOK_EVERY).await;
            self.write(log, self.counts(|counts| counts.close(now()))).await;
        }
    }

    /// Writes what is counted and not yet written.
    pub(super) async fn flush(&self, log: &AuditLog) {
        self.write(log, self.counts(|counts| counts.close_all(now()))).await;
    }

    /// Writes counts; those that the log does not take now are open again.
    async fn write(&self, log: &AuditLog, closed: Vec<RefusalsRecord>) {
        for some in closed.chunks(AuditLog::MAX_RECORDS) {
            let records = some.iter().cloned().map(Record::Refusals).collect();
            if log.append(records).await.is_err() {
                self.counts(|counts| some.iter().cloned().for_each(|one| counts.take_back(one)));
            }
        }
    }

    fn counts<T>(&self, act: impl FnOnce(&mut RefusalCounts) -> T) -> T {
        let mut counts = self.counts.lock();
        let before = counts.is_empty();
        let acted = act(&mut counts);
        if before && !counts.is_empty() {
            self.counted.notify_one();
        }
        acted
    }
}

fn now() -> Timestamp {
    Timestamp::new(clock::process().recorded())
}
