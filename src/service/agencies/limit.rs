//! How many questions may be under way to one agency: a limit that falls when the
//! agency is late or says that it is overloaded, and grows again while it is used.
//!
//! Pure: time is an argument. Nobody waits for a place. Slow answers alone change
//! nothing, since an agency that answers in batches is slow by design. What is within
//! the limit is shared: the last quarter is for consumers below their share.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The limit never falls below this.
const LEAST: usize = 32;

/// Of bad signs so close together only the first counts: they have one cause.
const ONCE_IN: Duration = Duration::from_millis(200);

/// The limit of one agency, and who has how many questions under way.
#[derive(Debug)]
pub struct Limit {
    most: usize,
    now: usize,
    in_flight: usize,
    of: HashMap<u64, usize>,
    fell: Option<Instant>,
}

impl Limit {
    /// A limit that begins at `most` and never exceeds it.
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { most, now: most, in_flight: 0, of: HashMap::new(), fell: None }
    }

    /// The limit now.
    pub const fn get(&self) -> usize {
        self.now
    }

    /// How many questions are under way.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Takes a place, if there is one for this consumer.
    pub fn enter(&mut self, consumer: u64) -> bool {
        let own = self.of.get(&consumer).copied().unwrap_or(0);
        let consumers = self.of.len() + usize::from(own == 0);
        let share = (self.now / consumers.max(1)).max(1);
        let crowded = self.in_flight >= self.now - self.now / 4;
        if self.in_flight >= self.now || (crowded && own >= share) {
            return false;
        }
        self.in_flight += 1;
        self.of.insert(consumer, own + 1);
        true
    }

    /// Gives a place back.
    pub fn leave(&mut self, consumer: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(own) = self.of.get_mut(&consumer) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.of.remove(&consumer);
            }
        }
    }

    /// A question was answered while its place was still taken.
    pub fn answered(&mut self) {
        if self.in_flight * 2 >= self.now {
            self.now = (self.now + 1).min(self.most);
        }
    }

    /// The agency was late, or said that it is overloaded.
    pub fn troubled(&mut self, now: Instant) {
        let again = |fell| now.saturating_duration_since(fell) >= ONCE_IN;
        if self.fell.is_none_or(again) {
            self.fell = Some(now);
            // From twice what was really under way, if that was less.
            let from = self.now.min(self.in_flight.saturating_mul(2));
            self.now = (from * 3 / 4).max(LEAST.min(self.most));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn it_falls_with_trouble_and_grows_while_it_is_used() {
        let (mut limit, mut now) = (Limit::new(64), clock::now());
        while limit.enter(1) {}
        assert_eq!(limit.in_flight(), 64);
        limit.troubled(now);
        let fallen = limit.get();
        assert_eq!(fallen, 48);
        limit.troubled(now);
        assert_eq!(limit.get(), fallen, "one cause, one fall");
        for _ in 0..50 {
            now += ONCE_IN;
            limit.troubled(now);
        }
        for _ in 0..64 {
            limit.leave(1);
        }
        assert_eq!((limit.get(), limit.in_flight()), (LEAST, 0));
        for _ in 0..100 {
            limit.answered();
        }
        assert_eq!(limit.get(), LEAST, "it is not used");
        while limit.get() < 64 {
            assert!(limit.enter(1));
            limit.answered();
        }
        limit.answered();
        assert_eq!(limit.get(), 64);
    }

    #[test]
    fn row_57_a_flood_of_one_consumer_leaves_places_for_another() {
        let mut limit = Limit::new(40);
        while limit.enter(1) {}
        assert_eq!(limit.in_flight(), 40, "alone it may have all");
        for _ in 0..10 {
            limit.leave(1);
        }
        assert!(limit.enter(2), "the other is below its share");
        assert!(!limit.enter(1), "and the first one above");
        for _ in 0..9 {
            assert!(limit.enter(2));
        }
        assert!(!limit.enter(2));
    }
}
