//! The circuit breaker of one endpoint: when it is asked no more, and when one
//! question may try.
//!
//! Pure: time is an argument, and nothing here waits. It opens when at least half of
//! its newest outcomes are failures, over two consumers where two ask. While it is open
//! the outcomes of older questions mean nothing, one probe may be under way, and the
//! wait doubles with each probe that fails. The first answer to a probe closes it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Failures without which it does not open.
const FAILURES: usize = 5;

/// The window: outcomes of so long, at least so many if there are, at most so many, and
/// none older than that.
const RECENT: Duration = Duration::from_millis(1_500);
const AT_LEAST: usize = 10;
const AT_MOST: usize = 128;
const OLDEST: Duration = Duration::from_secs(60);

/// The first wait, and the longest in the first while after it opened and later.
const WAIT: Duration = Duration::from_millis(100);
const SOON: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(500));
const LATER: Duration = Duration::from_secs(5);

/// So long after its wait it is closed without a probe, if nobody asks.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The agency answered, whatever it said.
    Answered,
    /// It did not: it said that it is unavailable, or it had long enough and was late.
    Failed,
    /// Nobody knows: the caller went away, or gave it too little time.
    Unknown,
}

/// Leave to put one question. Every one is to be [settled](Circuit::settle).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leave {
    /// How often the circuit had changed by then.
    epoch: u64,
    /// Set for a probe: the number of probes that failed before it.
    probe: Option<u32>,
}

impl Leave {
    /// Set for a probe: the number of probes that failed before it.
    pub const fn probe(&self) -> Option<u32> {
        self.probe
    }
}

/// The circuit breaker of one endpoint.
#[derive(Debug, Default)]
pub struct Circuit {
    epoch: u64,
    newest: VecDeque<Seen>,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: Instant,
    failed: bool,
    /// None for a whole stream's end, which is nobody's alone.
    consumer: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    since: Instant,
    until: Instant,
    wait: Duration,
    failed_probes: u32,
    /// Until when the probe that is under way may still be.
    probe: Option<Instant>,
}

impl Circuit {
    /// Until when nothing is asked; `None` when it is closed.
    pub fn until(&self) -> Option<Instant> {
        self.open.map(|open| open.until)
    }

    /// Leave to put a question that is waited for until `deadline`.
    pub fn admit(&mut self, now: Instant, deadline: Instant) -> Option<Leave> {
        let Some(open) = &mut self.open else {
            return Some(Leave { epoch: self.epoch, probe: None });
        };
        if now < open.until || open.probe.is_some_and(|end| now < end) {
            return None;
        }
        open.probe = Some(deadline);
        // One that nobody ever tells of counts for nothing.
        self.epoch += 1;
        Some(Leave { epoch: self.epoch, probe: Some(open.failed_probes) })
    }

    /// What came of a question. Tells whether that opened or closed the circuit.
    pub fn settle(&mut self, now: Instant, leave: Leave, consumer: u64, outcome: Outcome) -> bool {
        if leave.epoch != self.epoch {
            return false;
        }
        let Some(open) = &mut self.open else {
            return outcome != Outcome::Unknown
                && self.see(now, Some(consumer), outcome == Outcome::Failed);
        };
        if leave.probe.is_none() {
            return false;
        }
        open.probe = None;
        match outcome {
            Outcome::Unknown => {
                open.until = now + open.wait;
                false
            }
            Outcome::Answered => {
                self.close();
                true
            }
            Outcome::Failed => {
                open.failed_probes = open.failed_probes.saturating_add(1);
                let (early, soon) = SOON;
                let most = match now.saturating_duration_since(open.since) < early {
                    true => soon,
                    false => LATER,
                };
                open.wait = (open.wait * 2).min(most);
                open.until = now + open.wait;
                false
            }
        }
    }

    /// A stream ended with questions on it: one failure, however many they were. Tells
    /// whether that opened the circuit.
    pub fn stream_lost(&mut self, now: Instant) -> bool {
        self.open.is_none() && self.see(now, None, true)
    }

    /// Closes it where nobody has tried for long: what was known is known no more.
    pub fn rest(&mut self, now: Instant) {
        let idle = |open: Open| open.probe.is_none() && now >= open.until + FORGOTTEN;
        if self.open.is_some_and(idle) {
            self.close();
        }
    }

    fn close(&mut self) {
        self.open = None;
        self.newest.clear();
        self.epoch += 1;
    }

    fn see(&mut self, at: Instant, consumer: Option<u64>, failed: bool) -> bool {
        if self.newest.len() >= AT_MOST {
            self.newest.pop_front();
        }
        self.newest.push_back(Seen { at, failed, consumer });
        if !failed || !self.breaks(at) {
            return false;
        }
        self.newest.clear();
        self.epoch += 1;
        let until = at + WAIT;
        self.open = Some(Open { since: at, until, wait: WAIT, failed_probes: 0, probe: None });
        true
    }

    fn breaks(&self, now: Instant) -> bool {
        let age = |seen: &Seen| now.saturating_duration_since(seen.at);
        let window = self.newest.iter().rev().enumerate();
        let window = window.take_while(|(nth, seen)| {
            age(seen) <= RECENT || (*nth < AT_LEAST && age(seen) <= OLDEST)
        });
        let (mut all, mut failed) = (Askers::default(), Askers::default());
        for (_, seen) in window {
            all.add(seen);
            if seen.failed {
                failed.add(seen);
            }
        }
        let several = !all.several || failed.several;
        several && failed.count >= FAILURES && failed.count * 2 >= all.count
    }
}

/// Outcomes, and whether more than one consumer's are among them.
#[derive(Debug, Default)]
struct Askers {
    count: usize,
    first: Option<u64>,
    several: bool,
}

impl Askers {
    fn add(&mut self, seen: &Seen) {
        self.count += 1;
        match (seen.consumer, self.first) {
            // A stream is everybody's.
            (None, _) => self.several = true,
            (Some(one), None) => self.first = Some(one),
            (Some(one), Some(first)) => self.several |= one != first,
        }
    }
}
