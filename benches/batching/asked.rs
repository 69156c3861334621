//! Requests to an agency's own source.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use tributary::clock;
use tributary::domain::item::ItemSet;
use tributary::domain::subject::SubjectFormat;
use tributary::source::{Held, Holdings};

use crate::load::{Request, Work};
use crate::town::{self, ITEMS, Town};

pub struct Asked {
    holdings: Holdings,
    items: ItemSet,
    format: SubjectFormat,
}

impl Asked {
    /// Asks with so many people in one statement at most.
    pub fn over(town: &Town, max_batch: usize) -> anyhow::Result<Work> {
        let holdings = town.holdings(max_batch)?;
        let format = SubjectFormat::new(".+", None)?;
        Ok(Arc::new(Self { items: holdings.items(), holdings, format }))
    }
}

impl Request for Asked {
    fn ask(&self, person: usize) -> BoxFuture<'_, anyhow::Result<()>> {
        async move {
            let subject = self.format.parse(&town::person(person));
            let subject = subject.map_err(|error| anyhow::anyhow!("{error:?}"))?;
            let deadline = clock::now() + Duration::from_secs(5);
            match self.holdings.fetch(&subject, &self.items, deadline).await {
                Held::Answered { items, .. } if items.len() == ITEMS => Ok(()),
                other => anyhow::bail!("{other:?}"),
            }
        }
        .boxed()
    }

    fn statements(&self) -> u64 {
        self.holdings.statements()
    }
}
