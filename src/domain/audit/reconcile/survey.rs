//! What is known of each log once it was read: where it begins and ends, when it may lack
//! records, and which of its lines do not stand where a log has them. From this follows
//! which logs succeed one another: those are read as the one log that they are.

use std::collections::{BTreeMap, BTreeSet};

use super::told::LogLine;
use super::{Compared, Comparison, Side};
use crate::domain::audit::Timestamp;
use crate::domain::audit::export::Line;

/// Spans of time, in microseconds; those that meet are one.
#[derive(Debug, Clone, Default)]
pub(super) struct TimeSpans(Vec<(u64, u64)>);

impl TimeSpans {
    pub(super) fn add(&mut self, from: u64, to: u64) {
        match self.0.last_mut() {
            Some((first, last)) if *first <= from && from <= *last => *last = to.max(*last),
            _ => self.0.push((from, to)),
        }
    }

    pub(super) fn extend(&mut self, others: &Self) {
        self.0.extend(&others.0);
        self.0.sort_unstable();
        let all = std::mem::take(&mut self.0);
        all.into_iter().for_each(|(from, to)| self.add(from, to));
    }

    pub(super) fn covers(&self, time: u64, leeway: u64) -> bool {
        self.0.iter().any(|(from, to)| {
            from.saturating_sub(leeway) <= time && time <= to.saturating_add(leeway)
        })
    }
}

/// One log.
#[derive(Debug, Default)]
pub(super) struct Survey {
    origin: String,
    /// How many records it has; what is written later is left aside.
    pub(super) lines: u64,
    /// The place of the record that was read last.
    last: Option<(u64, u64)>,
    indexes: Option<(u64, u64)>,
    times: Option<(u64, u64)>,
    /// Its first line, if that is of an export.
    first: Option<Line>,
    /// When it was opened after a stop without closing, where that is its first record.
    reopened: Option<u64>,
    /// The agencies that it has records of.
    pub(super) agencies: BTreeSet<String>,
    /// From the last record before an unclean stop to the start after it.
    pub(super) windows: TimeSpans,
    /// When refusals were counted, by who was refused.
    pub(super) counted: BTreeMap<String, TimeSpans>,
}

impl Survey {
    /// Takes up the next record; what is wrong with its place.
    pub(super) fn see(&mut self, line: LogLine<'_>) -> Option<Compared> {
        let (origin, index, time) = line.place();
        let wrong = self.disorder(line);
        if self.lines == 0 {
            if let LogLine::Exported(line) = line {
                self.first = Some(line.clone());
            }
            self.reopened = line.is_unclean_start().then_some(time);
        } else if let (true, Some((_, before))) = (line.is_unclean_start(), self.last) {
            self.windows.add(before, time);
        }
        if self.origin != origin {
            origin.clone_into(&mut self.origin);
        }
        self.lines += 1;
        self.last = Some((index, time));
        let widened = |range: Option<(u64, u64)>, at: u64| {
            Some(range.map_or((at, at), |(low, high)| (low.min(at), high.max(at))))
        };
        (self.indexes, self.times) = (widened(self.indexes, index), widened(self.times, time));
        if let Some((peer, since)) = line.refusals() {
            match self.counted.get_mut(peer) {
                Some(spans) => spans.add(since, time),
                None => self.counted.entry(peer.to_owned()).or_default().add(since, time),
            }
        }
        if let Some(asked) = line.asked()
            && !self.agencies.contains(asked.agency)
        {
            self.agencies.insert(asked.agency.to_owned());
        }
        wrong
    }

    /// Why a line does not stand where a log has it.
    fn disorder(&self, line: LogLine<'_>) -> Option<Compared> {
        let words = if line.has_one_time() {
            let (origin, ..) = line.place();
            let other = self.last.is_some() && origin != self.origin;
            match other {
                true => Some("it is of another log than the one before"),
                false => self.last.and_then(|before| out_of_order(before, line)),
            }
        } else {
            Some("its two times differ")
        };
        words.map(|words| disordered(&line.to_line(), words))
    }

    /// The origin, but for its last part: yearly logs of one party have one name.
    fn name(&self) -> &str {
        self.origin.rsplit_once('/').map_or(&*self.origin, |(name, _)| name)
    }

    /// Whether it ends where the other begins, or before.
    fn is_before(&self, other: &Self) -> bool {
        let ends_before = |ours: Option<(u64, u64)>, theirs: Option<(u64, u64)>| {
            ours.zip(theirs).is_some_and(|((_, end), (begin, _))| end <= begin)
        };
        match self.origin == other.origin {
            true => ends_before(self.indexes, other.indexes),
            false => ends_before(self.times, other.times),
        }
    }

    fn shares_agency(&self, other: &Self) -> bool {
        self.agencies.is_empty()
            || other.agencies.is_empty()
            || !self.agencies.is_disjoint(&other.agencies)
    }
}

/// The logs of one side.
#[derive(Debug, Default)]
pub(super) struct Logs {
    pub(super) all: Vec<Survey>,
    /// Their places in the order of their beginnings.
    pub(super) order: Vec<usize>,
}

