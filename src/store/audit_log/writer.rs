//! The writer: takes what is queued, appends, syncs, signs, answers.
//!
//! No timer: while one sync runs, requests gather for the next. A checkpoint is
//! signed only after the sync of what it covers, so that a signed size is never
//! lost. After a failed sync nothing is tried again: the kernel may have dropped
//! the pages and call the next sync a success.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::shared::Shared;
use super::workers::Workers;
use super::{AuditError, Health, Job, Lock, Options, TEMPORARY};
use crate::clock;
use crate::domain::audit::{
    Checkpoint, Dictionary, Edge, Entry, Hash, NoteError, Origin, Receipt, Record,
    SignedCheckpoint, SigningKey, Timestamp, TreeError, leaf_hash,
};
use crate::store::disk::{is_full, place};
use crate::store::wal::{self, FrameBuilder};

/// A frame takes no more requests once it has so many bytes or entries.
const FRAME_BYTES: usize = 1024 * 1024;
const FRAME_ENTRIES: u32 = 8192;

/// How often a full disk is looked at again, and how often it is asked whether it is one
/// while nothing is written.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// What is written to see whether there is room again.
const PROBE_BYTES: usize = 64 * 1024;

pub(super) struct Segment {
    pub(super) file: File,
    pub(super) length: u64,
}

/// Puts an empty segment in its place, whole or not at all.
pub(super) fn create_segment(
    dir: &Path,
    path: &Path,
    header: &[u8],
    options: &Options,
) -> io::Result<()> {
    let temporary = dir.join(TEMPORARY).join("segment");
    place(&*options.disk, &temporary, path, header)?;
    options.disk.sync_folder(&dir.join(wal::FOLDER))
}

/// What is written: one log, in its folder.
pub(super) struct Volume {
    pub(super) dir: PathBuf,
    pub(super) origin: Origin,
    pub(super) key: SigningKey,
    pub(super) segment: Segment,
    pub(super) edge: Edge,
    pub(super) dictionary: Dictionary,
    /// Bundles that were pruned.
    pub(super) pruned: u64,
    pub(super) _lock: Lock,
}

pub(super) struct Writer {
    pub(super) volume: Volume,
    pub(super) high_water: Timestamp,
    pub(super) shared: Arc<Shared>,
    pub(super) options: Options,
    /// Of this folder, while they run.
    pub(super) workers: Option<Workers>,
}

type Reply = oneshot::Sender<Result<Receipt, AuditError>>;

/// What a request's place in a frame is, until the frame is durable.
struct Pending {
    first: u64,
    leaves: Arc<[Hash]>,
    entries: Arc<[Vec<u8>]>,
    reply: Option<Reply>,
}

/// Why a frame did not become durable.
pub(super) enum Failure {
    Full,
    Poisoned(Arc<str>),
}

impl From<Failure> for AuditError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full => Self::DiskFull,
            Failure::Poisoned(reason) => Self::Poisoned { reason },
        }
    }
}

