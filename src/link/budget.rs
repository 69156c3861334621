//! What peers make this process hold, counted in bytes: a peer has a budget, and all of
//! them together have one. At its own a peer's newest streams are refused; at the one of
//! all the connections of the heaviest peer of the heaviest trust domain are closed.
//!
//! Counted are data that were received and not read, messages that are not whole, answers
//! that were not taken, and what each connection and stream costs by itself. Memory that
//! everybody shares is not. A connection counts for itself and tells its peer's account
//! in steps, so that no two connections meet for every frame.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::domain::peer::{SpiffeId, TrustDomain};

/// A connection tells its account once it holds so much more or less.
const STEP: i64 = 16 * 1024;

/// What a frame that was not read costs beside its bytes.
const FRAME: usize = 256;

/// The budgets, and what is held.
#[derive(Debug)]
pub(super) struct Budget {
    of_peer: AtomicI64,
    of_all: AtomicI64,
    held: AtomicI64,
    accounts: Mutex<HashMap<SpiffeId, Weak<Account>>>,
}

/// One peer's account, over all its connections.
#[derive(Debug)]
struct Account {
    peer: SpiffeId,
    budget: Arc<Budget>,
    held: AtomicI64,
    pays: watch::Sender<bool>,
}

impl Budget {
    pub(super) fn new(of_peer: usize, of_all: usize) -> Arc<Self> {
        let bytes = |bytes: usize| AtomicI64::new(signed(bytes));
        let (of_peer, of_all) = (bytes(of_peer), bytes(of_all));
        Arc::new(Self { of_peer, of_all, held: AtomicI64::new(0), accounts: Mutex::default() })
    }

    /// Other budgets from now on. What is held beyond them is let go of as the next is held.
    pub(super) fn resize(&self, of_peer: usize, of_all: usize) {
        self.of_peer.store(signed(of_peer), Relaxed);
        self.of_all.store(signed(of_all), Relaxed);
    }

