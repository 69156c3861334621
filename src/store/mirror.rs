//! The mirror: a copy of what a log has published, kept elsewhere while the log is
//! written, so that a machine that burns takes no evidence with it.
//!
//! It has the checkpoint, every tile, every full bundle sealed, and `enforced/`; it has no
//! write-ahead segments, and a file `mirror` that says so. Whoever has it and the log's
//! public key verifies it alone. What comes first is what the rest leads to: the
//! checkpoint is replaced last, and only by one that goes on from it.
//!
//! A mirror that holds another log, another history or more than the log is left as it
//! is: then two copies of one log went on, or the log was put back, and the mirror may be
//! the only one to tell. When rounds are made is `keeping`'s business, and where the
//! copy lies is a [`Store`]'s: a folder, or a bucket of object storage. `fetch` brings a mirror
//! from there into a folder.

mod bucket;
mod fetch;
mod folder;
mod keeping;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use bucket::Bucket;
pub use fetch::fetch;
pub use folder::MirrorFolder;
pub use keeping::{MirrorLook, Mirroring, Standing, Turner};

use super::disk::{RealDisk, is_full, place};
use super::proof::{self, ProveError, Tiles};
use super::pruned::{self, NAMES, NAMES_BYTES, STATEMENT};
use super::sealed;
use super::walk::{CHECKPOINT, MIRROR};
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile, split_bundle};
use crate::domain::audit::{Edge, NoteError, SignedCheckpoint, VerifyingKey, leaf_hash};
use crate::files;

/// Most bytes of one kept file of `enforced/`, as there.
const ENFORCED_BYTES: u64 = 128 << 20;

/// The folder of what was enforced, inside a log's.
const ENFORCED: &str = "enforced";

/// In the mirror: before which bundle none is any more.
const REMOVED: &str = "removed";

/// In the log's folder: where its mirror was begun.
const BEGUN: &str = "mirrored";

/// Where a copy is kept. Names are paths as in a log, with slashes.
pub trait Store: fmt::Debug + Send {
    /// What a name holds, up to `most` bytes; `None` where nothing is.
    ///
    /// # Errors
    /// The store's.
    fn get(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>>;

    /// Gives a name this content, whole or not at all.
    ///
    /// # Errors
    /// The store's.
    fn put(&self, name: &str, content: &[u8]) -> io::Result<()>;

    /// Returns once everything that was put will outlive the store's machine.
    ///
    /// # Errors
    /// The store's.
    fn settle(&self) -> io::Result<()>;

    /// Gives a name this content if it holds what is expected, durably; false if it holds
    /// something else. No two of these happen at once, whoever does them.
    ///
    /// # Errors
    /// The store's.
    fn exchange(&self, name: &str, expected: Option<&[u8]>, content: &[u8]) -> io::Result<bool>;

    /// Takes a name away; nothing where it is not there.
    ///
    /// # Errors
    /// The store's.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Why the mirror is not in step with the log.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The store cannot be reached, or refuses.
    #[error("it cannot be reached: {0}")]
    Away(io::Error),
    /// The store is full.
    #[error("there is no room in it: {0}")]
    Full(io::Error),
    /// It cannot keep a mirror.
    #[error("it is no store for a mirror: {0}")]
    Unfit(io::Error),
    /// There is nothing where a mirror was kept.
    #[error(
        "it is empty, and a mirror of this log was kept there: is the share mounted, the bucket the right one? To begin it anew, remove its line from `{begun}` in the log's folder"
    )]
    Gone {
        /// The file that tells.
        begun: &'static str,
    },
    /// It is of something else.
    #[error("it holds something else, {0}: name an empty folder")]
    Other(String),
    /// It has more than the log.
    #[error(
        "it holds {held} entries and this log has {own}: the log was put back to an older copy, or two copies of it go on. Neither is changed; keep both"
    )]
    Longer {
        /// The mirror's size.
        held: u64,
        /// The log's.
        own: u64,
    },
    /// It has another history.
    #[error(
        "at {size} entries it holds another history than this log: two copies of the log went on. Neither is changed; keep both"
    )]
    Forked {
        /// The mirror's size.
        size: u64,
    },
    /// Somebody else replaced its checkpoint meanwhile.
    #[error("somebody else writes to it: one process keeps a mirror")]
    Raced,
    /// What was put there is not what it gives back.
    #[error("it gives back `{0}` otherwise than it was written")]
    Changed(String),
    /// The log itself.
    #[error("the log is not what its checkpoint says: {0}")]
    Log(#[from] ProveError),
    /// The process ends.
    #[error("the copying was cut off")]
    Ended,
}

