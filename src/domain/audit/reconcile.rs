//! Holds the gateway's log against the agencies' logs, record by record.
//!
//! It compares exported lines and needs no tags. It believes both sides' lines;
//! that each side's log is whole is what `verify` and the witnesses are for. What each
//! side records for itself alone, its policy, its rules and its words for a refusal, is
//! not compared.

//!
//! Logs are read as often as it takes, and of a record that is alike on both sides 24 bytes
//! are held at most, of so many records at a time as [`Bounds`] say: what is held grows with
//! what is found, and not with the logs. Logs of one party that succeed one another come to
//! the same as one log with their records (see `survey`).

mod counts;
mod pair;
mod side;
mod sieve;
mod survey;
mod tally;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::time::Duration;

use serde::Serialize;

use super::export::Line;
use pair::pair;
use side::{Gathered, PairKey, group};
use sieve::{Sieve, grant_key, pair_key};
use survey::{Logs, Survey, TimeSpans};
use tally::Tally;
use told::AskedLine;
pub use told::{LogLine, Rereadable};

/// What became of a record in the other log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Comparison {
    /// Both logs have it, and say the same.
    Matched,
    /// Both logs have it, and say the same; each side decided under a catalogue of its own.
    OtherCatalogue,
    /// One use, released by two replicas: the first answer was lost on its way.
    Repeated,
    /// The agency answered; the gateway says that it passed nothing of that on, since it
    /// had given up on it or been told to. The logs alone cannot tell whether that is so.
    Late,
    /// One log lacks it, and that side had stopped without closing its log around
    /// that time.
    CrashWindow,
    /// Both logs have it, and do not say the same.
    Different,
    /// One log has nothing of this request and agency, and nothing explains why.
    Omitted,
    /// The other log has records of this request and agency, and none for this one.
    Unmatched,
    /// A line of an export that does not stand where its log has it.
    Disordered,
}

impl Comparison {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 9] = [
        Self::Matched,
        Self::OtherCatalogue,
        Self::Repeated,
        Self::Late,
        Self::CrashWindow,
        Self::Different,
        Self::Omitted,
        Self::Unmatched,
        Self::Disordered,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "MATCHED",
            Self::OtherCatalogue => "OTHER_CATALOGUE",
            Self::Repeated => "REPEATED",
            Self::Late => "LATE",
            Self::CrashWindow => "CRASH_WINDOW",
            Self::Different => "DIFFERENT",
            Self::Omitted => "OMITTED",
            Self::Unmatched => "UNMATCHED",
            Self::Disordered => "DISORDERED",
        }
    }

    /// Whether the two logs contradict each other.
    pub const fn is_contradiction(self) -> bool {
        matches!(self, Self::Different | Self::Omitted | Self::Unmatched | Self::Disordered)
    }
}

/// The side whose log lacks a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The gateway.
    Gateway,
    /// The agency.
    Agency,
}

/// What both sides say of one thing, where they do not say the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// Of what.
    pub field: &'static str,
    /// What the gateway's log says.
    pub gateway: String,
    /// What the agency's log says.
    pub agency: String,
}

/// One record, or one pair of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Its class.
    pub class: Comparison,
    /// Which request; empty for a line that is about none.
    pub request: String,
    /// Which agency; empty for a line that is about none.
    pub agency: String,
    /// When, by the agency's log if it has it, in microseconds since 1970.
    pub time_us: u64,
    /// The log that lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_at: Option<Side>,
    /// In what the two sides differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<FieldDifference>,
    /// Where one log contradicts itself: which record, and in what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

impl Compared {
    /// What is wrong, for people, after class, time, request and agency.
    pub fn words(&self) -> String {
        let mut words = match (&self.line, self.missing_at) {
            (Some(line), _) => format!(", {line}"),
            (None, Some(Side::Gateway)) => ", missing at the gateway".to_owned(),
            (None, Some(Side::Agency)) => ", missing at the agency".to_owned(),
            (None, None) => String::new(),
        };
        for FieldDifference { field, gateway, agency } in &self.differences {
            words += &format!(", {field}: the gateway has {gateway}, the agency {agency}");
        }
        words
    }
}

/// The longest that a request may be under way, and be repeated by a gateway that lost
/// the answer: records of one request lie no further apart, but for the clocks.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// How much is held at a time, and what is named.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How far the clocks of two sides may differ.
    pub leeway: Duration,
    /// Records, and counts of agencies, that are marked at a time: 24 bytes each. Where
    /// there are more, all logs are read once more for each so many.
    pub marks: usize,
    /// Records that are held whole at a time, about a kilobyte each. Where more are to be
    /// compared in full, all logs are read once more for each so many; but those of one
    /// request and agency are always held together.
    pub lines: usize,
    /// Findings of each class that are named; the others are counted.
    pub named: usize,
    /// Whether what is alike is named too. Then every record is compared in full.
    pub all: bool,
}