impl Writer {
    /// Runs until nobody can queue any more, and the queue is empty.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            match jobs.recv_timeout(PROBE_EVERY) {
                Ok(job) => {
                    self.shared.figures.leave();
                    self.serve(job, jobs);
                }
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let time = Timestamp::new((self.options.utc)());
        if !matches!(self.shared.health(), Health::Poisoned(_)) {
            // A log that could not say that it was closed counts as not closed.
            let _ = self.write_own(Record::Stopped { time });
        }
        drop(self.workers.take());
    }

    /// Writes a record of the log about itself.
    pub(super) fn write_own(&mut self, record: Record) -> Result<(), AuditError> {
        let mut batch = Batch::new(self);
        batch.add(vec![record], None)?;
        batch.commit().map(drop).map_err(AuditError::from)
    }

    fn serve(&mut self, first: Job, jobs: &Receiver<Job>) {
        let mut turning = None;
        let mut batch = Batch::new(self);
        let mut next = Some(first);
        while let Some(job) = next.take() {
            let (records, reply) = match job {
                Job::Append { records, reply } => (records, reply),
                // What came before it goes into this log, what comes after it into the next.
                Job::Turn { next, reply } => {
                    turning = Some((next, reply));
                    break;
                }
            };
            if let Health::Poisoned(reason) = batch.writer.shared.health() {
                let _ = reply.send(Err(AuditError::Poisoned { reason }));
                continue;
            }
            if let Err(error) = batch.add(records, Some(reply)) {
                drop(batch);
                self.shared.poison(&error.to_string());
                return;
            }
            if batch.has_room() {
                next = jobs.try_recv().ok();
                if next.is_some() {
                    batch.writer.shared.figures.leave();
                }
            }
        }
        if batch.is_empty() {
            drop(batch);
        } else {
            let _ = batch.commit();
        }
        if self.volume.segment.length >= self.options.segment_bytes {
            self.next_segment();
        }
        if let Some((next, reply)) = turning {
            let turned = match self.shared.health() {
                Health::Poisoned(reason) => Err(AuditError::Poisoned { reason }),
                Health::Ready | Health::DiskFull => self.turn(*next),
            };
            let _ = reply.send(turned);
        }
    }

    /// Begins the next segment. Where there is no room for it, the present one goes
    /// on growing, up to the length that readers take.
    fn next_segment(&mut self) {
        let first = self.volume.edge.size();
        let path = wal::path(&self.volume.dir, first);
        let header = wal::header(&self.volume.origin, first);
        let begun = create_segment(&self.volume.dir, &path, &header, &self.options)
            .and_then(|()| File::options().append(true).open(&path));
        match begun {
            Ok(file) => self.volume.segment = Segment { file, length: header.len() as u64 },
            Err(error) if is_full(&error) && !path.exists() => self.shared.set_full(true),
            Err(error) => {
                self.shared.poison(&format!("the next segment could not be begun: {error}"));
            }
        }
    }

    /// Looks whether a full disk has room again.
    fn probe(&self) {
        if self.shared.health() != Health::DiskFull {
            return;
        }
        let temporary = self.volume.dir.join(TEMPORARY).join("probe");
        let to = self.volume.dir.join(TEMPORARY).join("room");
        if place(&*self.options.disk, &temporary, &to, &[0; PROBE_BYTES]).is_ok() {
            let _ = self.options.disk.remove(&to);
            self.shared.set_full(false);
        }
    }
}

/// What one sync is to make durable.
pub(super) struct Batch<'a> {
    writer: &'a mut Writer,
    frame: FrameBuilder,
    leaves: Vec<Hash>,
    pending: Vec<Pending>,
    /// As they were before, for a frame that finds no room.
    edge: Edge,
    high_water: Timestamp,
}

impl<'a> Batch<'a> {
    pub(super) fn new(writer: &'a mut Writer) -> Self {
        let frame = FrameBuilder::new(writer.volume.edge.size());
        let (edge, high_water) = (writer.volume.edge.clone(), writer.high_water);
        Self { writer, frame, leaves: Vec::new(), pending: Vec::new(), edge, high_water }
    }

    const fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn has_room(&self) -> bool {
        self.frame.count() < FRAME_ENTRIES && self.frame.bytes() < FRAME_BYTES
    }

    /// Adds the records of one request. First come the names that they refer to and
    /// that are new, so that the records themselves stand side by side.
    pub(super) fn add(
        &mut self,
        mut records: Vec<Record>,
        reply: Option<Reply>,
    ) -> Result<(), TreeError> {
        let writer = &mut *self.writer;
        let mut entries = Vec::with_capacity(records.len());
        for record in &mut records {
            raise(record, &mut writer.high_water);
            let mut next = writer.volume.dictionary.intern(writer.volume.edge.size(), record);
            let own = next.pop();
            for name in next {
                let bytes = name.encode();
                self.frame.push(&bytes);
                let leaf = leaf_hash(&bytes);
                writer.volume.edge.push(leaf)?;
                self.leaves.push(leaf);
            }
            entries.extend(own);
        }
        let first = writer.volume.edge.size();
        let mut leaves = Vec::with_capacity(entries.len());
        let entries: Arc<[Vec<u8>]> = entries.iter().map(Entry::encode).collect();
        for bytes in &*entries {
            let leaf = leaf_hash(bytes);
            self.frame.push(bytes);
            writer.volume.edge.push(leaf)?;
            leaves.push(leaf);
            self.leaves.push(leaf);
        }
        self.pending.push(Pending { first, leaves: leaves.into(), entries, reply });
        Ok(())
    }

