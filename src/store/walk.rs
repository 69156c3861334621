//! Reads a whole log and recomputes everything: entries, leaf hashes, tiles,
//! roots, references, times, write-ahead frames, the checkpoint's signature.
//!
//! Start-up, verification, search and export all read through here, so none of
//! them believes a byte that the others would refuse. It changes no file.

mod segments;
mod tiles;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::pruned::{self, Pruned, PrunedError};
use super::wal;
use crate::domain::audit::tiles::TileBuilder;
use crate::domain::audit::{
    Dictionary, Edge, Entry, Hash, NoteError, Record, SignedCheckpoint, Timestamp, TreeError,
    VerifyingKey,
};
use crate::files;

/// The name of the checkpoint's file (C2SP tlog-tiles).
pub(super) const CHECKPOINT: &str = "checkpoint";

/// The name of the file that makes a folder a mirror.
pub(super) const MIRROR: &str = "mirror";

/// Whether a fault is something that is gone or something that is other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A file, or the end of the log, is missing.
    Missing,
    /// Content that does not fit the rest of the log.
    Changed,
}

/// One thing that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// Missing or changed.
    pub kind: FaultKind,
    /// The file, relative to the log's folder.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why a log could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The operating system's error on a file.
    #[error("cannot read {path}: check that the file exists and may be read", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The checkpoint is of another log or not signed with the key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// See [`TreeError`].
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// An unfinished write at the end of the last segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where the last whole frame ends.
    pub good: u64,
    /// How many bytes follow.
    pub cut: u64,
}

/// A place in a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WalPlace {
    pub(super) path: PathBuf,
    pub(super) offset: u64,
}

/// What a log turned out to be.
#[derive(Debug, Default)]
pub struct Walk {
    /// The published checkpoint, if there is one.
    pub checkpoint: Option<SignedCheckpoint>,
    /// The tree over all entries, those beyond the checkpoint included.
    pub edge: Edge,
    /// An unfinished write.
    pub torn: Option<TornTail>,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
    /// The highest time in the log.
    pub high_water: Timestamp,
    /// Whether the last record says that the log was closed.
    pub closed: bool,
    /// Whether it is a mirror, which ends with its checkpoint.
    pub mirror: bool,
    /// How far it is pruned: of the entries before there are the hashes alone.
    pub pruned: Option<Pruned>,
    pub(super) tiles: TileBuilder,
    pub(super) dictionary: Dictionary,
    /// Where the entries after the checkpoint begin.
    pub(super) unpublished: Option<WalPlace>,
    /// The last segment and the length of its whole frames.
    pub(super) active: Option<WalPlace>,
}

/// One entry on the way through a log.
pub struct WalkedEntry<'a> {
    /// Its index.
    pub index: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// What it says; `None` for a dictionary entry or one that says nothing.
    pub record: Option<&'a Record>,
}

/// Goes through a log, from the first entry to the last.
///
/// Without a key the checkpoint's signature is not looked at.
///
/// # Errors
/// [`WalkError`] where nothing can be said about the log; what is wrong with it
/// stands in [`Walk::faults`].
pub fn walk(
    log: &Path,
    key: Option<&VerifyingKey>,
    on_entry: &mut dyn FnMut(WalkedEntry<'_>),
) -> Result<Walk, WalkError> {
    let mut walker =
        Walker { log, key, on_entry, walk: Walk::default(), seen: Vec::new(), from: 0 };
    walker.run()?;
    Ok(walker.walk)
}

struct Walker<'a> {
    log: &'a Path,
    key: Option<&'a VerifyingKey>,
    on_entry: &'a mut dyn FnMut(WalkedEntry<'_>),
    walk: Walk,
    /// Leaf hashes of published entries that segments hold too.
    seen: Vec<Hash>,
    /// First index of the first segment.
    from: u64,
}

/// Marks that the walk cannot go on; the fault is noted already.
struct Stop;