impl Bounds {
    /// 96 MiB of marks, then some 64 MiB of records; 10,000 findings of each class.
    pub const fn new(leeway: Duration) -> Self {
        Self { leeway, marks: 4 << 20, lines: 64 << 10, named: 10_000, all: false }
    }
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// How many there are of each class, in the order of [`Comparison::ALL`].
    pub counts: [u64; Comparison::ALL.len()],
    /// Those that are named: by class, and each class by time.
    pub findings: Vec<Compared>,
    /// The most marks that were held at a time.
    pub marks: usize,
    /// The most records that were held whole at a time.
    pub lines: usize,
    /// How often the logs were read.
    pub passes: u32,
}

impl Reconciled {
    /// How many there are of a class.
    pub fn count(&self, class: Comparison) -> u64 {
        self.counts.get(class as usize).copied().unwrap_or_default()
    }

    /// How many contradict.
    pub fn contradictions(&self) -> u64 {
        let all = Comparison::ALL.into_iter().filter(|class| class.is_contradiction());
        all.map(|class| self.count(class)).sum()
    }

    /// How many of a class are counted and not named.
    pub fn unnamed(&self, class: Comparison) -> u64 {
        let named = self.findings.iter().filter(|finding| finding.class == class).count();
        self.count(class).saturating_sub(named as u64)
    }
}

/// Holds the logs of any number of gateways against those of any number of agencies: of
/// replicas, and of each of them the logs that succeeded one another, in any order. What
/// one log of a side has, none of the others lacks; agencies whose log is not given are
/// left aside. A log that is written meanwhile is taken as it was first read.
///
/// `hasher` has a key that the writers of the logs do not know, such as a fresh
/// [`RandomState`](std::hash::RandomState).
///
/// # Errors
/// The first log's that cannot be read.
pub fn reconcile_logs<L: Rereadable>(
    gateways: &[L],
    agencies: &[L],
    bounds: &Bounds,
    hasher: &impl BuildHasher,
) -> Result<Reconciled, L::Error> {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let leeway = micros(bounds.leeway);
    let within = leeway.saturating_add(micros(UNDER_WAY));
    let mut sides = Sides { gateways, agencies, ours: Logs::default(), theirs: Logs::default() };
    let mut tally = Tally::new(if bounds.all { usize::MAX } else { bounds.named });
    let mut done = Reconciled {
        counts: Default::default(),
        findings: Vec::new(),
        marks: 0,
        lines: 0,
        passes: 0,
    };
    let (mut open, mut counts, mut next) = (Vec::new(), Vec::new(), Some(0));
    while let Some(from) = next {
        let mut sieve = Sieve::new(from, bounds.marks, within, bounds.all);
        match from {
            0 => sides.survey(&mut tally, &mut |side, asked| sieve.take(hasher, side, asked))?,
            _ => sides.each(&mut |side, _, asked, _| sieve.take(hasher, side, asked))?,
        }
        done.passes += 1;
        done.marks = done.marks.max(sieve.most());
        let sifted = sieve.sift();
        open.extend(sifted.open);
        counts.extend(sifted.counts);
        tally.count(Comparison::Matched, sifted.alike);
        next = sifted.next;
    }
    let counted = sides.ours.counted();
    let stopped = sides.ours.windows(None);
    let windows: BTreeMap<&str, TimeSpans> =
        sides.names().into_iter().map(|name| (name, sides.theirs.windows(Some(name)))).collect();
    let keyed = open.into_iter().map(|key| (key, true));
    let keyed: Vec<_> = keyed.chain(counts.into_iter().map(|key| (key, false))).collect();
    let mut rest = keyed.as_slice();
    while !rest.is_empty() {
        let (part, others) = rest.split_at(so_many(rest, bounds.lines));
        rest = others;
        let keys_of = |wanted: bool| -> BTreeSet<u64> {
            part.iter()
                .filter(|(_, is_open)| *is_open == wanted)
                .map(|((key, _), _)| *key)
                .collect()
        };
        let (open, counts) = (keys_of(true), keys_of(false));
        let [mut ours, mut theirs, mut counting] = [const { Vec::new() }; 3];
        sides.each(&mut |side, log, asked, line| {
            let gathered = || match line.to_line() {
                Line::Section(line) => Some(Gathered { log, line }),
                _ => None,
            };
            if open.contains(&pair_key(hasher, asked)) {
                match side {
                    Side::Gateway => ours.extend(gathered()),
                    Side::Agency => theirs.extend(gathered()),
                }
            }
            if side == Side::Agency && counts.contains(&grant_key(hasher, asked)) {
                counting.extend(gathered());
            }
        })?;
        done.passes += 1;
        done.lines = done.lines.max(ours.len() + theirs.len() + counting.len());
        let mut named = Vec::new();
        let counting = group(&counting, &sides.theirs, &mut named);
        // What is repeated is named below, where its request is compared.
        named.clear();
        counts::contradictions(&counting).into_iter().for_each(|found| tally.add(found));
        let ours = group(&ours, &sides.ours, &mut named);
        let theirs = group(&theirs, &sides.theirs, &mut named);
        named.into_iter().for_each(|found| tally.add(found));
        let keys: BTreeSet<PairKey<'_>> = ours.keys().chain(theirs.keys()).copied().collect();
        for key in keys {
            let [ours, theirs] =
                [&ours, &theirs].map(|of| of.get(&key).map_or(&[][..], Vec::as_slice));
            let missing = Missing {
                agencies: &sides.theirs,
                gateway: &stopped,
                agency: windows.get(key.1),
                counted: &counted,
                leeway,
            };
            pair(key, ours, theirs, within, &missing)
                .into_iter()
                .for_each(|found| tally.add(found));
        }
    }
    (done.counts, done.findings) = tally.end();
    Ok(done)
}

