//! How often each grant was used, durably: only the agency can count.
//!
//! A use is counted before anything is released. One writer takes whatever
//! queued while the last transaction ran and counts it in one transaction, so
//! that counting costs little under load and is exact under any concurrency. A
//! retry of the same request is not a second use.
//!
//! A count outlives the process at once. Should the machine fail, the newest counts in
//! a file of SQLite may be gone; each release's audit record, which is on the disk
//! before the release, carries its count, and [`Counters::open`] takes back whatever the
//! log has and the counters lack. So a release waits for one disk write, not for two, and
//! counters that were lost or put back are made good from logs.
//!
//! When the database cannot be written, nothing is counted and nothing may be
//! released.

mod again;
mod batch;
mod postgres;
mod postgres_rows;
mod recent;
mod recorded;
mod retention;
mod sqlite;
mod tables;
mod writer;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

pub use recorded::Recount;
pub use tables::TablesError;

use crate::config::counters::{CountersConfig, CountersUrlError};
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;
use crate::files;

/// Uses that may wait to be counted.
const QUEUE: usize = 8192;

/// For how long a request id may be repeated, in seconds.
pub const REPEAT_WITHIN: i64 = 60;

/// How often one request may be released in all.
pub const RELEASES: u32 = 3;

/// Counts in a file of SQLite are on the disk when the next one is made so much later,
/// at the latest. Long enough that many share a sync, and short enough that nobody waits
/// long for what one has to write.
pub const SYNC_EVERY: Duration = Duration::from_millis(100);

/// One use of a grant.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    /// Who granted.
    pub issuer: &'a SpiffeId,
    /// The grant's number.
    pub jti: &'a str,
    /// The window of its frequency.
    pub window: u64,
    /// How often it may be used in a window.
    pub limit: u32,
    /// The request's id, which is the consumer's.
    pub request_id: &'a str,
    /// The consumer.
    pub consumer: &'a SpiffeId,
    /// The items that it asks for.
    pub items: &'a ItemSet,
    /// When the grant expires: its uses are remembered until then.
    pub expires: OffsetDateTime,
    /// When.
    pub now: OffsetDateTime,
}

/// What came of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Counted as a use.
    Counted {
        /// Uses in this window, this one included.
        used: u32,
    },
    /// The same request again: released, not counted.
    Repeated {
        /// Releases of this request, this one included.
        times: u32,
    },
    /// The window's uses are spent; not counted.
    Exhausted,
    /// The request id was used for another request, too long ago or too often;
    /// not counted.
    Conflict,
}

/// Why a use could not be counted. Nothing may be released then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CounterError {
    /// The configuration.
    #[error(transparent)]
    Url(#[from] CountersUrlError),
    /// The database.
    #[error("the counters' database cannot be used: {0}")]
    Database(Arc<dyn Error + Send + Sync>),
    /// The thread of the writer.
    #[error("the counters' thread cannot be started: {0}")]
    Thread(Arc<std::io::Error>),
    /// Tables of another version.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// More uses wait than the queue holds.
    #[error("more uses wait to be counted than the queue holds")]
    Overloaded,
    /// Not counted in the time given. It may still be counted later, which uses a
    /// use up and releases nothing.
    #[error("the use was not counted in time")]
    Timeout,
    /// The writer has ended.
    #[error("the counters are closed")]
    Closed,
}

impl From<sqlx::Error> for CounterError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<rusqlite::Error> for CounterError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// A use on its way to the writer.
#[derive(Debug)]
struct Job {
    /// SHA-256 of issuer, grant and window.
    key: [u8; 32],
    /// SHA-256 of consumer and request id.
    request: [u8; 32],
    digest: [u8; 32],
    limit: u32,
    expires: i64,
    at: i64,
    answer: oneshot::Sender<Result<Release, CounterError>>,
}

/// The counters of one agency.
#[derive(Debug, Clone)]
pub struct Counters {
    queue: mpsc::Sender<Job>,
    place: Place,
}

/// What is counted in.
#[derive(Debug, Clone)]
enum Place {
    /// A file, of one process.
    File(Arc<Path>),
    /// A server's database, and its name.
    Server(Arc<str>),
}

impl Counters {
    /// Opens the database, making it if need be, counts again what the audit log has and
    /// the database has not, and starts the writer, which ends with the last clone. Gives
    /// besides of how many windows uses were lacking.
    ///
    /// # Errors
    /// [`CounterError::Url`], [`CounterError::Tables`], [`CounterError::Database`] and
    /// [`CounterError::Thread`].
    pub async fn open(
        config: &CountersConfig,
        folder: &Path,
        recount: Recount,
    ) -> Result<(Self, u64), CounterError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let (place, lacking) = writer::start(config, folder, recount, jobs).await?;
        Ok((Self { queue, place }, lacking))
    }

    /// Makes sure that what was counted is on the disk: from then on no audit log need give
    /// it back. Blocking.
    ///
    /// # Errors
    /// The disk's.
    pub fn settle(&self) -> std::io::Result<()> {
        self.place.settle()
    }

    /// How many uses wait to be counted, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        let most = self.queue.max_capacity();
        (most.saturating_sub(self.queue.capacity()), most)
    }

    /// Names what is counted in: the same for processes that count together, and for no
    /// others. A file serves one process, which its audit log's origin names.
    pub fn domain(&self, origin: &str) -> Bytes {
        let domain = match &self.place {
            Place::Server(name) => hash(&[b"database", name.as_bytes()]),
            Place::File(_) => hash(&[b"file", origin.as_bytes()]),
        };
        Bytes::copy_from_slice(&domain)
    }

    /// Counts a use by `until`. The count survives this process; that it survives the
    /// machine is for the audit record that carries it.
    ///
    /// # Errors
    /// Nothing was released by it, and nothing may be.
    pub async fn release(&self, one: Use<'_>, until: Instant) -> Result<Release, CounterError> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            key: key_of(one.issuer, one.jti, one.window),
            request: request_of(one.consumer, one.request_id),
            digest: digest_of(one.issuer, one.jti, one.items),
            limit: one.limit,
            expires: one.expires.unix_timestamp(),
            at: one.now.unix_timestamp(),
            answer,
        };
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CounterError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => CounterError::Closed,
        })?;
        match tokio::time::timeout_at(until.into(), answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CounterError::Closed),
            Err(_) => Err(CounterError::Timeout),
        }
    }
}

impl Place {
    fn settle(&self) -> std::io::Result<()> {
        // A server's commits are on its disk.
        let Self::File(file) = self else { return Ok(()) };
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        // Through whichever handle a file was written, a sync takes all of it; and what has
        // gone from the one into the other was synced before.
        for path in [Path::new(&log), &**file] {
            match files::open(path, u64::MAX) {
                Ok(open) => open.sync_all()?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A grant and a window of its frequency.
fn key_of(issuer: &SpiffeId, jti: &str, window: u64) -> [u8; 32] {
    let window = window.to_string();
    hash(&[issuer.as_str().as_bytes(), jti.as_bytes(), window.as_bytes()])
}

/// A request, whose id is the consumer's.
fn request_of(consumer: &SpiffeId, id: &str) -> [u8; 32] {
    hash(&[consumer.as_str().as_bytes(), id.as_bytes()])
}

/// What a request asks: a repeat is one for the same grant and items.
fn digest_of(issuer: &SpiffeId, jti: &str, items: &ItemSet) -> [u8; 32] {
    hash(&[issuer.as_str().as_bytes(), jti.as_bytes(), &items.to_bytes()])
}

/// Length-prefixed, so that no two lists of texts hash alike.
fn hash(texts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
