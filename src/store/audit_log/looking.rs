//! Looks through what is sealed while the log is written, so that a disk that rots is
//! noticed while there is a mirror or a copy to restore from, and not at the next start.
//!
//! A pass goes from the first bundle to the last full one, each with the tiles above it,
//! and ends at the signed root. It rests between two bundles. What it finds is an alarm and
//! a count, and stops nothing: what was recorded since has nothing to do with it.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::reread::{Reread, differs};
use super::shared::Shared;
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile};
use crate::domain::audit::{Checkpoint, Edge, Hash};
use crate::store::disk::is_out_of_descriptors;
use crate::store::proof::{Tiles, read_tile};

/// Most lines of one pass: a disk that is gone has more to say than anybody reads.
const LINES: usize = 20;

/// A pass, or the time until the next.
#[derive(Debug)]
pub(super) struct Looking {
    every: Duration,
    rest: Duration,
    /// Bundles that were pruned: of these there are the hashes alone.
    pruned: u64,
    due: Instant,
    /// The bundle that is next; none between two passes.
    next: Option<u64>,
    found: usize,
}

impl Looking {
    /// The first pass begins after `every`: opening the log was one.
    pub(super) fn new(every: Duration, rest: Duration, pruned: u64, now: Instant) -> Self {
        Self { every, rest, pruned, due: now + every, next: None, found: 0 }
    }

    /// How long until there is something to look at.
    pub(super) fn rests(&self, now: Instant) -> Duration {
        match self.next {
            Some(_) => self.rest,
            None => self.due.saturating_duration_since(now),
        }
    }

    /// Looks at the next bundle, if it is time.
    pub(super) fn look(&mut self, now: Instant, again: &Reread, shared: &Shared) {
        let number = match self.next {
            Some(number) => number,
            None if now < self.due => return,
            None => {
                self.found = 0;
                0
            }
        };
        let signed = shared.published();
        if number < signed.checkpoint().size / TILE_WIDTH {
            let own = match number < self.pruned {
                true => has_its_root(again, signed.checkpoint().size, number),
                false => again.bundle(number).map(drop),
            };
            match own.and_then(|()| again.above(0, number)) {
                // Looked at next time.
                Err(error) if is_out_of_descriptors(&error) => {}
                looked => {
                    self.next = Some(number + 1);
                    looked.unwrap_or_else(|error| self.tell(&error));
                }
            }
            return;
        }
        if !leads_to_root(again, signed.checkpoint()) {
            self.tell(&io::Error::other("the tiles do not lead to the signed root"));
        }
        shared.figures.set_damaged(self.found);
        (self.next, self.due) = (None, now + self.every);
    }

    fn tell(&mut self, error: &io::Error) {
        self.found += 1;
        if self.found <= LINES {
            tracing::error!(
                %error,
                "the audit log is damaged: restore what `tributary audit verify` names, from the \
                 mirror or a copy, before the next start"
            );
        }
    }
}

/// Holds the hashes of a bundle that was pruned against the tile above.
fn has_its_root(again: &Reread, size: u64, number: u64) -> io::Result<()> {
    let shelf = Shelf::Level(0);
    let mut edge = Edge::default();
    for hash in again.tile(shelf, number)?.chunks_exact(32) {
        let hash = hash.try_into().map_err(io::Error::other)?;
        edge.push(Hash(hash)).map_err(io::Error::other)?;
    }
    let above = read_tile(&again.dir, size, Shelf::Level(1), number / TILE_WIDTH);
    let above = above.map_err(io::Error::other)?;
    let root = edge.root().map_err(io::Error::other)?;
    let at = usize::try_from(number % TILE_WIDTH).map_err(io::Error::other)?;
    if above.chunks_exact(32).nth(at) != Some(&root.0[..]) {
        let path = Tile { shelf, number, width: TILE_WIDTH }.path();
        return Err(differs(Path::new(&path)));
    }
    Ok(())
}

fn leads_to_root(again: &Reread, signed: &Checkpoint) -> bool {
    let tiles = Tiles { log: &again.dir, size: signed.size };
    let edge = Edge::resume(signed.size, &tiles).ok();
    edge.and_then(|edge| edge.root().ok()) == Some(signed.root)
}