impl MirrorError {
    /// A word for its kind: what is told is a change of this.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Away(_) => "away",
            Self::Full(_) => "full",
            Self::Unfit(_) => "unfit",
            Self::Gone { .. } => "gone",
            Self::Other(_) => "other",
            Self::Longer { .. } => "longer",
            Self::Forked { .. } => "forked",
            Self::Raced => "raced",
            Self::Changed(_) => "changed",
            Self::Log(_) => "log",
            Self::Ended => "ended",
        }
    }

    /// Whether it goes over by itself, so that it is a warning and no alarm.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Full(_) | Self::Ended)
    }
}

impl From<io::Error> for MirrorError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            _ if is_full(&error) => Self::Full(error),
            io::ErrorKind::Unsupported => Self::Unfit(error),
            _ => Self::Away(error),
        }
    }
}

impl From<NoteError> for MirrorError {
    fn from(error: NoteError) -> Self {
        Self::Other(error.to_string())
    }
}

/// A log and its mirror.
#[derive(Debug)]
pub struct Mirror {
    log: PathBuf,
    key: VerifyingKey,
    store: Box<dyn Store>,
    /// How the store is called, in the file that tells where the mirror was begun.
    place: Option<String>,
    /// Whether the round before ended well, so that nothing lies about beyond the mirror's
    /// checkpoint.
    clean: bool,
    /// Files of `enforced/` that are there, with their lengths.
    enforced: BTreeMap<String, u64>,
}

impl Mirror {
    /// Of a log with this public key. What the store is called is noted in the log's folder,
    /// so that one that is empty later is told from a new one; `None`: nothing is noted.
    pub fn new(
        log: &Path,
        key: VerifyingKey,
        store: Box<dyn Store>,
        place: Option<String>,
    ) -> Self {
        let log = log.to_owned();
        Self { log, key, store, place, clean: false, enforced: BTreeMap::new() }
    }

    /// Brings the mirror up to the log's published checkpoint; gives its size. `go_on` is
    /// asked between files. Blocking, for as long as the store takes.
    ///
    /// # Errors
    /// [`MirrorError`]; the mirror's checkpoint is then what it was, and what it leads to.
    pub fn round(&mut self, go_on: &dyn Fn() -> bool) -> Result<u64, MirrorError> {
        let own = proof::published(&self.log, &self.key)?;
        let held = self.held()?;
        let clean = std::mem::replace(&mut self.clean, false);
        self.keep_enforced(go_on)?;
        let from = match &held {
            Some(held) => self.goes_on(held, &own)?,
            None => self.begin()?,
        };
        let size = own.checkpoint().size;
        let gone = self.keep_pruned()?;
        if held.as_ref().is_none_or(|held| held.as_str() != own.as_str()) {
            self.copy(from, &own, gone, clean, go_on)?;
            self.store.settle()?;
            let expected = held.as_ref().map(|held| held.as_str().as_bytes());
            if !self.store.exchange(CHECKPOINT, expected, own.as_str().as_bytes())? {
                return Err(MirrorError::Raced);
            }
            let needed = Tile::partials(size);
            for tile in Tile::partials(from).iter().filter(|tile| !needed.contains(tile)) {
                self.store.remove(&tile.path())?;
            }
        }
        self.prune(gone, go_on)?;
        if held.is_none() {
            self.note_begun()?;
        }
        self.clean = true;
        Ok(size)
    }

    fn held(&self) -> Result<Option<SignedCheckpoint>, MirrorError> {
        let Some(note) = self.store.get(CHECKPOINT, files::SMALL)? else { return Ok(None) };
        let mark = self.store.get(MIRROR, files::SMALL)?;
        if mark.is_none() {
            return Err(MirrorError::Other("a log of its own and no mirror".to_owned()));
        }
        let note = String::from_utf8(note).map_err(|_| NoteError::Form("it is not UTF-8"))?;
        Ok(Some(self.key.verify(&note)?))
    }

