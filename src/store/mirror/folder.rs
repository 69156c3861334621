//! A mirror in a folder: another disk, or a share that is mounted.
//!
//! The folder itself must be there: one that was made where a share is not mounted would
//! be a mirror on the disk from which it is to be safe.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Store;
use crate::files;
use crate::store::disk::{Disk, RealDisk, place};

/// Unfinished files.
const TEMPORARY: &str = "tmp";

/// Whoever replaces the checkpoint holds it.
const LOCK: &str = "lock";

/// A folder.
#[derive(Debug)]
pub struct MirrorFolder {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    /// Folders whose names are not on the disk yet.
    unsynced: Mutex<BTreeSet<PathBuf>>,
}

impl MirrorFolder {
    /// This folder, which need not be there yet.
    pub fn new(root: &Path) -> Self {
        Self::on(root, Arc::new(RealDisk))
    }

    /// The same on another disk, for tests.
    pub fn on(root: &Path, disk: Arc<dyn Disk>) -> Self {
        Self { root: root.to_owned(), disk, unsynced: Mutex::default() }
    }

    fn is_there(&self) -> io::Result<()> {
        std::fs::read_dir(&self.root).map(drop)
    }

    fn lock(&self) -> io::Result<File> {
        let path = self.root.join(LOCK);
        files::expect_file(&path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Store for MirrorFolder {
    fn get(&self, name: &str, most: u64) -> io::Result<Option<Vec<u8>>> {
        self.is_there()?;
        match files::read(&self.root.join(name), most) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.is_there()?;
        let path = self.root.join(name);
        let temporary = self.root.join(TEMPORARY).join("file");
        std::fs::create_dir_all(self.root.join(TEMPORARY))?;
        place(&*self.disk, &temporary, &path, content)?;
        let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root));
        self.unsynced.lock().extend(above.map(Path::to_owned));
        Ok(())
    }

    fn settle(&self) -> io::Result<()> {
        let mut unsynced = self.unsynced.lock();
        for folder in &*unsynced {
            self.disk.sync_folder(folder)?;
        }
        unsynced.clear();
        Ok(())
    }

    fn exchange(&self, name: &str, expected: Option<&[u8]>, content: &[u8]) -> io::Result<bool> {
        self.is_there()?;
        let lock = self.lock()?;
        let found = self.get(name, files::SMALL)?;
        let is_expected = found.as_deref() == expected;
        if is_expected {
            self.put(name, content)?;
            self.settle()?;
        }
        // Closing is not enough: a child that is being started holds the file too.
        let _ = lock.unlock();
        Ok(is_expected)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.root.join(name);
        match self.disk.remove(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }?;
        // A folder that is empty now is of no use; one that is not stays.
        if let Some(folder) = path.parent() {
            let _ = std::fs::remove_dir(folder);
        }
        Ok(())
    }
}
