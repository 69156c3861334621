//! Turns at the processor: of what one trust domain's connections and streams have to do, no
//! more goes to the runtime at a time than there are threads to do it. The rest stands in the
//! domain's own line, so that a crowd of one domain is one among the domains and not hundreds
//! among the tasks.
//!
//! Whoever is woken asks for a turn, and is the runtime's to poll once it has one; a turn is
//! one poll. A turn that is given up goes to the peer of the domain that has used the least
//! time; who comes back to the line has used no less than who was called last, so that nobody
//! saves turns up (start-time fair queueing).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::clock;
use crate::domain::peer::{SpiffeId, TrustDomain};

/// The line of each trust domain, and one for those of whom nothing is known yet.
#[derive(Debug)]
pub(super) struct Turns {
    at_once: usize,
    domains: Mutex<HashMap<TrustDomain, Arc<Queue>>>,
    peers: Mutex<HashMap<SpiffeId, Weak<Party>>>,
    strangers: Arc<Party>,
}

/// Those of one trust domain who wait for a turn.
#[derive(Debug)]
struct Queue(Mutex<Line>);

#[derive(Debug)]
struct Line {
    at_once: usize,
    /// Turns that are given: to who is being polled, or will be as the runtime comes to it.
    taken: usize,
    /// What the party had used that was called last.
    used: Duration,
    /// Who waits, by what it has used. If there is anybody, every turn is taken.
    waiting: BTreeMap<(Duration, u64), Arc<Party>>,
}

/// A peer with all its connections and streams, which has one share of its domain's turns.
#[derive(Debug)]
pub(super) struct Party {
    queue: Arc<Queue>,
    number: u64,
    /// Locked with the queue alone.
    tally: Mutex<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    used: Duration,
    waiting: VecDeque<Arc<Seat>>,
}

/// What has something to do now and then, and takes turns to do it.
#[derive(Debug)]
struct Seat {
    party: Arc<Party>,
    /// Locked with the queue alone.
    step: Mutex<Step>,
    /// Of the task that polls.
    task: AtomicWaker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It has nothing to do.
    Idle,
    Waits,
    /// It has a turn, and its task is woken.
    Called,
    Polled,
    /// Woken while it was polled.
    PolledAndWoken,
    Gone,
}

impl Turns {
    /// For the runtime that we are on.
    pub(super) fn new() -> Self {
        let at_once = tokio::runtime::Handle::current().metrics().num_workers();
        let strangers = Party::new(Queue::new(at_once));
        Self { at_once, domains: Mutex::default(), peers: Mutex::default(), strangers }
    }

    /// A peer's share. There are as many lines as there are domains that we believe, and
    /// peers are forgotten with their last connection.
    pub(super) fn of(&self, peer: &SpiffeId) -> Arc<Party> {
        let mut peers = self.peers.lock();
        if let Some(party) = peers.get(peer).and_then(Weak::upgrade) {
            return party;
        }
        peers.retain(|_, party| party.strong_count() > 0);
        let mut domains = self.domains.lock();
        let queue = domains.entry(peer.trust_domain().clone());
        let party = Party::new(queue.or_insert_with(|| Queue::new(self.at_once)).clone());
        peers.insert(peer.clone(), Arc::downgrade(&party));
        party
    }

    /// The share of all those whose handshake is under way.
    pub(super) fn strangers(&self) -> Arc<Party> {
        self.strangers.clone()
    }
}

impl Queue {
    fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Line {
            at_once: at_once.max(1),
            taken: 0,
            used: Duration::ZERO,
            waiting: BTreeMap::new(),
        })))
    }
}

impl Party {
    fn new(queue: Arc<Queue>) -> Arc<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { queue, number, tally: Mutex::default() })
    }

    /// Does what `future` has to do in turns.
    pub(super) async fn takes<F: Future>(self: Arc<Self>, future: F) -> F::Output {
        HeldSeat::in_line(self).of(std::pin::pin!(future)).await
    }
}

impl Line {
    /// A turn for this one, or a place in the line.
    fn ask(&mut self, seat: &Arc<Seat>) -> bool {
        let has_turn = self.taken < self.at_once;
        if has_turn {
            self.taken += 1;
        } else {
            self.join(seat);
        }
        has_turn
    }

    fn join(&mut self, seat: &Arc<Seat>) {
        let party = &seat.party;
        let mut tally = party.tally.lock();
        if tally.waiting.is_empty() {
            tally.used = tally.used.max(self.used);
            self.waiting.insert((tally.used, party.number), party.clone());
        }
        tally.waiting.push_back(seat.clone());
    }

    /// A turn of a party was so long.
    fn charge(&mut self, party: &Arc<Party>, took: Duration) {
        let mut tally = party.tally.lock();
        let waits = self.waiting.remove(&(tally.used, party.number));
        tally.used += took;
        if let Some(party) = waits {
            self.waiting.insert((tally.used, party.number), party);
        }
    }

