//! Which version of a file it is, as far as that can be told without reading it.

use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

use super::super::cell::{Cell, Unfit};
use super::super::fault::{Reason, SourceError};
use crate::domain::zone::Moment;

/// Which version of a file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    inode: u64,
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Version {
    #[cfg(test)]
    pub const fn new(inode: u64, bytes: u64, changed: Option<SystemTime>) -> Self {
        Self { inode, bytes, changed }
    }

    /// The version behind a path.
    ///
    /// # Errors
    /// There is no such file.
    pub async fn of(path: &Path) -> Result<Self, SourceError> {
        let found = tokio::fs::metadata(path).await.map_err(|error| {
            let detail = format!("`{}` cannot be read: {}", path.display(), error.kind());
            SourceError::new(Reason::Down, detail)
        })?;
        Ok(Self::from(&found))
    }

    /// Its size.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When it was changed last, as the file system says.
    pub const fn changed(&self) -> Option<SystemTime> {
        self.changed
    }

    /// When it was changed last, as the `as_of` of its rows.
    pub fn date(&self) -> Cell<'static> {
        let since = self.changed.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let seconds = since.and_then(|since| i64::try_from(since.as_secs()).ok());
        seconds.map(Moment::from_seconds).map_or(Cell::Broken(Unfit::Date), Cell::Moment)
    }

    /// Whether the other is this file, written again in place.
    pub const fn same_file(&self, other: &Self) -> bool {
        self.inode == other.inode
    }
}

impl From<&Metadata> for Version {
    fn from(found: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(found);
        #[cfg(not(unix))]
        let inode = 0;
        Self { inode, bytes: found.len(), changed: found.modified().ok() }
    }
}
