//! Looks through what is sealed while the log is written, so that a disk that rots is
//! noticed while there is a mirror or a copy to restore from, and not at the next start.
//!
//! A pass goes from the first bundle to the last full one, each with the tiles above it,
//! and ends at the signed root. It rests between two bundles. What it finds is an alarm and
//! a count, and stops nothing: what was recorded since has nothing to do with it.

use std::io;
use std::time::{Duration, Instant};

use super::reread::Reread;
use super::shared::Shared;
use crate::domain::audit::tiles::TILE_WIDTH;
use crate::domain::audit::{Checkpoint, Edge};
use crate::store::disk::is_out_of_descriptors;
use crate::store::proof::Tiles;

/// Most lines of one pass: a disk that is gone has more to say than anybody reads.
const LINES: usize = 20;

/// A pass, or the time until the next.
#[derive(Debug)]
pub(super) struct Looking {
    every: Duration,
    rest: Duration,
    due: Instant,
    /// The bundle that is next; none between two passes.
    next: Option<u64>,
    found: usize,
}

impl Looking {
    /// The first pass begins after `every`: opening the log was one.
    pub(super) fn new(every: Duration, rest: Duration, now: Instant) -> Self {
        Self { every, rest, due: now + every, next: None, found: 0 }
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
            match again.bundle(number).and_then(|_| again.above(0, number)) {
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

fn leads_to_root(again: &Reread, signed: &Checkpoint) -> bool {
    let tiles = Tiles { log: &again.dir, size: signed.size };
    let edge = Edge::resume(signed.size, &tiles).ok();
    edge.and_then(|edge| edge.root().ok()) == Some(signed.root)
}