    /// The mirror's size, from where the log goes on.
    fn goes_on(&self, held: &SignedCheckpoint, own: &SignedCheckpoint) -> Result<u64, MirrorError> {
        let (then, now) = (held.checkpoint(), own.checkpoint());
        if then.size > now.size {
            return Err(MirrorError::Longer { held: then.size, own: now.size });
        }
        let proved = proof::prove_consistency(&self.log, &self.key, then.size)?;
        if proved.old_root != then.root {
            return Err(MirrorError::Forked { size: then.size });
        }
        Ok(then.size)
    }

    /// Begins a mirror where there is nothing, and never was.
    fn begin(&self) -> Result<u64, MirrorError> {
        let mark = format!("A mirror of the log {}\n", self.key.origin());
        match self.store.get(MIRROR, files::SMALL)? {
            Some(found) if found == mark.as_bytes() => Ok(0),
            Some(_) => Err(MirrorError::Other("a mirror of another log".to_owned())),
            None if self.was_begun() => Err(MirrorError::Gone { begun: BEGUN }),
            None => {
                self.store.put(MIRROR, mark.as_bytes())?;
                Ok(0)
            }
        }
    }

    fn was_begun(&self) -> bool {
        let begun = files::read_text(&self.log.join(BEGUN), files::SMALL);
        begun.is_ok_and(|text| text.lines().any(|line| Some(line) == self.place.as_deref()))
    }