impl Logs {
    /// Puts them into order, and says what is wrong between them: parts of one log that
    /// lie over each other. A log that goes on after an unclean stop has a window that
    /// begins in the log before it.
    pub(super) fn settle(&mut self, side: Side) -> Vec<Compared> {
        // Parts of one log stay together, in the order of their indexes.
        let mut began: BTreeMap<&str, Option<(u64, u64)>> = BTreeMap::new();
        for log in &self.all {
            let first = began.entry(&log.origin).or_insert(log.times);
            *first = (*first).min(log.times);
        }
        let mut order: Vec<(usize, &Survey)> = self.all.iter().enumerate().collect();
        order.sort_by_key(|(at, log)| (began.get(&*log.origin), &log.origin, log.indexes, *at));
        self.order = order.iter().map(|(at, _)| *at).collect();
        order.sort_by_key(|(at, log)| (&log.origin, log.indexes, *at));
        let parts = order.windows(2).filter_map(|pair| match pair {
            [(_, one), (_, other)] if one.origin == other.origin => {
                let (before, first) = (one.last?, other.first.as_ref()?);
                let words = out_of_order(before, LogLine::Exported(first))?;
                Some(disordered(first, words))
            }
            _ => None,
        });
        let wrong = parts.collect();
        let windows: Vec<Option<(u64, u64)>> = (0..self.all.len())
            .map(|at| {
                let reopened = self.all.get(at)?.reopened?;
                let before = self.before(at, side)?;
                Some((before.times?.1, reopened))
            })
            .collect();
        for (log, window) in self.all.iter_mut().zip(windows) {
            if let Some((from, to)) = window {
                log.windows.add(from, to.max(from));
            }
        }
        wrong
    }

    /// The log that this one goes on from: by its origin, by its party's name, or else the
    /// last that had ended.
    fn before(&self, at: usize, side: Side) -> Option<&Survey> {
        let log = self.all.get(at)?;
        // An agency does not go on from another's log.
        let may_be = |other: &Survey| {
            side == Side::Gateway || other.name() == log.name() || other.shares_agency(log)
        };
        let others = self
            .all
            .iter()
            .enumerate()
            .filter(|(other, survey)| *other != at && survey.is_before(log) && may_be(survey));
        others
            .max_by_key(|(_, other)| {
                (other.origin == log.origin, other.name() == log.name(), other.times, other.indexes)
            })
            .map(|(_, other)| other)
    }

    /// Whether there are records of an agency.
    pub(super) fn knows(&self, agency: &str) -> bool {
        self.all.iter().any(|log| log.agencies.contains(agency))
    }

    /// Whether one log ends before another begins.
    pub(super) fn is_before(&self, one: usize, other: usize) -> bool {
        let pair = self.all.get(one).zip(self.all.get(other));
        pair.is_some_and(|(one, other)| one.is_before(other))
    }

    /// Whether two logs are of one process, as far as their origins tell.
    pub(super) fn is_one_party(&self, one: usize, other: usize) -> bool {
        let pair = self.all.get(one).zip(self.all.get(other));
        pair.is_some_and(|(a, b)| {
            a.origin == b.origin || (a.name() == b.name() && (a.is_before(b) || b.is_before(a)))
        })
    }

    /// When the logs of an agency, or of all gateways, may lack records. A log that has
    /// records of no agency belongs to whoever has logs of that name, or to all.
    pub(super) fn windows(&self, agency: Option<&str>) -> TimeSpans {
        let mut windows = TimeSpans::default();
        for log in &self.all {
            let of_name = |other: &&Survey| other.name() == log.name();
            let is_of = |other: &Survey| agency.is_none_or(|name| other.agencies.contains(name));
            let mut known = self.all.iter().filter(of_name).filter(|of| !of.agencies.is_empty());
            let is_its = match log.agencies.is_empty() {
                false => is_of(log),
                true => known.clone().next().is_none() || known.any(is_of),
            };
            if is_its {
                windows.extend(&log.windows);
            }
        }
        windows
    }

    /// When refusals were counted, by who was refused.
    pub(super) fn counted(&self) -> BTreeMap<&str, TimeSpans> {
        let mut counted: BTreeMap<&str, TimeSpans> = BTreeMap::new();
        for (peer, spans) in self.all.iter().flat_map(|log| &log.counted) {
            counted.entry(peer).or_default().extend(spans);
        }
        counted
    }
}

fn out_of_order(before: (u64, u64), line: LogLine<'_>) -> Option<&'static str> {
    let (_, index, time) = line.place();
    if index <= before.0 {
        return Some("its index is not above that of the one before");
    }
    (time < before.1).then_some("its time is before that of the one before")
}

/// A line that does not stand where a log has it.
pub(super) fn disordered(line: &Line, words: &str) -> Compared {
    let (origin, index, time) = line.place();
    let (request, agency) = match line {
        Line::Section(section) => {
            (section.request.clone(), section.agency.clone().unwrap_or_default())
        }
        _ => Default::default(),
    };
    let Timestamp(time_us) = time;
    Compared {
        class: Comparison::Disordered,
        request,
        agency,
        time_us,
        missing_at: None,
        differences: Vec::new(),
        line: Some(format!("record {index} of {origin}: {words}")),
    }
}
