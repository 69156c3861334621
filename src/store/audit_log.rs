//! The audit log: no record, no data.
//!
//! [`AuditLog::append`] puts the records of a request into a bounded queue; one
//! writer thread takes all that is queued, appends it to the write-ahead segment,
//! syncs, signs a checkpoint and only then gives receipts. A second thread derives
//! tiles and the published checkpoint, a third seals what is published. Nothing here
//! decides what a record says.
//!
//! In the log's folder: `checkpoint` and `tile/` for any C2SP tlog-tiles reader that
//! knows gzip, `wal/` for what is not sealed yet, `tmp/` for unfinished files, `lock`.

mod figures;
mod looking;
mod open;
mod publisher;
mod reread;
mod sealer;
mod shared;
mod tail;
mod turn;
mod workers;
mod writer;

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

pub use figures::Figures;
pub(super) use open::prepare as lock;
pub use shared::Folder;
use shared::Shared;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::disk::{Disk, RealDisk, is_full};
use super::proof::ProveError;
use super::walk::{Fault, TornTail, WalkError};
use crate::clock;
use crate::domain::audit::{
    Blind, Named, NoteError, Origin, Receipt, ReceiptProof, Record, SignedCheckpoint, SigningKey,
    Timestamp, TreeError, VerifyingKey, leaf_hash,
};

/// Why the log gives no receipt, or does not open.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// More requests wait than the queue holds. The wire's RESOURCE_EXHAUSTED.
    #[error("the audit log's queue of {capacity} requests is full: try again later")]
    Overloaded {
        /// How many the queue holds.
        capacity: usize,
    },
    /// No room on the disk. The log goes on by itself once there is room.
    #[error("the disk of the audit log is full: make room; nothing is disclosed until then")]
    DiskFull,
    /// A write or sync failed, so what is on the disk is in doubt. Nothing is
    /// appended any more; the process is to stop.
    #[error(
        "the audit log is out of use: {reason}. Stop this process, check the disk, start again"
    )]
    Poisoned {
        /// What happened.
        reason: Arc<str>,
    },
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
    /// There was nothing to append.
    #[error("a request has at least one record")]
    NoRecords,
    /// More records than a request may have.
    #[error("a request has at most {limit} records, this one has {count}", limit = AuditLog::MAX_RECORDS)]
    TooManyRecords {
        /// How many there are.
        count: usize,
    },
    /// A record that only the log itself writes.
    #[error("the log itself records when it is opened and closed: leave such records out")]
    NotYours,
    /// Another process has the log open.
    #[error("the audit log {path} is open in another process: one process writes a log", path = .0.display())]
    Locked(PathBuf),
    /// The folder in which the log is to go on holds one.
    #[error(
        "{path} holds entries of a log already: a log goes on in a folder that holds none, under an origin of its own", path = .0.display()
    )]
    Begun(PathBuf),
    /// A log does not succeed itself.
    #[error("the log `{0}` is to go on under its own origin: give the next one another")]
    SameOrigin(Origin),
    /// A mirror is no log to go on with.
    #[error(
        "{path} is a mirror of a log and holds none of what that log wrote last: begin a new log, in another folder and under another origin, and keep the mirror as evidence", path = .0.display()
    )]
    Mirror(PathBuf),
    /// The log is damaged and not opened.
    #[error(
        "the audit log is damaged, in {fault}. Restore the folder from a copy or move it away as evidence; do not edit it"
    )]
    Damaged {
        /// The first thing that is wrong.
        fault: Fault,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] WalkError),
    /// Key and log do not fit.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// See [`TreeError`].
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The operating system refuses.
    #[error("cannot {doing} {path}", path = .path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

/// The folder of files that have no final name yet.
pub(super) const TEMPORARY: &str = "tmp";

/// Places in the queue for what is no request: counts, searches, answers taken back.
const BESIDE: usize = 64;

/// How long the first entry of a log that goes on from another may take to be published,
/// before whoever turned it goes on.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(10);

/// Whether the log can take records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Ready,
    /// There is no room; it looks for room every second.
    DiskFull,
    /// It never will again in this process.
    Poisoned(Arc<str>),
}

/// What can be set; the defaults are for production.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many requests may wait for the writer; if nobody says, as many as are let in.
    pub queue: Option<usize>,
    /// How large a segment grows before the next one begins.
    pub segment_bytes: u64,
    /// How often tiles and checkpoint are derived.
    pub publish_every: Duration,
    /// How often what is sealed is looked through.
    pub look_every: Duration,
    /// The rest between two bundles that are looked at.
    pub look_rest: Duration,
    /// The file operations.
    pub disk: Arc<dyn Disk>,
    /// The time of day.
    pub utc: fn() -> OffsetDateTime,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue: None,
            segment_bytes: 16 * 1024 * 1024,
            publish_every: Duration::from_secs(1),
            look_every: Duration::from_secs(24 * 3600),
            look_rest: Duration::from_millis(50),
            disk: Arc::new(RealDisk),
            utc: || crate::clock::process().recorded(),
        }
    }
}

