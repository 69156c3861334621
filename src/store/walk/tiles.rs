//! The published part of a log: bundles, tiles and the signed root.
//!
//! Tiles are computed from the entries and held against the files, those of
//! earlier checkpoints included.

use std::io;

use super::{CHECKPOINT, FaultKind, Stop, WalkError, Walker};
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile, split_bundle};
use crate::domain::audit::{Entry, Hash, leaf_hash};
use crate::store::pruned;
use crate::store::sealed::{self, FoundTile};

/// A tile's path and content.
type Held = (String, Vec<u8>);

impl Walker<'_> {
    /// The entries that the checkpoint covers.
    pub(super) fn published(&mut self, size: u64) -> Result<Result<(), Stop>, WalkError> {
        let pruned = self.walk.pruned.map_or(0, |pruned| pruned.bundles());
        if self.hashes(size, pruned.min(size.div_ceil(TILE_WIDTH)))?.is_err() {
            return Ok(Err(Stop));
        }
        for number in pruned..size.div_ceil(TILE_WIDTH) {
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
            if tile.shelf == Shelf::Entries && tile.number < pruned {
                continue;
            }
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

    /// The bundles that were pruned, by the tiles of their hashes, and the names that were
    /// kept of them.
    fn hashes(&mut self, size: u64, bundles: u64) -> Result<Result<(), Stop>, WalkError> {
        let Some(own) = self.walk.pruned else { return Ok(Ok(())) };
        let mut names = match pruned::names(self.log, own.before.min(size)) {
            Ok(names) => names.into_iter().peekable(),
            Err(error) => return Ok(Err(self.not_pruned(pruned::NAMES, &error))),
        };
        for number in 0..bundles {
            let leaves = match pruned::leaves(self.log, size, number) {
                Ok(leaves) => leaves,
                Err(error) => return Ok(Err(self.not_pruned(pruned::NAMES, &error))),
            };
            for leaf in leaves {
                let index = self.walk.tiles.tree().size();
                if index == self.from {
                    self.walk.edge = self.walk.tiles.tree().clone();
                }
                if index >= self.from {
                    self.seen.push(leaf);
                }
                if let Some((_, name)) = names.next_if(|(at, _)| *at == index) {
                    self.name(index, &name, leaf);
                }
                for (tile, content) in self.walk.tiles.push_hash(leaf)? {
                    self.tile(tile, &content)?;
                }
            }
        }
        self.walk.high_water = self.walk.high_water.max(own.until);
        Ok(Ok(()))
    }

    /// A name of a pruned bundle, held against its hash.
    fn name(&mut self, index: u64, bytes: &[u8], leaf: Hash) {
        let learnt = match Entry::decode(bytes) {
            Ok(entry @ Entry::Term(_)) if pruned::is_of(bytes, leaf) => {
                self.walk.dictionary.learn(index, &entry).map_err(|error| error.to_string())
            }
            _ => Err("it is not the name that was published".to_owned()),
        };
        if let Err(what) = learnt {
            let what = format!("entry {index}: {what}");
            self.fault(FaultKind::Changed, pruned::NAMES, None, &what);
        }
    }

    fn bundle(&mut self, tile: Tile) -> Result<Result<(), Stop>, WalkError> {
        let (path, content) = match self.held(tile)? {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.fault(FaultKind::Missing, &tile.path(), None, "the bundle is missing");
                return Ok(Err(Stop));
            }
            Err(Stop) => return Ok(Err(Stop)),
        };
        let mut offset = 0u64;
        let mut count = 0;
        for entry in split_bundle(&content) {
            if count == tile.width && path != tile.path() && tile.width < TILE_WIDTH {
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

    /// A tile's file, or the full one's, for which a partial one may have gone, or that of
    /// a sealed bundle.
    fn held(&mut self, tile: Tile) -> Result<Result<Option<Held>, Stop>, WalkError> {
        for path in sealed::paths(&tile) {
            match self.held_at(tile, path)? {
                Ok(None) => {}
                found => return Ok(found),
            }
        }
        Ok(Ok(None))
    }

    fn held_at(
        &mut self,
        tile: Tile,
        path: String,
    ) -> Result<Result<Option<Held>, Stop>, WalkError> {
        match sealed::read_at(self.log, &tile, path.clone()) {
            Ok(FoundTile { path, content: Some(content) }) => Ok(Ok(Some((path, content)))),
            Ok(FoundTile { path, content: None }) => {
                let what = "the sealed bundle is damaged";
                self.fault(FaultKind::Changed, &path, None, what);
                Ok(Err(Stop))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ok(None)),
            Err(error) => self.refused(&path, error).map(Err),
        }
    }

    /// Holds a tile's files, and the narrower ones before it, against what was
    /// computed.
    fn tile(&mut self, tile: Tile, content: &[u8]) -> Result<(), WalkError> {
        let mut is_there = false;
        // A bundle may be there twice, where it was being sealed when the process ended.
        for path in sealed::paths(&tile) {
            match self.held_at(tile, path)? {
                Ok(Some((path, found))) => {
                    let is_wider = path != tile.path() && tile.width < TILE_WIDTH;
                    let prefix = if is_wider { found.get(..content.len()) } else { None };
                    self.compare(&path, content, prefix.unwrap_or(&found));
                    is_there = true;
                }
                Ok(None) => {}
                // Noted; the others can be looked at all the same.
                Err(Stop) => is_there = true,
            }
        }
        if !is_there {
            self.fault(FaultKind::Missing, &tile.path(), None, "the tile is missing");
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
                if let Ok(Some(found)) = self.read(&narrow, tile.shelf.max_bytes())? {
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
}
