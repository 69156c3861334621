//! Peers whose connections had to be closed for what they took. Their next ones are not
//! read for a while, or handshakes and first frames would be what they take next. The wait
//! doubles with each time, and is forgotten by whoever keeps the rules for a while.
//!
//! It has no clock: it is told what time it is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::domain::peer::SpiffeId;

/// The first wait, and the longest: below what clients allow for a connection's beginning.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(16);

/// A peer that kept the rules for so long after its wait begins anew with the first.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// So many peers are remembered; of more, those whose wait ends first are forgotten.
const MOST: usize = 4096;

/// Who waits.
#[derive(Debug, Default)]
pub(super) struct Cooling {
    peers: Mutex<HashMap<SpiffeId, Wait>>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    until: Instant,
    length: Duration,
}

impl Cooling {
    /// A connection of this peer is closed for what it took. What is closed while the peer
    /// waits already is of the same time.
    pub(super) fn closed(&self, peer: &SpiffeId, now: Instant) {
        let mut peers = self.peers.lock();
        let before = peers.get(peer).copied();
        if before.is_some_and(|wait| now < wait.until) {
            return;
        }
        let remembered = before.filter(|wait| now < wait.until + FORGOTTEN);
        let length = remembered.map_or(FIRST, |wait| (wait.length * 2).min(LONGEST));
        if before.is_none() && peers.len() >= MOST {
            peers.retain(|_, wait| now < wait.until + FORGOTTEN);
            if peers.len() >= MOST {
                let first = peers.iter().min_by_key(|(_, wait)| wait.until);
                let first = first.map(|(peer, _)| peer.clone());
                first.map(|peer| peers.remove(&peer));
            }
        }
        peers.insert(peer.clone(), Wait { until: now + length, length });
    }

    /// Until when connections of this peer are not read, if so.
    pub(super) fn until(&self, peer: &SpiffeId, now: Instant) -> Option<Instant> {
        let peers = self.peers.lock();
        peers.get(peer).map(|wait| wait.until).filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str) -> SpiffeId {
        format!("spiffe://crowd.city.example/consumer/{name}").parse().unwrap()
    }

    #[test]
    fn row_60_each_time_it_waits_longer_and_alone() {
        let (cooling, mut now, crowd) = (Cooling::default(), crate::clock::now(), peer("a"));
        for seconds in [1, 2, 4, 8, 16, 16] {
            cooling.closed(&crowd, now);
            let until = cooling.until(&crowd, now).unwrap();
            assert_eq!(until - now, Duration::from_secs(seconds));
            // Its other connections are closed at the same time.
            cooling.closed(&crowd, now + Duration::from_millis(200));
            assert_eq!(cooling.until(&crowd, now), Some(until));
            assert_eq!(cooling.until(&peer("b"), now), None);
            now = until;
            assert_eq!(cooling.until(&crowd, now), None);
        }
        now += FORGOTTEN;
        cooling.closed(&crowd, now);
        assert_eq!(cooling.until(&crowd, now), Some(now + FIRST));
    }

    #[test]
    fn no_number_of_peers_takes_more_than_its_place() {
        let (cooling, now) = (Cooling::default(), crate::clock::now());
        let at = |nth: usize| now + Duration::from_millis(nth.try_into().unwrap());
        for nth in 0..=MOST {
            cooling.closed(&peer(&nth.to_string()), at(nth));
        }
        assert_eq!(cooling.peers.lock().len(), MOST);
        assert_eq!(cooling.until(&peer("0"), now), None);
        assert!(cooling.until(&peer("1"), now).is_some());
    }
}
