//! Verification: everything recomputed, and held against a checkpoint from
//! outside.
//!
//! Without such a checkpoint, a log that was put back to an older copy of itself
//! looks sound; the report says so.

use std::path::Path;

use serde::Serialize;

use super::pruned::{self, Pruned};
use super::walk::{Fault, FaultKind, Walk, WalkError, WalkedEntry, walk};
use crate::domain::audit::{Checkpoint, Edge, NoteError, SignedCheckpoint, VerifyingKey};

/// How often a log that is being written is read anew when its files moved on.
const TRIES: usize = 5;

/// What the whole comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything fits.
    Sound,
    /// Something was changed.
    Tampered,
    /// Something is missing, and what is there fits.
    Incomplete,
}

impl Verdict {
    fn of(faults: &[Fault]) -> Self {
        if faults.iter().any(|fault| fault.kind == FaultKind::Changed) {
            Self::Tampered
        } else if faults.is_empty() {
            Self::Sound
        } else {
            Self::Incomplete
        }
    }

    /// The exit code of `audit verify`; 1 stands for an error.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Sound => 0,
            Self::Tampered => 2,
            Self::Incomplete => 3,
        }
    }
}

/// Whether the log could be an older copy of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollback {
    /// No checkpoint from outside was given.
    NotExcluded,
    /// The log continues the checkpoint from outside, which has this size.
    ExcludedUpTo(u64),
    /// The log does not reach, or contradicts, the checkpoint from outside.
    Found,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The whole.
    pub verdict: Verdict,
    /// Which log.
    pub origin: String,
    /// Entries, those not yet published included.
    pub entries: u64,
    /// Entries under the published checkpoint.
    pub published: u64,
    /// The root over the published entries, in hexadecimal digits.
    pub root: String,
    /// Whether an older copy is excluded.
    pub rollback: Rollback,
    /// Whether it is a mirror: what the log has after the checkpoint is not there.
    pub mirror: bool,
    /// How far it is pruned: of the entries before there are the hashes alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruned: Option<PrunedReport>,
    /// Whether an unfinished write stands at the end, as after a crash or while the
    /// log is being written. Nobody has a receipt for it.
    pub unfinished_write: bool,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Something else is wrong with the log, as another log shows.
    pub(super) fn find(&mut self, fault: Fault) {
        self.faults.push(fault);
        self.verdict = Verdict::of(&self.faults);
    }
}

/// How far a log is pruned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrunedReport {
    /// The first entry that is there.
    pub before: u64,
    /// The time of the last record that is gone, RFC 3339, UTC.
    pub until: String,
    /// When it was pruned.
    pub on: String,
    /// The same in words.
    #[serde(skip)]
    pub words: String,
    /// `until` in microseconds since 1970.
    #[serde(skip)]
    pub until_us: u64,
}

impl PrunedReport {
    /// Of a statement.
    pub fn of(pruned: Pruned) -> Self {
        let (until, on) = (pruned.until.to_string(), pruned.on.to_string());
        Self { before: pruned.before, until, on, words: pruned.words(), until_us: pruned.until.0 }
    }
}

/// Verifies a log. `known` is a checkpoint from outside, such as the one that a
/// peer keeps; `progress` is told the number of entries read.
///
/// # Errors
/// [`WalkError`] when nothing can be said: a file cannot be read, or the key is
/// another log's.
pub fn verify(
    log: &Path,
    key: &VerifyingKey,
    known: Option<&SignedCheckpoint>,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, WalkError> {
    read(log, key, known, &mut |told| {
        if let Telling::Entry(step) = told {
            progress(step.index + 1);
        }
    })
}

/// What [`read`] tells.
pub enum Telling<'a> {
    /// It begins, from the first entry; what was told before counts for nothing.
    Anew,
    /// The next entry.
    Entry(WalkedEntry<'a>),
}

/// As [`verify`], and tells each entry on the way: what is read is what is verified. It
/// is so only once a report says that the log is sound.
///
/// # Errors
/// As [`verify`].
pub fn read(
    log: &Path,
    key: &VerifyingKey,
    known: Option<&SignedCheckpoint>,
    told: &mut dyn FnMut(Telling<'_>),
) -> Result<Report, WalkError> {
    let mut tried = 1;
    loop {
        told(Telling::Anew);
        let outside = known.map(SignedCheckpoint::checkpoint);
        let edge = outside.map_or_else(Edge::default, |known| edge_of_pruned(log, key, known.size));
        let mut known_root = KnownRoot { known: outside, edge, differs: false };
        known_root.look();
        let walked = walk(log, Some(key), &mut |step| {
            known_root.add(step.bytes);
            told(Telling::Entry(step));
        });
        let walk = match walked {
            Err(WalkError::Note(error @ (NoteError::Form(_) | NoteError::Signature(_)))) => {
                return Ok(unsigned(key, &error));
            }
            walked => walked?,
        };
        if !walk.faults.is_empty() && tried < TRIES && has_moved(log, key, &walk) {
            tried += 1;
            continue;
        }
        return Ok(report(key, walk, &known_root));
    }
}

/// Follows the tree up to the size of the checkpoint from outside.
struct KnownRoot<'a> {
    known: Option<&'a Checkpoint>,
    edge: Edge,
    differs: bool,
}

impl KnownRoot<'_> {
    fn add(&mut self, entry: &[u8]) {
        if self.known.is_some_and(|known| self.edge.size() < known.size) {
            let _ = self.edge.push(crate::domain::audit::leaf_hash(entry));
            self.look();
        }
    }

    fn look(&mut self) {
        if let Some(known) = self.known
            && known.size == self.edge.size()
        {
            self.differs = self.edge.root().ok() != Some(known.root);
        }
    }
}

