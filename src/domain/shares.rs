//! Places that are shared out: so many altogether, of those so many of one peer and of
//! one trust domain, so that no flood of one takes all of them; the last ones are kept
//! for domains that have few. Nobody waits for a place: who finds none is refused at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::peer::{SpiffeId, TrustDomain};

/// One place in so many is kept for domains that have few.
const KEPT: usize = 8;

/// One place in so many is few.
const FEW: usize = 64;

/// Places, and who has taken how many of them.
#[derive(Debug)]
pub struct Shares {
    total: usize,
    of_peer: usize,
    of_domain: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    peers: HashMap<SpiffeId, usize>,
    domains: HashMap<TrustDomain, usize>,
}

/// What there is no place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Another of anybody.
    Altogether,
    /// Another of this peer.
    OfPeer,
    /// Another of this trust domain.
    OfDomain,
}

/// One place; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    shares: Arc<Shares>,
    peer: SpiffeId,
}

impl Shares {
    /// `total` places, of which one peer and one trust domain take so many at most.
    pub fn new(total: usize, of_peer: usize, of_domain: usize) -> Arc<Self> {
        Arc::new(Self { total, of_peer, of_domain, taken: Mutex::default() })
    }

    /// `total` places, of which one domain takes all but those that are kept for others.
    pub fn for_domains(total: usize, of_peer: usize) -> Arc<Self> {
        Self::new(total, of_peer, total - total / KEPT)
    }

    /// How many places are taken, and how many there are.
    pub fn in_use(&self) -> (usize, usize) {
        (self.taken().all, self.total)
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Full`].
    pub fn enter(self: &Arc<Self>, peer: &SpiffeId) -> Result<Place, Full> {
        let mut taken = self.taken();
        if taken.all >= self.total {
            return Err(Full::Altogether);
        }
        if count(&taken.peers, peer) >= self.of_peer {
            return Err(Full::OfPeer);
        }
        let of_domain = count(&taken.domains, peer.trust_domain());
        let last = taken.all >= self.total - self.total / KEPT;
        if of_domain >= self.of_domain || (last && of_domain >= (self.total / FEW).max(1)) {
            return Err(Full::OfDomain);
        }
        take(&mut taken.peers, peer);
        take(&mut taken.domains, peer.trust_domain());
        taken.all += 1;
        Ok(Place { shares: self.clone(), peer: peer.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock()
    }
}

fn count<K: Hash + Eq>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or_default()
}

fn take<K: Hash + Eq + Clone>(counts: &mut HashMap<K, usize>, key: &K) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.clone(), 1);
        }
    }
}

fn give<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        taken.all = taken.all.saturating_sub(1);
        give(&mut taken.peers, &self.peer);
        give(&mut taken.domains, self.peer.trust_domain());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(domain: &str, name: &str) -> SpiffeId {
        format!("spiffe://{domain}.city.example/consumer/{name}").parse().unwrap()
    }

    #[test]
    fn row_45_one_peer_takes_no_more_than_its_share_and_gives_it_back() {
        let room = Shares::new(3, 2, 3);
        let (greedy, other) = (peer("scoring", "greedy"), peer("scoring", "other"));
        let first = room.enter(&greedy).unwrap();
        let second = room.enter(&greedy).unwrap();
        assert_eq!(room.enter(&greedy).unwrap_err(), Full::OfPeer);
        let third = room.enter(&other).unwrap();
        assert_eq!(room.enter(&other).unwrap_err(), Full::Altogether);
        drop(first);
        let again = room.enter(&greedy).unwrap();
        assert_eq!(room.enter(&greedy).unwrap_err(), Full::Altogether);
        drop((second, third, again));
        assert_eq!(room.taken().all, 0);
        assert!(room.taken().peers.is_empty(), "a peer that is gone is forgotten");
        assert!(room.taken().domains.is_empty(), "a domain that is gone is forgotten");
    }

    #[test]
    fn row_62_no_number_of_identities_of_two_domains_takes_every_place() {
        let room = Shares::new(128, 4, 64);
        let mut places = Vec::new();
        for domain in ["crowd", "mob"] {
            let taken: Vec<_> = (0..200)
                .map_while(|nth| room.enter(&peer(domain, &format!("c-{nth}"))).ok())
                .collect();
            places.extend(taken);
            let full = room.enter(&peer(domain, "last")).unwrap_err();
            assert_eq!(full, Full::OfDomain);
        }
        assert_eq!(places.len(), 128 - 128 / KEPT);
        let late = [0, 1].map(|_| room.enter(&peer("bank", "desk")));
        assert!(late.iter().all(Result::is_ok), "{late:?}");
        assert_eq!(room.enter(&peer("bank", "desk")).unwrap_err(), Full::OfDomain);
        assert!(room.enter(&peer("health", "desk")).is_ok());
    }
}
