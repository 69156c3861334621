//! The issuer's records: which index belongs to which grant, which are revoked,
//! and whose grant each was. The last is known here and nowhere else.
//!
//! One file, replaced as a whole under a lock, so that two commands at once do
//! not lose each other's work.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use miniz_oxide::deflate::compress_to_vec_zlib;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::files::{FileError, read_private, replace_private};
use super::keys::{SigningKey, SigningKeyError};
use super::random::{self, RandomError};
use crate::domain::grant::{base64, status_list};
use crate::domain::sensitive::Sensitive;
use crate::files::{LARGE, expect_file};

/// Entries of a list, one bit each: 16 KiB. An index is drawn at random among
/// the free ones, so that it tells nothing of when a grant was issued.
const ENTRIES: u32 = 131_072;

/// Why the records cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StatusStateError {
    /// A file cannot be read or written.
    #[error("the issuer's records cannot be used")]
    File(#[from] FileError),
    /// The records are damaged.
    #[error("the issuer's records in `{}` are damaged; restore them from a copy", .0.display())]
    Damaged(PathBuf),
    /// The directory serves another list.
    #[error("the records are for the list `{held}`, not `{asked}`: use another state directory")]
    OtherList {
        /// The list in the records.
        held: String,
        /// The list asked for.
        asked: String,
    },
    /// Three quarters of the list are taken.
    #[error("the status list is full: start a new list with a new URI and state directory")]
    Full,
    /// No such grant.
    #[error("no grant `{0}` was issued from these records")]
    Unknown(String),
    /// The list cannot be signed.
    #[error("the status list cannot be signed")]
    Sign(#[from] SigningKeyError),
    /// No randomness.
    #[error("no index can be drawn")]
    Random(#[from] RandomError),
}

/// One issued grant as the issuer remembers it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    index: u32,
    person: String,
    expires_at: i64,
    revoked: bool,
}

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    uri: String,
    /// `iat` of the newest list, which no later one may be before.
    listed_at: i64,
    grants: BTreeMap<String, Record>,
}

/// One state of the records on disk. Another state has another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsVersion {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// A list that was signed, and the state of the records that it tells.
#[derive(Debug, Clone)]
pub struct SignedList {
    /// The token.
    pub token: String,
    /// The records' version once it was signed.
    pub version: RecordsVersion,
}

/// The issuer's state directory.
#[derive(Debug)]
pub struct StatusDirectory {
    folder: PathBuf,
    uri: String,
}

