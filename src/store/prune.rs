//! Pruning: takes away the entries of a log that are older than they have to be kept, whole
//! bundles of them.
//!
//! What stays: every tile of hashes, so that each proof can still be made; the checkpoint;
//! the names; the entries that are still in a write-ahead segment; and from the first use on
//! whose grant may still be used. In this order: the names, then the signed statement, each
//! synced with its folder; then the log is read as it will be, and must be sound; then the
//! bundles go. At each step the log opens and verifies, and a run that was cut off is finished
//! by the next one.
//!
//! It holds the lock of the log's writer, so the log is not open meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::audit_log::{AuditError, TEMPORARY, lock};
use super::disk::{Disk, place};
use super::proof::{self, ProveError};
use super::pruned::{self, NAMES, Pruned, PrunedError, STATEMENT};
use super::wal;
use super::walk::{Fault, MIRROR, WalkError, walk};
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile};
use crate::domain::audit::{
    Entry, NoteError, Record, SignedCheckpoint, SigningKey, Timestamp, VerifyingKey,
};
use crate::files;

/// How long after its end a grant's uses are kept, as the counters keep them: the clocks of
/// replicas may differ.
const AFTER_THE_END: u64 = 7 * 86_400;

/// How often a log that is being written is read anew.
const TRIES: usize = 5;

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The log is open, or cannot be.
    #[error(transparent)]
    Log(#[from] AuditError),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] WalkError),
    /// There is no such log.
    #[error(transparent)]
    None(#[from] ProveError),
    /// What was pruned before.
    #[error(transparent)]
    Before(#[from] PrunedError),
    /// It is a mirror.
    #[error("{} is a mirror: prune its log, and the mirror follows", .0.display())]
    Mirror(PathBuf),
    /// The key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The log is damaged.
    #[error("the log is damaged, in {0}: nothing is pruned of it; run `tributary audit verify`")]
    Damaged(Fault),
    /// The key that signs is not the log's.
    #[error("this is not the key that signs `{0}`")]
    OtherKey(String),
    /// The operating system refuses.
    #[error("cannot change {path}: {source}", path = .path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

/// What keeps older entries where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptBy {
    /// The next entry is not old enough.
    Age,
    /// It is a use of a grant that may still be used.
    Window,
    /// It is in a write-ahead segment, or in the last bundle.
    Segment,
}

/// What would be pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunePlan {
    /// How far it was pruned before.
    pub already: u64,
    /// The first entry that stays.
    pub before: u64,
    /// The time of the last record that goes, those pruned before included.
    pub until: Timestamp,
    /// Why no more goes.
    pub held: KeptBy,
    /// Bytes on the disk that become free.
    pub bytes: u64,
    /// How many entries the log has.
    pub entries: u64,
    names: Vec<(u64, Vec<u8>)>,
}

/// Reads the whole log, which may be open, and says what is older than `cutoff` and needless
/// at `now`. Blocking.
///
/// # Errors
/// [`PruneError`]: the log is damaged, or cannot be read.
pub fn plan(
    log: &Path,
    key: &VerifyingKey,
    cutoff: Timestamp,
    now: Timestamp,
) -> Result<PrunePlan, PruneError> {
    let mut tried = 1;
    loop {
        match plan_once(log, key, cutoff, now) {
            // It moved on while it was read.
            Err(PruneError::Damaged(_)) if tried < TRIES => tried += 1,
            planned => return planned,
        }
    }
}

fn plan_once(
    log: &Path,
    key: &VerifyingKey,
    cutoff: Timestamp,
    now: Timestamp,
) -> Result<PrunePlan, PruneError> {
    is_log(log, key)?;
    let already = pruned::read(log, key)?;
    let mut names = match &already {
        Some(already) => pruned::names(log, already.before)?,
        None => Vec::new(),
    };
    // Of each bundle: whether all of it is old, whether a use in it may count, its last time.
    let (mut bound, mut held) = (u64::MAX, KeptBy::Segment);
    let mut last_times: Vec<Option<Timestamp>> = Vec::new();
    let skipped = already.map_or(0, |already| already.bundles());
    let walked = walk(log, Some(key), &mut |step| {
        let number = step.index / TILE_WIDTH;
        match step.record {
            None => {
                if matches!(Entry::decode(step.bytes), Ok(Entry::Term(_))) {
                    names.push((step.index, step.bytes.to_vec()));
                }
            }
            Some(record) => {
                let why = if record.time() >= cutoff {
                    Some(KeptBy::Age)
                } else {
                    counts_at(record, now).then_some(KeptBy::Window)
                };
                if let Some(why) = why.filter(|_| number < bound) {
                    (bound, held) = (number, why);
                }
            }
        }
        let at = usize::try_from(number - skipped).unwrap_or(usize::MAX);
        if last_times.len() <= at {
            last_times.resize(at + 1, None);
        }
        if let (Some(record), Some(last)) = (step.record, last_times.get_mut(at)) {
            *last = Some(record.time());
        }
    })?;
    if let Some(fault) = walked.faults.into_iter().next() {
        return Err(PruneError::Damaged(fault));
    }
    let published =
        walked.checkpoint.as_ref().map(SignedCheckpoint::checkpoint).map_or(0, |is| is.size);
    let segments = wal::list(log).map_err(|source| failed(log, source))?;
    let first = segments.first().and_then(|path| wal::first_of(path)).unwrap_or(published);
    // The last bundle stays, so that a log always has a record that says when it was.
    let there = first.min(published.saturating_sub(1)) / TILE_WIDTH;
    if there <= bound {
        held = KeptBy::Segment;
    }
    let bundles = bound.min(there).max(skipped);
    let before = bundles * TILE_WIDTH;
    let gone = usize::try_from(bundles - skipped).unwrap_or_default();
    let last = last_times.iter().take(gone).rev().find_map(|time| *time);
    let until = last.or(already.map(|already| already.until)).unwrap_or(Timestamp(0));
    names.retain(|(index, _)| *index < before);
    let paths = (0..bundles).flat_map(|number| pruned::paths_of(log, number));
    let bytes = paths.filter_map(|path| std::fs::metadata(path).ok()).map(|is| is.len()).sum();
    let already = already.map_or(0, |already| already.before);
    let entries = walked.edge.size();
    Ok(PrunePlan { already, before, until, held, bytes, entries, names })
}

/// Whether a record's use may still count.
fn counts_at(record: &Record, now: Timestamp) -> bool {
    let Record::Section(section) = record else { return false };
    let ends = section.count.as_ref().map(|count| count.expires.saturating_add(AFTER_THE_END));
    ends.is_some_and(|ends| ends > now.0 / 1_000_000)
}

/// Prunes what is older than `cutoff` and needless at `now`, and finishes what was begun.
/// Blocking.
///
/// # Errors
/// [`PruneError`]; the log opens and verifies all the same, whatever was done.
pub fn prune(
    log: &Path,
    key: &VerifyingKey,
    signing: &SigningKey,
    (cutoff, now): (Timestamp, Timestamp),
    disk: &dyn Disk,
) -> Result<PrunePlan, PruneError> {
    if signing.verifying_key(key.origin())? != *key {
        return Err(PruneError::OtherKey(key.origin().to_string()));
    }
    is_log(log, key)?;
    let _lock = lock(log)?;
    let plan = plan_once(log, key, cutoff, now)?;
    if plan.before > plan.already {
        let own = Pruned { before: plan.before, until: plan.until, on: now };
        let note = signing.sign_text(key.origin(), &own.text(key))?;
        let path = log.join(STATEMENT);
        let before = match plan.already {
            0 => None,
            _ => Some(files::read(&path, files::SMALL).map_err(|source| failed(&path, source))?),
        };
        put(log, NAMES, &pruned::join(&plan.names), disk)?;
        put(log, STATEMENT, note.as_bytes(), disk)?;
        // As it will be read from now on: what stands below the bound is passed over.
        if let Some(fault) = walk(log, Some(key), &mut |_| {})?.faults.into_iter().next() {
            match before {
                Some(before) => put(log, STATEMENT, &before, disk)?,
                None => disk.remove(&path).map_err(|source| failed(&path, source))?,
            }
            return Err(PruneError::Damaged(fault));
        }
    }
    let mut folders = BTreeSet::new();
    for number in 0..plan.before / TILE_WIDTH {
        for path in pruned::paths_of(log, number) {
            match disk.remove(&path) {
                Ok(()) => folders.extend(path.parent().map(Path::to_owned)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed(&path, source)),
            }
        }
        let tile = Tile { shelf: Shelf::Entries, number, width: TILE_WIDTH };
        let partial = log.join(tile.partial_folder());
        for left in std::fs::read_dir(&partial).into_iter().flatten().flatten() {
            disk.remove(&left.path()).map_err(|source| failed(&left.path(), source))?;
        }
        let _ = std::fs::remove_dir(&partial);
    }
    for folder in folders {
        disk.sync_folder(&folder).map_err(|source| failed(&folder, source))?;
    }
    Ok(plan)
}

/// Whether there is a log that is no mirror, before its lock is made.
fn is_log(log: &Path, key: &VerifyingKey) -> Result<(), PruneError> {
    proof::published(log, key)?;
    match log.join(MIRROR).exists() {
        true => Err(PruneError::Mirror(log.to_owned())),
        false => Ok(()),
    }
}

/// Writes a file of the log's folder, whole, and syncs it with the folder.
fn put(log: &Path, name: &str, content: &[u8], disk: &dyn Disk) -> Result<(), PruneError> {
    let (path, temporary) = (log.join(name), log.join(TEMPORARY).join(name));
    place(disk, &temporary, &path, content)
        .and_then(|()| disk.sync_folder(log))
        .map_err(|source| failed(&path, source))
}

fn failed(path: &Path, source: io::Error) -> PruneError {
    PruneError::Io { path: path.to_owned(), source }
}
