//! The highest checkpoint seen of each peer's log.
//!
//! A log that was forked or put back to an older copy cannot continue what its
//! peer holds. Asking the peer for checkpoints is the business of `service`.

mod succession;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, RealDisk, place};
use crate::domain::audit::{
    Hash, NoteError, Origin, SignedCheckpoint, VerifyingKey, check_consistency, leaf_hash,
};
use crate::files;

pub use self::succession::Succession;

/// The file name extensions of the notes of a log that contradicts itself.
const FORK: &str = "fork";
const ROLLBACK: &str = "rollback";

/// How a log contradicted itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// It was rewritten.
    Fork,
    /// It was put back to an older copy.
    Rollback,
}

/// What an offered checkpoint turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// The first one of this log.
    First,
    /// The one that is held.
    Same,
    /// Another was taken up since the log's owner was asked, and this one answers
    /// the question of before.
    Late,
    /// A continuation; it is held from now on.
    Advanced {
        /// The size before.
        from: u64,
    },
}

/// Why an offered checkpoint is refused. The held one stays.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// It is smaller than the held one.
    #[error(
        "rollback: the log `{origin}` shows a checkpoint of size {offered}, and {held} was seen before: it was put back to an older copy. Keep both notes as evidence"
    )]
    Rollback {
        /// Which log.
        origin: Origin,
        /// The size that is held.
        held: u64,
        /// The size that was offered.
        offered: u64,
        /// The held note, then the offered one.
        notes: Box<[SignedCheckpoint; 2]>,
    },
    /// It contradicts the held one, or nothing shows that it does not.
    #[error(
        "fork: the log `{origin}` offers a checkpoint of size {offered} that does not continue the one of size {held}: keep both notes as evidence"
    )]
    Fork {
        /// Which log.
        origin: Origin,
        /// The size that is held.
        held: u64,
        /// The size that was offered.
        offered: u64,
        /// The held note, then the offered one.
        notes: Box<[SignedCheckpoint; 2]>,
    },
    /// A log that has ended is longer than its successor says.
    #[error(
        "fork: the log `{origin}` has {offered} entries, and ended with {ended} as the log `{successor}` says that goes on from it: keep what both have signed as evidence"
    )]
    Outgrown {
        /// Which log.
        origin: Origin,
        /// The log that goes on from it.
        successor: Origin,
        /// The size with which it ended.
        ended: u64,
        /// The size that was offered.
        offered: u64,
        /// The proof of the successor's first entry, then the offered note.
        evidence: Box<[String; 2]>,
    },
    /// A log has two ends.
    #[error(
        "fork: the log `{origin}` has ended and `{first}` goes on from it, and now `{other}` is to go on from it otherwise: keep what both have signed as evidence"
    )]
    TwoSuccessors {
        /// Which log.
        origin: Origin,
        /// The log that goes on from it.
        first: Origin,
        /// The one that says so too.
        other: Origin,
        /// The proof of each one's first entry.
        evidence: Box<[String; 2]>,
    },
    /// It is not shown that a log goes on from the one before it. Nothing is proven.
    #[error(
        "the peer shows the log `{origin}`, which is pinned as the one that goes on from `{before}`, and it does not show that: {missing}"
    )]
    Unproven {
        /// Which log.
        origin: Origin,
        /// The log before it.
        before: Origin,
        /// What is missing.
        missing: &'static str,
    },
    /// The note is not signed by the log.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A file cannot be read or written.
    #[error("cannot read or write {path}", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

impl WitnessError {
    /// The log that has contradicted itself, how, and the two texts that prove it.
    pub fn contradiction(&self) -> Option<(&Origin, Contradiction, [&str; 2])> {
        match self {
            Self::Rollback { origin, notes, .. } => {
                Some((origin, Contradiction::Rollback, notes.each_ref().map(|note| note.as_str())))
            }
            Self::Fork { origin, notes, .. } => {
                Some((origin, Contradiction::Fork, notes.each_ref().map(|note| note.as_str())))
            }
            Self::Outgrown { origin, evidence, .. }
            | Self::TwoSuccessors { origin, evidence, .. } => {
                Some((origin, Contradiction::Fork, evidence.each_ref().map(String::as_str)))
            }
            Self::Unproven { .. } | Self::Note(_) | Self::Io { .. } => None,
        }
    }
}

/// A folder of checkpoints, one file a log, and of logs that have ended with how they did.
#[derive(Debug, Clone)]
pub struct Witness {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    /// Comparing and keeping are one step.
    offering: Arc<Mutex<()>>,
}

