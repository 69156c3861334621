//! Uses of grants, counted in SQLite or PostgreSQL: a grant and a request of its own
//! for each.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tributary::clock;
use tributary::domain::item::ItemSet;
use tributary::domain::peer::SpiffeId;
use tributary::store::frequency::{Counters, Recount, Release, Use};

use crate::load::{Request, Work};

/// Grants in use; each is used again and again.
const GRANTS: usize = 5000;

pub struct Uses {
    counters: Counters,
    issuer: SpiffeId,
    consumer: SpiffeId,
    requests: AtomicU64,
}

impl Uses {
    pub async fn open(folder: &Path, url: &str) -> anyhow::Result<Work> {
        let config = toml::from_str(&format!("url = \"{url}\""))?;
        Ok(Arc::new(Self {
            counters: Counters::open(
                &config,
                folder,
                Recount::at_start(Duration::ZERO, clock::utc()),
            )
            .await?
            .0,
            issuer: "spiffe://consent.city.example/issuer/main".parse()?,
            consumer: "spiffe://scoring.city.example/consumer/scoring".parse()?,
            requests: AtomicU64::new(0),
        }))
    }
}

impl Request for Uses {
    fn ask(&self, person: usize) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let now = clock::utc();
            let request = self.requests.fetch_add(1, Ordering::Relaxed);
            let one = Use {
                issuer: &self.issuer,
                jti: &format!("grant-{}", person % GRANTS),
                window: 0,
                limit: u32::MAX,
                request_id: &format!("request-{request}"),
                consumer: &self.consumer,
                items: &ItemSet::EMPTY,
                expires: now + Duration::from_secs(86_400),
                now,
            };
            let until = clock::now() + Duration::from_secs(5);
            match self.counters.release(one, until).await? {
                Release::Counted { .. } => Ok(()),
                other => anyhow::bail!("{other:?}"),
            }
        }
        .boxed()
    }

    fn statements(&self) -> u64 {
        0
    }
}
