//! Logs that go on from one another: what a log's first entry says of the end of the one before
//! is held against that log.
//!
//! Each was verified by itself before. That the log before is the one that is meant, its own
//! key says, under which it was verified.

use super::verify::Report;
use super::walk::{CHECKPOINT, Fault, FaultKind};
use crate::domain::audit::Checkpoint;
use crate::domain::reason::Reason;

/// What a log says of the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessor {
    /// The log that goes on.
    pub origin: String,
    /// How the one before ended.
    pub ended: Checkpoint,
}

/// Notes in a log's report what contradicts those that go on from it.
pub fn hold(report: &mut Report, all: &[Predecessor]) {
    let ours = all.iter().filter(|one| one.ended.origin.as_str() == report.origin);
    let ours: Vec<&Predecessor> = ours.collect();
    for next in &ours {
        if let Some((kind, reason, what)) = against(report, next) {
            report.find(fault(kind, reason, &what));
        }
    }
    if let [first, second, ..] = ours.as_slice() {
        let (one, other) = (&first.origin, &second.origin);
        let what = format!("two logs go on from this one, `{one}` and `{other}`");
        report.find(fault(FaultKind::Changed, Reason::LogForked, &what));
    }
}

fn against(report: &Report, next: &Predecessor) -> Option<(FaultKind, Reason, String)> {
    let Predecessor { origin, ended } = next;
    let says = format!("`{origin}` goes on from {} entries", ended.size);
    // Nothing can be said of a log whose checkpoint is refused.
    if report.root.is_empty() && report.entries > 0 {
        return None;
    }
    if report.entries > ended.size {
        let what = format!("{says}, and this log grew to {} afterwards", report.entries);
        return Some((FaultKind::Changed, Reason::LogForked, what));
    }
    if report.published < ended.size {
        let what = format!("{says}, and this log has {} published", report.published);
        return Some((FaultKind::Missing, Reason::LogRolledBack, what));
    }
    (report.root != ended.root.to_string()).then(|| {
        let what = format!("{says} with the root {}, and this log has another", ended.root);
        (FaultKind::Changed, Reason::LogForked, what)
    })
}

fn fault(kind: FaultKind, reason: Reason, what: &str) -> Fault {
    Fault { kind, file: CHECKPOINT.to_owned(), offset: None, what: format!("{reason}: {what}") }
}
