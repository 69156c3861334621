//! Connections to a database: bounded, kept while they are good, made anew when they
//! are not.
//!
//! Our own rather than the driver's pool: a connection whose statement did not run
//! to its end is closed, never given to the next one; and the secret is read anew for
//! each connection.

use std::time::Instant;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::fault::{Reason, SourceError};
use crate::config::mapping::SecretEntry;
use crate::domain::sensitive::Sensitive;

/// Makes connections of one kind.
pub(super) trait Connect: Send + Sync {
    /// What it makes.
    type Connection: Send;

    /// A new connection, with its session set up.
    fn connect(&self) -> BoxFuture<'_, Result<Self::Connection, SourceError>>;
}

/// Connections of one kind.
pub(super) struct Pool<C: Connect> {
    connect: C,
    permits: Semaphore,
    /// The last one used comes first: its statements are prepared.
    idle: Mutex<Vec<C::Connection>>,
}

/// A connection in use. It goes back only by `keep`: whatever ends otherwise, by
/// an error or a dropped future, closes it.
pub(super) struct Lease<'a, C: Connect> {
    pub connection: C::Connection,
    /// Nothing was asked on it before.
    pub fresh: bool,
    pool: &'a Pool<C>,
    _permit: SemaphorePermit<'a>,
}

impl<C: Connect> Pool<C> {
    pub fn new(connect: C, size: usize) -> Self {
        Self { connect, permits: Semaphore::new(size), idle: Mutex::default() }
    }

    /// A connection, kept or new.
    pub async fn lease(&self, until: Instant) -> Result<Lease<'_, C>, SourceError> {
        let permit = self.permit(until).await?;
        let kept = self.idle.lock().pop();
        let fresh = kept.is_none();
        let connection = match kept {
            Some(connection) => connection,
            None => self.new_connection(until).await?,
        };
        Ok(Lease { connection, fresh, pool: self, _permit: permit })
    }

    /// A new connection, in the place of one that is kept: there are never more than the
    /// pool has places.
    pub async fn lease_new(&self, until: Instant) -> Result<Lease<'_, C>, SourceError> {
        let permit = self.permit(until).await?;
        let replaced = self.idle.lock().pop();
        drop(replaced);
        let connection = self.new_connection(until).await?;
        Ok(Lease { connection, fresh: true, pool: self, _permit: permit })
    }

    async fn permit(&self, until: Instant) -> Result<SemaphorePermit<'_>, SourceError> {
        let closed = |_| SourceError::new(Reason::Down, "the pool is closed");
        let busy = |_| SourceError::new(Reason::Timeout, "no connection was free in time");
        let permit = tokio::time::timeout_at(until.into(), self.permits.acquire());
        permit.await.map_err(busy)?.map_err(closed)
    }

    async fn new_connection(&self, until: Instant) -> Result<C::Connection, SourceError> {
        let late = |_| SourceError::new(Reason::Timeout, "the database did not let us in in time");
        tokio::time::timeout_at(until.into(), self.connect.connect()).await.map_err(late)?
    }
}

impl<C: Connect> Lease<'_, C> {
    /// Gives the connection back after a statement that ran to its end.
    pub fn keep(self) {
        let mut idle = self.pool.idle.lock();
        idle.push(self.connection);
    }

    /// Takes a new connection in place of a kept one that had died meanwhile, and
    /// closes all that were kept beside it.
    pub async fn renew(&mut self, until: Instant) -> Result<(), SourceError> {
        let dead = std::mem::take(&mut *self.pool.idle.lock());
        drop(dead);
        self.connection = self.pool.new_connection(until).await?;
        self.fresh = true;
        Ok(())
    }
}

/// The secret of an entry, read off the runtime's threads.
pub(super) async fn secret(
    entry: Option<&SecretEntry>,
) -> Result<Option<Sensitive<String>>, SourceError> {
    let Some(entry) = entry.cloned() else {
        return Ok(None);
    };
    let read = tokio::task::spawn_blocking(move || entry.read()).await;
    let failed = |_| SourceError::new(Reason::Down, "the secret cannot be read");
    read.map_err(failed)?
        .map(Some)
        .map_err(|error| SourceError::new(Reason::Down, error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::future::FutureExt;

    use super::*;
    use crate::clock;

    /// Makes connections that say how many of them are open.
    struct Counted(Arc<()>);

    impl Connect for Counted {
        type Connection = Arc<()>;

        fn connect(&self) -> BoxFuture<'_, Result<Arc<()>, SourceError>> {
            async { Ok(Arc::clone(&self.0)) }.boxed()
        }
    }

    #[tokio::test]
    async fn no_more_connections_are_open_than_the_pool_has_places() {
        let open = Arc::new(());
        let pool = Pool::new(Counted(Arc::clone(&open)), 2);
        let until = clock::now() + Duration::from_secs(60);
        for _ in 0..5 {
            let new = pool.lease_new(until).await.unwrap();
            assert!(new.fresh);
            let other = pool.lease(until).await.unwrap();
            assert!(Arc::strong_count(&open) - 2 <= 2, "the pool and we hold one each");
            new.keep();
            other.keep();
        }
        assert_eq!(Arc::strong_count(&open) - 2, 2);
    }
}
