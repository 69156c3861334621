//! Sets aside what needs no closer look: a request and an agency of which each side has
//! one record, alike in all that is compared, and a question that the gateway alone
//! records because no answer came. What is left is compared in full.
//!
//! Of a record it holds 24 bytes, and never more than it was given room for: where there
//! are more, it takes a part of them, by their keys, and the logs are read again for the
//! rest. Keys and prints are hashes under a key that whoever wrote the logs does not know,
//! so that nobody can make two records that differ look alike. Two that collide by chance
//! are looked at in full like any others, unless everything of them collides.

use std::hash::{BuildHasher, Hash as _, Hasher as _};

use super::Side;
use super::pair::{expected, is_told};
use super::told::AskedLine;
use crate::domain::audit::export::WITHHELD;
use crate::domain::reason::Reason;
use crate::domain::section::SectionStatus;

/// What is held of a record.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Request and agency; of a count, agency and grant.
    key: u64,
    /// All that is compared; of a count, its window and number.
    print: u64,
    /// When; of a count, a hash of the grant's end.
    seconds: u32,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A gateway's record that says what one of an agency would say as well.
    Ours,
    /// A gateway's record for which an agency needs none.
    Unanswered,
    /// An agency's record that says what a gateway's would say as well.
    Theirs,
    /// Of either side, and more than that.
    Other,
    /// What an agency counted of a grant.
    Count,
}

/// A part of the keys, and what is held of the records that have them.
#[derive(Debug)]
pub(super) struct Sieve {
    marks: Vec<Mark>,
    room: usize,
    /// The most that it held.
    most: usize,
    from: u64,
    to: u64,
    /// How far two times may lie apart, in seconds.
    within: u64,
    /// Whether what is alike is to be named too.
    all: bool,
}

/// What one part of the keys came to.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// Keys of requests and agencies to be compared in full, with the number of records.
    pub(super) open: Vec<(u64, u64)>,
    /// Keys of grants whose counts are to be looked at, with the number of records.
    pub(super) counts: Vec<(u64, u64)>,
    /// Pairs that are alike.
    pub(super) alike: u64,
    /// Where the next part begins.
    pub(super) next: Option<u64>,
}

/// The key of a request and an agency.
pub(super) fn pair_key(hasher: &impl BuildHasher, asked: &AskedLine<'_>) -> u64 {
    hasher.hash_one((1_u8, asked.request, asked.agency))
}

/// The key of a grant at an agency.
pub(super) fn grant_key(hasher: &impl BuildHasher, asked: &AskedLine<'_>) -> u64 {
    hasher.hash_one((2_u8, asked.agency, asked.grant))
}

impl Sieve {
    /// For the keys from one on.
    pub(super) fn new(from: u64, room: usize, within_us: u64, all: bool) -> Self {
        let mut marks = Vec::new();
        // Pages of it that are never used are never there. Where that is too much to ask
        // for, it grows.
        let _ = marks.try_reserve_exact(room.saturating_add(2));
        Self { marks, room, most: 0, from, to: u64::MAX, within: within_us / 1_000_000, all }
    }

    /// Takes up a record.
    pub(super) fn take(&mut self, hasher: &impl BuildHasher, side: Side, asked: &AskedLine<'_>) {
        let key = pair_key(hasher, asked);
        if self.has(key) {
            let (what, decision) = what(side, asked);
            let seconds = u32::try_from(asked.time_us / 1_000_000);
            let what = if seconds.is_ok() { what } else { What::Other };
            let seconds = seconds.unwrap_or_default();
            self.push(Mark { key, print: print(hasher, asked, decision), seconds, what });
        }
        if side == Side::Agency && asked.is_counted() {
            let key = grant_key(hasher, asked);
            if self.has(key)
                && let Some(count) = asked.count()
            {
                let print = match count.used {
                    0 => 0,
                    used => hasher.hash_one((&count.issuer, count.window, used)).max(1),
                };
                // Two issuers' grants of one name are told apart by a closer look.
                let end = hasher.hash_one((&count.issuer, count.expires));
                let seconds = (end >> 32) as u32;
                self.push(Mark { key, print, seconds, what: What::Count });
            }
        }
    }