impl Options {
    /// How many requests may wait where nobody knows how many are let in.
    const QUEUE: usize = 1024;

    pub(super) fn queue(&self) -> usize {
        self.queue.unwrap_or(Self::QUEUE)
    }

    /// With a queue in which so many requests find room, beside what is written of none.
    #[must_use]
    pub fn with_room_for(self, requests: usize) -> Self {
        let room = Self::QUEUE.max(requests.saturating_add(BESIDE));
        Self { queue: self.queue.or(Some(room)), ..self }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// How many entries there were.
    pub size: u64,
    /// The unfinished write that was cut, if there was one.
    pub cut: Option<TornTail>,
    /// The time of the last record; 1970 for a new log.
    pub last: Timestamp,
    /// Whether the log had been closed; true for a new one.
    pub clean: bool,
}

/// What waits for the writer.
enum Job {
    Append { records: Vec<Record>, reply: oneshot::Sender<Result<Receipt, AuditError>> },
    Turn { next: Box<turn::Next>, reply: SyncSender<Result<(), AuditError>> },
}

/// An open log. Dropping it closes it: what is queued is written, then tiles and
/// checkpoint are brought up to date.
#[derive(Debug)]
pub struct AuditLog {
    shared: Arc<Shared>,
    queue: Option<SyncSender<Job>>,
    capacity: usize,
    options: Options,
    writer: Option<JoinHandle<()>>,
    recovery: Recovery,
}

impl AuditLog {
    /// Most records of one request: one for each agency, and some.
    pub const MAX_RECORDS: usize = 512;

    /// Opens the log in a folder, or begins one; reads and recomputes all of it.
    /// Blocking.
    ///
    /// # Errors
    /// [`AuditError::Locked`], [`AuditError::Damaged`], [`AuditError::Note`] for
    /// another log's key, [`AuditError::DiskFull`] and [`AuditError::Io`].
    pub fn open(dir: &Path, origin: &Origin, key: SigningKey) -> Result<Self, AuditError> {
        Self::open_with(dir, origin, key, Options::default())
    }

    /// As [`open`](Self::open), with other settings.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        dir: &Path,
        origin: &Origin,
        key: SigningKey,
        options: Options,
    ) -> Result<Self, AuditError> {
        Self::open_reading(dir, origin, key, options, &mut |_| {})
    }

