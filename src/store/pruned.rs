//! How far a log is pruned: the signed statement in its folder, and the names that its later
//! records refer to.
//!
//! | file | holds |
//! | --- | --- |
//! | `pruned` | a note signed with the log's key: before which entry, up to which time, when |
//! | `pruned.names` | the dictionary's entries from before: index, length, bytes of each |
//!
//! Without the statement a bundle that is gone is missing. With it the tiles of hashes stand
//! for the entries, and lead to the signed root as before; a name is held against its hash
//! there. How a log is pruned is [`prune`](super::prune)'s.

use std::io;
use std::path::{Path, PathBuf};

use super::sealed;
use crate::domain::audit::tiles::{Shelf, TILE_WIDTH, Tile};
use crate::domain::audit::{Hash, NoteError, Timestamp, VerifyingKey, leaf_hash};
use crate::files;

/// The statement.
pub(super) const STATEMENT: &str = "pruned";

/// The names.
pub(super) const NAMES: &str = "pruned.names";

/// Most bytes of the names.
pub(super) const NAMES_BYTES: u64 = 64 << 20;

/// The first line of the statement, so that it is no checkpoint.
const TITLE: &str = "tributary pruned log";

/// Why what a log says of its pruning is not believed.
#[derive(Debug, thiserror::Error)]
pub enum PrunedError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The statement is not signed, or of another log.
    #[error("`{STATEMENT}` is refused: {0}")]
    Note(#[from] NoteError),
    /// A file is not what it has to be.
    #[error("{0} is not what it has to be")]
    Form(String),
}

/// How far a log is pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// The first entry that is there; a multiple of 256.
    pub before: u64,
    /// The time of the last record that is gone.
    pub until: Timestamp,
    /// When.
    pub on: Timestamp,
}

impl Pruned {
    /// How many bundles are gone.
    pub(super) const fn bundles(&self) -> u64 {
        self.before / TILE_WIDTH
    }

    /// The statement's text.
    pub(super) fn text(&self, key: &VerifyingKey) -> String {
        let Self { before, until, on } = self;
        format!("{TITLE}\n{}\n{before}\n{}\n{}\n", key.origin(), until.0, on.0)
    }

    fn parse(text: &str, key: &VerifyingKey) -> Option<Self> {
        let mut lines = text.lines();
        if (lines.next(), lines.next()) != (Some(TITLE), Some(key.origin().as_str())) {
            return None;
        }
        let mut number = || lines.next()?.parse::<u64>().ok();
        let own = Self { before: number()?, until: Timestamp(number()?), on: Timestamp(number()?) };
        let is_whole = own.before > 0 && own.before.is_multiple_of(TILE_WIDTH);
        (is_whole && own.text(key) == text).then_some(own)
    }

    /// Reads a signed statement of the log with this key.
    ///
    /// # Errors
    /// [`NoteError`] when it is malformed, of another log or not signed.
    pub fn verify(note: &str, key: &VerifyingKey) -> Result<Self, NoteError> {
        let text = key.verify_text(note)?;
        Self::parse(&text, key).ok_or(NoteError::Form("it is no statement of a pruned log"))
    }

    /// In words, for whoever searches the log.
    pub fn words(&self) -> String {
        format!(
            "entries before {} were pruned on {}: records up to {} are not there any more",
            self.before, self.on, self.until
        )
    }
}

/// What a log's folder says of its pruning; `None` where nothing was pruned. Blocking.
///
/// # Errors
/// [`PrunedError::Io`], and [`PrunedError::Note`] for a statement that is not signed.
pub fn read(log: &Path, key: &VerifyingKey) -> Result<Option<Pruned>, PrunedError> {
    Ok(note(log, key)?.map(|(_, own)| own))
}

