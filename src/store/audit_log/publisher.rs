//! The publisher: derives tiles and the published checkpoint from the segments.
//!
//! A file is written under a temporary name, synced and renamed; the checkpoint
//! comes last, and only then do partial tiles go that it makes needless. A tile that is there already is never written with other content.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::shared::Shared;
use super::{Health, Options, TEMPORARY};
use crate::domain::audit::tiles::{TILE_WIDTH, Tile, TileBuilder};
use crate::domain::audit::{SignedCheckpoint, leaf_hash};
use crate::files;
use crate::store::disk::{is_full, is_out_of_descriptors, place};
use crate::store::wal;
use crate::store::walk::{CHECKPOINT, WalPlace};

pub(super) struct Publisher {
    dir: PathBuf,
    shared: Arc<Shared>,
    options: Options,
    tiles: TileBuilder,
    /// Where the entries after those in `tiles` begin.
    next: WalPlace,
    /// The segment there, once it is open.
    segment: Option<File>,
    /// Files that are computed and not yet in place.
    waiting: Vec<(Tile, Vec<u8>)>,
    /// Folders of partial tiles whose full tile is in place.
    needless: BTreeSet<String>,
}

impl Publisher {
    pub(super) fn new(
        dir: &Path,
        shared: Arc<Shared>,
        options: &Options,
        tiles: TileBuilder,
        next: WalPlace,
    ) -> Self {
        Self {
            dir: dir.to_owned(),
            shared,
            options: options.clone(),
            tiles,
            next,
            segment: None,
            waiting: Vec::new(),
            needless: BTreeSet::new(),
        }
    }

    /// Runs until the log stops or is out of use.
    pub(super) fn run(&mut self) {
        loop {
            let is_last = self.shared.wait(self.options.publish_every);
            if matches!(self.shared.health(), Health::Poisoned(_)) {
                return;
            }
            match self.round() {
                Ok(()) => {}
                // The tiles can wait for room; the segments hold everything.
                Err(error) if is_full(&error) => self.shared.set_full(true),
                // Nor do they need a descriptor at once: records need none.
                Err(error) if is_out_of_descriptors(&error) => {}
                Err(error) => {
                    self.shared.poison(&format!("tiles could not be derived: {error}"));
                    return;
                }
            }
            if is_last {
                return;
            }
        }
    }

    fn round(&mut self) -> io::Result<()> {
        let latest = self.shared.latest();
        let published = self.shared.published();
        let size = latest.checkpoint().size;
        if published.checkpoint().size == size {
            return Ok(());
        }
        while self.tiles.tree().size() < size {
            self.read_frame()?;
        }
        let root = self.tiles.tree().root().map_err(io::Error::other)?;
        if root != latest.checkpoint().root || self.tiles.tree().size() != size {
            return Err(io::Error::other("the segments do not give the root that was signed"));
        }
        self.place_all(&latest)?;
        self.tidy();
        self.shared.set_published(latest);
        Ok(())
    }

    /// Takes the next frame from its segment into the tiles.
    fn read_frame(&mut self) -> io::Result<()> {
        let file = match &self.segment {
            Some(file) => file,
            None => self.segment.insert(files::open(&self.next.path, u64::MAX)?),
        };
        let mut header = [0; wal::FRAME_HEADER];
        match file.read_at(&mut header, self.next.offset)? {
            0 => {
                // The writer has gone on to the next segment.
                let path = wal::path(&self.dir, self.tiles.tree().size());
                self.next = WalPlace { path, offset: wal::SEGMENT_HEADER as u64 };
                self.segment = None;
                return Ok(());
            }
            wal::FRAME_HEADER => {}
            _ => file.read_exact_at(&mut header, self.next.offset)?,
        }
        let damaged = || io::Error::other("a frame of a segment is damaged");
        let mut bytes = vec![0; wal::frame_length(&header).ok_or_else(damaged)?];
        file.read_exact_at(&mut bytes, self.next.offset)?;
        let frame = wal::read_frame(&bytes).ok_or_else(damaged)?;
        if frame.first != self.tiles.tree().size() {
            return Err(damaged());
        }
        for (_, entry) in &frame.entries {
            let filled = self.tiles.push(leaf_hash(entry), entry).map_err(io::Error::other)?;
            self.waiting.extend(filled);
        }
        self.next.offset += bytes.len() as u64;
        Ok(())
    }

    fn place_all(&mut self, latest: &SignedCheckpoint) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        for (tile, content) in &self.waiting {
            self.place_tile(tile, content, &mut folders)?;
        }
        for (tile, content) in self.tiles.partials() {
            self.place_tile(&tile, content, &mut folders)?;
        }
        for folder in folders {
            self.options.disk.sync_folder(&folder)?;
        }
        self.needless.extend(self.waiting.drain(..).map(|(tile, _)| tile.partial_folder()));
        let temporary = self.dir.join(TEMPORARY).join(CHECKPOINT);
        let note = latest.as_str().as_bytes();
        place(&*self.options.disk, &temporary, &self.dir.join(CHECKPOINT), note)?;
        self.options.disk.sync_folder(&self.dir)
    }

    fn place_tile(
        &self,
        tile: &Tile,
        content: &[u8],
        folders: &mut BTreeSet<PathBuf>,
    ) -> io::Result<()> {
        let path = self.dir.join(tile.path());
        match files::read(&path, tile.shelf.max_bytes()) {
            // A round that was interrupted has placed it; whether its name is on the
            // disk is not known, so the folder is synced again.
            Ok(found) if found == content => {}
            Ok(_) => {
                let what = format!("{} is there with other content", tile.path());
                return Err(io::Error::other(what));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let temporary = self.dir.join(TEMPORARY).join("tile");
                place(&*self.options.disk, &temporary, &path, content)?;
            }
            Err(error) => return Err(error),
        }
        // The name stands in its folder, and a new folder's name in the one above.
        let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.dir));
        if tile.width < TILE_WIDTH || tile.number.is_multiple_of(1000) {
            folders.extend(above.map(Path::to_owned));
        } else {
            folders.extend(above.take(1).map(Path::to_owned));
        }
        Ok(())
    }

    /// Removes the partial tiles whose full tile the published checkpoint covers. A file
    /// that stays by accident is harmless, so errors are left aside.
    fn tidy(&mut self) {
        for folder in std::mem::take(&mut self.needless) {
            let _ = std::fs::remove_dir_all(self.dir.join(folder));
        }
    }
}
