//! What a log's reader is told of what was pruned: nobody reads "nothing found" without it.

use std::path::Path;

use anyhow::Context as _;

use crate::cli::output::tell;
use crate::domain::audit::VerifyingKey;
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