/// A key with the number of its records, and whether it is of a request.
type Keyed = ((u64, u64), bool);

/// How many of the keys have so many records together; one at least.
fn so_many(keys: &[Keyed], lines: usize) -> usize {
    let lines = lines as u64;
    let mut sum = 0_u64;
    let fits = keys.iter().take_while(|((_, records), _)| {
        sum = sum.saturating_add(*records);
        sum <= lines
    });
    fits.count().max(1)
}

/// As [`reconcile_logs`], of lines that are in memory, and with everything named.
pub fn reconcile(
    gateways: &[&[Line]],
    agencies: &[&[Line]],
    leeway: Duration,
    hasher: &impl BuildHasher,
) -> Vec<Compared> {
    let bounds = Bounds { all: true, ..Bounds::new(leeway) };
    match reconcile_logs(gateways, agencies, &bounds, hasher) {
        Ok(done) => done.findings,
        Err(never) => match never {},
    }
}

/// Both sides' logs.
struct Sides<'a, L> {
    gateways: &'a [L],
    agencies: &'a [L],
    ours: Logs,
    theirs: Logs,
}

impl<L: Rereadable> Sides<'_, L> {
    /// Reads them for the first time: agencies first, since of a gateway only what is
    /// about them counts.
    fn survey(
        &mut self,
        tally: &mut Tally,
        take: &mut dyn FnMut(Side, &AskedLine<'_>),
    ) -> Result<(), L::Error> {
        for (side, logs) in [(Side::Agency, self.agencies), (Side::Gateway, self.gateways)] {
            for log in logs {
                let mut survey = Survey::default();
                log.each(&mut |line| {
                    if let Some(found) = survey.see(line) {
                        tally.add(found);
                    }
                    if let Some(asked) = line.asked()
                        && (side == Side::Agency || self.theirs.knows(asked.agency))
                    {
                        take(side, &asked);
                    }
                })?;
                match side {
                    Side::Agency => self.theirs.all.push(survey),
                    Side::Gateway => self.ours.all.push(survey),
                }
            }
        }
        for (logs, side) in [(&mut self.ours, Side::Gateway), (&mut self.theirs, Side::Agency)] {
            logs.settle(side).into_iter().for_each(|found| tally.add(found));
        }
        Ok(())
    }

    /// Reads them again, those of a side in the order of their beginnings.
    fn each(
        &self,
        take: &mut dyn FnMut(Side, usize, &AskedLine<'_>, LogLine<'_>),
    ) -> Result<(), L::Error> {
        let sides = [
            (Side::Agency, self.agencies, &self.theirs),
            (Side::Gateway, self.gateways, &self.ours),
        ];
        for (side, logs, surveys) in sides {
            for &at in &surveys.order {
                let (Some(log), Some(survey)) = (logs.get(at), surveys.all.get(at)) else {
                    continue;
                };
                let mut seen = 0;
                log.each(&mut |line| {
                    seen += 1;
                    if seen <= survey.lines
                        && let Some(asked) = line.asked()
                        && (side == Side::Agency || self.theirs.knows(asked.agency))
                    {
                        take(side, at, &asked, line);
                    }
                })?;
            }
        }
        Ok(())
    }

    /// The agencies whose logs are given.
    fn names(&self) -> BTreeSet<&str> {
        self.theirs.all.iter().flat_map(|log| &log.agencies).map(String::as_str).collect()
    }
}

/// What may explain that a log lacks a record.
struct Missing<'a> {
    agencies: &'a Logs,
    /// When the gateways may lack records.
    gateway: &'a TimeSpans,
    /// When the agency may.
    agency: Option<&'a TimeSpans>,
    counted: &'a BTreeMap<&'a str, TimeSpans>,
    leeway: u64,
}

impl Missing<'_> {
    /// Whether that side had stopped without closing its log around that time.
    fn crashed(&self, side: Side, time: u64) -> bool {
        let windows = match side {
            Side::Gateway => Some(self.gateway),
            Side::Agency => self.agency,
        };
        windows.is_some_and(|windows| windows.covers(time, self.leeway))
    }

    /// Whether the gateway counted refusals of this consumer around that time, instead of
    /// recording each.
    fn counted(&self, consumer: &str, time: u64) -> bool {
        let counted = self.counted.get(consumer);
        counted.is_some_and(|spans| spans.covers(time, self.leeway))
    }
}
