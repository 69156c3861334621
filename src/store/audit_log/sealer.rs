//! The sealer: makes a log small once it is published. Bundles are sealed, and the
//! write-ahead segments go whose entries they hold.
//!
//! A segment is the only other copy of its entries, so it goes last, one at a time and
//! the oldest first: every bundle that holds one of its entries is full, synced with its
//! folder, below the signed checkpoint that is on the disk, and was read from there again
//! and compared, entry by entry, with the segment. What differs puts the log out of use,
//! and the segment stays.
//!
//! It has a thread of its own that nobody waits for, and looks through what is sealed when
//! it has nothing else to do; at whatever step the process ends,
//! the next start goes on from what it finds.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::looking::Looking;
use super::reread::{Reread, differs};
use super::shared::Shared;
use super::{Health, Options, TEMPORARY};
use crate::clock;
use crate::domain::audit::VerifyingKey;
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile, split_bundle};
use crate::files;
use crate::store::disk::{is_full, is_out_of_descriptors, place};
use crate::store::walk::CHECKPOINT;
use crate::store::{sealed, wal};

/// How long until it tries again when there was no room, or no descriptor.
const AGAIN: Duration = Duration::from_secs(1);

/// How long until what cannot be removed is tried again.
const LATER: Duration = Duration::from_secs(60);

/// A file that is needless and stays.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be removed: {source}", path = .path.display())]
struct Stays {
    path: PathBuf,
    source: io::Error,
}

/// Bundles that share the sync of their folder.
const BATCH: u64 = 32;

pub(super) struct Sealer {
    dir: PathBuf,
    shared: Arc<Shared>,
    options: Options,
    key: VerifyingKey,
    again: Reread,
    looking: Looking,
    /// Every bundle before this one is sealed.
    sealed: u64,
    /// When to end, once the log is being closed.
    until: Option<Instant>,
}

impl Sealer {
    pub(super) fn new(
        dir: &Path,
        shared: Arc<Shared>,
        options: &Options,
        key: VerifyingKey,
        pruned: u64,
    ) -> Self {
        let (dir, options) = (dir.to_owned(), options.clone());
        let again = Reread { dir: dir.clone(), disk: options.disk.clone() };
        let looking = Looking::new(options.look_every, options.look_rest, pruned, clock::now());
        Self { dir, shared, options, key, again, looking, sealed: pruned, until: None }
    }

    pub(super) fn run(mut self) {
        let (mut seen, mut retry) = (0, None);
        loop {
            let looks = self.looking.rests(clock::now());
            // What failed waits for its time; what is published meanwhile does not change it.
            let wanted = if retry.is_some() { u64::MAX } else { seen };
            let at_most = retry.map_or(looks, |retry: Instant| {
                looks.min(retry.saturating_duration_since(clock::now()))
            });
            if self.shared.wait_for_more(wanted, at_most) {
                self.until = self.shared.ends_within().map(|grace| clock::now() + grace);
            }
            if matches!(self.shared.health(), Health::Poisoned(_)) {
                return;
            }
            let (size, now) = (self.shared.published().checkpoint().size, clock::now());
            let is_due = retry.map_or(size > seen, |retry| now >= retry);
            if is_due || self.until.is_some() {
                seen = size;
                retry = match self.round(size) {
                    Ok(()) => None,
                    // Records need neither; what waits for room here makes some.
                    Err(error) if is_full(&error) || is_out_of_descriptors(&error) => {
                        Some(now + AGAIN)
                    }
                    // Harmless but for its room. No newer one goes: that would leave a gap.
                    Err(error) if error.get_ref().is_some_and(|inner| inner.is::<Stays>()) => {
                        tracing::warn!("the audit log does not get smaller: {error}");
                        Some(now + LATER)
                    }
                    Err(error) => {
                        self.shared.poison(&format!("the log could not be sealed: {error}"));
                        return;
                    }
                };
            }
            if self.until.is_some() {
                return;
            }
            self.looking.look(clock::now(), &self.again, &self.shared);
        }
    }

    /// Whether it has to stop where it is.
    fn is_over(&mut self) -> bool {
        if self.until.is_none() {
            self.until = self.shared.ends_within().map(|grace| clock::now() + grace);
        }
        self.until.is_some_and(|until| clock::now() >= until)
    }

    /// Everything that the published checkpoint of this size allows.
    fn round(&mut self, size: u64) -> io::Result<()> {
        let full = size / TILE_WIDTH * TILE_WIDTH;
        let segments = wal::list(&self.dir)?;
        let firsts: Vec<Option<u64>> = segments.iter().map(|path| wal::first_of(path)).collect();
        let ends = firsts.iter().skip(1).copied();
        for ((path, first), end) in segments.iter().zip(&firsts).zip(ends) {
            let (Some(first), Some(end)) = (*first, end) else { break };
            if end > full {
                break;
            }
            if !self.seal_before(end / TILE_WIDTH)? {
                return Ok(());
            }
            self.compare(path, first, end)?;
            self.is_signed(end)?;
            self.remove(path)?;
            // Before the next one goes: what is left has no gap, whatever the disk keeps.
            self.options.disk.sync_folder(&self.dir.join(wal::FOLDER))?;
        }
        // What an older program has left, below the first segment.
        let first = firsts.first().copied().flatten().unwrap_or(0).min(full);
        self.seal_before(first / TILE_WIDTH).map(drop)
    }

