//! Reads a whole log and recomputes everything: entries, leaf hashes, tiles,
//! roots, references, times, write-ahead frames, the checkpoint's signature.
//!
//! Start-up, verification, search and export all read through here, so none of
//! them believes a byte that the others would refuse. It changes no file.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::wal;
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile, TileBuilder, split_bundle};
use crate::domain::audit::{
    Dictionary, Edge, Entry, Hash, NoteError, Record, SignedCheckpoint, Timestamp, TreeError,
    VerifyingKey, leaf_hash,
};

/// The name of the checkpoint's file (C2SP tlog-tiles).
pub(super) const CHECKPOINT: &str = "checkpoint";

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
pub(super) struct Place {
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
    pub(super) tiles: TileBuilder,
    pub(super) dictionary: Dictionary,
    /// Where the entries after the checkpoint begin.
    pub(super) unpublished: Option<Place>,
    /// The last segment and the length of its whole frames.
    pub(super) active: Option<Place>,
}

/// One entry on the way through a log.
pub struct Step<'a> {
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
    on_entry: &mut dyn FnMut(Step<'_>),
) -> Result<Walk, WalkError> {
    let mut walker =
        Walker { log, key, on_entry, walk: Walk::default(), seen: Vec::new(), from: 0 };
    walker.run()?;
    Ok(walker.walk)
}

