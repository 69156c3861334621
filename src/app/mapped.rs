//! What an agency makes of the catalogue: its mapping compiled, its source opened and looked
//! at; at the start, and again when one of them has changed. Nothing is asked of a source
//! before it was looked at.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::governing::rulebook::Mapper;
use super::mapping_file::AsWritten;
use super::standing::Changing;
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::finding::Findings;
use crate::domain::subject::SubjectFormat;
use crate::service::rulebook::Rulebook;
use crate::source::{Holdings, Mapping, SourceError};

/// How long a source that was away is left before its rows are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What makes an agency's holdings of its mapping.
pub(super) struct Mapped {
    agency: AgencyId,
    folder: PathBuf,
    format: SubjectFormat,
    /// Holdings that are still asked, each with the mapping that it was made of.
    made: Vec<(Weak<Holdings>, Arc<AsWritten>)>,
    stop: watch::Receiver<bool>,
}

impl Mapped {
    /// Of the agency whose file is in `folder`, with its holdings by the mapping that its
    /// file has now.
    ///
    /// # Errors
    /// An account that can do more than read.
    pub(super) async fn open(
        (agency, format, folder): (AgencyId, SubjectFormat, &Path),
        (written, mapping): (Arc<AsWritten>, Mapping),
        stop: watch::Receiver<bool>,
    ) -> Result<(Self, Arc<Holdings>), SourceError> {
        let folder = folder.to_owned();
        let mut mapped = Self { agency, folder, format, made: Vec::new(), stop };
        let holdings = mapped.opened(mapping, written.may_write()).await?;
        mapped.made.push((Arc::downgrade(&holdings), written));
        Ok((mapped, holdings))
    }

    async fn opened(
        &self,
        mapping: Mapping,
        may_write: bool,
    ) -> Result<Arc<Holdings>, SourceError> {
        let holdings = Arc::new(Holdings::open(mapping));
        if !may_write && let Ok(Some(rights)) = holdings.writable().await {
            return Err(SourceError::can_write(&rights));
        }
        if let Err(faults) = holdings.check().await {
            // The source may come up later; until then sections say what is wrong.
            for fault in faults {
                tracing::warn!(agency = %self.agency, "{fault}");
            }
        }
        let looked = holdings.look(&self.format).await;
        for fault in looked.faults {
            tracing::error!("{fault}");
        }
        if looked.again {
            let (holdings, stop) = (Arc::downgrade(&holdings), self.stop.clone());
            tokio::spawn(look_again(holdings, self.format.clone(), stop));
        }
        Ok(holdings)
    }
}

impl Mapper<Arc<Holdings>> for Mapped {
    fn map(
        &mut self,
        now: &Changing,
        catalogue: &Arc<Catalogue>,
        before: &Rulebook<Arc<Holdings>>,
    ) -> Result<Option<Arc<Holdings>>, String> {
        let Some(written) = &now.mapping else { return Ok(None) };
        let compiled = written.compile(&self.agency, catalogue, &self.folder);
        let mapping = compiled.map_err(|findings| Findings(findings).to_string())?;
        let (items, known) = (before.mapped.items(), before.catalogue());
        let same = items.iter().all(|item| known.item_digest(item) == catalogue.item_digest(item));
        let made_of = |made: &&(Weak<Holdings>, _)| made.0.ptr_eq(&Arc::downgrade(&before.mapped));
        let in_force = self.made.iter().find(made_of).map(|(_, written)| written);
        if same && in_force.is_some_and(|in_force| written.says_as(in_force)) {
            return Ok(None);
        }
        // On the thread that looks at files, which serves no request.
        let opened = Handle::current().block_on(self.opened(mapping, written.may_write()));
        let holdings = opened.map_err(|error| error.to_string())?;
        // Whether it comes into force is decided elsewhere.
        self.made.retain(|(made, _)| made.strong_count() > 0);
        self.made.push((Arc::downgrade(&holdings), written.clone()));
        Ok(Some(holdings))
    }
}

/// Looks until the source has been seen, or is not asked any more.
async fn look_again(
    holdings: Weak<Holdings>,
    format: SubjectFormat,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let Some(holdings) = holdings.upgrade() else { return };
        let looked = holdings.look(&format).await;
        if !looked.again {
            for fault in looked.faults {
                tracing::error!("{fault}");
            }
            return;
        }
    }
}