impl StatusDirectory {
    /// Opens the directory, making it (mode 0700) if need be.
    ///
    /// # Errors
    /// [`StatusStateError`].
    pub fn open(folder: &Path, uri: &str) -> Result<Self, StatusStateError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| FileError::Write { path: folder.to_owned(), source })?;
        let directory = Self { folder: folder.to_owned(), uri: uri.to_owned() };
        directory.with(|_| Ok(()))?;
        Ok(directory)
    }

    /// The list's URI.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Draws an index for a grant and records whose it is.
    pub(super) fn allocate(
        &self,
        jti: &str,
        person: &Sensitive<String>,
        expires_at: OffsetDateTime,
    ) -> Result<u32, StatusStateError> {
        self.with(|state| {
            if state.grants.len() >= ENTRIES as usize / 4 * 3 {
                return Err(StatusStateError::Full);
            }
            let taken: std::collections::HashSet<u32> =
                state.grants.values().map(|record| record.index).collect();
            let index = loop {
                // A power of two divides the range: no bias.
                let index = u32::from_le_bytes(random::bytes()?) % ENTRIES;
                if !taken.contains(&index) {
                    break index;
                }
            };
            let record = Record {
                index,
                person: person.expose().clone(),
                expires_at: expires_at.unix_timestamp(),
                revoked: false,
            };
            state.grants.insert(jti.to_owned(), record);
            Ok(index)
        })
    }

    /// Revokes a grant by its number; false if it was revoked already.
    ///
    /// # Errors
    /// [`StatusStateError::Unknown`] and faults of files.
    pub fn revoke(&self, jti: &str) -> Result<bool, StatusStateError> {
        self.with(|state| {
            let record = state
                .grants
                .get_mut(jti)
                .ok_or_else(|| StatusStateError::Unknown(jti.escape_default().to_string()))?;
            Ok(!std::mem::replace(&mut record.revoked, true))
        })
    }

    /// Revokes every grant of a person; gives their numbers.
    ///
    /// # Errors
    /// Faults of files.
    pub fn revoke_person(
        &self,
        person: &Sensitive<String>,
    ) -> Result<Vec<String>, StatusStateError> {
        self.with(|state| {
            let mut revoked = Vec::new();
            for (jti, record) in &mut state.grants {
                if record.person == *person.expose() && !record.revoked {
                    record.revoked = true;
                    revoked.push(jti.clone());
                }
            }
            Ok(revoked)
        })
    }

    /// The numbers of a person's grants, revoked and expired ones included.
    ///
    /// # Errors
    /// Faults of files.
    pub fn grants_of(&self, person: &Sensitive<String>) -> Result<Vec<String>, StatusStateError> {
        self.with(|state| {
            let grants = state.grants.iter();
            let own = grants.filter(|(_, record)| record.person == *person.expose());
            Ok(own.map(|(jti, _)| jti.clone()).collect())
        })
    }

    /// The version of the records as they stand. Cheap: nothing is read.
    ///
    /// # Errors
    /// [`FileError::Read`].
    pub fn version(&self) -> Result<RecordsVersion, StatusStateError> {
        let path = self.folder.join("grants.json");
        let state =
            fs::metadata(&path).map_err(|source| FileError::Read { path: path.clone(), source })?;
        Ok(RecordsVersion {
            inode: state.ino(),
            bytes: state.len(),
            modified: (state.mtime(), state.mtime_nsec()),
        })
    }

    /// Signs the list as it stands. A clock that went back does not make it
    /// older than the one before.
    ///
    /// # Errors
    /// [`StatusStateError`].
    pub fn signed_list(
        &self,
        key: &SigningKey,
        now: OffsetDateTime,
    ) -> Result<String, StatusStateError> {
        Ok(self.signed(key, now)?.token)
    }

    /// The same, for whoever signs again once another process changed the records.
    ///
    /// # Errors
    /// [`StatusStateError`].
    pub fn signed(
        &self,
        key: &SigningKey,
        now: OffsetDateTime,
    ) -> Result<SignedList, StatusStateError> {
        let (payload, version) = self.with_version(|state| {
            state.listed_at = state.listed_at.max(now.unix_timestamp());
            let mut entries = vec![0u8; ENTRIES as usize / 8];
            for record in state.grants.values().filter(|record| record.revoked) {
                if let Some(byte) = entries.get_mut(record.index as usize / 8) {
                    *byte |= 1 << (record.index % 8);
                }
            }
            Ok(serde_json::json!({
                "sub": state.uri,
                "iat": state.listed_at,
                "status_list": {
                    "bits": 1,
                    "lst": base64::encode(&compress_to_vec_zlib(&entries, 9)),
                },
            }))
        })?;
        Ok(SignedList { token: key.sign_jws(status_list::TYPE, &payload)?, version })
    }

    /// Reads the records under the lock, lets `change` work on them and writes
    /// them back if it succeeds.
    fn with<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, StatusStateError>,
    ) -> Result<T, StatusStateError> {
        Ok(self.with_version(change)?.0)
    }

    /// The same, with the version that was written, read before anybody else can
    /// write another.
    fn with_version<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, StatusStateError>,
    ) -> Result<(T, RecordsVersion), StatusStateError> {
        let lock = self.folder.join("lock");
        let fault = |source| FileError::Write { path: lock.clone(), source };
        expect_file(&lock).map_err(fault)?;
        let held = File::create(&lock).map_err(fault)?;
        held.lock().map_err(fault)?;

        let path = self.folder.join("grants.json");
        let mut state = if path.exists() {
            serde_json::from_slice(&read_private(&path, LARGE)?)
                .map_err(|_| StatusStateError::Damaged(path.clone()))?
        } else {
            State { uri: self.uri.clone(), listed_at: 0, grants: BTreeMap::new() }
        };
        if state.uri != self.uri {
            return Err(StatusStateError::OtherList { held: state.uri, asked: self.uri.clone() });
        }
        let outcome = change(&mut state)?;
        let text =
            serde_json::to_vec(&state).map_err(|_| StatusStateError::Damaged(path.clone()))?;
        replace_private(&path, &text)?;
        Ok((outcome, self.version()?))
    }
}
