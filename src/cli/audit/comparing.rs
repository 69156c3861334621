//! Logs of gateways held against those of agencies, without what a side may have pruned. What
//! the comparison is, is the business of `domain::audit::reconcile`.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use super::source::{Source, Unsound};
use crate::domain::audit::reconcile::{Bounds, LogLine, Reconciled, Rereadable, reconcile_logs};
use crate::store::pruned;

/// How often logs that are being written are read anew when their files moved on.
const TRIES: usize = 5;

/// Holds the logs of gateways against those of agencies.
pub(in crate::cli) fn reconciled(
    gateways: &[Source],
    agencies: &[Source],
    bounds: &Bounds,
) -> anyhow::Result<Reconciled> {
    let mut tried = 1;
    loop {
        match reconciled_once(gateways, agencies, bounds) {
            Err(error)
                if tried < TRIES
                    && error.downcast_ref::<Unsound>().is_some_and(|log| log.has_moved) =>
            {
                tried += 1;
            }
            done => return done,
        }
    }
}

fn reconciled_once(
    gateways: &[Source],
    agencies: &[Source],
    bounds: &Bounds,
) -> anyhow::Result<Reconciled> {
    let old = Old::of(gateways.iter().chain(agencies), bounds.leeway)?;
    let recent = |source| Recent { source, old: old.as_ref() };
    let gateways: Vec<_> = gateways.iter().map(recent).collect();
    let agencies: Vec<_> = agencies.iter().map(recent).collect();
    reconcile_logs(&gateways, &agencies, bounds, &RandomState::new())
}

/// How much later than one side's record the other's may be, beside the leeway of clocks.
const LATER: Duration = Duration::from_secs(60);

/// The requests of which a side may have pruned its record: what the other side has of them
/// contradicts nothing. Of each eight bytes are held.
struct Old {
    hasher: RandomState,
    requests: HashSet<u64>,
}

impl Old {
    /// What is so old in these logs; nothing where nothing was pruned. An export does not
    /// say.
    fn of<'a>(
        sources: impl Iterator<Item = &'a Source> + Clone,
        leeway: Duration,
    ) -> anyhow::Result<Option<Self>> {
        let folders = sources.clone().filter_map(Source::folder);
        let until = folders.map(|log| pruned::read(&log.folder, &log.key));
        let until = until.collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
        let Some(until) = until.map(|own| own.until.0).max() else { return Ok(None) };
        let margin = u64::try_from((leeway + LATER).as_micros()).unwrap_or(u64::MAX);
        let until = until.saturating_add(margin);
        let mut old = Self { hasher: RandomState::new(), requests: HashSet::new() };
        for source in sources {
            source.each(&mut |line| {
                if let Some((request, time)) = line.request()
                    && time <= until
                {
                    old.requests.insert(old.hasher.hash_one(request));
                }
            })?;
        }
        Ok(Some(old))
    }

    fn is_of(&self, line: &LogLine<'_>) -> bool {
        let request = line.request();
        request.is_some_and(|(id, _)| self.requests.contains(&self.hasher.hash_one(id)))
    }
}

/// A log without what is so old.
struct Recent<'a> {
    source: &'a Source,
    old: Option<&'a Old>,
}

impl Rereadable for Recent<'_> {
    type Error = anyhow::Error;

    fn each(&self, take: &mut dyn FnMut(LogLine<'_>)) -> anyhow::Result<()> {
        self.source.each(&mut |line| {
            if self.old.is_none_or(|old| !old.is_of(&line)) {
                take(line);
            }
        })
    }
}
