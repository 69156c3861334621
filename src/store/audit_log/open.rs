//! Opening: lock, read everything, cut an unfinished write, begin.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::mpsc::sync_channel;

use super::publisher::Publisher;
use super::sealer::Sealer;
use super::shared::{Folder, Position, Shared};
use super::workers::Workers;
use super::writer::{Segment, Volume, Writer, create_segment};
use super::{AuditError, AuditLog, Lock, Options, Recovery, TEMPORARY, failed};
use crate::domain::audit::{
    Checkpoint, Edge, Origin, Record, SignedCheckpoint, SigningKey, Timestamp, VerifyingKey,
};
use crate::files::{self, expect_file};
use crate::store::disk::place;
use crate::store::wal;
use crate::store::walk::{CHECKPOINT, MIRROR, WalPlace, WalkedEntry, walk};

pub(super) fn open(
    dir: &Path,
    origin: &Origin,
    key: SigningKey,
    options: Options,
    on_record: &mut dyn FnMut(&Record),
) -> Result<AuditLog, AuditError> {
    let lock = prepare(dir)?;
    let mut on_entry = |step: WalkedEntry<'_>| step.record.into_iter().for_each(&mut *on_record);
    let public = key.verifying_key(origin)?;
    let walk = walk(dir, Some(&public), &mut on_entry)?;
    if let Some(fault) = walk.faults.into_iter().next() {
        return Err(AuditError::Damaged { fault });
    }
    let size = walk.edge.size();
    let is_new = walk.active.is_none();
    let place = match walk.active {
        Some(place) => place,
        None => begin(dir, origin, &options)?,
    };
    let segment = segment(&place, &options)?;
    let root = walk.edge.root()?;
    let latest = key.sign(&Checkpoint { origin: origin.clone(), size, root })?;
    let published = match walk.checkpoint {
        Some(published) => published,
        None => sign_empty(dir, origin, &key, &options)?,
    };
    let at = Position { folder: Folder::new(dir, public.clone()), latest, published };
    let shared = Shared::new(at);
    let clean = walk.closed || is_new || size == 0;

    let (queue, jobs) = sync_channel(options.queue());
    let publisher = Publisher::new(
        dir,
        shared.clone(),
        &options,
        walk.tiles,
        walk.unpublished.unwrap_or(place),
    );
    let pruned = walk.pruned.map_or(0, |pruned| pruned.bundles());
    let sealer = Sealer::new(dir, shared.clone(), &options, public, pruned);
    let mut writer = Writer {
        volume: Volume {
            dir: dir.to_owned(),
            origin: origin.clone(),
            key,
            segment,
            edge: walk.edge,
            dictionary: walk.dictionary,
            pruned,
            _lock: lock,
        },
        high_water: walk.high_water,
        shared: shared.clone(),
        options: options.clone(),
        workers: None,
    };
    let time = Timestamp::new((options.utc)());
    writer.write_own(Record::Started { time, clean })?;
    writer.workers = Some(Workers::start(&shared, publisher, sealer)?);

    let writing = std::thread::Builder::new().name("audit-writer".to_owned());
    let writing = writing.spawn(move || writer.run(&jobs));
    Ok(AuditLog {
        writer: Some(writing.map_err(|source| failed("start a thread for", dir, source))?),
        shared,
        queue: Some(queue),
        capacity: options.queue(),
        options,
        recovery: Recovery { size, cut: walk.torn, last: walk.high_water, clean },
    })
}

/// Whether a log has entries: one that is to succeed another has none until that has ended.
pub(super) fn has_begun(dir: &Path, key: &VerifyingKey) -> Result<bool, AuditError> {
    let note = files::read_text(&dir.join(CHECKPOINT), files::SMALL);
    let published = note.ok().and_then(|note| SignedCheckpoint::parse_unverified(&note).ok());
    if published.is_some_and(|signed| signed.checkpoint().size > 0) {
        return Ok(true);
    }
    if !dir.exists() {
        return Ok(false);
    }
    // What is not published yet is little.
    Ok(walk(dir, Some(key), &mut |_| {})?.edge.size() > 0)
}

/// Makes the folders, takes the lock, and clears what an interrupted write of a
/// file has left.
pub(in crate::store) fn prepare(dir: &Path) -> Result<Lock, AuditError> {
    if dir.join(MIRROR).exists() {
        return Err(AuditError::Mirror(dir.to_owned()));
    }
    let temporary = dir.join(TEMPORARY);
    for folder in [&dir.join(wal::FOLDER), &temporary] {
        std::fs::create_dir_all(folder).map_err(|e| failed("make the folder", folder, e))?;
    }
    let path = dir.join("lock");
    expect_file(&path).map_err(|source| failed("open", &path, source))?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| failed("open", &path, source))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(AuditError::Locked(dir.to_owned())),
        Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
    }
    let lock = Lock(lock);
    for left in std::fs::read_dir(&temporary).into_iter().flatten().flatten() {
        std::fs::remove_file(left.path()).map_err(|e| failed("remove", &left.path(), e))?;
    }
    Ok(lock)
}

/// Begins a new log with its first segment.
pub(super) fn begin(
    dir: &Path,
    origin: &Origin,
    options: &Options,
) -> Result<WalPlace, AuditError> {
    let path = wal::path(dir, 0);
    let header = wal::header(origin, 0);
    create_segment(dir, &path, &header, options)
        .and_then(|()| options.disk.sync_folder(dir))
        // The log's own name stands in the folder above.
        .and_then(|()| options.disk.sync_folder(&dir.join("..")))
        .map_err(|source| failed("begin the log with", &path, source))?;
    Ok(WalPlace { path, offset: header.len() as u64 })
}

/// Publishes the checkpoint of the empty log, so that there is one before the first
/// tile, and tiles without one are a sign of damage.
pub(super) fn sign_empty(
    dir: &Path,
    origin: &Origin,
    key: &SigningKey,
    options: &Options,
) -> Result<SignedCheckpoint, AuditError> {
    let root = Edge::default().root()?;
    let signed = key.sign(&Checkpoint { origin: origin.clone(), size: 0, root })?;
    let path = dir.join(CHECKPOINT);
    let temporary = dir.join(TEMPORARY).join(CHECKPOINT);
    place(&*options.disk, &temporary, &path, signed.as_str().as_bytes())
        .and_then(|()| options.disk.sync_folder(dir))
        .map_err(|source| failed("write", &path, source))?;
    Ok(signed)
}

/// The last segment, ready to be written.
pub(super) fn segment(place: &WalPlace, options: &Options) -> Result<Segment, AuditError> {
    Ok(Segment { file: reopen(place, options)?, length: place.offset })
}

/// Opens the last segment, cuts what follows its last whole frame, and makes sure
/// that what was read from it is on the disk: it may have been only in memory.
fn reopen(place: &WalPlace, options: &Options) -> Result<File, AuditError> {
    let path = &place.path;
    let file = OpenOptions::new()
        .append(true)
        .open(path)
        .map_err(|source| failed("open", path, source))?;
    options
        .disk
        .truncate(&file, place.offset)
        .and_then(|()| options.disk.sync(&file))
        .map_err(|source| failed("sync", path, source))?;
    Ok(file)
}
