//! Room for requests under way: so many altogether, and of those so many of one
//! peer, so that no flood of one takes all of it. Nobody waits for room; what
//! finds none is refused at once.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};

use crate::domain::peer::SpiffeId;

/// Room, and who has taken how much of it.
#[derive(Debug)]
pub struct Room {
    total: usize,
    share: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<SpiffeId, usize>,
}

/// What there is no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Another request of anybody.
    Altogether,
    /// Another request of this peer.
    OfPeer,
}

/// One request's place; dropping it gives the place back.
#[derive(Debug)]
pub struct Place<'a> {
    room: &'a Room,
    peer: SpiffeId,
}

impl Room {
    /// Room for `total` requests, of which one peer takes `share` at most.
    pub fn new(total: usize, share: usize) -> Self {
        Self { total, share, taken: Mutex::default() }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Full`].
    pub fn enter(&self, peer: &SpiffeId) -> Result<Place<'_>, Full> {
        let mut taken = self.taken();
        if taken.all >= self.total {
            return Err(Full::Altogether);
        }
        match taken.of.get_mut(peer) {
            Some(count) if *count >= self.share => return Err(Full::OfPeer),
            Some(count) => *count += 1,
            None => {
                taken.of.insert(peer.clone(), 1);
            }
        }
        taken.all += 1;
        Ok(Place { room: self, peer: peer.clone() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(count) = taken.of.get_mut(&self.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.of.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str) -> SpiffeId {
        format!("spiffe://scoring.city.example/consumer/{name}").parse().unwrap()
    }

    #[test]
    fn row_45_one_peer_takes_no_more_than_its_share_and_gives_it_back() {
        let room = Room::new(3, 2);
        let (greedy, other) = (peer("greedy"), peer("other"));
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
        assert!(room.taken().of.is_empty(), "a peer that is gone is forgotten");
    }
}