struct Walker<'a> {
    log: &'a Path,
    key: Option<&'a VerifyingKey>,
    on_entry: &'a mut dyn FnMut(Step<'_>),
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
        self.open_segments(&mut segments)?;
        let first = segments.keys().next();
        self.from =
            first.and_then(|path| path.file_stem()?.to_str()?.parse().ok()).unwrap_or(u64::MAX);
        match self.read(CHECKPOINT)? {
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
        self.open_segments(&mut segments)?;
        let size = self.size();
        if self.published(size)?.is_err() {
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

    fn size(&self) -> u64 {
        self.walk.checkpoint.as_ref().map_or(0, |signed| signed.checkpoint().size)
    }

    /// The entries that the checkpoint covers.
    fn published(&mut self, size: u64) -> Result<Result<(), Stop>, WalkError> {
        for number in 0..size.div_ceil(TILE_WIDTH) {
            let width = TILE_WIDTH.min(size - number * TILE_WIDTH);
            if self.bundle(Tile { shelf: Shelf::Entries, number, width })?.is_err() {
                return Ok(Err(Stop));
            }
        }
        if self.from == size {
            self.walk.edge = self.walk.tiles.tree().clone();
        }
        let partials: Vec<(Tile, Vec<u8>)> =
            self.walk.tiles.partials().into_iter().map(|(tile, is)| (tile, is.to_vec())).collect();
        for (tile, content) in partials {
            self.tile(tile, &content)?;
        }
        if let Some(signed) = &self.walk.checkpoint
            && signed.checkpoint().root != self.walk.tiles.tree().root()?
        {
            let what = "the signed root is not that of the entries";
            self.fault(FaultKind::Changed, CHECKPOINT, None, what);
        }
        Ok(Ok(()))
    }

    fn bundle(&mut self, tile: Tile) -> Result<Result<(), Stop>, WalkError> {
        let whole = Tile { width: TILE_WIDTH, ..tile };
        let (path, content) = match self.read(&tile.path())? {
            Some(content) => (tile.path(), content),
            // A partial bundle may go once the full one is there.
            None => match self.read(&whole.path())? {
                Some(content) => (whole.path(), content),
                None => {
                    self.fault(FaultKind::Missing, &tile.path(), None, "the bundle is missing");
                    return Ok(Err(Stop));
                }
            },
        };
        let mut offset = 0u64;
        let mut count = 0;
        for entry in split_bundle(&content) {
            if count == tile.width && path == whole.path() {
                break;
            }
            let Some(entry) = entry.filter(|_| count < tile.width) else {
                self.fault(
                    FaultKind::Changed,
                    &path,
                    Some(offset),
                    "the bundle is no list of entries",
                );
                return Ok(Err(Stop));
            };
            let leaf = leaf_hash(entry);
            let index = self.walk.tiles.tree().size();
            if index == self.from {
                self.walk.edge = self.walk.tiles.tree().clone();
            }
            if index >= self.from {
                self.seen.push(leaf);
            }
            self.entry(&path, offset, index, entry);
            for (tile, content) in self.walk.tiles.push(leaf, entry)? {
                self.tile(tile, &content)?;
            }
            offset += entry.len() as u64 + 2;
            count += 1;
        }
        if count < tile.width {
            self.fault(FaultKind::Missing, &path, Some(offset), "the bundle ends too early");
            return Ok(Err(Stop));
        }
        Ok(Ok(()))
    }

    /// Holds a tile's file, and the narrower ones before it, against what was
    /// computed.
    fn tile(&mut self, tile: Tile, content: &[u8]) -> Result<(), WalkError> {
        let whole = Tile { width: TILE_WIDTH, ..tile };
        match self.read(&tile.path())? {
            Some(found) => self.compare(&tile.path(), content, &found),
            None => match self.read(&whole.path())? {
                Some(found) => {
                    let prefix = found.get(..content.len()).unwrap_or(&found);
                    self.compare(&whole.path(), content, prefix);
                }
                None => self.fault(FaultKind::Missing, &tile.path(), None, "the tile is missing"),
            },
        }
        let folder = self.log.join(tile.partial_folder());
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let width = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if let Some(width) = width.filter(|width| *width < tile.width) {
                let narrow = Tile { width, ..tile }.path();
                let length = match tile.shelf {
                    Shelf::Level(_) => usize::try_from(width * 32).ok(),
                    Shelf::Entries => split_bundle(content)
                        .take(usize::try_from(width).unwrap_or(usize::MAX))
                        .map(|entry| entry.map(|entry| entry.len() + 2))
                        .sum(),
                };
                let prefix = length.and_then(|length| content.get(..length)).unwrap_or(content);
                if let Some(found) = self.read(&narrow)? {
                    self.compare(&narrow, prefix, &found);
                }
            }
        }
        Ok(())
    }

    fn compare(&mut self, file: &str, expected: &[u8], found: &[u8]) {
        if expected != found {
            let same = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
            let what = "the tile is not what the entries give";
            self.fault(FaultKind::Changed, file, Some(same as u64), what);
        }
    }

    fn open_segments(&self, segments: &mut BTreeMap<PathBuf, File>) -> Result<(), WalkError> {
        for path in wal::list(self.log).map_err(|error| self.io(wal::FOLDER, error))? {
            match File::open(&path) {
                Ok(file) => {
                    segments.entry(path).or_insert(file);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(WalkError::Io { path, source }),
            }
        }
        Ok(())
    }

    fn segment(
        &mut self,
        path: &Path,
        mut opened: File,
        is_last: bool,
    ) -> Result<Result<(), Stop>, WalkError> {
        let file = self.relative(path);
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes).map_err(|error| self.io(&file, error))?;
        let origin = match (self.key, &self.walk.checkpoint) {
            (Some(key), _) => Some(key.origin().clone()),
            (None, Some(signed)) => Some(signed.checkpoint().origin.clone()),
            (None, None) => None,
        };
        if wal::read_header(&bytes, origin.as_ref()) != Some(self.walk.edge.size()) {
            let what = "the segment's header is damaged, of another log or out of order";
            self.fault(FaultKind::Changed, &file, Some(0), what);
            return Ok(Err(Stop));
        }
        let published = self.size();
        let mut at = wal::SEGMENT_HEADER;
        loop {
            if self.walk.edge.size() == published {
                let place = Place { path: path.to_owned(), offset: at as u64 };
                self.walk.unpublished = Some(place);
            }
            self.walk.active = Some(Place { path: path.to_owned(), offset: at as u64 });
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(Ok(()));
            }
            let Some(frame) = wal::read_frame(rest) else {
                if is_last && wal::is_torn_tail(&bytes, at) {
                    let cut = (bytes.len() - at) as u64;
                    self.walk.torn = Some(TornTail { path: path.to_owned(), good: at as u64, cut });
                    return Ok(Ok(()));
                }
                let what = "the frame is damaged, and more was written after it";
                self.fault(FaultKind::Changed, &file, Some(at as u64), what);
                return Ok(Err(Stop));
            };
            if self.frame(&file, at, &frame)?.is_err() {
                return Ok(Err(Stop));
            }
            at += frame.length;
        }
    }

    fn frame(
        &mut self,
        file: &str,
        at: usize,
        frame: &wal::Frame<'_>,
    ) -> Result<Result<(), Stop>, WalkError> {
        if frame.first != self.walk.edge.size() {
            let what = format!(
                "the frame begins with entry {}, expected {}",
                frame.first,
                self.walk.edge.size()
            );
            self.fault(FaultKind::Changed, file, Some(at as u64), &what);
            return Ok(Err(Stop));
        }
        for (offset, entry) in &frame.entries {
            let (index, leaf) = (self.walk.edge.size(), leaf_hash(entry));
            let offset = (at + offset) as u64;
            let seen = index.checked_sub(self.from).and_then(|at| usize::try_from(at).ok());
            match seen.and_then(|at| self.seen.get(at)) {
                Some(published) if *published != leaf => {
                    let what = format!("entry {index} is not the one that was published");
                    self.fault(FaultKind::Changed, file, Some(offset), &what);
                }
                Some(_) => {}
                None => self.entry(file, offset, index, entry),
            }
            self.walk.edge.push(leaf)?;
        }
        if frame.root != self.walk.edge.root()? {
            let what = "the frame's root is not that of the entries";
            self.fault(FaultKind::Changed, file, Some(at as u64), what);
            return Ok(Err(Stop));
        }
        Ok(Ok(()))
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
            self.walk.closed = matches!(record, Record::Stopped { .. });
        }
        (self.on_entry)(Step { index, bytes, record: record.as_ref() });
    }

    /// A log that ends before its signed checkpoint was cut.
    fn is_long_enough(&mut self, size: u64) {
        let have = self.walk.edge.size();
        if have >= size {
            return;
        }
        match self.walk.torn.take() {
            Some(torn) => {
                let file = self.relative(&torn.path);
                let what = "the frame is damaged, though the checkpoint covers it";
                self.fault(FaultKind::Changed, &file, Some(torn.good), what);
            }
            None => {
                let what = format!("the segments end at entry {have}, the checkpoint at {size}");
                self.fault(FaultKind::Missing, wal::FOLDER, None, &what);
            }
        }
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

    fn read(&self, file: &str) -> Result<Option<Vec<u8>>, WalkError> {
        match std::fs::read(self.log.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.io(file, error)),
        }
    }

    fn io(&self, file: &str, source: io::Error) -> WalkError {
        WalkError::Io { path: self.log.join(file), source }
    }
}