    const fn has(&self, key: u64) -> bool {
        self.from <= key && key <= self.to
    }

    fn push(&mut self, mark: Mark) {
        self.marks.push(mark);
        self.most = self.most.max(self.marks.len());
        while self.marks.len() > self.room && self.from < self.to {
            self.to = self.from + (self.to - self.from) / 2;
            let to = self.to;
            self.marks.retain(|mark| mark.key <= to);
        }
    }

    /// The most marks that it held.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// What is left.
    pub(super) fn sift(mut self) -> Sifted {
        let is_count = |mark: &Mark| mark.what == What::Count;
        self.marks.sort_unstable_by_key(|mark| (is_count(mark), mark.key, mark.print));
        let next = self.to.checked_add(1);
        let mut sifted = Sifted { next, ..Sifted::default() };
        let groups = self
            .marks
            .chunk_by(|one, other| is_count(one) == is_count(other) && one.key == other.key);
        for group in groups {
            let Some(first) = group.first() else { continue };
            let many = (first.key, group.len() as u64);
            if is_count(first) {
                if are_doubtful(group) {
                    sifted.counts.push(many);
                }
                continue;
            }
            match self.verdict(group) {
                Verdict::Alike => sifted.alike += 1,
                Verdict::Nothing => {}
                Verdict::Open => sifted.open.push(many),
            }
        }
        sifted
    }

    fn verdict(&self, group: &[Mark]) -> Verdict {
        match group {
            [Mark { what: What::Unanswered, .. }] => Verdict::Nothing,
            [one, other] if !self.all && one.print == other.print => {
                let mut sides = [one.what, other.what].map(|what| match what {
                    // With a record of the agency it is one like others.
                    What::Unanswered => What::Ours,
                    what => what,
                });
                sides.sort_unstable();
                // Each is a second long: one more than their difference is the most.
                let apart = u64::from(one.seconds.abs_diff(other.seconds)) + 1;
                match sides == [What::Ours, What::Theirs] && apart <= self.within {
                    true => Verdict::Alike,
                    false => Verdict::Open,
                }
            }
            _ => Verdict::Open,
        }
    }
}

enum Verdict {
    Alike,
    Nothing,
    Open,
}

/// What a record is to the other side, and the decision that a gateway has of it.
fn what<'a>(side: Side, asked: &AskedLine<'a>) -> (What, &'a str) {
    match side {
        Side::Gateway => {
            let is_status = SectionStatus::ALL.iter().any(|is| is.as_str() == asked.decision);
            let what = match (is_status, asked.is_counted()) {
                _ if !is_told(asked.decision) && asked.decision != WITHHELD => What::Unanswered,
                (true, false) => What::Ours,
                _ => What::Other,
            };
            // What only looks like a status is compared with nothing here.
            let what =
                if what == What::Unanswered && asked.is_counted() { What::Other } else { what };
            (what, asked.decision)
        }
        Side::Agency => {
            let gone = asked.reason == Some(Reason::Abandoned.as_str());
            match expected(asked.decision, asked.reason) {
                Some(expected) if !gone && asked.decision != WITHHELD => (What::Theirs, expected),
                _ => (What::Other, asked.decision),
            }
        }
    }
}

/// All that is compared of two records, but for their times.
fn print(hasher: &impl BuildHasher, asked: &AskedLine<'_>, decision: &str) -> u64 {
    let mut state = hasher.build_hasher();
    let AskedLine { consumer, purpose, basis, grant, catalogue, .. } = asked;
    (decision, consumer, purpose, basis, grant, catalogue).hash(&mut state);
    asked.each_item(|item| state.write_u16(item));
    state.finish()
}

/// Whether the counts of a grant may contradict each other: it ends at two times, or a use
/// is counted twice. They are in the order of their prints.
fn are_doubtful(counts: &[Mark]) -> bool {
    counts.windows(2).any(|pair| match pair {
        [one, other] => {
            one.seconds != other.seconds || (one.print != 0 && one.print == other.print)
        }
        _ => false,
    })
}
