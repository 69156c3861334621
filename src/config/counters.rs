//! The `[counters]` section: where an agency counts the uses of grants.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where uses are counted. Always a database of its own, never the records'.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountersConfig {
    /// `sqlite:` and a file, which is made if need be; a relative path starts at
    /// the folder of the configuration file.
    url: String,
}

/// The address names no database that counters can be kept in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[counters] url must be `sqlite:` and a file, such as `sqlite:../data/counters.db`")]
pub struct CountersUrlError;

impl CountersConfig {
    /// Counters in this file.
    pub fn file(path: &Path) -> Self {
        Self { url: format!("sqlite:{}", path.display()) }
    }

    /// The SQLite file; a relative path starts at `folder`.
    ///
    /// # Errors
    /// [`CountersUrlError`], without the address.
    pub fn sqlite_file(&self, folder: &Path) -> Result<PathBuf, CountersUrlError> {
        let path = self.url.strip_prefix("sqlite:").ok_or(CountersUrlError)?;
        if path.is_empty() || path.contains(['?', '\0']) || path.starts_with(':') {
            return Err(CountersUrlError);
        }
        Ok(folder.join(path))
    }
}

impl std::fmt::Debug for CountersConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address may hold a password.
        f.write_str("CountersConfig(sqlite)")
    }
}
