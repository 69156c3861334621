//! Counts as the audit log carries them: what a counter is given back that was not
//! on the disk yet when the machine failed.
//!
//! A count says what it came to, not by how much it grew: so it may be given back any
//! number of times, in any order, by each of several logs. How a log is read is not
//! known here.

use std::collections::VecDeque;
use std::time::Duration;

use super::{SYNC_EVERY, digest_of, key_of, request_of};
use crate::domain::audit::{Counted, Record, SectionRecord, Timestamp};

/// How much later than its count a record may be written, beside the time that its
/// request had.
const SLACK: Duration = Duration::from_secs(60);

/// One count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) key: [u8; 32],
    pub(super) request: [u8; 32],
    pub(super) digest: [u8; 32],
    pub(super) expires: i64,
    pub(super) at: i64,
    pub(super) counted: Counted,
}

impl Recorded {
    fn of(record: &SectionRecord) -> Option<Self> {
        let (count, jti) = (record.count.as_ref()?, record.grant.as_ref()?.as_str());
        Some(Self {
            key: key_of(&count.issuer, jti, count.window),
            request: request_of(&record.consumer, record.request.as_str()),
            digest: digest_of(&count.issuer, jti, &record.items),
            expires: i64::try_from(count.expires).unwrap_or(i64::MAX),
            at: record.time.to_utc().unix_timestamp(),
            counted: count.counted,
        })
    }
}

/// The newest counts of a log, in its order: all that can be missing on the disk.
///
/// Whatever is not there was counted within [`SYNC_EVERY`] of the last count that is,
/// and recorded before its request's deadline.
#[derive(Debug)]
pub struct Newest {
    within: Duration,
    counts: VecDeque<(Timestamp, Recorded)>,
}

impl Newest {
    /// For requests that have so much time.
    pub fn new(deadline: Duration) -> Self {
        let within = deadline.saturating_add(SYNC_EVERY).saturating_add(SLACK);
        Self { within, counts: VecDeque::new() }
    }

    /// Takes note of the log's next record.
    pub fn see(&mut self, record: &Record) {
        let Record::Section(section) = record else { return };
        let Some(recorded) = Recorded::of(section) else { return };
        let within = u64::try_from(self.within.as_micros()).unwrap_or(u64::MAX);
        let since = section.time.0.saturating_sub(within);
        while self.counts.front().is_some_and(|(time, _)| time.0 < since) {
            self.counts.pop_front();
        }
        self.counts.push_back((section.time, recorded));
    }

    pub(super) fn into_counts(self) -> impl Iterator<Item = Recorded> {
        self.counts.into_iter().map(|(_, recorded)| recorded)
    }
}
