//! Reloading files while the process runs: a bad or half-written file changes
//! nothing, the last good value stays in force, and an alarm rises.
//!
//! Synchronous and without a clock: whoever owns the loop calls
//! [`Watch::reload_if_changed`] about once a second, off the threads that serve
//! requests. Changes are noticed by name, inode, length and modification time. A change
//! is loaded once two calls in a row see the same, so that a file which is still
//! being written is left alone; writing a new file and renaming it over the old
//! one is safer still.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;

/// A value in force, and whether a newer one was refused.
#[derive(Debug)]
pub struct LastGood<T> {
    current: ArcSwap<T>,
    stale: AtomicBool,
}

impl<T> LastGood<T> {
    /// Begins with a value that loaded.
    pub fn new(first: T) -> Self {
        Self { current: ArcSwap::from_pointee(first), stale: AtomicBool::new(false) }
    }

    /// The value in force.
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Puts a newly loaded value in force; on an error keeps the one that is and
    /// raises the alarm.
    ///
    /// # Errors
    /// The error that was offered.
    pub fn offer<E>(&self, next: Result<T, E>) -> Result<Arc<T>, E> {
        match next {
            Ok(next) => {
                let next = Arc::new(next);
                self.current.store(Arc::clone(&next));
                self.stale.store(false, Ordering::Release);
                Ok(next)
            }
            Err(error) => {
                self.stale.store(true, Ordering::Release);
                Err(error)
            }
        }
    }

    /// Whether the latest load failed, so that what is in force is not what
    /// stands in the files.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }
}

/// What came of looking at the files.
#[derive(Debug)]
pub enum Reload<T, E> {
    /// Nothing changed since the last load.
    Unchanged,
    /// Something changed and may still be changing; the next call decides.
    Settling,
    /// The new value is in force.
    Loaded(Arc<T>),
    /// The new value was refused and the last good one stays in force.
    KeptLastGood(E),
}

/// How the files stand against those that were loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// As they were.
    Unchanged,
    /// Different, and perhaps still changing.
    Settling,
    /// Different, and as they were a moment ago: load them.
    Settled,
}

/// Files and folders that are looked at for changes.
#[derive(Debug)]
pub struct Watch {
    paths: Vec<PathBuf>,
    ending: &'static str,
    loaded: Vec<Stamp>,
    seen: Vec<Stamp>,
}

/// What tells one state of a file from another; `None` where it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(PathBuf, Option<(u64, u64, SystemTime)>);

impl Watch {
    /// Watches files, and in folders the files with an ending. Begin to watch
    /// before the first load: what changes in between is then noticed.
    pub fn new(paths: Vec<PathBuf>, ending: &'static str) -> Self {
        let mut watch = Self { paths, ending, loaded: Vec::new(), seen: Vec::new() };
        watch.loaded = watch.stamps();
        watch.seen.clone_from(&watch.loaded);
        watch
    }

    /// Loads again if the files changed and have settled. A refused state is not
    /// tried again until it changes.
    pub fn reload_if_changed<T, E>(
        &mut self,
        good: &LastGood<T>,
        load: impl FnOnce() -> Result<T, E>,
    ) -> Reload<T, E> {
        match self.look() {
            Look::Unchanged => return Reload::Unchanged,
            Look::Settling => return Reload::Settling,
            Look::Settled => {}
        }
        match good.offer(load()) {
            Ok(value) => Reload::Loaded(value),
            Err(error) => Reload::KeptLastGood(error),
        }
    }

    /// Looks at the files: for whoever loads, and keeps what is good, by itself.
    /// Each state is told as settled once.
    pub fn look(&mut self) -> Look {
        let now = self.stamps();
        let settled = now == self.seen;
        self.seen.clone_from(&now);
        if now == self.loaded {
            return Look::Unchanged;
        }
        if !settled {
            return Look::Settling;
        }
        self.loaded = now;
        Look::Settled
    }

    fn stamps(&self) -> Vec<Stamp> {
        let state = |state: &Metadata| Some((state.ino(), state.len(), state.modified().ok()?));
        let mut stamps = Vec::with_capacity(self.loaded.len());
        for path in &self.paths {
            match std::fs::metadata(path) {
                // A folder that cannot be listed is one that cannot be read.
                Ok(folder) if folder.is_dir() => match files(path, self.ending) {
                    Ok(files) => stamps.extend(files.into_iter().map(|file| {
                        let seen = std::fs::metadata(&file).ok().and_then(|file| state(&file));
                        Stamp(file, seen)
                    })),
                    Err(_) => stamps.push(Stamp(path.clone(), state(&folder))),
                },
                Ok(file) => stamps.push(Stamp(path.clone(), state(&file))),
                Err(_) => stamps.push(Stamp(path.clone(), None)),
            }
        }
        stamps
    }
}

/// A file itself, or a folder's files with an ending, in order of name. Its
/// subfolders are not entered.
///
/// # Errors
/// The path does not exist or the folder cannot be listed.
pub(crate) fn files(path: &Path, ending: &str) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        // Editors leave hidden copies beside the file that they write.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
