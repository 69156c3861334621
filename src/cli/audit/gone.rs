//! What a log's reader is told of what was pruned: nobody reads "nothing found" without it.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::source::Source;
use crate::cli::output::tell;
use crate::domain::audit::VerifyingKey;
use crate::domain::audit::reconcile::{LogLine, Rereadable};
use crate::store::pruned::{self, Pruned};
use crate::store::verify::PrunedReport;

/// What was pruned of a log, if anything was.
pub(in crate::cli) fn of(log: &Path, key: &VerifyingKey) -> anyhow::Result<Option<PrunedReport>> {
    Ok(pruned::read(log, key)?.map(PrunedReport::of))
}

/// What a gateway says was pruned of its log, if it says that anything was; the log's key must
/// have signed it.
pub(super) fn said(note: &str, key: &VerifyingKey) -> anyhow::Result<Option<PrunedReport>> {
    if note.is_empty() {
        return Ok(None);
    }
    let own = Pruned::verify(note, key).context("what the gateway says was pruned")?;
    Ok(Some(PrunedReport::of(own)))
}

/// Tells it on standard error.
pub(in crate::cli) fn say_of(log: &Path, key: &VerifyingKey) -> anyhow::Result<()> {
    if let Some(own) = of(log, key)? {
        tell!("tributary: {}: {}", log.display(), own.words);
    }
    Ok(())
}

/// How much later than one side's record the other's may be, beside the leeway of clocks.
const LATER: Duration = Duration::from_secs(60);

/// The requests of which a side may have pruned its record: what the other side has of them
/// contradicts nothing. Of each eight bytes are held.
pub(super) struct Old {
    hasher: RandomState,
    requests: HashSet<u64>,
}

impl Old {
    /// What is so old in these logs; nothing where nothing was pruned. An export does not
    /// say.
    pub(super) fn of<'a>(
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
pub(super) struct Recent<'a> {
    pub(super) source: &'a Source,
    pub(super) old: Option<&'a Old>,
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
