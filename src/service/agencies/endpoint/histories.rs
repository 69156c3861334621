//! Histories by chance, in virtual time: an agency that dies, hangs, breaks, is late,
//! drains and comes back, and what holds whatever happens.

use super::*;
use crate::clock;
use crate::service::agencies::budget::Budget;

/// How many histories, each from a seed of its own that a failure prints.
const HISTORIES: u64 = 12_000;

/// How long the faults of one history go on.
const FAULTS: Duration = Duration::from_secs(15);

/// How long a handshake with a process that hangs is waited for.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What the agency does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    Healthy,
    Dead,
    Hung,
    Unavailable,
    Late,
    Breaks,
    Drains,
}

const WORLDS: [World; 7] = [
    World::Healthy,
    World::Dead,
    World::Hung,
    World::Unavailable,
    World::Late,
    World::Breaks,
    World::Drains,
];

/// A question under way.
#[derive(Debug)]
struct Asked {
    leave: Leave,
    consumer: u64,
    until: Instant,
    ends: Instant,
    outcome: Outcome,
}

struct History {
    dice: Dice,
    start: Instant,
    now: Instant,
    world: World,
    endpoint: Endpoint,
    budget: Budget,
    /// When each stream was opened.
    streams: Vec<Instant>,
    /// When the attempt under way ends.
    attempt: Option<Instant>,
    asked: Vec<Asked>,
    first: u64,
    again: u64,
    answered: u64,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

impl History {
    fn new(seed: u64) -> Self {
        let start = clock::now();
        Self {
            dice: Dice(seed),
            start,
            now: start,
            world: World::Healthy,
            endpoint: Endpoint::new(2, start, seed),
            budget: Budget::new(start),
            streams: Vec::new(),
            attempt: None,
            asked: Vec::new(),
            first: 0,
            again: 0,
            answered: 0,
        }
    }

    /// Some time passes, and whatever ends by then ends.
    fn step(&mut self, by: Duration) {
        self.now += by;
        self.connect();
        self.end_questions();
        match self.world {
            World::Dead => self.lose_streams(2, Reason::Ended),
            World::Hung if self.dice.below(20) == 0 => self.lose_streams(2, Reason::AgencyHung),
            World::Drains if self.dice.below(4) == 0 => self.drain(),
            _ => {}
        }
        if self.dice.below(200) == 0 {
            self.drain();
        }
        self.laws();
    }

    fn connect(&mut self) {
        if self.attempt.is_some_and(|end| end <= self.now) {
            self.attempt = None;
            match self.world {
                World::Dead => drop(self.endpoint.failed(self.now, Reason::Unreachable)),
                World::Hung => drop(self.endpoint.failed(self.now, Reason::ConnectTimeout)),
                _ => {
                    self.endpoint.opened();
                    self.streams.push(self.now);
                }
            }
        }
        if self.endpoint.begin(self.now) {
            assert!(self.attempt.is_none(), "two attempts at once");
            let takes = if self.world == World::Hung { HANDSHAKE } else { self.dice.millis(1, 30) };
            self.attempt = Some(self.now + takes);
        }
    }

    fn drain(&mut self) {
        if let Some(opened) = self.streams.pop() {
            self.endpoint.drained(self.now, self.now - opened);
        }
    }

    /// So many streams end, and every question with them.
    fn lose_streams(&mut self, most: usize, reason: Reason) {
        let lost = std::mem::take(&mut self.asked);
        let failing = !lost.is_empty();
        let kept = self.streams.len().saturating_sub(most);
        for opened in self.streams.split_off(kept) {
            self.endpoint.lost(self.now, self.now - opened, reason, failing);
        }
        for asked in lost {
            let outcome = match asked.leave.probe() {
                Some(_) => Outcome::Failed,
                None => Outcome::Unknown,
            };
            self.endpoint.settle(self.now, asked.leave, asked.consumer, outcome);
            if !self.streams.is_empty() && self.budget.take(self.now) {
                self.again += 1;
            }
        }
    }