    /// Seals every bundle before this one; false when it was stopped before the end.
    fn seal_before(&mut self, end: u64) -> io::Result<bool> {
        while self.sealed < end {
            if self.is_over() {
                return Ok(false);
            }
            let began = clock::now();
            let batch = self.sealed..end.min(self.sealed + BATCH);
            if self.seal(batch.clone())? {
                // Half of the time is others'.
                self.shared.pause(began.elapsed());
            }
            self.sealed = batch.end;
        }
        Ok(true)
    }

    /// Seals bundles side by side; false where all were sealed.
    fn seal(&self, numbers: std::ops::Range<u64>) -> io::Result<bool> {
        let (disk, mut folders, mut open) = (&*self.options.disk, BTreeSet::new(), Vec::new());
        for number in numbers {
            let tile = Tile { shelf: Shelf::Entries, number, width: TILE_WIDTH };
            let (raw, path) = (self.dir.join(tile.full_path()), self.sealed_path(&tile));
            let bundle = match files::read(&raw, tile.shelf.max_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            self.again.is_bundle(number, &bundle)?;
            match files::read(&path, tile.shelf.max_bytes()) {
                // Left by a process that ended; whether its name is on the disk is not known.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let temporary = self.dir.join(TEMPORARY).join("sealed");
                    place(disk, &temporary, &path, &sealed::seal(&bundle))?;
                }
                Err(error) => return Err(error),
            }
            folders.extend(path.parent().map(Path::to_owned));
            open.push((tile, raw, path));
        }
        for folder in folders {
            disk.sync_folder(&folder)?;
        }
        for (tile, raw, path) in &open {
            let bundle = files::read(raw, tile.shelf.max_bytes())?;
            disk.forget(path);
            let found = files::read(path, tile.shelf.max_bytes())?;
            if sealed::unseal(&found).as_ref() != Some(&bundle) {
                return Err(differs(path));
            }
        }
        for (_, raw, _) in &open {
            self.remove(raw)?;
        }
        Ok(!open.is_empty())
    }

    /// Removes a file whose content another one holds by now.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let stays = |source| io::Error::other(Stays { path: path.to_owned(), source });
        self.options.disk.remove(path).map_err(stays)
    }

    fn sealed_path(&self, tile: &Tile) -> PathBuf {
        self.dir.join(tile.sealed_path().unwrap_or_else(|| tile.full_path()))
    }

    /// Holds a segment against the bundles and tiles that are to take its place.
    fn compare(&self, path: &Path, first: u64, end: u64) -> io::Result<()> {
        let file = files::open(path, wal::MAX_SEGMENT)?;
        let (mut next, mut at) = (first, wal::SEGMENT_HEADER as u64);
        let (mut bundle, mut offset) = (Vec::new(), 0);
        while next < end {
            let mut header = [0; wal::FRAME_HEADER];
            file.read_exact_at(&mut header, at)?;
            let mut bytes = vec![0; wal::frame_length(&header).ok_or_else(|| differs(path))?];
            file.read_exact_at(&mut bytes, at)?;
            let frame = wal::read_frame(&bytes).ok_or_else(|| differs(path))?;
            if frame.first != next {
                return Err(differs(path));
            }
            for (_, entry) in &frame.entries {
                let number = next / TILE_WIDTH;
                if bundle.is_empty() {
                    bundle = self.again.bundle(number)?;
                    let before = usize::try_from(next % TILE_WIDTH).unwrap_or_default();
                    let before = split_bundle(&bundle).take(before).flatten();
                    offset = before.map(|entry| entry.len() + 2).sum();
                }
                let length = (entry.len() as u16).to_be_bytes();
                let found = bundle.get(offset..).unwrap_or_default();
                if !found.strip_prefix(&length).is_some_and(|found| found.starts_with(entry)) {
                    return Err(differs(path));
                }
                offset += entry.len() + 2;
                next += 1;
                if next.is_multiple_of(TILE_WIDTH) {
                    bundle.clear();
                    self.again.above(0, number)?;
                }
            }
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Whether the checkpoint on the disk is signed and reaches over so many entries.
    fn is_signed(&self, end: u64) -> io::Result<()> {
        let path = self.dir.join(CHECKPOINT);
        self.options.disk.forget(&path);
        let note = files::read_text(&path, files::SMALL)?;
        let signed = self.key.verify(&note).map_err(io::Error::other)?;
        if signed.checkpoint().size < end {
            return Err(differs(&path));
        }
        Ok(())
    }
}
