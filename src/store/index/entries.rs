//! Entries as the index reads them from the log: none is believed before the bundle
//! in which it stands leads to the root that was signed. Each bundle is checked once,
//! however many of its entries are wanted.

use std::path::Path;

use tlog_tiles::tlog::prove_record;

use super::rows::{Gone, IndexRow};
use super::{Hit, IndexError};
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, split_bundle};
use crate::domain::audit::{
    Checkpoint, Dictionary, Edge, Entry, Hash, Query, check_inclusion, leaf_hash,
};
use crate::store::proof::{ProveError, Tiles, read_tile};

/// The entries under a root. Blocking.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    log: &'a Path,
    /// What a signature bears out.
    under: &'a Checkpoint,
    bundle: Option<(u64, Vec<Vec<u8>>)>,
}

impl<'a> Entries<'a> {
    pub(super) const fn new(log: &'a Path, under: &'a Checkpoint) -> Self {
        Self { log, under, bundle: None }
    }

    /// An entry's bytes.
    pub(super) fn read(&mut self, index: u64) -> Result<&[u8], ProveError> {
        let number = index / TILE_WIDTH;
        let entries = match self.bundle.take() {
            Some((held, entries)) if held == number => entries,
            _ => self.check(number)?,
        };
        let (_, entries) = self.bundle.insert((number, entries));
        let at = usize::try_from(index % TILE_WIDTH).ok();
        at.and_then(|at| entries.get(at)).map(Vec::as_slice).ok_or(ProveError::Tiles)
    }

    /// Reads a bundle and holds it against the root.
    fn check(&self, number: u64) -> Result<Vec<Vec<u8>>, ProveError> {
        let size = self.under.size;
        let first = number.saturating_mul(TILE_WIDTH);
        let width = size.saturating_sub(first).min(TILE_WIDTH);
        if width == 0 {
            return Err(ProveError::Tiles);
        }
        let bundle = read_tile(self.log, size, Shelf::Entries, number)?;
        let (mut entries, mut edge) = (Vec::new(), Edge::default());
        for entry in split_bundle(&bundle).take(usize::try_from(width).unwrap_or_default()) {
            let entry = entry.ok_or(ProveError::Tiles)?;
            edge.push(leaf_hash(entry)).map_err(|_| ProveError::Tiles)?;
            entries.push(entry.to_vec());
        }
        let own: Hash = edge.root().map_err(|_| ProveError::Tiles)?;
        let tiles = Tiles { log: self.log, size };
        let path = prove_record(size, first, &tiles).map_err(|_| ProveError::Tiles)?;
        // Above the bundles the tree has the shape of a tree whose leaves are the
        // bundles' roots: 256 is a power of two (RFC 6962, section 2.1). Below, the
        // path from a bundle's first entry has one hash for each level.
        let within = width.next_power_of_two().trailing_zeros();
        let above = path.get(usize::try_from(within).unwrap_or_default()..).unwrap_or_default();
        let above: Vec<Hash> = above.iter().copied().map(Hash::from).collect();
        let bundles = Checkpoint { size: size.div_ceil(TILE_WIDTH), ..self.under.clone() };
        if edge.size() != width || check_inclusion(&bundles, number, own, &above).is_err() {
            return Err(ProveError::Tiles);
        }
        Ok(entries)
    }
}

/// Holds the last row against the log, and reads the names from there; says what does
/// not fit.
pub(super) fn learn(
    log: &Path,
    under: &Checkpoint,
    last: Option<&IndexRow>,
    names: Vec<u64>,
    gone: &Gone,
) -> Result<Result<Dictionary, &'static str>, ProveError> {
    let mut entries = Entries::new(log, under);
    let mut dictionary = Dictionary::default();
    for index in names {
        if index >= under.size {
            return Ok(Err("it has a name where the log has nothing"));
        }
        // A name that was kept of what was pruned is held against the tiles by `verify`.
        let bytes = match gone.names.get(&index) {
            Some(name) => name,
            None if index < gone.bundles * TILE_WIDTH => {
                return Ok(Err("it has a name that was not kept"));
            }
            None => entries.read(index)?,
        };
        let read = Entry::decode(bytes).map_err(|_| ProveError::Tiles)?;
        if !matches!(read, Entry::Term(_)) || dictionary.learn(index, &read).is_err() {
            return Ok(Err("it takes a record for a name"));
        }
    }
    if let Some(index) = under.size.checked_sub(1) {
        let first = index / TILE_WIDTH * TILE_WIDTH;
        let mut edge = Edge::default();
        for index in first..under.size {
            edge.push(leaf_hash(entries.read(index)?)).map_err(|_| ProveError::Tiles)?;
        }
        let own = edge.root().map_err(|_| ProveError::Tiles)?;
        if last.is_none_or(|row| row.root != own.0) {
            return Ok(Err("its last bundle is not the log's"));
        }
    }
    Ok(Ok(dictionary))
}

/// Reads a record from the log itself; `None` for an entry that is no answer.
pub(super) fn read_hit(
    entries: &mut Entries<'_>,
    dictionary: &Dictionary,
    query: &Query,
    index: u64,
) -> Result<Option<Hit>, IndexError> {
    let bytes = entries.read(index)?;
    let leaf = leaf_hash(bytes);
    let entry = Entry::decode(bytes).map_err(|_| IndexError::Differs(index))?;
    let record = dictionary.resolve(&entry).map_err(|_| IndexError::Differs(index))?;
    let record = record.filter(|record| query.takes(record));
    Ok(record.map(|record| Hit { index, leaf, record }))
}
