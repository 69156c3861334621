//! Files of keys and records: written whole or not at all, private ones
//! readable by their owner alone.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::config::private_file::{self, PrivateFileError};
use crate::files;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading failed.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write `{}`", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is there already.
    #[error("`{}` exists; move it away first, since a key must not be overwritten", .0.display())]
    Exists(PathBuf),
    /// Others may read a private file.
    #[error("`{}` can be read by others: run chmod 600 on it", .0.display())]
    Mode(PathBuf),
}

/// Reads a file that anyone may read.
///
/// # Errors
/// [`FileError::Read`].
pub fn read_public(path: &Path) -> Result<Vec<u8>, FileError> {
    files::read(path, files::MEDIUM)
        .map_err(|source| FileError::Read { path: path.to_owned(), source })
}

/// Reads a file that only its owner may read, of at most `most` bytes.
///
/// # Errors
/// [`FileError::Read`]; [`FileError::Mode`] when group or others have any right.
pub fn read_private(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    private_file::read(path, most).map_err(|error| match error {
        PrivateFileError::Read(source) => FileError::Read { path: path.to_owned(), source },
        PrivateFileError::Shared(_) => FileError::Mode(path.to_owned()),
    })
}

/// Writes a new private file with mode 0600; never over an existing one.
///
/// # Errors
/// [`FileError::Exists`] or [`FileError::Write`].
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    create(path, content, 0o600)
}

/// Writes a new file with mode 0644; never over an existing one.
///
/// # Errors
/// [`FileError::Exists`] or [`FileError::Write`].
pub fn write_public(path: &Path, content: &[u8]) -> Result<(), FileError> {
    create(path, content, 0o644)
}

fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let fault = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists(path.to_owned()),
        _ => FileError::Write { path: path.to_owned(), source },
    };
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(fault)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(fault)
}

/// Puts a private file in the place of another: a crash leaves the old or the
/// new one, never a torn one.
pub(super) fn replace_private(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let fault = |source: io::Error| FileError::Write { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    // tempfile makes it 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fault)?;
    file.write_all(content).and_then(|()| file.as_file().sync_all()).map_err(fault)?;
    file.persist(path).map_err(|error| fault(error.error))?;
    files::sync_folder(folder).map_err(fault)
}