impl Witness {
    /// Opens the folder, and makes it if there is none. One process writes it.
    ///
    /// # Errors
    /// [`WitnessError::Io`].
    pub fn open(folder: &Path) -> Result<Self, WitnessError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| WitnessError::Io { path: folder.to_owned(), source })?;
        Ok(Self { folder: folder.to_owned(), disk: Arc::new(RealDisk), offering: Arc::default() })
    }

    /// The checkpoint that is held of a log.
    ///
    /// # Errors
    /// [`WitnessError::Io`], and [`WitnessError::Note`] when the file was changed.
    pub fn held(&self, key: &VerifyingKey) -> Result<Option<SignedCheckpoint>, WitnessError> {
        let path = self.path(key.origin());
        match files::read_text(&path, files::SMALL) {
            Ok(note) => Ok(Some(key.verify(&note)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(WitnessError::Io { path, source }),
        }
    }

    /// Takes up a checkpoint that a peer showed when asked to go on from the size
    /// `asked`, which was held then. `proof` shows that it does (RFC 6962, section
    /// 2.1.2); it is empty when nothing was held or the size is the same.
    ///
    /// # Errors
    /// What [`WitnessError::contradiction`] tells of is an alarm, to be acted on before
    /// anything else; then [`keep_evidence`](Self::keep_evidence).
    pub fn offer(
        &self,
        key: &VerifyingKey,
        asked: u64,
        note: &str,
        proof: &[Hash],
    ) -> Result<Offered, WitnessError> {
        let _offering = self.offering.lock();
        self.take_up(key, asked, note, proof)
    }

    /// The same, for whoever has the lock.
    fn take_up(
        &self,
        key: &VerifyingKey,
        asked: u64,
        note: &str,
        proof: &[Hash],
    ) -> Result<Offered, WitnessError> {
        let signed = key.verify(note)?;
        self.check_end(&signed)?;
        let Some(held) = self.held(key)? else {
            self.keep(&signed)?;
            return Ok(Offered::First);
        };
        let (old, new) = (held.checkpoint(), signed.checkpoint());
        let origin = key.origin().clone();
        if new.size < asked {
            let (held_size, offered) = (old.size, new.size);
            let notes = Box::new([held, signed]);
            return Err(WitnessError::Rollback { origin, held: held_size, offered, notes });
        }
        if asked != old.size && new.size != old.size {
            return Ok(Offered::Late);
        }
        let continues = if new.size == old.size {
            new.root == old.root
        } else {
            check_consistency(old, new, proof).is_ok()
        };
        if !continues {
            let (held_size, offered) = (old.size, new.size);
            return Err(WitnessError::Fork {
                origin,
                held: held_size,
                offered,
                notes: Box::new([held, signed]),
            });
        }
        if new.size == old.size {
            return Ok(Offered::Same);
        }
        let from = old.size;
        self.keep(&signed)?;
        Ok(Offered::Advanced { from })
    }

    /// Keeps both texts of a contradiction, so that it outlives the process, see
    /// [`contradicted`](Self::contradicted). Of anything else there is nothing to keep.
    ///
    /// # Errors
    /// [`WitnessError::Io`]: then it is known to this process alone.
    pub fn keep_evidence(
        &self,
        key: &VerifyingKey,
        found: &WitnessError,
    ) -> Result<(), WitnessError> {
        let Some((_, how, [held, shown])) = found.contradiction() else { return Ok(()) };
        let name = match how {
            Contradiction::Rollback => ROLLBACK,
            Contradiction::Fork => FORK,
        };
        // The first contradiction is the telling one.
        if self.contradicted(key).is_some() {
            return Ok(());
        }
        let evidence = format!("{held}\n{shown}");
        self.write(&self.path(key.origin()).with_extension(name), evidence.as_bytes())
    }

    /// Whether a log was found to contradict itself, now or before a restart: then
    /// a file beside its checkpoint holds both texts, until somebody takes it away.
    pub fn contradicted(&self, key: &VerifyingKey) -> Option<Contradiction> {
        let path = self.path(key.origin());
        if path.with_extension(FORK).exists() {
            return Some(Contradiction::Fork);
        }
        path.with_extension(ROLLBACK).exists().then_some(Contradiction::Rollback)
    }

    fn keep(&self, signed: &SignedCheckpoint) -> Result<(), WitnessError> {
        self.write(&self.path(&signed.checkpoint().origin), signed.as_str().as_bytes())
    }

    fn write(&self, path: &Path, content: &[u8]) -> Result<(), WitnessError> {
        let temporary = path.with_extension("tmp");
        place(&*self.disk, &temporary, path, content)
            .and_then(|()| self.disk.sync_folder(&self.folder))
            .map_err(|source| WitnessError::Io { path: path.to_owned(), source })
    }

    /// An origin has slashes; its hash has none.
    fn path(&self, origin: &Origin) -> PathBuf {
        self.folder.join(format!("{}.checkpoint", leaf_hash(origin.as_str().as_bytes())))
    }
}
