//! The log as C2SP tlog-tiles: which files there are, and what stands in them.
//!
//! Paths are C2SP's (`tile/0/x001/234`, `tile/entries/000.p/17`), relative to the
//! log's folder. This file computes; it neither writes nor reads one.
//!
//! Source: <https://c2sp.org/tlog-tiles>.

use super::tree::{Edge, Hash, TreeError};

/// Hashes or entries of a full tile.
pub const TILE_WIDTH: u64 = 256;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// The entries themselves, each after two bytes of length.
    Entries,
    /// Hashes of the tree at a level: 0 for the leaves.
    Level(u8),
}

impl Shelf {
    /// Most bytes of a tile.
    pub const fn max_bytes(self) -> u64 {
        match self {
            Self::Entries => TILE_WIDTH * (2 + u16::MAX as u64),
            Self::Level(_) => TILE_WIDTH * 32,
        }
    }
}

/// One tile: shelf, number and width, 256 when full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// What it holds.
    pub shelf: Shelf,
    /// Its number within the shelf.
    pub number: u64,
    /// How many it holds, 1 to 256.
    pub width: u64,
}

impl Tile {
    /// The path of the full tile, whether or not this one is full.
    pub fn full_path(&self) -> String {
        let shelf = match self.shelf {
            Shelf::Entries => "entries".to_owned(),
            Shelf::Level(level) => level.to_string(),
        };
        let mut path = format!("{:03}", self.number % 1000);
        let mut rest = self.number / 1000;
        while rest > 0 {
            path = format!("x{:03}/{path}", rest % 1000);
            rest /= 1000;
        }
        format!("tile/{shelf}/{path}")
    }

    /// The path of the sealed bundle with this number: only bundles of entries have one.
    pub fn sealed_path(&self) -> Option<String> {
        (self.shelf == Shelf::Entries).then(|| format!("{}.gz", self.full_path()))
    }

    /// The folder of the partial tiles with this number.
    pub fn partial_folder(&self) -> String {
        format!("{}.p", self.full_path())
    }

    /// The tile's path within the log.
    pub fn path(&self) -> String {
        if self.width == TILE_WIDTH {
            self.full_path()
        } else {
            format!("{}/{}", self.partial_folder(), self.width)
        }
    }

    /// The tiles at the right edge of a tree: those that are not full.
    pub fn partials(size: u64) -> Vec<Self> {
        let mut tiles = Vec::new();
        let (mut level, mut count) = (0u8, size);
        while count > 0 {
            let (number, width) = (count / TILE_WIDTH, count % TILE_WIDTH);
            if width > 0 {
                if level == 0 {
                    tiles.push(Self { shelf: Shelf::Entries, number, width });
                }
                tiles.push(Self { shelf: Shelf::Level(level), number, width });
            }
            level += 1;
            count /= TILE_WIDTH;
        }
        tiles
    }
}

#[derive(Debug, Clone, Default)]
struct Growing {
    number: u64,
    bytes: Vec<u8>,
}

/// Builds the tiles of a log from its entries, one after the other.
#[derive(Debug, Clone, Default)]
pub struct TileBuilder {
    tree: Edge,
    bundle: Vec<u8>,
    levels: Vec<Growing>,
}

impl TileBuilder {
    /// The tree so far.
    pub const fn tree(&self) -> &Edge {
        &self.tree
    }

    /// Adds an entry of less than 64 KiB; hands over the tiles that it fills.
    ///
    /// # Errors
    /// As [`Edge::push`].
    pub fn push(&mut self, leaf: Hash, entry: &[u8]) -> Result<Vec<(Tile, Vec<u8>)>, TreeError> {
        let Self { tree, bundle, .. } = self;
        let mut filled = Vec::new();
        bundle.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        bundle.extend_from_slice(entry);
        let number = tree.size() / TILE_WIDTH;
        if (tree.size() + 1).is_multiple_of(TILE_WIDTH) {
            let tile = Tile { shelf: Shelf::Entries, number, width: TILE_WIDTH };
            filled.push((tile, std::mem::take(bundle)));
        }
        filled.extend(self.push_hash(leaf)?);
        Ok(filled)
    }

    /// Adds an entry of which there is the hash alone: its bundle is not built.
    ///
    /// # Errors
    /// As [`Edge::push`].
    pub fn push_hash(&mut self, leaf: Hash) -> Result<Vec<(Tile, Vec<u8>)>, TreeError> {
        let Self { tree, levels, .. } = self;
        let mut filled = Vec::new();
        // A tile holds every eighth level's roots.
        tree.push_each(leaf, |level, hash| {
            let Some(level) = level.is_multiple_of(8).then_some(level / 8) else { return };
            if levels.len() <= level as usize {
                levels.push(Growing::default());
            }
            let Some(growing) = levels.get_mut(level as usize) else { return };
            growing.bytes.extend_from_slice(&hash.0);
            if growing.bytes.len() as u64 == TILE_WIDTH * 32 {
                let shelf = Shelf::Level(level as u8);
                let full = Tile { shelf, number: growing.number, width: TILE_WIDTH };
                filled.push((full, std::mem::take(&mut growing.bytes)));
                growing.number += 1;
            }
        })?;
        Ok(filled)
    }

    /// The tiles that are not full, as [`Tile::partials`] lists them.
    pub fn partials(&self) -> Vec<(Tile, &[u8])> {
        let content = |tile: Tile| {
            let bytes = match tile.shelf {
                Shelf::Entries => self.bundle.as_slice(),
                Shelf::Level(level) => {
                    self.levels.get(usize::from(level)).map_or(&[][..], |level| &level.bytes)
                }
            };
            (tile, bytes)
        };
        Tile::partials(self.tree.size()).into_iter().map(content).collect()
    }
}

/// Takes a bundle of entries apart; `None` where it ends within an entry.
pub fn split_bundle(bundle: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = bundle;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let entry = rest.split_first_chunk::<2>().and_then(|(length, after)| {
            after.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        });
        let (entry, after) = match entry {
            Some((entry, after)) => (Some(entry), after),
            None => (None, &[][..]),
        };
        rest = after;
        Some(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |shelf, number, width| Tile { shelf, number, width }.path();
        assert_eq!(tile(Shelf::Level(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile(Shelf::Entries, 0, 17), "tile/entries/000.p/17");
        assert_eq!(tile(Shelf::Level(2), 1000, 1), "tile/2/x001/000.p/1");
    }

    #[test]
    fn a_tree_of_70_000_has_the_partial_tiles_of_the_specification() {
        let paths: Vec<String> = Tile::partials(70_000).iter().map(Tile::path).collect();
        let expected =
            ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"];
        assert_eq!(paths, expected);
    }
}