impl Walker<'_> {
    fn run(&mut self) -> Result<(), WalkError> {
        // A log may be written and published meanwhile. Segments are opened before the
        // checkpoint is read, so that none goes before it was looked at; then those
        // that were begun in between.
        let mut segments = BTreeMap::new();
        if self.open_segments(&mut segments)?.is_err() {
            return Ok(());
        }
        let first = segments.keys().next();
        self.from = first.and_then(|path| wal::first_of(path)).unwrap_or(u64::MAX);
        let checkpoint = match self.read(CHECKPOINT, files::SMALL)? {
            Ok(checkpoint) => checkpoint,
            Err(Stop) => return Ok(()),
        };
        match checkpoint {
            Some(bytes) => {
                let note =
                    String::from_utf8(bytes).map_err(|_| NoteError::Form("it is not UTF-8"))?;
                self.walk.checkpoint = Some(match self.key {
                    Some(key) => key.verify(&note)?,
                    None => SignedCheckpoint::parse_unverified(&note)?,
                });
            }
            None if self.log.join("tile").exists() => {
                self.fault(
                    FaultKind::Missing,
                    CHECKPOINT,
                    None,
                    "there are tiles and no checkpoint",
                );
                return Ok(());
            }
            None => {}
        }
        if self.open_segments(&mut segments)?.is_err() {
            return Ok(());
        }
        self.walk.mirror = match self.read(MIRROR, files::SMALL)? {
            Ok(mark) => mark.is_some(),
            Err(Stop) => return Ok(()),
        };
        let size = self.size();
        if self.read_pruned(size).is_err() || self.published(size)?.is_err() {
            return Ok(());
        }
        if self.walk.mirror && segments.is_empty() {
            self.walk.edge = self.walk.tiles.tree().clone();
            return Ok(());
        }
        if self.walk.checkpoint.is_some() && segments.is_empty() {
            self.fault(
                FaultKind::Missing,
                wal::FOLDER,
                None,
                "there is a checkpoint and no segment",
            );
            return Ok(());
        }
        if self.from != u64::MAX && self.from > size {
            let what = format!("entries {size} to {} are in no segment and in no tile", self.from);
            self.fault(FaultKind::Missing, wal::FOLDER, None, &what);
            return Ok(());
        }
        let count = segments.len();
        for ((path, file), number) in segments.into_iter().zip(1..) {
            if self.segment(&path, file, number == count)?.is_err() {
                return Ok(());
            }
        }
        self.is_long_enough(size);
        Ok(())
    }

    /// Reads how far it is pruned. A mirror that is behind may be told before it follows.
    fn read_pruned(&mut self, size: u64) -> Result<(), Stop> {
        let found = match self.key {
            Some(key) => pruned::read(self.log, key),
            None => Ok(None),
        };
        match found {
            Ok(Some(pruned)) if pruned.before > size && !self.walk.mirror => {
                let what = "it is of a longer log";
                self.fault(FaultKind::Changed, pruned::STATEMENT, None, what);
                Err(Stop)
            }
            Ok(found) => {
                self.walk.pruned = found;
                Ok(())
            }
            Err(error) => Err(self.not_pruned(pruned::STATEMENT, &error)),
        }
    }

    fn not_pruned(&mut self, file: &str, error: &PrunedError) -> Stop {
        let (kind, file) = match error {
            PrunedError::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
                (FaultKind::Missing, self.relative(path))
            }
            PrunedError::Io { path, .. } => (FaultKind::Changed, self.relative(path)),
            PrunedError::Form(file) => (FaultKind::Changed, file.clone()),
            PrunedError::Note(_) => (FaultKind::Changed, file.to_owned()),
        };
        self.fault(kind, &file, None, &error.to_string());
        Stop
    }

    fn size(&self) -> u64 {
        self.walk.checkpoint.as_ref().map_or(0, |signed| signed.checkpoint().size)
    }

    fn entry(&mut self, file: &str, offset: u64, index: u64, bytes: &[u8]) {
        let read = Entry::decode(bytes).map_err(|error| error.to_string()).and_then(|entry| {
            self.walk.dictionary.learn(index, &entry).map_err(|error| error.to_string())?;
            let record = self.walk.dictionary.resolve(&entry).map_err(|error| error.to_string())?;
            Ok(record)
        });
        let record = match read {
            Ok(record) => record,
            Err(what) => {
                let what = format!("entry {index}: {what}");
                self.fault(FaultKind::Changed, file, Some(offset), &what);
                None
            }
        };
        if let Some(record) = &record {
            if record.time() < self.walk.high_water {
                let what = format!("entry {index} is older than the one before it");
                self.fault(FaultKind::Changed, file, Some(offset), &what);
            }
            self.walk.high_water = self.walk.high_water.max(record.time());
            if matches!(record, Record::Succeeds { .. }) && index > 0 {
                let what =
                    format!("entry {index} says which log went before, as only the first may");
                self.fault(FaultKind::Changed, file, Some(offset), &what);
            }
            self.walk.closed = matches!(record, Record::Stopped { .. });
        }
        (self.on_entry)(WalkedEntry { index, bytes, record: record.as_ref() });
    }

    fn fault(&mut self, kind: FaultKind, file: &str, offset: Option<u64>, what: &str) {
        // A log that is wrong everywhere need not be told in full.
        if self.walk.faults.len() < 1000 {
            let (file, what) = (file.to_owned(), what.to_owned());
            self.walk.faults.push(Fault { kind, file, offset, what });
        }
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(self.log).unwrap_or(path).display().to_string()
    }

    /// Reads a file of the log, if it is there. Something else in its place, or a file
    /// longer than its kind can be, is a fault.
    fn read(&mut self, file: &str, most: u64) -> Result<Result<Option<Vec<u8>>, Stop>, WalkError> {
        match files::read(&self.log.join(file), most) {
            Ok(bytes) => Ok(Ok(Some(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ok(None)),
            Err(error) => self.refused(file, error).map(Err),
        }
    }

    /// What cannot be read: a fault if it is no file of a log, else an error.
    fn refused(&mut self, file: &str, error: io::Error) -> Result<Stop, WalkError> {
        if !files::is_something_else(&error) {
            return Err(self.io(file, error));
        }
        self.fault(FaultKind::Changed, file, None, &files::why(&error));
        Ok(Stop)
    }

    fn io(&self, file: &str, source: io::Error) -> WalkError {
        WalkError::Io { path: self.log.join(file), source }
    }
}
