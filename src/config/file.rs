//! Reading a TOML file into its shape, with errors that name file, line and key.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::faults::Faults;
use super::shape;
use crate::domain::finding::Findings;
use crate::files;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file is not there, may not be read, or is none of a configuration.
    #[error("cannot read {}: {why}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// What stands in it is wrong: everything, one a line.
    #[error(transparent)]
    Faults(#[from] Findings),
}

/// Reads a file's text, within bounds.
///
/// # Errors
/// [`FileError::Read`].
pub fn read_text(path: &Path) -> Result<String, FileError> {
    files::read_text(path, files::MEDIUM)
        .map_err(|why| FileError::Read { path: path.to_owned(), why })
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
