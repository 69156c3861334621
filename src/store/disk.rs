//! The few operations by which the log changes files, so that tests can let them
//! fail, be slow, or stop at any step.
//!
//! Reading is not here: what is read is checked by its content.

use crate::files;
use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Changes files. The provided methods are the real ones; a test overrides those
/// that it wants to fail.
pub trait Disk: Debug + Send + Sync {
    /// Makes a file that must not exist yet.
    ///
    /// # Errors
    /// As the operating system's.
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create_new(true).open(path)
    }

    /// Writes at the end of a file.
    ///
    /// # Errors
    /// As the operating system's; part of the bytes may have been written.
    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Returns once the file's content is on the disk.
    ///
    /// # Errors
    /// As the operating system's; the content is then in doubt for good.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// Cuts a file.
    ///
    /// # Errors
    /// As the operating system's.
    fn truncate(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    /// Gives a file its final name.
    ///
    /// # Errors
    /// As the operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    /// Returns once the folder's list of names is on the disk.
    ///
    /// # Errors
    /// As the operating system's.
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        files::sync_folder(path)
    }

    /// Removes a file that is no longer needed.
    ///
    /// # Errors
    /// As the operating system's.
    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    /// Lets go of what is held in memory of a file that is synced, so that the next
    /// reading of it asks the disk, as far as the system can. Whatever fails here is told
    /// by that reading.
    fn forget(&self, path: &Path) {
        files::forget(path);
    }
}

/// The machine's own disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {}

/// The room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What this user may still take.
    pub free: u64,
    /// All of it.
    pub size: u64,
}

/// The room on the disk that a folder is on.
///
/// # Errors
/// As the operating system's.
pub fn room(folder: &Path) -> io::Result<Room> {
    let disk = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok(Room { free: bytes(disk.f_bavail), size: bytes(disk.f_blocks) })
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether an error says that no file descriptor is left, in this process (EMFILE) or
/// in the system (ENFILE). The standard library has no kind for them; their numbers are
/// the same on Linux, macOS and the BSDs.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// Writes a file whole: under a temporary name, synced, then renamed. The caller
/// syncs the folder.
pub(super) fn place(
    disk: &dyn Disk,
    temporary: &Path,
    to: &Path,
    content: &[u8],
) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // One that is left over, from a write that failed, is of no use.
    let _ = std::fs::remove_file(temporary);
    let placed = (|| {
        let mut file = disk.create(temporary)?;
        disk.append(&mut file, content)?;
        disk.sync(&file)?;
        disk.rename(temporary, to)
    })();
    if placed.is_err() {
        // The next start clears the folder of temporary files if this fails too.
        let _ = std::fs::remove_file(temporary);
    }
    placed
}
