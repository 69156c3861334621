//! Counts refusals a peer, reason and minute, so that a flood of requests that
//! never get as far as a grant cannot fill the disk.
//!
//! Limiting the flood itself is quotas' business. Counts that are not closed when
//! the process dies are lost: nothing was disclosed for them.

use std::collections::HashMap;

use super::record::{RefusalsRecord, Timestamp};
use crate::domain::names::ReasonWord;
use crate::domain::peer::SpiffeId;

/// How long a count stays open, in microseconds.
const MINUTE: u64 = 60_000_000;

/// How many counts are open at once.
const MAX_OPEN: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Timestamp,
    count: u64,
}

/// The counts that are open.
#[derive(Debug, Default)]
pub struct RefusalCounts {
    open: HashMap<(SpiffeId, ReasonWord), Count>,
}

impl RefusalCounts {
    /// Counts a refusal. What it gives back is to be appended to the log: a count
    /// whose minute is over, or, with too many counts open, this refusal itself.
    #[must_use = "the record is to be appended to the log"]
    pub fn count(
        &mut self,
        now: Timestamp,
        peer: &SpiffeId,
        reason: ReasonWord,
    ) -> Option<RefusalsRecord> {
        let fresh = Count { since: now, count: 1 };
        let key = (peer.clone(), reason);
        if let Some(count) = self.open.get_mut(&key) {
            if now.0.saturating_sub(count.since.0) < MINUTE {
                count.count += 1;
                return None;
            }
            let closed = std::mem::replace(count, fresh);
            return Some(record(now, key, closed));
        }
        if self.open.len() >= MAX_OPEN {
            return Some(record(now, key, fresh));
        }
        self.open.insert(key, fresh);
        None
    }

    /// Takes back a count that the log did not take: it is open again, and bounded like any
    /// other. One for which there is no room is lost.
    pub fn take_back(&mut self, closed: RefusalsRecord) {
        let RefusalsRecord { since, peer, reason, count, .. } = closed;
        let key = (peer, reason);
        if let Some(open) = self.open.get_mut(&key) {
            open.count = open.count.saturating_add(count);
            open.since = open.since.min(since);
        } else if self.open.len() < MAX_OPEN {
            self.open.insert(key, Count { since, count });
        }
    }

    /// Whether nothing is counted that is not closed.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Closes the counts whose minute is over; to be called about once a second.
    #[must_use = "the records are to be appended to the log"]
    pub fn close(&mut self, now: Timestamp) -> Vec<RefusalsRecord> {
        let over = |_: &_, count: &mut Count| now.0.saturating_sub(count.since.0) >= MINUTE;
        self.open.extract_if(over).map(|(key, count)| record(now, key, count)).collect()
    }

    /// Closes every count, before the log is closed.
    #[must_use = "the records are to be appended to the log"]
    pub fn close_all(&mut self, now: Timestamp) -> Vec<RefusalsRecord> {
        self.open.drain().map(|(key, count)| record(now, key, count)).collect()
    }
}

fn record(now: Timestamp, (peer, reason): (SpiffeId, ReasonWord), count: Count) -> RefusalsRecord {
    RefusalsRecord { time: now, since: count.since, peer, reason, count: count.count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reason::Reason;

    #[test]
    fn a_flood_becomes_one_record_a_minute() {
        let peer: SpiffeId = "spiffe://scoring.city.example/consumer/scoring".parse().unwrap();
        let reason = || ReasonWord::new("QUOTA_EXCEEDED").unwrap();
        let mut counts = RefusalCounts::default();
        let mut records = Vec::new();
        for tick in 0..150_000u64 {
            // A thousand a second, for two and a half minutes.
            records.extend(counts.count(Timestamp(tick * 1000), &peer, reason()));
        }
        assert!(counts.close(Timestamp(150_000_000)).is_empty());
        records.extend(counts.close_all(Timestamp(150_000_000)));
        let counted: Vec<u64> = records.iter().map(|record| record.count).collect();
        assert_eq!(counted, [60_000, 60_000, 30_000]);
    }

    #[test]
    fn a_count_that_the_log_did_not_take_goes_on() {
        let peer: SpiffeId = "spiffe://scoring.city.example/consumer/scoring".parse().unwrap();
        let reason = || ReasonWord::from(Reason::Overloaded);
        let mut counts = RefusalCounts::default();
        assert_eq!(counts.count(Timestamp(1), &peer, reason()), None);
        let closed = counts.close_all(Timestamp(2)).pop().unwrap();
        assert_eq!(counts.count(Timestamp(3), &peer, reason()), None);
        counts.take_back(closed);
        let closed = counts.close(Timestamp(MINUTE + 1)).pop().unwrap();
        assert_eq!((closed.since, closed.count), (Timestamp(1), 2));
        counts.take_back(closed);
        assert_eq!(counts.close_all(Timestamp(MINUTE + 2)).len(), 1);
    }

    #[test]
    fn the_number_of_open_counts_is_bounded() {
        let mut counts = RefusalCounts::default();
        for number in 0..MAX_OPEN + 10 {
            let peer = format!("spiffe://a.example/consumer/{number}").parse().unwrap();
            let full = counts.count(Timestamp(0), &peer, ReasonWord::new("X").unwrap());
            assert_eq!(full.is_some(), number >= MAX_OPEN);
        }
        assert_eq!(counts.close(Timestamp(MINUTE)).len(), MAX_OPEN);
    }
}
