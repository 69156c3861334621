//! What keeps one endpoint's streams: opens them when the [state](super::endpoint) says
//! so, replaces those that the agency drains, and ends those whose process hangs.
//!
//! One task an endpoint. It decides nothing about questions.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant as TokioInstant, MissedTickBehavior, interval, sleep_until};

use crate::clock;
use crate::domain::reason::Reason;
use crate::link::connect::Connector;
use crate::service::audit::monitor::{Swap, Witnesses};

use super::agreement::Agreement;
use super::endpoint::State;
use super::gate::Gate;
use super::hearing::{Heard, Hearing};
use super::liveness::{self, Act, Liveness};
use super::opening::{Opened, open};
use super::outcome::Failure;
use super::pending::Event;
use super::rest::Rest;
use super::stream::{Greeted, Stream};
use super::ticket::Account;

/// How long a drained stream may go on beside its replacement.
const DRAIN_GRACE: Duration = Duration::from_secs(15);

/// How long an endpoint that is asked no more takes questions of requests that had begun.
const LAST_QUESTIONS: Duration = Duration::from_secs(1);

/// How long a drained stream's questions are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long an endpoint without streams is not looked at, unless something happens.
const NOTHING: Duration = Duration::from_secs(10);

/// Events of an endpoint's streams that may wait.
const EVENTS: usize = 64;

/// Questions that may be under way where an answer to whether it lives is late.
pub const DOUBTED: usize = 32;

/// One endpoint and its streams.
#[derive(Debug)]
pub struct Keeper {
    place: usize,
    gate: Arc<Gate>,
    connector: Connector,
    streams: ArcSwap<Vec<Arc<Stream>>>,
    doubted: AtomicBool,
    numbers: AtomicU64,
    agreement: Arc<Agreement>,
    account: Arc<Account>,
    witnesses: Arc<Witnesses>,
    hearing: Arc<Hearing>,
    rest: Arc<Rest>,
}

type Attempt<'a> = Pin<Box<dyn Future<Output = Opened> + Send + 'a>>;

/// A stream, and what is known of the process at its end.
struct Watched {
    stream: Arc<Stream>,
    liveness: Liveness,
}

impl Keeper {
    /// Keeps nothing yet. `place` is the endpoint's among those of the agency.
    pub fn new(
        place: usize,
        gate: Arc<Gate>,
        connector: Connector,
        agreement: Arc<Agreement>,
        account: Arc<Account>,
        witnesses: Arc<Witnesses>,
        hearing: Arc<Hearing>,
    ) -> Self {
        Self {
            place,
            gate,
            connector,
            streams: ArcSwap::default(),
            doubted: AtomicBool::new(false),
            numbers: AtomicU64::new(0),
            agreement,
            account,
            witnesses,
            hearing,
            rest: Arc::default(),
        }
    }

    /// The endpoint's state.
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The streams that take questions, now.
    pub fn streams(&self) -> Arc<Vec<Arc<Stream>>> {
        self.streams.load_full()
    }

    /// How many questions are under way here.
    pub fn in_flight(&self) -> usize {
        self.streams.load().iter().map(|stream| stream.in_flight()).sum()
    }

