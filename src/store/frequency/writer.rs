//! The one writer: a batch, a transaction, then the answers.
//!
//! Answers go out only after the commit, so that a crash may use a use up but never
//! gives one back.

use std::path::Path;

use tokio::sync::{mpsc, oneshot};

use super::batch::{BATCH, Known};
use super::postgres::Server;
use super::recorded::Recount;
use super::sqlite::{self, Statements};
use super::{CounterError, Job, Place, Release};
use crate::config::counters::{CountersConfig, CountersDatabase};

/// After so many batches [old](super::retention) rows are deleted, and a file's newest
/// counts go into its tables: rarely enough that they share pages, and often enough that
/// a batch does not wait long for it.
const PRUNE_EVERY: u32 = 64;

/// Opens the database and starts its writer, which ends with the last sender: on a
/// thread of its own where each statement would block one, else as a task. Gives what is
/// counted in, and of how many windows it lacked uses that logs have.
pub(super) async fn start(
    config: &CountersConfig,
    folder: &Path,
    recount: Recount,
    jobs: mpsc::Receiver<Job>,
) -> Result<(Place, u64), CounterError> {
    let known = recount.into_known();
    match config.database(folder)? {
        CountersDatabase::Sqlite(file) => {
            let (opened, opening) = oneshot::channel();
            let thread = std::thread::Builder::new().name("counters".to_owned());
            let place = Place::File(file.clone().into());
            thread
                .spawn(move || on_thread(&file, &known, opened, jobs))
                .map_err(|error| CounterError::Thread(error.into()))?;
            let lacking = opening.await.map_err(|_| CounterError::Closed)??;
            Ok((place, lacking))
        }
        // Whose commits are on its disk, or its administrator has it otherwise.
        CountersDatabase::Postgres(url) => {
            let mut server = Server::open(&url).await?;
            let name = server.name().await?;
            let lacking = server.learn(&known).await?;
            tokio::spawn(as_task(server, jobs));
            Ok((Place::Server(name.into()), lacking))
        }
    }
}

async fn as_task(mut server: Server, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Batch::default();
    while jobs.recv_many(&mut batch.jobs, BATCH).await > 0 {
        if batch.begin() {
            let counted = server.count(&batch.jobs, batch.prunes()).await;
            batch.answer(counted);
        }
    }
    server.close().await;
}

fn on_thread(
    file: &Path,
    known: &[Known],
    opened: oneshot::Sender<Result<u64, CounterError>>,
    mut jobs: mpsc::Receiver<Job>,
) {
    let database = match sqlite::open(file) {
        Ok(database) => database,
        Err(error) => return drop(opened.send(Err(error))),
    };
    let mut file = match Statements::new(&database) {
        Ok(file) => file,
        Err(error) => return drop(opened.send(Err(error))),
    };
    match file.learn(known) {
        Ok(lacking) => drop(opened.send(Ok(lacking))),
        Err(error) => return drop(opened.send(Err(error))),
    }
    let mut batch = Batch::default();
    while jobs.blocking_recv_many(&mut batch.jobs, BATCH) > 0 {
        if batch.begin() {
            let counted = file.count(&batch.jobs, batch.prunes());
            batch.answer(counted);
        }
    }
}

/// The uses that are counted together, and how many batches there were.
#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    number: u32,
}

impl Batch {
    /// Whether there is anything to count.
    fn begin(&mut self) -> bool {
        // Whoever no longer waits must not use a use up.
        self.jobs.retain(|job| !job.answer.is_closed());
        self.number = self.number.wrapping_add(u32::from(!self.jobs.is_empty()));
        !self.jobs.is_empty()
    }

    const fn prunes(&self) -> bool {
        self.number.is_multiple_of(PRUNE_EVERY)
    }

    fn answer(&mut self, counted: Result<Vec<Release>, CounterError>) {
        match counted {
            Ok(outcomes) => {
                for (job, outcome) in self.jobs.drain(..).zip(outcomes) {
                    let _ = job.answer.send(Ok(outcome));
                }
            }
            Err(error) => {
                for job in self.jobs.drain(..) {
                    let _ = job.answer.send(Err(error.clone()));
                }
            }
        }
    }
}