    /// Makes the frame durable, signs, and answers everyone in it.
    pub(super) fn commit(mut self) -> Result<SignedCheckpoint, Failure> {
        let done = self.write();
        for pending in self.pending {
            let Some(reply) = pending.reply else { continue };
            // Nobody waits for this answer if the caller has hung up; the record
            // stands all the same.
            let _ = reply.send(match &done {
                Ok(checkpoint) => {
                    let Pending { first, leaves, entries, .. } = pending;
                    Ok(Receipt::from_durable_log(first, leaves, entries, checkpoint.clone()))
                }
                Err(Failure::Full) => Err(AuditError::DiskFull),
                Err(Failure::Poisoned(reason)) => {
                    Err(AuditError::Poisoned { reason: reason.clone() })
                }
            });
        }
        done
    }

    fn write(&mut self) -> Result<SignedCheckpoint, Failure> {
        let writer = &mut *self.writer;
        let poison = |reason: String| Failure::Poisoned(writer.shared.poison(&reason));
        let root = writer.volume.edge.root().map_err(|error| poison(error.to_string()))?;
        let frame = std::mem::replace(&mut self.frame, FrameBuilder::new(0)).finish(root);
        let disk = &*writer.options.disk;
        let appended = match writer.volume.segment.length + frame.len() as u64 {
            0..=wal::MAX_SEGMENT => disk.append(&mut writer.volume.segment.file, &frame),
            _ => Err(io::ErrorKind::StorageFull.into()),
        };
        if let Err(error) = appended {
            let cut = disk.truncate(&writer.volume.segment.file, writer.volume.segment.length);
            if !is_full(&error) || cut.is_err() {
                return Err(poison(format!("a write failed: {error}")));
            }
            // Nothing of this frame exists: no sync, no signature, no receipt.
            writer.volume.dictionary.forget_from(self.edge.size());
            std::mem::swap(&mut writer.volume.edge, &mut self.edge);
            writer.high_water = self.high_water;
            writer.shared.set_full(true);
            return Err(Failure::Full);
        }
        let began = clock::now();
        let synced = disk.sync(&writer.volume.segment.file);
        writer.shared.figures.syncs.observe(began.elapsed().as_secs_f64());
        if let Err(error) = synced {
            return Err(poison(format!("a sync failed: {error}")));
        }
        writer.shared.figures.wrote(frame.len());
        writer.volume.segment.length += frame.len() as u64;
        let checkpoint = Checkpoint {
            origin: writer.volume.origin.clone(),
            size: writer.volume.edge.size(),
            root,
        };
        let signed =
            writer.volume.key.sign(&checkpoint).map_err(|e: NoteError| poison(e.to_string()))?;
        writer.shared.set_full(false);
        writer.shared.set_latest(signed.clone(), &self.leaves);
        Ok(signed)
    }
}

/// Time never goes back in the log, whatever the clock does.
fn raise(record: &mut Record, high_water: &mut Timestamp) {
    let time = match record {
        Record::Section(section) => &mut section.time,
        Record::Refusals(refusals) => &mut refusals.time,
        Record::Search(search) => &mut search.time,
        Record::Started { time, .. } | Record::Stopped { time } | Record::Succeeds { time, .. } => {
            time
        }
    };
    *time = (*time).max(*high_water);
    *high_water = *time;
}