    /// As [`open_with`](Self::open_with); each record that the log has is shown.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_reading(
        dir: &Path,
        origin: &Origin,
        key: SigningKey,
        options: Options,
        on_record: &mut dyn FnMut(&Record),
    ) -> Result<Self, AuditError> {
        open::open(dir, origin, key, options, on_record)
    }

    /// Whether the log in a folder has entries, as far as can be told without its lock.
    /// Blocking.
    ///
    /// # Errors
    /// [`AuditError::Read`].
    pub fn has_begun(dir: &Path, key: &VerifyingKey) -> Result<bool, AuditError> {
        open::has_begun(dir, key)
    }

    /// Appends the records of one request, all or none, and gives one receipt that
    /// covers them. The records are queued by this call; dropping the future does
    /// not take them back.
    ///
    /// # Errors
    /// [`AuditError::Overloaded`] at once, [`AuditError::DiskFull`] and
    /// [`AuditError::Poisoned`]: with any error, nothing may be disclosed.
    pub fn append(
        &self,
        records: Vec<Record>,
    ) -> impl Future<Output = Result<Receipt, AuditError>> + Send + use<> {
        let (queued, shared, began) = (self.submit(records), self.shared.clone(), clock::now());
        async move {
            let receipt = queued?.await.unwrap_or(Err(AuditError::Closed));
            shared.figures.appends.observe(began.elapsed().as_secs_f64());
            receipt
        }
    }

    fn submit(
        &self,
        records: Vec<Record>,
    ) -> Result<oneshot::Receiver<Result<Receipt, AuditError>>, AuditError> {
        if records.is_empty() {
            return Err(AuditError::NoRecords);
        }
        if records.len() > Self::MAX_RECORDS {
            return Err(AuditError::TooManyRecords { count: records.len() });
        }
        let is_own = |record: &Record| {
            matches!(
                record,
                Record::Started { .. } | Record::Stopped { .. } | Record::Succeeds { .. }
            )
        };
        if records.iter().any(is_own) {
            return Err(AuditError::NotYours);
        }
        if let Health::Poisoned(reason) = self.health() {
            return Err(AuditError::Poisoned { reason });
        }
        let queue = self.queue.as_ref().ok_or(AuditError::Closed)?;
        let (reply, receipt) = oneshot::channel();
        self.shared.figures.enter();
        queue.try_send(Job::Append { records, reply }).map_err(|refused| {
            self.shared.figures.leave();
            match refused {
                TrySendError::Full(_) => AuditError::Overloaded { capacity: self.capacity },
                TrySendError::Disconnected(_) => AuditError::Closed,
            }
        })?;
        Ok(receipt)
    }

    /// Ends this log and goes on in another folder, under another origin and key; the first
    /// entry there says which log went before and how it ended, and is published when this
    /// returns. Records that wait meanwhile go into the next one. `before` is done once the old log has ended and before the next
    /// one begins: what it fails with stops the turn. Blocking, up to a few syncs long.
    ///
    /// # Errors
    /// [`AuditError::Begun`], [`AuditError::SameOrigin`] and those of
    /// [`open`](Self::open). The log then goes on as it was.
    pub fn turn(
        &self,
        dir: &Path,
        origin: &Origin,
        key: SigningKey,
        before: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Result<(), AuditError> {
        let next = turn::prepare(dir, origin, key, &self.options, Box::new(before))?;
        if next.origin() == self.shared.folder().key.origin() {
            return Err(AuditError::SameOrigin(origin.clone()));
        }
        let queue = self.queue.as_ref().ok_or(AuditError::Closed)?;
        let (reply, turned) = sync_channel(1);
        self.shared.figures.enter();
        let queued = queue.send(Job::Turn { next: Box::new(next), reply });
        if queued.is_err() {
            self.shared.figures.leave();
            return Err(AuditError::Closed);
        }
        turned.recv().unwrap_or(Err(AuditError::Closed))?;
        // So that whoever is shown the next log is shown its first entry.
        self.shared.publish_soon(PUBLISHED_WITHIN);
        Ok(())
    }

    /// Whether records can be taken; to be asked before any agency is.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Waits until it is out of use, and says why.
    pub async fn lost(&self) -> String {
        let mut lost = self.shared.lost();
        let why = lost.wait_for(Option::is_some).await;
        // The sender is this log's own.
        why.ok().and_then(|why| why.as_deref().map(str::to_owned)).unwrap_or_default()
    }

    /// What is counted of it since it was opened.
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// How many requests may wait.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// The newest signed checkpoint: everything with a receipt is under it.
    pub fn latest(&self) -> SignedCheckpoint {
        self.shared.latest()
    }

    /// The checkpoint for which all tiles are in place, at most about a second old.
    /// It is the one to swap with peers: proofs can be made for it.
    pub fn published(&self) -> SignedCheckpoint {
        self.shared.published()
    }

    /// For each record of a receipt of this log the Merkle path to the root of the
    /// receipt's own checkpoint, from the leaf's sibling upward, and the same for the names
    /// that it refers to. Blocking: it reads some tiles.
    ///
    /// # Errors
    /// [`ProveError::Tiles`] when tiles are missing or forged, or far behind.
    pub fn prove(&self, receipt: &Receipt, names: Vec<Named>) -> Result<ReceiptProof, ProveError> {
        let at = self.shared.tail_of(&receipt.checkpoint().checkpoint().origin);
        let (dir, published, tail) = at.ok_or(ProveError::Tiles)?;
        let records = receipt.indexes().zip(receipt.leaf_hashes().iter().copied());
        let named = names.iter().map(|(index, entry)| (*index, leaf_hash(entry)));
        let (checkpoint, leaves) = (receipt.checkpoint().checkpoint(), records.chain(named));
        let mut paths = tail::prove(&dir, checkpoint, leaves, published, &tail)?;
        let of_names = paths.split_off(receipt.leaf_hashes().len());
        Ok(ReceiptProof { paths, names: names.into_iter().zip(of_names).collect() })
    }

    /// Where the log lies now, and the key by which it is known.
    pub fn folder(&self) -> Folder {
        self.shared.folder()
    }

    /// What opening found.
    pub const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Closes the log. Blocking, up to a few syncs long.
    ///
    /// # Errors
    /// [`AuditError::Poisoned`] and [`AuditError::DiskFull`] when the end of the log
    /// could not be written.
    pub fn close(mut self) -> Result<(), AuditError> {
        self.stop();
        match self.health() {
            Health::Ready => Ok(()),
            Health::DiskFull => Err(AuditError::DiskFull),
            Health::Poisoned(reason) => Err(AuditError::Poisoned { reason }),
        }
    }

    fn stop(&mut self) {
        // The writer ends once the queue is empty and nobody can add to it.
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// The lock on the folder.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that is being started holds the file too.
        let _ = self.0.unlock();
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Fresh random bytes for one record.
///
/// # Errors
/// [`AuditError::Io`] when the machine gives no randomness.
pub fn fresh_blind() -> Result<Blind, AuditError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuditError::Io {
        doing: "read",
        path: PathBuf::from("the machine's random numbers"),
        source: std::io::Error::other("no randomness"),
    })?;
    Ok(Blind(bytes))
}

/// What came of a file operation that failed.
fn failed(doing: &'static str, path: &Path, source: std::io::Error) -> AuditError {
    if is_full(&source) {
        return AuditError::DiskFull;
    }
    AuditError::Io { doing, path: PathBuf::from(path), source }
}
