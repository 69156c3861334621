//! What was noted of late, by hash: bounded, and forgotten by age. It lives in two halves,
//! and when the younger is full or old enough, the older goes; so nothing is looked through.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};

/// Half of a SHA-256.
pub type Hash = [u8; 16];

/// Things noted by hash, each with when it first was.
#[derive(Debug)]
pub struct Lately<T> {
    young: HashMap<Hash, (T, Instant)>,
    old: HashMap<Hash, (T, Instant)>,
    since: Option<Instant>,
    within: Duration,
    most: usize,
}

impl<T: Copy> Lately<T> {
    /// Remembers for this long, and in each half no more than `most`.
    pub fn new(within: Duration, most: usize) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { young, old, since: None, within, most }
    }

    /// What was noted of it, not too long ago.
    pub fn get(&self, key: &Hash, now: Instant) -> Option<T> {
        let known = self.young.get(key).or_else(|| self.old.get(key));
        let fresh = known.filter(|(_, at)| now.saturating_duration_since(*at) <= self.within);
        fresh.map(|(noted, _)| *noted)
    }

    /// Notes it, or gives what was noted before.
    pub fn note(&mut self, key: Hash, thing: T, now: Instant) -> Option<T> {
        let before = self.get(&key, now);
        if before.is_none() {
            let aged =
                self.since.is_none_or(|since| now.saturating_duration_since(since) > self.within);
            if aged || self.young.len() >= self.most {
                self.old = std::mem::take(&mut self.young);
                self.since = Some(now);
            }
            self.young.insert(key, (thing, now));
        }
        before
    }
}

/// Length-prefixed, so that no two lists of texts hash alike.
pub fn hash(texts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text);
    }
    let mut hash = Hash::default();
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn what_was_noted_first_stands_for_its_time() {
        let mut noted = Lately::new(Duration::from_secs(60), 8);
        let start = clock::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(noted.note([1; 16], 1, at(0)), None);
        assert_eq!(noted.note([1; 16], 2, at(60)), Some(1));
        assert_eq!(noted.note([2; 16], 3, at(60)), None);
        // The halves changed; it is remembered all the same, from when it was noted.
        assert_eq!(noted.note([3; 16], 4, at(90)), None);
        assert_eq!(noted.note([2; 16], 5, at(119)), Some(3));
        assert_eq!(noted.note([1; 16], 2, at(119)), None);
        assert_eq!(noted.note([1; 16], 6, at(170)), Some(2));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut noted, now) = (Lately::new(Duration::from_secs(60), 100), clock::now());
        for number in 0..1000_u128 {
            assert_eq!(noted.note(number.to_be_bytes(), (), now), None);
            assert!(noted.young.len() + noted.old.len() <= 200);
        }
    }
}