/// The edge from which entries are read: that of what was pruned, or of the checkpoint from
/// outside where that is smaller. The walk holds every tile from which it comes against the
/// signed root.
fn edge_of_pruned(log: &Path, key: &VerifyingKey, known: u64) -> Edge {
    let Ok(Some(own)) = pruned::read(log, key) else { return Edge::default() };
    let Ok(signed) = super::proof::published(log, key) else { return Edge::default() };
    let size = signed.checkpoint().size;
    let tiles = super::proof::Tiles { log, size };
    Edge::resume(own.before.min(known).min(size), &tiles).unwrap_or_default()
}

/// Whether the log was published anew since it was read.
fn has_moved(log: &Path, key: &VerifyingKey, walk: &Walk) -> bool {
    super::proof::published(log, key).is_ok_and(|now| Some(now) != walk.checkpoint)
}

fn unsigned(key: &VerifyingKey, error: &NoteError) -> Report {
    let fault = Fault {
        kind: FaultKind::Changed,
        file: super::walk::CHECKPOINT.to_owned(),
        offset: None,
        what: error.to_string(),
    };
    Report {
        verdict: Verdict::Tampered,
        origin: key.origin().to_string(),
        entries: 0,
        published: 0,
        root: String::new(),
        rollback: Rollback::NotExcluded,
        mirror: false,
        pruned: None,
        unfinished_write: false,
        faults: vec![fault],
    }
}

fn report(key: &VerifyingKey, walk: Walk, known: &KnownRoot<'_>) -> Report {
    let mut faults = walk.faults;
    let entries = walk.edge.size().max(walk.tiles.tree().size());
    let rollback = match known.known {
        None => Rollback::NotExcluded,
        Some(known) if !faults.is_empty() && known.size > entries => Rollback::NotExcluded,
        Some(checkpoint) => match outside(checkpoint, key, entries, known.differs) {
            None => Rollback::ExcludedUpTo(checkpoint.size),
            Some(fault) => {
                faults.push(fault);
                Rollback::Found
            }
        },
    };
    let verdict = Verdict::of(&faults);
    let published = walk.checkpoint.as_ref().map(SignedCheckpoint::checkpoint);
    Report {
        verdict,
        origin: key.origin().to_string(),
        entries,
        published: published.map_or(0, |checkpoint| checkpoint.size),
        root: published.map(|checkpoint| checkpoint.root.to_string()).unwrap_or_default(),
        rollback,
        mirror: walk.mirror,
        pruned: walk.pruned.map(PrunedReport::of),
        unfinished_write: walk.torn.is_some(),
        faults,
    }
}

/// What a checkpoint from outside says against the log.
fn outside(known: &Checkpoint, key: &VerifyingKey, entries: u64, differs: bool) -> Option<Fault> {
    let what = if known.origin != *key.origin() {
        format!("the checkpoint from outside is of another log, `{}`", known.origin)
    } else if known.size > entries {
        format!(
            "rollback: the log has {entries} entries, and a peer holds its checkpoint of size {}",
            known.size
        )
    } else if differs {
        format!("fork: at size {} the log is not the one whose checkpoint a peer holds", known.size)
    } else {
        return None;
    };
    let file = super::walk::CHECKPOINT.to_owned();
    Some(Fault { kind: FaultKind::Changed, file, offset: None, what })
}