    fn end_questions(&mut self) {
        let now = self.now;
        let ended: Vec<Asked> = self.asked.extract_if(.., |asked| asked.ends <= now).collect();
        for asked in ended {
            if self.world == World::Breaks {
                self.endpoint.settle(now, asked.leave, asked.consumer, Outcome::Unknown);
                self.lose_streams(1, Reason::Ended);
                continue;
            }
            self.answered += u64::from(asked.outcome == Outcome::Answered);
            self.endpoint.settle(now, asked.leave, asked.consumer, asked.outcome);
        }
    }

    /// Puts a question, if it may.
    fn ask(&mut self) {
        let until = self.now + self.dice.millis(0, 800);
        let consumer = self.dice.below(3);
        self.budget.asked(self.now);
        self.first += 1;
        let Ok(leave) = self.endpoint.admit(self.now, until) else { return };
        assert!(until > self.now, "a question after its deadline");
        if leave.probe().is_some() {
            let others = self
                .asked
                .iter()
                .filter(|other| other.leave.probe().is_some() && other.until > self.now);
            assert_eq!(others.count(), 0, "two probes at once");
        }
        let takes = self.dice.millis(1, 20);
        let (ends, outcome) = match self.world {
            World::Healthy | World::Drains | World::Breaks => (self.now + takes, Outcome::Answered),
            World::Unavailable => (self.now + takes, Outcome::Failed),
            World::Late | World::Hung | World::Dead => (until, Outcome::Failed),
        };
        // The caller goes away, and nobody tells what came of it.
        if self.dice.below(50) > 0 {
            let (ends, outcome) = match ends > until {
                true => (until, Outcome::Unknown),
                false => (ends, outcome),
            };
            self.asked.push(Asked { leave, consumer, until, ends, outcome });
        }
    }

    fn laws(&self) {
        let budget = self.first.div_ceil(10) + 100 + 10 * (self.now - self.start).as_secs() + 10;
        assert!(self.again <= budget, "{} attempts again of {}", self.again, self.first);
        let next = match self.endpoint.state() {
            State::Open { until, .. } => until,
            _ => self.endpoint.due().unwrap_or(self.now),
        };
        assert!(
            next <= self.now + Duration::from_secs(5),
            "nothing is tried for {:?}",
            next - self.now
        );
        assert_eq!(self.attempt.is_none() && self.streams.len() < 2, self.endpoint.due().is_some());
    }

    fn run(&mut self) {
        let end = self.start + FAULTS;
        let mut until = self.now;
        while self.now < end {
            if until <= self.now {
                let which = self.dice.below(WORLDS.len() as u64);
                self.world = WORLDS[usize::try_from(which).unwrap()];
                until = self.now + self.dice.millis(50, 6_000);
            }
            let by = self.dice.millis(1, 150);
            self.step(by);
            for _ in 0..self.dice.below(4) {
                self.ask();
            }
        }
        // It is back: what is under way ends, a wait passes, and it is asked again.
        self.world = World::Healthy;
        let (back, before) = (self.now, self.answered);
        let longest = HANDSHAKE + LATER + Duration::from_secs(5) + Duration::from_secs(1);
        while self.answered == before || !matches!(self.endpoint.state(), State::Up { .. }) {
            self.step(Duration::from_millis(10));
            self.ask();
            assert!(self.now < back + longest, "not asked again: {:?}", self.endpoint);
        }
    }
}

#[test]
fn rows_57_58_histories_by_chance_keep_the_laws() {
    let base = u64::from(std::process::id());
    for nth in 0..HISTORIES {
        let seed = base.wrapping_mul(1_000_003).wrapping_add(nth);
        let ran = std::panic::catch_unwind(|| History::new(seed).run());
        assert!(ran.is_ok(), "the history of seed {seed} broke a law; see above");
    }
    println!("{HISTORIES} histories, seeds from {}", base.wrapping_mul(1_000_003));
}
