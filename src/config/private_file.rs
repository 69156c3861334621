//! Reading a file that holds a secret: refused when anybody but its owner has any
//! right on it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::files;

/// Why a secret is not read. Who asks says which file.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// Others have rights on it; its mode.
    #[error("others can read it (mode {0:03o})")]
    Shared(u32),
}

/// Reads a file with mode 0600 or less, of at most `most` bytes.
///
/// # Errors
/// [`PrivateFileError`].
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, PrivateFileError> {
    // Permissions are asked of the opened file, so that no other file can be put in
    // its place in between.
    let opened = files::open(path, most).map_err(PrivateFileError::Read)?;
    let mode = opened.metadata().map_err(PrivateFileError::Read)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Shared(mode));
    }
    files::read_opened(opened, most).map_err(PrivateFileError::Read)
}
