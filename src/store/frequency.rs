//! How often each grant was used, durably: only the agency can count.
//!
//! A use is counted before anything is released. One writer takes whatever
//! queued while the last transaction ran and counts it in one transaction, so
//! that counting costs little under load and is exact under any concurrency. A
//! retry of the same request is not a second use.
//!
//! When the database cannot be written, nothing is counted and nothing may be
//! released.

mod batch;
mod postgres;
mod postgres_rows;
mod recent;
mod sqlite;
mod tables;
mod writer;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{Context, SHA256};
use time::OffsetDateTime;
use tokio::sync::{mpsc, oneshot};

pub use tables::TablesError;

use crate::config::counters::{CountersConfig, CountersUrlError};
use crate::domain::peer::SpiffeId;

/// Uses that may wait to be counted.
const QUEUE: usize = 8192;

/// For how long a request id may be repeated, in seconds.
pub const REPEAT_WITHIN: i64 = 60;

/// How often one request may be released in all.
pub const RELEASES: u32 = 3;

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
    /// SHA-256 over what the request asks: grant and items.
    pub digest: [u8; 32],
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
}

impl Counters {
    /// Opens the database, making it if need be, and starts the writer, which
    /// ends with the last clone.
    ///
    /// # Errors
    /// [`CounterError::Url`], [`CounterError::Tables`], [`CounterError::Database`] and
    /// [`CounterError::Thread`].
    pub async fn open(config: &CountersConfig, folder: &Path) -> Result<Self, CounterError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        writer::start(config, folder, jobs).await?;
        Ok(Self { queue })
    }

    /// Counts a use, durably, by `until`.
    ///
    /// # Errors
    /// Nothing was released by it, and nothing may be.
    pub async fn release(&self, one: Use<'_>, until: Instant) -> Result<Release, CounterError> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            key: hash(&[one.issuer.as_str(), one.jti, &one.window.to_string()]),
            request: hash(&[one.consumer.as_str(), one.request_id]),
            digest: one.digest,
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

/// Length-prefixed, so that no two lists of texts hash alike.
fn hash(texts: &[&str]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
