//! Reading a TOML file into its shape, with errors that name file and line.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::domain::lines::line_at;

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
    /// The file's text does not fit its shape.
    #[error("{}:{line}: {message}", path.display())]
    Shape {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What does not fit.
        message: String,
    },
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

/// Reads a TOML text into its shape; `path` is for the error.
///
/// # Errors
/// [`FileError::Shape`].
pub fn parse_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start);
        let line = line_at(text, before);
        FileError::Shape { path: path.to_owned(), line, message: error.message().to_owned() }
    })
}
