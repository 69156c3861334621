//! Limits how many lines of one kind there are, since others than us decide how often
//! most things happen: a kind is a place in the code and a reason. Of each peer some
//! lines of a kind are written in a span of time, and of all peers together some more;
//! the rest is counted, and the count is a line of its own when the span is over.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use crate::clock;

/// For how long lines of a kind are counted together.
const SPAN: Duration = Duration::from_secs(10);

/// Lines of a kind and a peer in a span, and of all its peers.
const OF_PEER: u32 = 5;
const OF_ALL: u32 = 20;

/// Kinds that are told apart.
const KINDS: usize = 1024;

/// Most characters that are kept of what a line says.
const WORDS: usize = 120;

/// Decides for each line whether it is written. Clones share what they count.
#[derive(Debug, Clone, Default)]
pub(super) struct Limit(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    /// A first line was counted.
    begun: Condvar,
    hasher: RandomState,
}

/// A place in the code and the hash of a reason.
type Kind = (Option<Identifier>, u64);

#[derive(Debug, Default)]
struct Counts(HashMap<Kind, Count>);

#[derive(Debug)]
struct Count {
    since: Instant,
    written: u32,
    left_out: u64,
    /// Lines written by peer; no more than may be written in all.
    peers: HashMap<u64, u32>,
    reason: String,
    words: String,
}

/// What was left out of a kind in a span.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    count: u64,
    reason: String,
    words: String,
}

impl Counts {
    /// Whether a line is to be written.
    fn admit(&mut self, mut kind: Kind, peer: u64, line: &Line, now: Instant) -> bool {
        if !self.0.contains_key(&kind) && self.0.len() >= KINDS {
            kind = (None, 0);
        }
        let count = self.0.entry(kind).or_insert_with(|| Count {
            since: now,
            written: 0,
            left_out: 0,
            peers: HashMap::new(),
            reason: line.reason.clone(),
            words: line.words.clone(),
        });
        let of_peer = count.peers.get(&peer).copied().unwrap_or_default();
        let written = count.written < OF_ALL && of_peer < OF_PEER;
        if written {
            count.written += 1;
            count.peers.insert(peer, of_peer + 1);
        } else {
            count.left_out += 1;
        }
        written
    }

    /// Ends the spans that are over, or all.
    fn close(&mut self, now: Instant, all: bool) -> Vec<LeftOut> {
        let over =
            |_: &Kind, count: &mut Count| all || now.saturating_duration_since(count.since) >= SPAN;
        let closed = self.0.extract_if(over).filter(|(_, count)| count.left_out > 0);
        let left_out = closed.map(|(_, Count { left_out, reason, words, .. })| LeftOut {
            count: left_out,
            reason,
            words,
        });
        left_out.collect()
    }
}

impl Limit {
    /// Starts what tells the counts, about once a second while there are any.
    pub(super) fn tell(&self) -> std::io::Result<()> {
        let limit = self.clone();
        let telling = std::thread::Builder::new().name("log-counts".to_owned());
        telling.spawn(move || {
            loop {
                limit.0.begun.wait_while(&mut limit.counts(), |counts| counts.0.is_empty());
                std::thread::sleep(Duration::from_secs(1));
                limit.write(false);
            }
        })?;
        Ok(())
    }

    /// Tells how many lines were left out in the spans that are over, or in all of them.
    pub(super) fn write(&self, all: bool) {
        let closed = self.counts().close(clock::now(), all);
        for LeftOut { count, reason, words } in closed {
            let reason = (!reason.is_empty()).then_some(reason);
            tracing::warn!(reason, count, "more lines were left out that say: {words}");
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock()
    }
}

impl<S: Subscriber> Filter<S> for Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let about = event.metadata();
        // Our own counts are few, and whoever asks for more than usual gets all of it.
        if about.target() == module_path!() || *about.level() > Level::INFO {
            return true;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let hash = |text: &str| self.0.hasher.hash_one(text);
        let kind = (Some(about.callsite()), hash(&line.reason));
        let peer = hash(&line.peer);
        let mut counts = self.counts();
        if counts.0.is_empty() {
            self.0.begun.notify_all();
        }
        counts.admit(kind, peer, &line, clock::now())
    }
}

/// What tells lines apart. All else in a line may be a stranger's choice.
#[derive(Debug, Default)]
struct Line {
    reason: String,
    peer: String,
    words: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let part = match field.name() {
            "reason" => &mut self.reason,
            "peer" | "agency" | "domain" | "query" => &mut self.peer,
            "message" => &mut self.words,
            _ => return,
        };
        let _ = write!(part, "{value:?}");
        if let Some((at, _)) = self.words.char_indices().nth(WORDS) {
            self.words.truncate(at);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(reason: &str) -> Line {
        Line { reason: reason.to_owned(), peer: String::new(), words: "refused".to_owned() }
    }

    #[test]
    fn row_63_a_flood_is_some_lines_and_a_count() {
        let (mut counts, start) = (Counts::default(), clock::now());
        let flood = |counts: &mut Counts, kind: u64, peers: u64| {
            let mut admit =
                |n: u64| counts.admit((None, kind), n % peers, &line("GRANT_UNKNOWN"), start);
            (0..100_000).filter(|n| admit(*n)).count()
        };
        assert_eq!(flood(&mut counts, 1, 1), OF_PEER as usize);
        assert_eq!(flood(&mut counts, 2, 1000), OF_ALL as usize);
        assert!(counts.close(start + SPAN / 2, false).is_empty());
        let mut told = counts.close(start + SPAN, false);
        told.sort_by_key(|left_out| left_out.count);
        let left_out = |written: u32| LeftOut {
            count: 100_000 - u64::from(written),
            reason: "GRANT_UNKNOWN".to_owned(),
            words: "refused".to_owned(),
        };
        assert_eq!(told, [left_out(OF_ALL), left_out(OF_PEER)]);
        assert!(counts.admit((None, 1), 0, &line("GRANT_UNKNOWN"), start + SPAN));
        assert!(counts.close(start + SPAN, true).is_empty(), "nothing was left out");
    }

    #[test]
    fn the_kinds_that_are_told_apart_are_bounded() {
        let (mut counts, now) = (Counts::default(), clock::now());
        for kind in 1..10_000 {
            counts.admit((None, kind), kind, &line("X"), now);
        }
        assert!(counts.0.len() <= KINDS + 1);
    }
}