    /// A new connection of this peer, whose window for data is so large.
    pub(super) fn connection(self: &Arc<Self>, peer: &SpiffeId, window: u32) -> HeldBytes {
        let mut accounts = self.accounts();
        let known = accounts.get(peer).and_then(Weak::upgrade);
        let account = known.unwrap_or_else(|| {
            let account = Arc::new(Account {
                peer: peer.clone(),
                budget: self.clone(),
                held: AtomicI64::new(0),
                pays: watch::Sender::new(false),
            });
            accounts.insert(peer.clone(), Arc::downgrade(&account));
            account
        });
        drop(accounts);
        HeldBytes(Arc::new(Connection {
            account,
            window: usize::try_from(window).unwrap_or(usize::MAX),
            apart: AtomicI64::new(0),
            told: AtomicI64::new(0),
            unread: AtomicUsize::new(0),
            frames: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            narrow: AtomicBool::new(false),
        }))
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<SpiffeId, Weak<Account>>> {
        self.accounts.lock()
    }

    /// Lets the heaviest peers pay, until what the others hold is within the budget of all:
    /// those that pay already may take a moment to go.
    fn relieve(&self) {
        let accounts: Vec<Arc<Account>> =
            self.accounts().values().filter_map(Weak::upgrade).collect();
        let stay = accounts.iter().filter(|account| !*account.pays.borrow());
        let mut stay: Vec<(&Account, i64)> =
            stay.map(|account| (&**account, account.held.load(Relaxed))).collect();
        while stay.iter().map(|(_, held)| held).sum::<i64>() > self.of_all.load(Relaxed) {
            let mut domains: HashMap<&TrustDomain, i64> = HashMap::new();
            for (account, held) in &stay {
                *domains.entry(account.peer.trust_domain()).or_default() += held;
            }
            let heaviest = domains.into_iter().max_by_key(|(_, held)| *held);
            let Some((heaviest, _)) = heaviest else { return };
            let of_heaviest =
                stay.iter().enumerate().filter(|(_, (one, _))| one.peer.trust_domain() == heaviest);
            let Some((at, _)) = of_heaviest.max_by_key(|(_, (_, held))| *held) else { return };
            stay.swap_remove(at).0.pays.send_replace(true);
        }
    }
}

impl Account {
    fn change(&self, by: i64) {
        self.held.fetch_add(by, Relaxed);
        let all = self.budget.held.fetch_add(by, Relaxed).saturating_add(by);
        if by > 0 && all > self.budget.of_all.load(Relaxed) {
            self.budget.relieve();
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut accounts = self.budget.accounts();
        // Another connection of the peer may have opened a new one meanwhile.
        if accounts.get(&self.peer).is_some_and(|account| account.strong_count() == 0) {
            accounts.remove(&self.peer);
        }
    }
}

/// What one connection makes us hold.
#[derive(Debug, Clone)]
pub struct HeldBytes(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    account: Arc<Account>,
    window: usize,
    /// Held, and not told to the account.
    apart: AtomicI64,
    told: AtomicI64,
    /// Bytes and frames of data that came and were not read.
    unread: AtomicUsize,
    frames: AtomicUsize,
    requests: AtomicUsize,
    narrow: AtomicBool,
}

impl Connection {
    fn change(&self, by: i64) {
        let apart = self.apart.fetch_add(by, Relaxed).saturating_add(by);
        if apart.abs() >= STEP {
            let moved = self.apart.swap(0, Relaxed);
            self.told.fetch_add(moved, Relaxed);
            self.account.change(moved);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.account.change(-self.told.load(Relaxed));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl HeldBytes {
    /// Holds so many bytes more.
    pub fn add(&self, bytes: usize) {
        self.0.change(signed(bytes));
    }

    /// Holds so many bytes less.
    pub fn sub(&self, bytes: usize) {
        self.0.change(-signed(bytes));
    }

    /// Holds so many bytes until the charge is dropped.
    pub fn charge(&self, bytes: usize) -> Charge {
        self.add(bytes);
        Charge { held: self.clone(), bytes }
    }

    /// Whether the peer has reached its budget.
    pub fn is_spent(&self) -> bool {
        self.0.account.held.load(Relaxed) > self.0.account.budget.of_peer.load(Relaxed)
    }

    /// Whether it is so far beyond it that refusing streams is not enough.
    pub(super) fn is_overdrawn(&self) -> bool {
        let of_peer = self.0.account.budget.of_peer.load(Relaxed);
        self.0.account.held.load(Relaxed) > of_peer.saturating_add(of_peer / 4)
    }

    /// Waits until the connection is to be closed because the peer holds most of all.
    pub(super) async fn pays(&self) {
        let mut pays = self.0.account.pays.subscribe();
        // Its sender is in the account, which lives as long as this.
        let _ = pays.wait_for(|pays| *pays).await;
    }

    /// A frame of data came. HTTP/2 holds no more bytes than the window for all of them;
    /// what came for streams that are over it has let go already.
    pub(super) fn came(&self, bytes: usize) {
        let unread = self.0.unread.load(Relaxed);
        let bytes = bytes.min(self.0.window.saturating_sub(unread));
        self.0.unread.fetch_add(bytes, Relaxed);
        self.0.frames.fetch_add(1, Relaxed);
        self.add(bytes + FRAME);
    }

    /// A frame of data is read; from now on its reader counts its bytes.
    pub fn read(&self, bytes: usize) {
        let lower = |counter: &AtomicUsize, by: usize| {
            let lowered =
                counter.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(by)));
            lowered.unwrap_or_default().min(by)
        };
        let (read, frames) = (lower(&self.0.unread, bytes), lower(&self.0.frames, 1));
        let by = signed(bytes) - signed(read) - signed(frames * FRAME);
        if by != 0 {
            self.0.change(by);
        }
    }

    /// A request begins.
    pub fn begin(&self) {
        self.0.requests.fetch_add(1, Relaxed);
    }

    /// A request's body is let go. Without any nothing is unread: what came for streams
    /// that were over is forgotten.
    pub fn end(&self) {
        if self.0.requests.fetch_sub(1, Relaxed) == 1 {
            let bytes = self.0.unread.swap(0, Relaxed);
            let frames = self.0.frames.swap(0, Relaxed);
            self.sub(bytes + frames * FRAME);
        }
    }

    /// The peer takes answers in small pieces.
    pub(super) fn is_narrow(&self) -> bool {
        self.0.narrow.load(Relaxed)
    }

    pub(super) fn set_narrow(&self) {
        self.0.narrow.store(true, Relaxed);
    }
}

/// Bytes that are held until this is dropped.
#[derive(Debug)]
pub struct Charge {
    held: HeldBytes,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.held.sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn peer(domain: &str, name: &str) -> SpiffeId {
        format!("spiffe://{domain}.city.example/consumer/{name}").parse().unwrap()
    }

