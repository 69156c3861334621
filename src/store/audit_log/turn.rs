//! A log goes on in another folder: the one is ended and published, and the first entry of
//! the next says so.
//!
//! The writer does it between two frames, so that each request's records lie in one of the
//! two. Until the next log's first frame is on the disk the old one is the log, and goes on
//! if anything fails; a process that ends in between finds the next one without an entry.

use std::io;
use std::path::Path;

use super::open;
use super::publisher::Publisher;
use super::sealer::Sealer;
use super::shared::{Folder, Position};
use super::workers::Workers;
use super::writer::{Batch, Volume, Writer};
use super::{AuditError, Health, Options, failed};
use crate::domain::audit::tiles::TileBuilder;
use crate::domain::audit::{Origin, Record, SigningKey, Timestamp};
use crate::store::walk::{WalPlace, walk};

/// What is done between the two.
pub(super) type Before = Box<dyn FnOnce() -> Result<(), String> + Send>;

/// The log in which it goes on, locked and without an entry.
pub(super) struct Next {
    volume: Volume,
    place: WalPlace,
    at: Position,
    before: Before,
}

impl Next {
    pub(super) const fn origin(&self) -> &Origin {
        self.at.folder.key.origin()
    }
}

/// Locks a folder that holds no entry, or makes it, and begins a log there.
pub(super) fn prepare(
    dir: &Path,
    origin: &Origin,
    key: SigningKey,
    options: &Options,
    before: Before,
) -> Result<Next, AuditError> {
    let lock = open::prepare(dir)?;
    let public = key.verifying_key(origin)?;
    let walk = walk(dir, Some(&public), &mut |_| {})?;
    if let Some(fault) = walk.faults.into_iter().next() {
        return Err(AuditError::Damaged { fault });
    }
    if walk.edge.size() > 0 {
        return Err(AuditError::Begun(dir.to_owned()));
    }
    let place = match walk.active {
        Some(place) => place,
        None => open::begin(dir, origin, options)?,
    };
    let published = match walk.checkpoint {
        Some(published) => published,
        None => open::sign_empty(dir, origin, &key, options)?,
    };
    let at = Position { folder: Folder::new(dir, public), latest: published.clone(), published };
    let volume = Volume {
        dir: dir.to_owned(),
        origin: origin.clone(),
        key,
        segment: open::segment(&place, options)?,
        edge: walk.edge,
        dictionary: walk.dictionary,
        pruned: 0,
        _lock: lock,
    };
    Ok(Next { volume, place, at, before })
}

impl Writer {
    /// Goes on in the next log. With an error it goes on as it was; only a log that is out
    /// of use does not.
    pub(super) fn turn(&mut self, next: Next) -> Result<(), AuditError> {
        let time = Timestamp::new((self.options.utc)());
        self.write_own(Record::Stopped { time })?;
        // Whoever waits for a record waits for this.
        let publisher = self.workers.take().and_then(Workers::end_at_once);
        let Next { volume, place, at, before } = next;
        let turned = match self.shared.latest() {
            // The tiles found no room.
            latest if latest != self.shared.published() => Err(AuditError::DiskFull),
            _ => before().map_err(|why| {
                failed("end the log before the one in", &volume.dir, io::Error::other(why))
            }),
        };
        let turned = turned.and_then(|()| self.begin(volume, place, at));
        let Err(error) = turned else { return Ok(()) };
        if let Health::Poisoned(reason) = self.shared.health() {
            return Err(AuditError::Poisoned { reason });
        }
        // As it was: the record that it was closed is followed by one that it was opened.
        let publisher = publisher.ok_or_else(|| self.out_of_use())?;
        self.work(publisher)?;
        self.write_own(Record::Started { time, clean: true })?;
        Err(error)
    }

    fn begin(&mut self, volume: Volume, place: WalPlace, at: Position) -> Result<(), AuditError> {
        let time = Timestamp::new((self.options.utc)());
        let (shared, tiles) = (self.shared.clone(), TileBuilder::default());
        let publisher = Publisher::new(&volume.dir, shared, &self.options, tiles, place);
        let ended = self.shared.latest().checkpoint().clone();
        let old = std::mem::replace(&mut self.volume, volume);
        let before = self.shared.turn(at);
        let records = vec![Record::Succeeds { time, ended }, Record::Started { time, clean: true }];
        let mut batch = Batch::new(self);
        let begun = batch.add(records, None).map_err(AuditError::from);
        let begun = begun.and_then(|()| batch.commit().map(drop).map_err(AuditError::from));
        match begun {
            // The old log has ended: there is no way back.
            Ok(()) => self.work(publisher).inspect_err(|error| {
                self.shared.poison(&error.to_string());
            }),
            Err(error) => {
                self.volume = old;
                self.shared.turn_back(before);
                Err(error)
            }
        }
    }

    /// Starts the threads beside it.
    fn work(&mut self, publisher: Publisher) -> Result<(), AuditError> {
        let key = self.shared.folder().key;
        let (shared, pruned) = (self.shared.clone(), self.volume.pruned);
        let sealer = Sealer::new(&self.volume.dir, shared, &self.options, key, pruned);
        self.workers = Some(Workers::start(&self.shared, publisher, sealer)?);
        Ok(())
    }

    fn out_of_use(&self) -> AuditError {
        let reason = self.shared.poison("its tiles are not derived any more");
        AuditError::Poisoned { reason }
    }
}
