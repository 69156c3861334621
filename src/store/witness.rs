//! The highest checkpoint seen of each peer's log.
//!
//! A log that was forked or put back to an older copy cannot continue what its
//! peer holds. Asking the peer for checkpoints is the business of `service`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{Disk, RealDisk, place};
use crate::domain::audit::{
    Hash, NoteError, Origin, SignedCheckpoint, VerifyingKey, check_consistency, leaf_hash,
};
use crate::files;

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

/// A folder of checkpoints, one file a log.
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
    /// [`WitnessError::Rollback`] and [`WitnessError::Fork`] are alarms, to be acted on
    /// before anything else; then [`keep_evidence`](Self::keep_evidence).
    pub fn offer(
        &self,
        key: &VerifyingKey,
        asked: u64,
        note: &str,
        proof: &[Hash],
    ) -> Result<Offered, WitnessError> {
        let signed = key.verify(note)?;
        let _offering = self.offering.lock();
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

    /// Keeps both notes of a contradiction, so that it outlives the process, see
    /// [`contradicted`](Self::contradicted). Of anything else there is nothing to keep.
    ///
    /// # Errors
    /// [`WitnessError::Io`]: then it is known to this process alone.
    pub fn keep_evidence(
        &self,
        key: &VerifyingKey,
        found: &WitnessError,
    ) -> Result<(), WitnessError> {
        let (notes, name) = match found {
            WitnessError::Rollback { notes, .. } => (notes, ROLLBACK),
            WitnessError::Fork { notes, .. } => (notes, FORK),
            WitnessError::Note(_) | WitnessError::Io { .. } => return Ok(()),
        };
        // The first contradiction is the telling one.
        if self.contradicted(key).is_some() {
            return Ok(());
        }
        let [held, shown] = &**notes;
        let evidence = format!("{}\n{}", held.as_str(), shown.as_str());
        self.write(&self.path(key.origin()).with_extension(name), evidence.as_bytes())
    }

    /// Whether a log was found to contradict itself, now or before a restart: then
    /// a file beside its checkpoint holds both notes, until somebody takes it away.
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