    /// Whether the process is late to say that it is alive.
    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// Keeps the endpoint's streams until `left` turns true; then ends them when what is
    /// under way has ended.
    pub async fn keep(&self, mut left: watch::Receiver<bool>) {
        let mut leaving = std::pin::pin!(async move {
            let _ = left.wait_for(|left| *left).await;
            tokio::time::sleep(LAST_QUESTIONS).await;
        });
        let (told, mut events) = mpsc::channel(EVENTS);
        let heard = self.hearing.join();
        let mut look = std::pin::pin!(sleep_until(clock::now().into()));
        let mut changes = self.gate.changes();
        let mut attempts: FuturesUnordered<Attempt<'_>> = FuturesUnordered::new();
        let mut watched: Vec<Watched> = Vec::new();
        loop {
            if attempts.is_empty() && self.gate.begin() {
                attempts.push(Box::pin(open(&self.connector, &self.agreement, self.place)));
            }
            let due = self.gate.due();
            let again = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(opened) = attempts.next(), if !attempts.is_empty() => match opened {
                    Ok(greeted) => watched.push(self.start(greeted, told.clone())),
                    Err((reason, words)) => {
                        let now = clock::now();
                        self.gate.change(&words, |endpoint| endpoint.failed(now, reason));
                    }
                },
                Some((number, event)) = events.recv() => self.take(number, event, &mut watched),
                () = &mut leaving => break,
                () = again, if attempts.is_empty() => {}
                () = self.rest.over() => {}
                // A circuit that has opened closes with time.
                Ok(()) = changes.changed() => {}
                () = look.as_mut() => {
                    self.look(heard, &mut watched);
                    let rest = self.rests_until(&watched);
                    look.as_mut().reset(rest.unwrap_or_else(|| clock::now() + liveness::EVERY).into());
                    continue;
                }
            }
            // After whatever happens it is soon looked at.
            self.rest.end();
            let soon = TokioInstant::from_std(clock::now() + liveness::EVERY);
            if look.deadline() > soon {
                look.as_mut().reset(soon);
            }
        }
        drop(attempts);
        self.streams.store(Arc::default());
        self.hearing.tell(heard, Heard::Gone);
        join_all(watched.into_iter().map(|watched| let_go(watched.stream))).await;
    }

    fn start(&self, greeted: Greeted, events: mpsc::Sender<(u64, Event)>) -> Watched {
        let limits = greeted.description.limits.as_ref();
        let stated = limits.and_then(|limits| limits.statement_limit);
        if let Some(limit) = stated.and_then(|limit| Duration::try_from(limit).ok()) {
            self.account.usual.lock().state(limit);
        }
        let swap = Swap::new(&self.witnesses, self.connector.expected());
        let shown = self.agreement.shown(&greeted.description.instance);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let gate = self.gate.clone();
        let (stream, read) =
            Stream::new(greeted, number, (gate, self.rest.clone()), swap, shown, events);
        tokio::spawn(look_at_log(Arc::downgrade(&stream), stream.look_every()));
        let mut streams = Vec::clone(&self.streams.load());
        streams.push(stream.clone());
        self.streams.store(Arc::new(streams));
        let now = clock::now();
        // The stream is there before anybody is let through to it.
        self.gate.change("", |endpoint| endpoint.opened());
        read();
        Watched { stream, liveness: Liveness::new(now) }
    }

    fn take(&self, number: u64, event: Event, watched: &mut Vec<Watched>) {
        // One that was drained or hung was taken out before it ended.
        let Some(stream) = self.remove(number, watched) else { return };
        match event {
            Event::Drained => drop(tokio::spawn(let_go(stream))),
            Event::Ended => {}
        }
    }

    fn remove(&self, number: u64, watched: &mut Vec<Watched>) -> Option<Arc<Stream>> {
        let at = watched.iter().position(|watched| watched.stream.number() == number)?;
        let Watched { stream, .. } = watched.remove(at);
        let mut streams = Vec::clone(&self.streams.load());
        streams.retain(|kept| kept.number() != number);
        if streams.is_empty() {
            self.agreement.gone(self.place);
        }
        self.streams.store(Arc::new(streams));
        Some(stream)
    }

    /// Until when nothing needs to be looked at, unless a question is put or something
    /// happens; none where it is to be looked at all the time.
    fn rests_until(&self, watched: &[Watched]) -> Option<Instant> {
        self.rest.begin();
        let busy = watched.iter().any(|watched| watched.stream.in_flight() > 0);
        let open = matches!(self.gate.state(), State::Open { .. });
        let ends = watched.iter().map(|one| one.liveness.rests_until(one.stream.heard()));
        let first = ends.min().unwrap_or_else(|| Some(clock::now() + NOTHING));
        // Of several one that has no rest decides: none is less than any.
        let rest = first.filter(|_| !busy && !open);
        if rest.is_none() {
            self.rest.end();
        }
        rest
    }

    /// Looks whether the process still works.
    fn look(&self, heard: usize, watched: &mut Vec<Watched>) {
        let now = clock::now();
        self.gate.change("", |endpoint| endpoint.rest(now));
        let waiting = watched.iter().any(|watched| watched.stream.in_flight() > 0);
        let mut hung = false;
        for Watched { stream, liveness } in &mut *watched {
            match liveness.look(now, stream.heard(), waiting) {
                Act::None => {}
                Act::Ask => {
                    if !stream.ask_alive(stream.number()) {
                        *liveness = Liveness::new(now);
                    }
                }
                Act::Hung => hung = true,
            }
        }
        let missing = watched.iter().any(|watched| watched.liveness.is_missing());
        let hears = match (watched.is_empty(), missing) {
            (true, _) => Heard::Down,
            (false, true) => Heard::Missing,
            (false, false) => Heard::Well,
        };
        let ours = self.hearing.tell(heard, hears);
        if hung {
            self.end_hung(now, watched, ours);
        }
        let doubted = watched.iter().any(|watched| watched.liveness.is_doubted(now));
        self.doubted.store(doubted, Ordering::Relaxed);
    }

    /// Ends every stream that has missed: they end at one process, or at one that is
    /// as silent.
    fn end_hung(&self, now: Instant, watched: &mut Vec<Watched>, ours: bool) {
        if ours {
            for watched in watched {
                watched.liveness = Liveness::new(now);
            }
            return;
        }
        let missing = watched.iter().filter(|watched| watched.liveness.is_missing());
        let numbers: Vec<u64> = missing.map(|watched| watched.stream.number()).collect();
        let ended: Vec<Arc<Stream>> =
            numbers.into_iter().filter_map(|number| self.remove(number, watched)).collect();
        for stream in ended.iter().filter(|stream| stream.shut()) {
            let lived = stream.lived(now);
            let words = "the process does not answer on its connections";
            self.gate
                .change(words, |endpoint| endpoint.lost(now, lived, Reason::AgencyHung, false));
        }
        // Only now, so that what is asked again goes elsewhere.
        for stream in ended {
            stream.end(&Failure::Hung);
        }
    }
}

/// Asks now and then to be shown the agency's log, as long as the stream lives.
async fn look_at_log(stream: std::sync::Weak<Stream>, every: Option<Duration>) {
    let Some(every) = every else { return };
    let mut look = interval(every);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let Some(stream) = stream.upgrade().filter(|stream| stream.is_open()) else { return };
        stream.ask_log().await;
    }
}

/// Lets a drained stream finish what is under way.
async fn let_go(stream: Arc<Stream>) {
    let finishing = async {
        stream.finish().await;
        while stream.in_flight() > 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let _ = tokio::time::timeout(DRAIN_GRACE, finishing).await;
}
