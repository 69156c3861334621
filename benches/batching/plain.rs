//! The driver's own pool, one prepared statement a request: no batching, and
//! nothing is done with the row but to look whose it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::{BoxFuture, FutureExt};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Row};

use crate::load::{Request, Work};
use crate::town;

const ONE: &str = "select person_id, updated_on, employed, sector, started_on, pay_fen, level, \
                   share, tenure from job where person_id = $1";

pub struct Plain {
    pool: PgPool,
    statements: AtomicU64,
}

impl Plain {
    pub fn pool(server: &str, size: u32) -> anyhow::Result<Work> {
        let options: PgConnectOptions = server.parse()?;
        let pool = PgPoolOptions::new()
            .max_connections(size)
            // As in the agency's own pool.
            .test_before_acquire(false)
            .connect_lazy_with(options.disable_statement_logging());
        Ok(Arc::new(Self { pool, statements: AtomicU64::new(0) }))
    }
}

impl Request for Plain {
    fn ask(&self, person: usize) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let person = town::person(person);
            self.statements.fetch_add(1, Ordering::Relaxed);
            let row = sqlx::query(ONE).bind(&person).fetch_one(&self.pool).await?;
            anyhow::ensure!(row.try_get::<&str, _>(0)? == person, "another person's row");
            Ok(())
        }
        .boxed()
    }

    fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }
}
