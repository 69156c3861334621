//! Counts as audit logs carry them: what counters are given back that they have lost.
//!
//! A count says what it came to, not by how much it grew: so it may be given back any
//! number of times, in any order, by each of several logs. Where counters were begun anew
//! and counted on from one, a log has more uses than the highest of its counts says, so
//! they are numbered here as well, and the higher of the two holds: no use is given back.
//! How a log is read is not known here.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use time::OffsetDateTime;

use super::batch::{Known, Released};
use super::retention::KEEP;
use super::{SYNC_EVERY, digest_of, hash, key_of, request_of};
use crate::domain::audit::{Counted, Decision, Record, SectionRecord, Timestamp};

/// How much later than its count a record may be written, beside the time that its
/// request had.
const SLACK: Duration = Duration::from_secs(60);

/// Uses of a grant in a window, as the logs have them.
#[derive(Debug, Clone, Copy, Default)]
struct Uses {
    /// What the highest count came to.
    counted: u32,
    /// How many records there are.
    recorded: u32,
    expires: i64,
}

/// What logs say was counted: every use of a grant that may still be used, and the newest
/// requests.
#[derive(Debug, Clone)]
pub struct Recount {
    now: i64,
    within: u64,
    uses: HashMap<[u8; 32], Uses>,
    requests: VecDeque<(Timestamp, [u8; 32], Released)>,
    records: u64,
}

impl Recount {
    /// For counters that may lack what was counted within [`SYNC_EVERY`] of the last count,
    /// and recorded before the deadline of its request: older requests are not remembered.
    pub fn at_start(deadline: Duration, now: OffsetDateTime) -> Self {
        Self::new(deadline.saturating_add(SYNC_EVERY).saturating_add(SLACK), now)
    }

    /// For counters that may lack everything: requests are remembered for as long as
    /// counters remember them.
    pub fn of_everything(now: OffsetDateTime) -> Self {
        Self::new(Duration::from_secs(KEEP.unsigned_abs()), now)
    }

    fn new(within: Duration, now: OffsetDateTime) -> Self {
        Self {
            now: now.unix_timestamp(),
            within: u64::try_from(within.as_micros()).unwrap_or(u64::MAX),
            uses: HashMap::new(),
            requests: VecDeque::new(),
            records: 0,
        }
    }

    /// Takes note of a log's next record.
    pub fn see(&mut self, record: &Record) {
        let Record::Section(section) = record else { return };
        let Some((key, uses, request, released)) = read(section) else { return };
        self.records += 1;
        if let Some(uses) = uses.filter(|uses| uses.expires.saturating_add(KEEP) >= self.now) {
            let known = self.uses.entry(key).or_default();
            known.counted = known.counted.max(uses.counted);
            known.recorded = known.recorded.saturating_add(uses.recorded);
            known.expires = known.expires.max(uses.expires);
        }
        let since = section.time.0.saturating_sub(self.within);
        while self.requests.front().is_some_and(|(time, ..)| time.0 < since) {
            self.requests.pop_front();
        }
        self.requests.push_back((section.time, request, released));
    }

    /// How many records had a count.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Of how many windows of grants that may still be used there are uses.
    pub fn windows(&self) -> usize {
        self.uses.len()
    }

    /// In the order of their keys, so that what is written together lies together.
    pub(super) fn into_known(self) -> Vec<Known> {
        let mut uses: Vec<_> = self.uses.into_iter().collect();
        uses.sort_unstable_by_key(|(key, _)| *key);
        let uses = uses.into_iter().map(|(key, uses)| {
            let used = uses.counted.max(uses.recorded);
            Known::Uses { key, used, expires: uses.expires }
        });
        let requests = self.requests.into_iter();
        let requests = requests.map(|(_, request, released)| Known::Request { request, released });
        uses.chain(requests).collect()
    }
}

/// What stands in counters that were counted again from logs, so that they are never taken
/// for new ones, even if no log had a use.
pub(super) fn mark() -> Known {
    Known::Uses { key: hash(&[b"counted again"]), used: 1, expires: i64::MAX }
}

/// The grant and window, what was counted of it unless it was a repeat, the request, and its
/// release.
type Read = ([u8; 32], Option<Uses>, [u8; 32], Released);

fn read(record: &SectionRecord) -> Option<Read> {
    let (count, jti) = (record.count.as_ref()?, record.grant.as_ref()?.as_str());
    let released = |times| Released {
        digest: digest_of(&count.issuer, jti, &record.items),
        at: record.time.to_utc().unix_timestamp(),
        times,
    };
    let (uses, released) = match count.counted {
        Counted::Use(counted) => {
            let expires = i64::try_from(count.expires).unwrap_or(i64::MAX);
            // What was taken back has two records, and is one use.
            let recorded = u32::from(!matches!(record.decision, Decision::Withheld(_)));
            (Some(Uses { counted, recorded, expires }), released(1))
        }
        Counted::Repeat(times) => (None, released(times)),
    };
    let request = request_of(&record.consumer, record.request.as_str());
    Some((key_of(&count.issuer, jti, count.window), uses, request, released))
}
