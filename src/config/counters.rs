//! The `[counters]` section: where an agency counts the uses of grants.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::faults::Faults;
use super::private_file::{self, PrivateFileError};
use crate::domain::sensitive::Sensitive;
use crate::files;

/// What an address of PostgreSQL may say after `?`. Whatever the driver does not
/// know it would log, value and all.
const PARAMETERS: &[&str] =
    &["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user", "password"];

/// Longest address in a file.
const MAX_ADDRESS: u64 = 4096;

/// Where uses are counted. Always a database of its own, never the records' and
/// never another agency's: one grant is counted at each agency apart.
#[derive(Clone, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountersConfig {
    /// `sqlite:` and a file, which is made if need be; a relative path starts at
    /// the folder of the configuration file. Or `postgres://…`, for an agency of
    /// several replicas; over a network with `?sslmode=verify-full`.
    url: Option<String>,
    /// Instead: a file that holds the address and that nobody else may read
    /// (mode 0600).
    url_file: Option<PathBuf>,
}

/// The database of an agency's counters.
#[derive(Debug, Clone)]
pub enum CountersDatabase {
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// An address of PostgreSQL, which may hold a password.
    Postgres(Sensitive<String>),
}

/// The section names no database that counters can be kept in. It never says the
/// address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CountersUrlError {
    /// Another kind of address.
    #[error(
        "[counters] url must be `sqlite:` and a file, such as `sqlite:../data/counters.db`, or `postgres://` and a server"
    )]
    Address,
    /// A parameter that is not taken.
    #[error("[counters] url: a parameter after `?` is none of {}", PARAMETERS.join(", "))]
    Parameter,
    /// Both, or none.
    #[error("[counters] must have either url or url_file")]
    Which,
    /// The file cannot be read.
    #[error("[counters] url_file: cannot read `{}`: {why}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Others may read the file.
    #[error("[counters] url_file: `{}` can be read by others: run chmod 600 on it", .0.display())]
    Mode(PathBuf),
}

impl CountersConfig {
    /// Counters in this file.
    pub fn file(path: &Path) -> Self {
        Self { url: Some(format!("sqlite:{}", path.display())), url_file: None }
    }

    /// The database; a relative path starts at `folder`.
    ///
    /// # Errors
    /// [`CountersUrlError`], without the address.
    pub fn database(&self, folder: &Path) -> Result<CountersDatabase, CountersUrlError> {
        match (&self.url, &self.url_file) {
            (Some(url), None) => parse(url, folder),
            (None, Some(file)) => parse(read(&folder.join(file))?.trim(), folder),
            _ => Err(CountersUrlError::Which),
        }
    }
}

impl CountersConfig {
    /// Notes why no database can be had from the section.
    pub fn check(&self, folder: &Path, faults: &mut Faults) {
        let key = if self.url.is_some() { "counters.url" } else { "counters.url_file" };
        faults.take(key, self.database(folder));
    }
}

fn parse(url: &str, folder: &Path) -> Result<CountersDatabase, CountersUrlError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        if let Some((_, parameters)) = url.split_once('?') {
            let known = |one: &str| PARAMETERS.contains(&one.split('=').next().unwrap_or(one));
            if !parameters.split('&').all(known) {
                return Err(CountersUrlError::Parameter);
            }
        }
        return Ok(CountersDatabase::Postgres(url.to_owned().into()));
    }
    let path = url.strip_prefix("sqlite:").ok_or(CountersUrlError::Address)?;
    if path.is_empty() || path.contains(['?', '\0']) || path.starts_with(':') {
        return Err(CountersUrlError::Address);
    }
    Ok(CountersDatabase::Sqlite(folder.join(path)))
}

/// The address in a file, whose mode is asked of the file that is then read.
fn read(path: &Path) -> Result<String, CountersUrlError> {
    let fault = |why| CountersUrlError::Read { path: path.to_owned(), why };
    let bytes = private_file::read(path, MAX_ADDRESS).map_err(|error| match error {
        PrivateFileError::Read(source) => fault(files::why(&source)),
        PrivateFileError::Shared(_) => CountersUrlError::Mode(path.to_owned()),
    })?;
    String::from_utf8(bytes).map_err(|_| fault("it is not UTF-8".to_owned()))
}

impl std::fmt::Debug for CountersConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // An address may hold a password.
        f.write_str("CountersConfig")
    }
}