    /// Takes a turn back, and gives it to whoever is next.
    fn give_up(&mut self) -> Option<Arc<Seat>> {
        self.taken -= 1;
        while let Some(((used, number), party)) = self.waiting.pop_first() {
            let mut tally = party.tally.lock();
            let next = tally.waiting.pop_front();
            if !tally.waiting.is_empty() {
                self.waiting.insert((used, number), party.clone());
            }
            // Those that have left meanwhile are passed over.
            let next = next.filter(|seat| seat.is_called());
            if next.is_some() {
                self.used = self.used.max(used);
                self.taken += 1;
                return next;
            }
        }
        None
    }
}

impl Seat {
    /// Asks for a turn, for there is something to do.
    fn rise(self: &Arc<Self>) {
        let mut queue = self.party.queue.0.lock();
        let mut step = self.step.lock();
        match *step {
            Step::Idle if queue.ask(self) => *step = Step::Called,
            Step::Idle => return *step = Step::Waits,
            Step::Polled => return *step = Step::PolledAndWoken,
            Step::Waits | Step::Called | Step::PolledAndWoken | Step::Gone => return,
        }
        drop((step, queue));
        self.task.wake();
    }

    /// Whether it was waiting for the turn that is now its own.
    fn is_called(&self) -> bool {
        let mut step = self.step.lock();
        let waits = *step == Step::Waits;
        if waits {
            *step = Step::Called;
        }
        waits
    }

    /// Whether it may be polled now; if not, its task is woken when it may.
    fn begins(self: &Arc<Self>) -> bool {
        let mut queue = self.party.queue.0.lock();
        let mut step = self.step.lock();
        *step = match *step {
            Step::Called => Step::Polled,
            // At the beginning, or the task was woken for something else that it waits for.
            Step::Idle if queue.ask(self) => Step::Polled,
            Step::Idle => Step::Waits,
            other => other,
        };
        *step == Step::Polled
    }

    /// Its turn is over, and was so long. Whoever has more to do stands in line again.
    fn ends(self: &Arc<Self>, took: Duration) {
        let mut queue = self.party.queue.0.lock();
        let mut step = self.step.lock();
        let has_more = *step == Step::PolledAndWoken;
        *step = if has_more { Step::Waits } else { Step::Idle };
        drop(step);
        queue.charge(&self.party, took);
        if has_more {
            queue.join(self);
        }
        let next = queue.give_up();
        drop(queue);
        wake(next);
    }

    fn leave(&self) {
        let mut queue = self.party.queue.0.lock();
        let step = std::mem::replace(&mut *self.step.lock(), Step::Gone);
        let has_turn = matches!(step, Step::Called | Step::Polled | Step::PolledAndWoken);
        let next = if has_turn { queue.give_up() } else { None };
        drop(queue);
        wake(next);
    }
}

fn wake(next: Option<Arc<Seat>>) {
    if let Some(next) = next {
        next.task.wake();
    }
}

impl Wake for Seat {
    fn wake(self: Arc<Self>) {
        self.rise();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rise();
    }
}

/// A seat that is left when this is dropped, whatever it was about to do.
#[derive(Debug)]
pub(super) struct HeldSeat(Arc<Seat>);

impl HeldSeat {
    pub(super) fn in_line(party: Arc<Party>) -> Self {
        let (step, task) = (Mutex::new(Step::Idle), AtomicWaker::new());
        Self(Arc::new(Seat { party, step, task }))
    }

    /// Does what `future` has to do in turns. One at a time has the seat.
    pub(super) async fn of<F: Future>(&self, mut future: Pin<&mut F>) -> F::Output {
        let waker = Waker::from(self.0.clone());
        poll_fn(move |context| {
            self.0.task.register(context.waker());
            if !self.0.begins() {
                return Poll::Pending;
            }
            let began = clock::now();
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            self.0.ends(began.elapsed());
            polled
        })
        .await
    }
}

impl Drop for HeldSeat {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::sync::mpsc;
    use tokio::task::{JoinSet, LocalSet, yield_now};

    use super::*;

