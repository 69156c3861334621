//! How an agency did of late: how many questions it answered, and how long it took, in the
//! last five minutes, hour and day.
//!
//! Counts by minute and by hour in buckets of time, so that memory is bounded and nothing is
//! sorted; a percentile is its bucket's upper end, a quarter too long at most. Time is an
//! argument: what has passed since the start, in whole seconds.

use std::time::Duration;

/// Bucket ends grow by a quarter from half a millisecond to about a minute.
const BUCKETS: usize = 53;
const SHORTEST_MICROS: f64 = 500.0;
const GROWTH: f64 = 1.25;

/// Slots of a minute that are kept, and of an hour.
const MINUTES: usize = 60;
const HOURS: usize = 24;

/// What happened within a minute or an hour.
#[derive(Debug, Clone)]
struct Slot {
    /// Which minute or hour since the start.
    number: u64,
    questions: u64,
    answered: u64,
    buckets: [u32; BUCKETS],
}

impl Slot {
    const fn new(number: u64) -> Self {
        Self { number, questions: 0, answered: 0, buckets: [0; BUCKETS] }
    }

    fn count(&mut self, bucket: usize, answered: bool) {
        self.questions += 1;
        self.answered += u64::from(answered);
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            *bucket = bucket.saturating_add(1);
        }
    }
}

/// Slots of one length, the newest of which are kept.
#[derive(Debug)]
struct Ring(Vec<Slot>, usize);

impl Ring {
    const fn new(most: usize) -> Self {
        Self(Vec::new(), most)
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let Self(slots, most) = self;
        let at = usize::try_from(number).ok()? % *most;
        while slots.len() <= at {
            slots.push(Slot::new(u64::MAX));
        }
        let slot = slots.get_mut(at)?;
        if slot.number != number {
            *slot = Slot::new(number);
        }
        Some(slot)
    }

    /// All of the slots with these numbers together.
    fn sum(&self, from: u64, to: u64) -> Slot {
        let mut sum = Slot::new(to);
        for slot in self.0.iter().filter(|slot| (from..=to).contains(&slot.number)) {
            sum.questions += slot.questions;
            sum.answered += slot.answered;
            for (all, one) in sum.buckets.iter_mut().zip(slot.buckets) {
                *all = all.saturating_add(one);
            }
        }
        sum
    }
}

/// How an agency did.
#[derive(Debug)]
pub struct Quality {
    minutes: Ring,
    hours: Ring,
}

/// How it did within a span that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How long.
    pub span: Duration,
    /// Questions that ended.
    pub questions: u64,
    /// Of those, answered.
    pub answered: u64,
    /// How long half, 95 and 99 of a hundred took at most.
    pub percentiles: Option<[Duration; 3]>,
}

impl Default for Quality {
    fn default() -> Self {
        Self { minutes: Ring::new(MINUTES), hours: Ring::new(HOURS) }
    }
}

impl Quality {
    /// A question ended after so long.
    pub fn count(&mut self, second: u64, took: Duration, answered: bool) {
        let bucket = bucket_of(took);
        for (ring, length) in [(&mut self.minutes, 60), (&mut self.hours, 3600)] {
            if let Some(slot) = ring.slot(second / length) {
                slot.count(bucket, answered);
            }
        }
    }

    /// Five minutes, an hour and a day, each with its last part under way.
    pub fn windows(&self, second: u64) -> [Window; 3] {
        let (minute, hour) = (second / 60, second / 3600);
        let minutes = |count: u64| self.minutes.sum(minute.saturating_sub(count - 1), minute);
        let window = |span: u64, sum: Slot| Window {
            span: Duration::from_secs(span),
            questions: sum.questions,
            answered: sum.answered,
            percentiles: percentiles(&sum),
        };
        [
            window(300, minutes(5)),
            window(3600, minutes(60)),
            window(86_400, self.hours.sum(hour.saturating_sub(23), hour)),
        ]
    }
}

fn bucket_of(took: Duration) -> usize {
    let mut end = SHORTEST_MICROS;
    let micros = took.as_secs_f64() * 1e6;
    let mut bucket = 0;
    while end < micros && bucket < BUCKETS - 1 {
        end *= GROWTH;
        bucket += 1;
    }
    bucket
}

fn percentiles(sum: &Slot) -> Option<[Duration; 3]> {
    let total: u64 = sum.buckets.iter().map(|count| u64::from(*count)).sum();
    if total == 0 {
        return None;
    }
    Some([50, 95, 99].map(|percent: u64| {
        // The place of the first that is not among the faster ones, counted from one.
        let place = (total * percent).div_ceil(100).max(1);
        let (mut seen, mut end) = (0, SHORTEST_MICROS);
        for count in sum.buckets {
            seen += u64::from(count);
            if seen >= place {
                break;
            }
            end *= GROWTH;
        }
        Duration::from_secs_f64(end / 1e6)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_has_what_happened_in_it_and_nothing_older() {
        let mut quality = Quality::default();
        let took = Duration::from_millis(10);
        // Once a second for three days; every tenth question of the last hour failed.
        let end = 3 * 86_400;
        for second in 0..end {
            let failed = second >= end - 3600 && second % 10 == 0;
            quality.count(second, took, !failed);
        }
        let [minutes, hour, day] = quality.windows(end - 1);
        assert_eq!((minutes.questions, minutes.answered), (300, 270));
        assert_eq!((hour.questions, hour.answered), (3600, 3240));
        assert_eq!((day.questions, day.answered), (86_400, 86_400 - 360));
        // Two hours later nothing is left of the hour, and most of the day.
        let [minutes, hour, day] = quality.windows(end + 7199);
        assert_eq!((minutes.questions, hour.questions, day.questions), (0, 0, 86_400 - 7200));
        assert_eq!(hour.percentiles, None);
    }

    #[test]
    fn percentiles_are_a_quarter_too_long_at_most() {
        let mut quality = Quality::default();
        for millis in 1..=1000_u64 {
            quality.count(7, Duration::from_millis(millis), true);
        }
        let [window, ..] = quality.windows(7);
        let told = window.percentiles.unwrap().map(|told| told.as_secs_f64());
        for (told, real) in told.into_iter().zip([0.5, 0.95, 0.99]) {
            assert!((real..real * 1.26).contains(&told), "{told} for {real}");
        }
        let mut odd = Quality::default();
        odd.count(0, Duration::ZERO, true);
        odd.count(0, Duration::from_secs(3600), false);
        assert!(odd.windows(0)[0].percentiles.unwrap()[2] < Duration::from_secs(120));
    }
}