    #[test]
    fn row_60_a_peers_connections_spend_one_budget_and_give_it_back() {
        let budget = Budget::new(4 * MIB, 100 * MIB);
        let connections = [(); 3].map(|()| budget.connection(&peer("a", "x"), 1024));
        let other = budget.connection(&peer("a", "y"), 1024);
        let charges: Vec<_> = connections.iter().map(|held| held.charge(2 * MIB)).collect();
        assert!(connections[0].is_spent() && connections[0].is_overdrawn() && !other.is_spent());
        drop(charges);
        assert!(!connections[0].is_spent());
        // What was never given back goes with its connection.
        connections[0].add(9 * MIB);
        assert!(connections[1].is_spent());
        drop(connections);
        assert!(budget.held.load(Relaxed).abs() < STEP);
        drop(other);
        assert!(budget.accounts().is_empty());
    }

    #[test]
    fn row_60_unread_data_are_counted_once_and_what_came_for_nobody_is_forgotten() {
        let budget = Budget::new(MIB, 100 * MIB);
        let held = budget.connection(&peer("a", "x"), 64 * 1024);
        let bytes = || held.0.apart.load(Relaxed) + held.0.told.load(Relaxed);
        held.begin();
        for _ in 0..10 {
            held.came(1_000);
        }
        assert_eq!(bytes(), signed(10 * (1_000 + FRAME)));
        held.read(1_000);
        assert_eq!(bytes(), signed(9 * (1_000 + FRAME) + 1_000));
        held.sub(1_000);
        // More than the window cannot be there.
        for _ in 0..100 {
            held.came(16 * 1024);
        }
        assert_eq!(bytes(), signed(64 * 1024 + 109 * FRAME));
        held.end();
        assert_eq!(bytes(), 0);
        // A reader that comes late takes nothing twice.
        held.read(500);
        held.sub(500);
        assert_eq!(bytes(), 0);
    }

    #[tokio::test]
    async fn the_heaviest_peer_of_the_heaviest_domain_pays() {
        let budget = Budget::new(100 * MIB, 10 * MIB);
        let alone = budget.connection(&peer("b", "alone"), 1024);
        let crowd: Vec<_> =
            (0..4).map(|nth| budget.connection(&peer("a", &format!("c-{nth}")), 1024)).collect();
        alone.add(3 * MIB);
        for (nth, held) in crowd.iter().enumerate() {
            held.add((1 + nth / 3) * MIB);
        }
        assert!(!*alone.0.account.pays.borrow());
        crowd[0].add(3 * MIB);
        crowd[0].pays().await;
        let pays = |held: &HeldBytes| *held.0.account.pays.borrow();
        assert!(!pays(&alone) && !pays(&crowd[1]));
        // While it is on its way out the next one pays for what more comes.
        crowd[1].add(5 * MIB);
        crowd[1].pays().await;
        assert!(!pays(&alone) && !pays(&crowd[2]) && !pays(&crowd[3]));
    }
}
