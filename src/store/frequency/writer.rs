//! The one writer: a batch, a transaction, then the answers.
//!
//! Answers go out only after the commit is on disk, so that a crash may use a use
//! up but never gives one back.

use std::path::Path;

use tokio::sync::mpsc;

use super::postgres::Server;
use super::sqlite::File;
use super::{CounterError, Job, Release};
use crate::config::counters::{CountersConfig, CountersDatabase};

/// Uses of one transaction at most; each binds four values, and SQLite takes
/// 32,766.
pub(super) const BATCH: usize = 1024;

/// After so many batches old rows are deleted, so many at a time.
const PRUNE_EVERY: u32 = 256;
pub(super) const PRUNE_ROWS: i64 = 1000;

/// Requests are forgotten after a week; uses a week after the grant expired, for
/// the clocks of replicas may differ.
pub(super) const KEEP: i64 = 7 * 86_400;

/// The moment of a batch, by which old rows are old.
pub(super) fn latest(batch: &[Job]) -> i64 {
    batch.iter().map(|job| job.at).max().unwrap_or_default()
}

enum Database {
    Sqlite(File),
    Postgres(Box<Server>),
}

pub(super) struct Writer {
    database: Database,
    batches: u32,
}

impl Writer {
    pub(super) async fn open(config: &CountersConfig, folder: &Path) -> Result<Self, CounterError> {
        let database = match config.database(folder)? {
            CountersDatabase::Sqlite(file) => Database::Sqlite(File::open(&file).await?),
            CountersDatabase::Postgres(url) => Database::Postgres(Server::open(&url).await?.into()),
        };
        Ok(Self { database, batches: 0 })
    }

    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        while jobs.recv_many(&mut batch, BATCH).await > 0 {
            // Whoever no longer waits must not use a use up.
            batch.retain(|job| !job.answer.is_closed());
            match self.count(&batch).await {
                Ok(outcomes) => {
                    for (job, outcome) in batch.drain(..).zip(outcomes) {
                        let _ = job.answer.send(Ok(outcome));
                    }
                }
                Err(error) => {
                    for job in batch.drain(..) {
                        let _ = job.answer.send(Err(error.clone()));
                    }
                }
            }
        }
        match self.database {
            Database::Sqlite(file) => file.close().await,
            Database::Postgres(server) => server.close().await,
        }
    }

    async fn count(&mut self, batch: &[Job]) -> Result<Vec<Release>, CounterError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.batches = self.batches.wrapping_add(1);
        let prune = self.batches.is_multiple_of(PRUNE_EVERY);
        match &mut self.database {
            Database::Sqlite(file) => file.count(batch, prune).await,
            Database::Postgres(server) => server.count(batch, prune).await,
        }
    }
}
