//! Counters of which a process is not, or not yet, the writer: whether anything was ever
//! counted in them, and counting again what logs have.

use std::path::Path;
use std::sync::Arc;

use super::postgres::Server;
use super::recorded::{Recount, mark};
use super::sqlite::{self, Statements};
use super::{CounterError, Counters, Place};
use crate::config::counters::{CountersConfig, CountersDatabase};

impl Counters {
    /// Whether nothing was ever counted, nor counted again, in the configured database.
    ///
    /// # Errors
    /// As [`Counters::open`].
    pub async fn hold_nothing(
        config: &CountersConfig,
        folder: &Path,
    ) -> Result<bool, CounterError> {
        match config.database(folder)? {
            CountersDatabase::Sqlite(file) => blocking(move || sqlite::holds_nothing(&file)).await,
            CountersDatabase::Postgres(url) => {
                let mut server = Server::open(&url).await?;
                let none = server.holds_nothing().await;
                server.close().await;
                none
            }
        }
    }

    /// Counts again what logs have and the database has not: no count is ever lowered, and a
    /// process may be counting there meanwhile. Gives of how many windows uses were lacking;
    /// it is on the disk then.
    ///
    /// # Errors
    /// As [`Counters::open`]. What was counted until then stays so.
    pub async fn count_again(
        config: &CountersConfig,
        folder: &Path,
        recount: Recount,
    ) -> Result<u64, CounterError> {
        let known = recount.into_known();
        match config.database(folder)? {
            CountersDatabase::Sqlite(file) => {
                blocking(move || {
                    let database = sqlite::open(&file)?;
                    let mut open = Statements::new(&database)?;
                    let lacking = open.learn(&known)?;
                    open.learn(&[mark()])?;
                    let settled = Place::File(file.into()).settle();
                    settled.map_err(|error| CounterError::Database(Arc::new(error)))?;
                    Ok(lacking)
                })
                .await
            }
            CountersDatabase::Postgres(url) => {
                let mut server = Server::open(&url).await?;
                let lacking = match server.learn(&known).await {
                    Ok(lacking) => server.learn(&[mark()]).await.map(|_| lacking),
                    failed => failed,
                };
                server.close().await;
                lacking
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CounterError> + Send + 'static,
) -> Result<T, CounterError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(CounterError::Closed))
}
