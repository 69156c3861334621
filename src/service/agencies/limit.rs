//! How many questions may be under way to one agency: a limit that falls when the
//! agency is late or says that it is overloaded, and grows again while it is used.
//!
//! Pure: time is an argument. Nobody waits for a place. Slow answers alone change
//! nothing, since an agency that answers in batches is slow by design. What is within
//! the limit is shared, first among trust domains, so that no number of identities helps,
//! then among the consumers of each: once three quarters are taken, or the limit has fallen
//! below what is under way, whoever is below its share gets in and nobody else.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The limit never falls below this.
const LEAST: usize = 32;

/// Of bad signs so close together only the first counts: they have one cause.
const ONCE_IN: Duration = Duration::from_millis(200);

/// Who asks: a trust domain and a consumer of it, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The same for the same trust domain.
    pub domain: u64,
    /// The same for the same consumer.
    pub consumer: u64,
}

/// The limit of one agency, and who has how many questions under way.
#[derive(Debug)]
pub struct Limit {
    most: usize,
    now: usize,
    in_flight: usize,
    /// What each consumer of each trust domain has under way.
    of: HashMap<u64, HashMap<u64, usize>>,
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

    /// Takes a place, if there is one for this consumer. Who is below its share gets one
    /// although others still have what a fallen limit would not give them now; with those
    /// there are never twice as many under way as there may be at most.
    pub fn enter(&mut self, asker: Asker) -> bool {
        let crowded = self.in_flight >= self.now - self.now / 4;
        if crowded && !self.is_below_share(asker) {
            return false;
        }
        self.in_flight += 1;
        *self.of.entry(asker.domain).or_default().entry(asker.consumer).or_default() += 1;
        true
    }

    fn is_below_share(&self, asker: Asker) -> bool {
        let Some(domain) = self.of.get(&asker.domain) else { return true };
        let of_domain = (self.now / self.of.len()).max(1);
        let own = domain.get(&asker.consumer);
        let consumers = domain.len() + usize::from(own.is_none());
        let of_consumer = (of_domain / consumers.max(1)).max(1);
        // In a domain the shares of few consumers may be above what many have left.
        domain.values().map(|has| *has.min(&of_consumer)).sum::<usize>() < of_domain
            && own.is_none_or(|own| *own < of_consumer)
    }

    /// Gives a place back.
    pub fn leave(&mut self, asker: Asker) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(domain) = self.of.get_mut(&asker.domain) else { return };
        if let Some(own) = domain.get_mut(&asker.consumer) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                domain.remove(&asker.consumer);
            }
        }
        if domain.is_empty() {
            self.of.remove(&asker.domain);
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

    const ONE: Asker = Asker { domain: 1, consumer: 1 };
    const OTHER: Asker = Asker { domain: 1, consumer: 2 };

    #[test]
    fn it_falls_with_trouble_and_grows_while_it_is_used() {
        let (mut limit, mut now) = (Limit::new(64), clock::now());
        while limit.enter(ONE) {}
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
            limit.leave(ONE);
        }
        assert_eq!((limit.get(), limit.in_flight()), (LEAST, 0));
        for _ in 0..100 {
            limit.answered();
        }
        assert_eq!(limit.get(), LEAST, "it is not used");
        while limit.get() < 64 {
            assert!(limit.enter(ONE));
            limit.answered();
        }
        limit.answered();
        assert_eq!(limit.get(), 64);
    }

    #[test]
    fn row_57_a_flood_of_one_consumer_leaves_places_for_another() {
        let mut limit = Limit::new(40);
        while limit.enter(ONE) {}
        assert_eq!(limit.in_flight(), 40, "alone it may have all");
        for _ in 0..20 {
            assert!(limit.enter(OTHER), "the other is below its share");
            assert!(!limit.enter(ONE), "and the first one above");
        }
        assert!(!limit.enter(OTHER), "it has its share");
        for _ in 0..30 {
            limit.leave(ONE);
        }
        assert!(limit.enter(ONE) && !limit.enter(OTHER), "now the first one is below its share");
    }

    #[test]
    fn row_60_whoever_is_below_its_share_gets_in_although_the_limit_fell() {
        let (mut limit, mut now) = (Limit::new(512), clock::now());
        while limit.enter(ONE) {}
        for _ in 0..50 {
            now += ONCE_IN;
            limit.troubled(now);
        }
        assert_eq!((limit.get(), limit.in_flight()), (LEAST, 512));
        for _ in 0..LEAST / 2 {
            assert!(limit.enter(OTHER));
        }
        assert!(!limit.enter(OTHER) && !limit.enter(ONE));
    }

    #[test]
    fn row_60_no_number_of_identities_gives_a_domain_more_than_its_share() {
        let mut limit = Limit::new(64);
        let crowd = |nth: u64| Asker { domain: 7, consumer: nth % 60 };
        let taken = (0..10_000).filter(|nth| limit.enter(crowd(*nth))).count();
        assert!(taken <= 64, "{taken}");
        let others = (0..1_000).filter(|_| limit.enter(ONE)).count();
        assert_eq!(others, 32);
        assert!((0..60).all(|nth| !limit.enter(crowd(nth))));
        for nth in 0..10_000_u64 {
            limit.leave(crowd(nth));
            limit.leave(ONE);
        }
        assert!(limit.of.is_empty(), "whoever has nothing is forgotten");
    }
}