    /// Notes in the log's folder that there is a mirror here from now on.
    fn note_begun(&self) -> Result<(), MirrorError> {
        let Some(own) = self.place.as_deref() else { return Ok(()) };
        let failed = |path: PathBuf| move |source| ProveError::Io { path, source };
        let path = self.log.join(BEGUN);
        let before = match files::read_text(&path, files::SMALL) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            found => found.map_err(failed(path.clone()))?,
        };
        if before.lines().any(|line| line == own) {
            return Ok(());
        }
        let text = format!("{before}{own}\n");
        place(&RealDisk, &path.with_extension("tmp"), &path, text.as_bytes())
            .and_then(|()| files::sync_folder(&self.log))
            .map_err(failed(path))?;
        Ok(())
    }

    /// Copies what the log has from one size to that of a checkpoint, which it must lead to.
    fn copy(
        &self,
        from: u64,
        to: &SignedCheckpoint,
        gone: u64,
        clean: bool,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), MirrorError> {
        let to = to.checkpoint();
        let before = Tiles { log: &self.log, size: to.size };
        let mut edge = Edge::resume(from, &before).map_err(|_| ProveError::Tiles)?;
        for number in from / TILE_WIDTH..to.size.div_ceil(TILE_WIDTH) {
            let tile = of_width(Shelf::Entries, number, to.size);
            let first = number * TILE_WIDTH;
            if number < gone {
                let leaves =
                    pruned::leaves(&self.log, to.size, number).map_err(ProveError::from)?;
                for (_, leaf) in (first..).zip(&leaves).filter(|(index, _)| *index >= from) {
                    edge.push(*leaf).map_err(|_| ProveError::Tiles)?;
                }
                let hashes: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.0).collect();
                self.put(&Tile { shelf: Shelf::Level(0), ..tile }.path(), &hashes, clean)?;
                continue;
            }
            let bundle = self.read(tile)?;
            let mut hashes = Vec::with_capacity(8192);
            for (index, entry) in (first..).zip(split_bundle(&bundle)) {
                let leaf = leaf_hash(entry.ok_or(ProveError::Tiles)?);
                hashes.extend_from_slice(&leaf.0);
                if index >= from {
                    edge.push(leaf).map_err(|_| ProveError::Tiles)?;
                }
            }
            let leaves = Tile { shelf: Shelf::Level(0), ..tile };
            if self.read(leaves)? != hashes {
                return Err(ProveError::Tiles.into());
            }
            match tile.sealed_path().filter(|_| tile.width == TILE_WIDTH) {
                Some(path) => self.put(&path, &sealed::seal(&bundle), clean)?,
                None => self.put(&tile.path(), &bundle, clean)?,
            }
            self.put(&leaves.path(), &hashes, clean)?;
            if !go_on() {
                return Err(MirrorError::Ended);
            }
        }
        if edge.root().map_err(|_| ProveError::Tiles)? != to.root {
            return Err(ProveError::Tiles.into());
        }
        for level in 1u8.. {
            let [old, new] = [from, to.size].map(|size| size >> (8 * u32::from(level)).min(63));
            if new == 0 {
                break;
            }
            for number in old / TILE_WIDTH..new.div_ceil(TILE_WIDTH) {
                let tile = of_width(Shelf::Level(level), number, new);
                self.put(&tile.path(), &self.read(tile)?, clean)?;
            }
        }
        Ok(())
    }

    /// Tells the mirror how far the log is pruned, before a checkpoint that needs it; gives how
    /// many bundles are gone.
    fn keep_pruned(&self) -> Result<u64, MirrorError> {
        let Some(own) = pruned::read(&self.log, &self.key).map_err(ProveError::from)? else {
            return Ok(0);
        };
        for (name, most) in [(NAMES, NAMES_BYTES), (STATEMENT, files::SMALL)] {
            let path = self.log.join(name);
            let content =
                files::read(&path, most).map_err(|source| ProveError::Io { path, source })?;
            if self.store.get(name, most)?.as_deref() != Some(&content) {
                self.put(name, &content, true)?;
                self.store.settle()?;
            }
        }
        Ok(own.bundles())
    }

    /// Removes what the log has pruned, and notes how far that went.
    fn prune(&self, gone: u64, go_on: &dyn Fn() -> bool) -> Result<(), MirrorError> {
        if gone == 0 {
            return Ok(());
        }
        let before = self.store.get(REMOVED, files::SMALL)?;
        let before = before.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
        let before = before.unwrap_or(0u64);
        if before >= gone {
            return Ok(());
        }
        for number in before..gone {
            let tile = Tile { shelf: Shelf::Entries, number, width: TILE_WIDTH };
            for path in sealed::paths(&tile) {
                self.store.remove(&path)?;
            }
            if !go_on() {
                return Err(MirrorError::Ended);
            }
        }
        self.store.settle()?;
        self.put(REMOVED, format!("{gone}\n").as_bytes(), true)
    }

    /// A tile of the log, of its own width even where a wider one has replaced it.
    fn read(&self, tile: Tile) -> Result<Vec<u8>, MirrorError> {
        let found = sealed::read(&self.log, &tile)
            .map_err(|source| ProveError::Io { path: self.log.join(tile.path()), source })?;
        let mut content = found.content.ok_or(ProveError::Tiles)?;
        let width = usize::try_from(tile.width).unwrap_or(usize::MAX);
        let length = match tile.shelf {
            Shelf::Level(_) => Some(width * 32),
            Shelf::Entries => {
                let entries = split_bundle(&content).take(width);
                entries.map(|entry| entry.map(|entry| entry.len() + 2)).sum()
            }
        };
        let length = length.filter(|length| *length <= content.len()).ok_or(ProveError::Tiles)?;
        content.truncate(length);
        Ok(content)
    }

    /// Puts a file, and reads it again.
    fn put(&self, name: &str, content: &[u8], clean: bool) -> Result<(), MirrorError> {
        let most = content.len() as u64;
        let is_there =
            || Ok::<_, io::Error>(self.store.get(name, most)?.as_deref() == Some(content));
        // After a round that was interrupted much of it may be there.
        if !clean && is_there().unwrap_or(false) {
            return Ok(());
        }
        self.store.put(name, content)?;
        match is_there()? {
            true => Ok(()),
            false => Err(MirrorError::Changed(name.to_owned())),
        }
    }

    /// Copies what was enforced; a file's name says what is in it, and the timeline grows.
    fn keep_enforced(&mut self, go_on: &dyn Fn() -> bool) -> Result<(), MirrorError> {
        let folder = self.log.join(ENFORCED);
        let own = |source| ProveError::Io { path: folder.clone(), source };
        let found = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(own)?,
        };
        for entry in found {
            let entry = entry.map_err(own)?;
            let length = entry.metadata().map_err(own)?.len();
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_kept = name.ends_with(".json") || name.ends_with(".jsonl");
            if !is_kept || self.enforced.get(&name) == Some(&length) {
                continue;
            }
            let content = files::read(&entry.path(), ENFORCED_BYTES).map_err(own)?;
            self.put(&format!("{ENFORCED}/{name}"), &content, false)?;
            self.enforced.insert(name, content.len() as u64);
            if !go_on() {
                return Err(MirrorError::Ended);
            }
        }
        Ok(())
    }
}

/// A tile of a shelf with so many hashes or entries.
fn of_width(shelf: Shelf, number: u64, count: u64) -> Tile {
    Tile { shelf, number, width: (count - number * TILE_WIDTH).min(TILE_WIDTH) }
}
