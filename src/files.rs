//! Reading files that somebody else may have laid out: only regular ones, and only up
//! to the size that their kind can have. A pipe, a device or a folder in the place of a
//! file is refused before a byte of it is read, so that no read waits for anybody or
//! takes the machine's memory.
//!
//! Everything in this program that reads a file by its path reads it here. What is
//! written has its mode by [`keep_to_ourselves`], whatever the umask.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Most bytes of a key, a seed, a signed checkpoint, a secret or a grant's record.
pub const SMALL: u64 = 64 * 1024;

/// Most bytes of one configuration file, certificate chain or receipt.
pub const MEDIUM: u64 = 1024 * 1024;

/// Most bytes of a file of many: anchors, revocation lists, an issuer's records.
pub const LARGE: u64 = 64 * 1024 * 1024;

/// Most bytes of a log's records as text.
pub const EXPORT: u64 = 1024 * 1024 * 1024;

/// What lies at a path is no file of the kind that is wanted there.
#[derive(Debug, thiserror::Error)]
enum NoSuchFile {
    #[error("it is {0} and no regular file")]
    Kind(&'static str),
    #[error("it has {bytes} bytes, and a file of its kind has at most {most}")]
    Size { bytes: u64, most: u64 },
    #[error("it has more than the {0} bytes that a file of its kind has at most")]
    Grown(u64),
}

impl From<NoSuchFile> for io::Error {
    fn from(refused: NoSuchFile) -> Self {
        Self::other(refused)
    }
}

/// Opens a regular file of at most `most` bytes, without waiting for anybody.
///
/// # Errors
/// The system's, and one that says what lies there instead.
pub fn open(path: &Path, most: u64) -> io::Result<File> {
    // Before it is opened too, since opening a device may already do something.
    is_regular(std::fs::metadata(path)?.file_type())?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path)?;
    // Asked of what was opened: no other file can be put in its place any more.
    let state = file.metadata()?;
    is_regular(state.file_type())?;
    let bytes = state.len();
    if bytes > most {
        return Err(NoSuchFile::Size { bytes, most }.into());
    }
    Ok(file)
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_opened(open(path, most)?, most)
}

/// As [`read`], for text.
///
/// # Errors
/// As [`open`], and when it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let not_utf8 = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
    String::from_utf8(read(path, most)?).map_err(not_utf8)
}

/// Reads what [`open`] has opened; it may have grown since.
///
/// # Errors
/// As [`open`].
pub fn read_opened(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(NoSuchFile::Grown(most).into());
    }
    Ok(bytes)
}

/// Refuses what is there and no regular file, before something else opens it by its
/// path: SQLite, or whoever writes at its end.
///
/// # Errors
/// One that says what lies there instead.
pub fn expect_file(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(state) => Ok(is_regular(state.file_type())?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns once a folder's list of names is on the disk.
///
/// # Errors
/// The system's.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Has the system let go of what it holds in memory of a file, so that it is read from
/// the disk the next time. A help and no promise; not every system has it.
pub fn forget(path: &Path) {
    #[cfg(target_os = "linux")]
    if let Ok(file) = open(path, u64::MAX) {
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = path;
}

/// Whether an error says that something else lies at a path than the file that belongs
/// there: a folder, a pipe, a link to itself, too many bytes. What is not there, or may
/// not be read, is not that.
pub fn is_something_else(error: &io::Error) -> bool {
    let refused = error.get_ref().is_some_and(|inner| inner.is::<NoSuchFile>());
    let found = error.raw_os_error().map(Errno::from_raw_os_error);
    refused || matches!(found, Some(Errno::LOOP | Errno::NOTDIR | Errno::ISDIR))
}

/// Why a file cannot be read, for a line that says no more than that.
pub fn why(error: &io::Error) -> String {
    match error.get_ref() {
        Some(inner) => inner.to_string(),
        None => error.kind().to_string(),
    }
}

/// From now on files that this process makes have mode 0600 at most and folders 0700,
/// whatever the umask it was started with.
pub fn keep_to_ourselves() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

fn is_regular(found: FileType) -> Result<(), NoSuchFile> {
    let kind = if found.is_file() {
        return Ok(());
    } else if found.is_dir() {
        "a folder"
    } else if found.is_fifo() {
        "a FIFO"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(NoSuchFile::Kind(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path, most: u64) -> String {
        let error = read(path, most).unwrap_err();
        assert!(is_something_else(&error), "{error}");
        why(&error)
    }

    #[test]
    fn only_regular_files_of_their_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "abc").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read_text(&path(name), 3).unwrap(), "abc");
        }
        assert_eq!(
            refusal(&path("file"), 2),
            "it has 3 bytes, and a file of its kind has at most 2"
        );

        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        let fifo = std::process::Command::new("mkfifo").arg(path("fifo")).status().unwrap();
        assert!(fifo.success());
        std::os::unix::fs::symlink("/dev/zero", path("zero")).unwrap();
        std::os::unix::fs::symlink(path("self"), path("self")).unwrap();
        for (name, kind) in
            [("fifo", "a FIFO"), ("socket", "a socket"), ("zero", "a device"), ("", "a folder")]
        {
            assert_eq!(refusal(&path(name), 9), format!("it is {kind} and no regular file"));
        }
        refusal(&path("self"), 9);
        refusal(&path("file/below"), 9);

        // An endless file that says that it has no bytes, as those of /proc do.
        let grown = read_opened(File::open("/dev/zero").unwrap(), 9).unwrap_err();
        assert!(is_something_else(&grown), "{grown}");
        assert!(!is_something_else(&read(&path("none"), 9).unwrap_err()));
    }
}
