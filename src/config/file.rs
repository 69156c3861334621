//! Reading a TOML file into its shape, with errors that name file, line and key.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::faults::Faults;
use super::shape;
use crate::domain::finding::Findings;

/// Bytes of one configuration file at most.
const MAX_BYTES: u64 = 1024 * 1024;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file is not there, or may not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is too large to be what it should be.
    #[error("{} has {bytes} bytes; a configuration file has at most {MAX_BYTES}", path.display())]
    Size {
        /// Which file.
        path: PathBuf,
        /// How large it is.
        bytes: u64,
    },
    /// What stands in it is wrong: everything, one a line.
    #[error(transparent)]
    Faults(#[from] Findings),
}

/// Reads a file's text, within bounds.
///
/// # Errors
/// [`FileError::Read`] and [`FileError::Size`].
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > MAX_BYTES {
        return Err(FileError::Size { path: path.to_owned(), bytes });
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// Reads a TOML file into its shape.
///
/// # Errors
/// See [`FileError`].
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    parse_toml(path, &read_text(path)?)
}

/// Reads a TOML text into its shape; `path` is for the errors.
///
/// # Errors
/// [`FileError::Faults`], with everything that is wrong.
pub fn parse_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    let (read, faults) = judge_toml(path, text);
    Ok(faults.finish(read)?)
}

/// As [`parse_toml`], for who has more to say of the file before it is refused. What
/// was read with faults has stand-ins in it: judge it further, never use it.
pub(super) fn judge_toml<T: DeserializeOwned>(path: &Path, text: &str) -> (Option<T>, Faults) {
    let mut faults = Faults::new(path);
    let read = shape::read(text, &mut faults);
    (read, faults)
}
