//! What a log's reader is told of what was pruned: nobody reads "nothing found" without it.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::output::tell;
use crate::domain::audit::VerifyingKey;
use crate::domain::audit::export::Line;
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

/// The time up to which a log's records may be gone, in microseconds since 1970.
pub(super) fn until(log: &Path, key: &VerifyingKey) -> anyhow::Result<Option<u64>> {
    Ok(pruned::read(log, key)?.map(|own| own.until.0))
}

/// Leaves out every request of which a side may have pruned its record: what the other side
/// has of it contradicts nothing.
pub(in crate::cli) fn leave_out(
    sides: &mut [&mut Vec<Line>],
    until: Option<u64>,
    leeway: Duration,
) {
    let Some(until) = until else { return };
    let margin = u64::try_from((leeway + LATER).as_micros()).unwrap_or(u64::MAX);
    let until = until.saturating_add(margin);
    let mut old = HashSet::new();
    for line in sides.iter().flat_map(|side| side.iter()) {
        if let Line::Section(section) = line
            && section.time_us <= until
        {
            old.insert(section.request.clone());
        }
    }
    for side in sides {
        side.retain(|line| !matches!(line, Line::Section(own) if old.contains(&own.request)));
    }
}
