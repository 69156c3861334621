//! Where a copy of a log lies: a folder, or object storage, from which it is fetched before
//! it is read.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use super::source::Progress;
use crate::config::mirror::{Place, StoreConfig};
use crate::domain::audit::VerifyingKey;
use crate::store::mirror::{Bucket, MirrorError, MirrorFolder, Store, fetch};

/// How object storage is reached, for what is named `s3://BUCKET/PREFIX`.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// Where the object storage of `s3://…` answers, https://HOST
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Its region
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    region: String,
    /// The authority that signed its certificate, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The file of its access key, mode 0600: `access_key_id = "…"` and
    /// `secret_access_key = "…"`
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
}

impl StoreArgs {
    /// The store at a place.
    pub(super) fn open(&self, place: &Place) -> anyhow::Result<Box<dyn Store>> {
        let (name, prefix) = match place {
            Place::Folder(folder) => return Ok(Box::new(MirrorFolder::new(folder))),
            Place::Bucket { name, prefix } => (name, prefix),
        };
        let missing = |option| format!("an s3:// place needs --{option}");
        let config = StoreConfig {
            endpoint: self.endpoint.clone().with_context(|| missing("endpoint"))?,
            region: self.region.clone(),
            ca: self.ca.clone(),
            credentials: self.credentials.clone().with_context(|| missing("credentials"))?,
        };
        if let Some((option, why)) = config.faults().into_iter().next() {
            anyhow::bail!("--{option} {why}");
        }
        let bucket = Bucket::new(name, prefix, &config).map_err(anyhow::Error::msg)?;
        Ok(Box::new(bucket))
    }
}

/// What a command names as a log.
pub(super) fn of(path: &Path) -> anyhow::Result<Place> {
    Place::of(path).map_err(|why| anyhow::anyhow!("`{}` {why}", path.display()))
}

/// Fetches a mirror into a folder that is there; gives its size.
pub(super) fn bring(
    store: &dyn Store,
    key: &VerifyingKey,
    folder: &Path,
) -> Result<u64, MirrorError> {
    let mut progress = Progress::new();
    let size =
        fetch(store, key, &MirrorFolder::new(folder), &mut |entries| progress.tell(entries))?;
    progress.end();
    Ok(size)
}
