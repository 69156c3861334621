//! Places that are shared out: so many altogether, of those so many of one peer and of
//! one trust domain, so that no flood of one takes all of them; the last ones are kept
//! for domains that have few. Nobody waits for a place: who finds none is refused at once.
//! How many there are may change meanwhile; what was taken before stays taken.

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
    taken: Mutex<Taken>,
}

/// How many places there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Altogether.
    pub total: usize,
    /// Of those, for one peer.
    pub of_peer: usize,
    /// Of those, for one trust domain.
    pub of_domain: usize,
}

impl Sizes {
    /// `total` places, of which one domain takes all but those that are kept for others.
    pub const fn for_domains(total: usize, of_peer: usize) -> Self {
        Self { total, of_peer, of_domain: total - total / KEPT }
    }
}

#[derive(Debug)]
struct Taken {
    sizes: Sizes,
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
    /// So many places, all of them free.
    pub fn new(sizes: Sizes) -> Arc<Self> {
        let (peers, domains) = (HashMap::new(), HashMap::new());
        Arc::new(Self { taken: Mutex::new(Taken { sizes, all: 0, peers, domains }) })
    }

    /// So many from now on. Who has taken more keeps them, and gets no further one.
    pub fn resize(&self, sizes: Sizes) {
        self.taken().sizes = sizes;
    }

    /// How many places are taken, and how many there are.
    pub fn in_use(&self) -> (usize, usize) {
        let taken = self.taken();
        (taken.all, taken.sizes.total)
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Full`].
    pub fn enter(self: &Arc<Self>, peer: &SpiffeId) -> Result<Place, Full> {
        let mut taken = self.taken();
        let Sizes { total, of_peer, of_domain } = taken.sizes;
        if taken.all >= total {
            return Err(Full::Altogether);
        }
        if count(&taken.peers, peer) >= of_peer {
            return Err(Full::OfPeer);
        }
        let taken_of_domain = count(&taken.domains, peer.trust_domain());
        let last = taken.all >= total - total / KEPT;
        if taken_of_domain >= of_domain || (last && taken_of_domain >= (total / FEW).max(1)) {
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
    fn fewer_or_more_places_hold_for_who_comes_next_and_take_nothing_away() {
        let of = |total, of_peer| Sizes { total, of_peer, of_domain: total };
        let room = Shares::new(of(2, 2));
        let (one, other) = (peer("scoring", "one"), peer("bank", "other"));
        let taken = [room.enter(&one).unwrap(), room.enter(&one).unwrap()];
        room.resize(of(1, 1));
        assert_eq!(room.in_use(), (2, 1));
        assert_eq!(room.enter(&other).unwrap_err(), Full::Altogether);
        room.resize(of(3, 1));
        assert_eq!(room.enter(&one).unwrap_err(), Full::OfPeer);
        let third = room.enter(&other).unwrap();
        drop(taken);
        assert_eq!(room.in_use(), (1, 3));
        drop(third);
    }

    #[test]
    fn row_45_one_peer_takes_no_more_than_its_share_and_gives_it_back() {
        let room = Shares::new(Sizes { total: 3, of_peer: 2, of_domain: 3 });
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
        let room = Shares::new(Sizes { total: 128, of_peer: 4, of_domain: 64 });
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
