//! Full bundles and tiles as they are on the disk, not as they were written: whatever the
//! system holds of them in memory is let go first. Each is held against what it has to
//! agree with; what to do when it does not is for whoever asks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile, split_bundle};
use crate::domain::audit::{Edge, Hash, leaf_hash};
use crate::store::disk::Disk;
use crate::store::sealed;

/// A log's folder that is read again.
#[derive(Debug, Clone)]
pub(super) struct Reread {
    pub(super) dir: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
}

impl Reread {
    /// A full tile.
    pub(super) fn tile(&self, shelf: Shelf, number: u64) -> io::Result<Vec<u8>> {
        let tile = Tile { shelf, number, width: TILE_WIDTH };
        for path in sealed::paths(&tile) {
            self.disk.forget(&self.dir.join(path));
        }
        let found = sealed::read(&self.dir, &tile)?;
        found.content.ok_or_else(|| differs(Path::new(&found.path)))
    }

    /// A full bundle, whose entries have the hashes that their tile has.
    pub(super) fn bundle(&self, number: u64) -> io::Result<Vec<u8>> {
        let bundle = self.tile(Shelf::Entries, number)?;
        self.is_bundle(number, &bundle)?;
        Ok(bundle)
    }

    /// Holds a bundle's entries against the tile of their hashes.
    pub(super) fn is_bundle(&self, number: u64, bundle: &[u8]) -> io::Result<()> {
        let path = Tile { shelf: Shelf::Entries, number, width: TILE_WIDTH }.full_path();
        let mut hashes = Vec::with_capacity(8192);
        for entry in split_bundle(bundle) {
            let entry = entry.ok_or_else(|| differs(Path::new(&path)))?;
            hashes.extend_from_slice(&leaf_hash(entry).0);
        }
        if hashes != self.tile(Shelf::Level(0), number)? {
            return Err(differs(Path::new(&path)));
        }
        Ok(())
    }

    /// Holds the tiles above a row of 256 that ends with this one against them.
    pub(super) fn above(&self, level: u8, number: u64) -> io::Result<()> {
        let above = number / TILE_WIDTH;
        if !(number + 1).is_multiple_of(TILE_WIDTH) {
            return Ok(());
        }
        let mut hashes = Vec::with_capacity(8192);
        for below in above * TILE_WIDTH..=number {
            let tile = self.tile(Shelf::Level(level), below)?;
            let mut edge = Edge::default();
            for hash in tile.chunks_exact(32) {
                let hash = hash.try_into().map_err(io::Error::other)?;
                edge.push(Hash(hash)).map_err(io::Error::other)?;
            }
            hashes.extend_from_slice(&edge.root().map_err(io::Error::other)?.0);
        }
        let shelf = Shelf::Level(level + 1);
        if hashes != self.tile(shelf, above)? {
            let path = Tile { shelf, number: above, width: TILE_WIDTH }.path();
            return Err(differs(Path::new(&path)));
        }
        self.above(level + 1, above)
    }
}

/// A file that is not what it has to be.
pub(super) fn differs(path: &Path) -> io::Error {
    io::Error::other(format!("{} is not what was written", path.display()))
}