/// The same, with the signed statement.
///
/// # Errors
/// As [`read`].
pub fn note(log: &Path, key: &VerifyingKey) -> Result<Option<(String, Pruned)>, PrunedError> {
    let path = log.join(STATEMENT);
    match files::read_text(&path, files::SMALL) {
        Ok(note) => {
            let own = Pruned::verify(&note, key)?;
            Ok(Some((note, own)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PrunedError::Io { path, source }),
    }
}

/// The names from before a bound, in order. Of a file for a later bound the others are left
/// aside: it is written before its statement.
///
/// # Errors
/// [`PrunedError::Io`], and [`PrunedError::Form`] for a file of another form.
pub(super) fn names(log: &Path, before: u64) -> Result<Vec<(u64, Vec<u8>)>, PrunedError> {
    let path = log.join(NAMES);
    let bytes =
        files::read(&path, NAMES_BYTES).map_err(|source| PrunedError::Io { path, source })?;
    let mut all = split(&bytes).ok_or_else(|| PrunedError::Form(NAMES.to_owned()))?;
    all.retain(|(index, _)| *index < before);
    Ok(all)
}

/// The names as their file has them.
pub(super) fn join(names: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, entry) in names {
        bytes.extend_from_slice(&index.to_be_bytes());
        bytes.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

fn split(mut rest: &[u8]) -> Option<Vec<(u64, Vec<u8>)>> {
    let mut names: Vec<(u64, Vec<u8>)> = Vec::new();
    while !rest.is_empty() {
        let (index, after) = rest.split_first_chunk::<8>()?;
        let (length, after) = after.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length)?;
        let index = u64::from_be_bytes(*index);
        if names.last().is_some_and(|(last, _)| *last >= index) {
            return None;
        }
        names.push((index, entry.to_vec()));
        rest = after;
    }
    Some(names)
}

/// The leaf hashes of a bundle, from their tile, in a tree of this size. They are worth what
/// they lead to.
///
/// # Errors
/// [`PrunedError::Io`], and [`PrunedError::Form`] for a tile of another length.
pub(super) fn leaves(log: &Path, size: u64, number: u64) -> Result<Vec<Hash>, PrunedError> {
    let width = size.saturating_sub(number * TILE_WIDTH).min(TILE_WIDTH);
    let tile = Tile { shelf: Shelf::Level(0), number, width };
    let found = sealed::read(log, &tile)
        .map_err(|source| PrunedError::Io { path: log.join(tile.path()), source })?;
    let content = found.content.ok_or_else(|| PrunedError::Form(tile.path()))?;
    let hashes = content.chunks_exact(32).filter_map(|hash| hash.try_into().ok().map(Hash));
    let leaves: Vec<Hash> = hashes.take(usize::try_from(width).unwrap_or_default()).collect();
    if leaves.len() as u64 != width {
        return Err(PrunedError::Form(tile.path()));
    }
    Ok(leaves)
}

/// Whether an entry has this hash.
pub(super) fn is_of(entry: &[u8], leaf: Hash) -> bool {
    leaf_hash(entry) == leaf
}

/// Every path at which something of a bundle may stand.
pub(super) fn paths_of(log: &Path, number: u64) -> [PathBuf; 2] {
    let tile = Tile { shelf: Shelf::Entries, number, width: TILE_WIDTH };
    [tile.sealed_path().unwrap_or_else(|| tile.full_path()), tile.full_path()]
        .map(|path| log.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::{Origin, SigningKey};

    fn key(origin: &str, seed: u8) -> (SigningKey, VerifyingKey) {
        let key = SigningKey::from_seed(&[seed; 32]).unwrap();
        let public = key.verifying_key(&origin.parse::<Origin>().unwrap()).unwrap();
        (key, public)
    }

    #[test]
    fn a_statement_is_of_one_log_and_signed_by_its_key() {
        let (signing, own) = key("city/2026", 1);
        let pruned = Pruned { before: 512, until: Timestamp(7), on: Timestamp(9) };
        let note = signing.sign_text(own.origin(), &pruned.text(&own)).unwrap();
        assert_eq!(Pruned::verify(&note, &own), Ok(pruned));
        for other in [key("city/2027", 1).1, key("city/2026", 2).1] {
            assert!(Pruned::verify(&note, &other).is_err());
        }
        for (from, to) in [("512", "768"), ("\n7\n", "\n8\n"), ("pruned log", "pruned  log")] {
            assert!(Pruned::verify(&note.replacen(from, to, 1), &own).is_err(), "{from}");
        }
        for text in [
            Pruned { before: 511, ..pruned }.text(&own),
            Pruned { before: 0, ..pruned }.text(&own),
            pruned.text(&own) + "more\n",
        ] {
            let note = signing.sign_text(own.origin(), &text).unwrap();
            assert!(Pruned::verify(&note, &own).is_err(), "{text}");
        }
        // It is no checkpoint, and a checkpoint is none.
        assert!(own.verify(&note).is_err());
    }

    #[test]
    fn names_are_what_was_joined() {
        let names = vec![(0, b"one".to_vec()), (7, Vec::new()), (300, vec![9; 500])];
        let bytes = join(&names);
        assert_eq!(split(&bytes), Some(names));
        assert_eq!(split(&[]), Some(Vec::new()));
        for end in 1..bytes.len() {
            assert!(split(&bytes[..end]).is_none_or(|names| names.len() < 3), "{end}");
        }
        assert_eq!(split(&join(&[(7, Vec::new()), (7, Vec::new())])), None);
    }
}
