//! Reading a file that holds a secret: refused when anybody but its owner has any
//! right on it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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

/// Reads a file with mode 0600 or less.
///
/// # Errors
/// [`PrivateFileError`].
pub fn read(path: &Path) -> Result<Vec<u8>, PrivateFileError> {
    // Permissions are asked of the opened file, so that no other file can be put in
    // its place in between.
    let mut opened = File::open(path).map_err(PrivateFileError::Read)?;
    let mode = opened.metadata().map_err(PrivateFileError::Read)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Shared(mode));
    }
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes).map_err(PrivateFileError::Read)?;
    Ok(bytes)
}