    /// Has more to do at once.
    async fn again() {
        let mut is_polled = false;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut is_polled, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn peers(queue: &Arc<Queue>, number: usize) -> Vec<Arc<Party>> {
        (0..number).map(|_| Party::new(queue.clone())).collect()
    }

    #[test]
    fn row_60_a_crowd_of_one_domain_is_one_of_two_at_the_processor() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let polled = Rc::new(RefCell::new(Vec::new()));
        let (crowd, honest) = (Party::new(Queue::new(1)), Party::new(Queue::new(1)));
        LocalSet::new().block_on(&runtime, async {
            let mut all = JoinSet::new();
            let busy = |name: char, times: usize| {
                let polled = polled.clone();
                async move {
                    for _ in 0..times {
                        polled.borrow_mut().push(name);
                        again().await;
                    }
                }
            };
            for _ in 0..100 {
                all.spawn_local(crowd.clone().takes(busy('c', 10)));
            }
            all.spawn_local(honest.takes(busy('h', 50)));
            all.join_all().await;
        });
        let polled = polled.borrow();
        let turns: Vec<usize> = (0..polled.len()).filter(|at| polled[*at] == 'h').collect();
        assert_eq!((turns.len(), polled.len()), (50, 1050));
        // From the first to the last of his turns nobody's crowd had more than two between.
        let between = turns.windows(2).map(|pair| pair[1] - pair[0] - 1).max();
        assert!(between <= Some(2), "{between:?}");
    }

    #[test]
    fn row_60_in_its_own_domain_a_crowd_stands_before_nobody_who_asks_for_little() {
        let queue = Queue::new(1);
        let honest = HeldSeat::in_line(Party::new(queue.clone()));
        let crowd: Vec<HeldSeat> = peers(&queue, 10)
            .iter()
            .flat_map(|party| (0..10).map(|_| HeldSeat::in_line(party.clone())))
            .collect();
        crowd.iter().for_each(|seat| seat.0.rise());
        let called = |seat: &&HeldSeat| *seat.0.step.lock() == Step::Called;
        for _ in 0..50 {
            honest.0.rise();
            // One is being polled as he comes; all others have used more, but for his first time.
            for others in 0.. {
                if called(&&honest) {
                    assert!(honest.0.begins());
                    honest.0.ends(Duration::from_micros(20));
                    break;
                }
                assert!(others <= 10, "he waits");
                let polled = crowd.iter().find(called).unwrap();
                assert!(polled.0.begins());
                polled.0.rise();
                polled.0.ends(Duration::from_millis(1));
            }
        }
    }

    #[test]
    fn nobody_saves_turns_up() {
        let queue = Queue::new(1);
        let [busy, late] = <[_; 2]>::try_from(peers(&queue, 2)).unwrap();
        let seat = |party: &Arc<Party>| HeldSeat::in_line(party.clone());
        let (polled, first, second) = (seat(&busy), seat(&busy), seat(&late));
        assert!(polled.0.begins());
        assert!(!first.0.begins());
        // It has used nothing until now, and is before the other by no more than what the
        // last called had used.
        queue.0.lock().used = Duration::from_secs(5);
        assert!(!second.0.begins());
        assert_eq!(late.tally.lock().used, Duration::from_secs(5));
        polled.0.ends(Duration::from_secs(60));
        assert_eq!(*second.0.step.lock(), Step::Called);
        assert_eq!(*first.0.step.lock(), Step::Waits);
        drop((polled, second, first));
        let line = queue.0.lock();
        assert_eq!((line.taken, line.waiting.len()), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_is_forgotten_however_wakes_and_ends_fall_together() {
        let queue = Queue::new(2);
        let parties = peers(&queue, 5);
        let mut all = JoinSet::new();
        for nth in 0..64_usize {
            let (sender, mut receiver) = mpsc::channel::<usize>(3);
            all.spawn(async move {
                for number in 0..500 {
                    // Those who have left are not told.
                    if sender.send(number).await.is_err() {
                        break;
                    }
                    if number % 7 == nth % 7 {
                        yield_now().await;
                    }
                }
            });
            all.spawn(parties[nth % 5].clone().takes(async move {
                // Every fourth leaves before its end.
                let wanted = if nth % 4 == 0 { 100 } else { 500 };
                for number in 0..wanted {
                    assert_eq!(receiver.recv().await, Some(number));
                }
            }));
        }
        let ended = async { while all.join_next().await.transpose().unwrap().is_some() {} };
        tokio::time::timeout(std::time::Duration::from_secs(90), ended).await.unwrap();
        let line = queue.0.lock();
        assert_eq!((line.taken, line.waiting.len()), (0, 0));
    }

    #[tokio::test]
    async fn who_leaves_or_panics_gives_its_turn_to_the_next() {
        let queue = Queue::new(1);
        let party = Party::new(queue.clone());
        let panics = tokio::spawn(party.clone().takes(async { panic!("on purpose") }));
        assert!(panics.await.unwrap_err().is_panic());
        // One that is called and one that waits are gone before they are polled.
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let called = tokio::spawn(party.clone().takes(receiver));
        yield_now().await;
        let waits = tokio::spawn(party.clone().takes(yield_now()));
        drop(sender);
        called.abort();
        waits.abort();
        party.clone().takes(yield_now()).await;
        assert!(called.await.is_ok_and(|ended| ended.is_err()) || waits.await.is_err());
        let line = queue.0.lock();
        assert_eq!(line.taken, 0);
    }
}
