//! The `[audit]` section: where the log is, its origin, and the keys beside it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::private_file::{self, PrivateFileError};
use crate::domain::audit::{NoteError, Origin, SigningKey};
use crate::domain::grant::base64;
use crate::domain::sensitive::Sensitive;

/// The section of a gateway's or an agency's file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditConfig {
    /// The log's folder, of which one process at a time is the writer.
    pub folder: PathBuf,
    /// Its origin line (C2SP tlog-checkpoint): one for each volume and year, such
    /// as `gateway.city.example/2026`.
    pub origin: String,
    /// The seed of the key that signs checkpoints, mode 0600; `tributary audit
    /// keygen` makes it.
    pub key: PathBuf,
    /// An agency's secret for tags of persons, mode 0600. A gateway has none: its
    /// tags come from the grants.
    pub tag_key: Option<PathBuf>,
}

/// Why the section is refused.
#[derive(Debug, thiserror::Error)]
pub enum AuditConfigError {
    /// A key file cannot be read.
    #[error("cannot read the audit key `{}`: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may read a key file.
    #[error("the audit key `{}` can be read by others: run chmod 600 on it", .0.display())]
    Mode(PathBuf),
    /// A key file without a key.
    #[error("`{}` holds no key made by `tributary audit keygen`", .0.display())]
    Key(PathBuf),
    /// The origin or the key is refused.
    #[error("[audit] is refused: {0}")]
    Note(#[from] NoteError),
}

/// The section's keys, read.
#[derive(Debug)]
pub struct AuditKeys {
    /// The log's origin.
    pub origin: Origin,
    /// What signs its checkpoints.
    pub signing: SigningKey,
    /// The secret for tags of persons.
    pub tag: Option<Sensitive<[u8; 32]>>,
}

impl AuditConfig {
    /// Reads relative paths as relative to `folder`, the configuration file's own.
    #[must_use]
    pub fn resolved(mut self, folder: &Path) -> Self {
        self.folder = folder.join(&self.folder);
        self.key = folder.join(&self.key);
        self.tag_key = self.tag_key.map(|file| folder.join(file));
        self
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// [`AuditConfigError`].
    pub fn keys(&self) -> Result<AuditKeys, AuditConfigError> {
        let seed = secret(&self.key)?;
        Ok(AuditKeys {
            origin: self.origin.parse()?,
            signing: SigningKey::from_seed(seed.expose())?,
            tag: self.tag_key.as_deref().map(secret).transpose()?,
        })
    }
}

fn secret(path: &Path) -> Result<Sensitive<[u8; 32]>, AuditConfigError> {
    let bytes = private_file::read(path).map_err(|error| match error {
        PrivateFileError::Read(source) => AuditConfigError::Read { path: path.to_owned(), source },
        PrivateFileError::Shared(_) => AuditConfigError::Mode(path.to_owned()),
    })?;
    let text = std::str::from_utf8(&bytes).ok();
    let key = text.and_then(|text| base64::decode_exact::<32>(text.trim()));
    key.map(Sensitive::new).ok_or_else(|| AuditConfigError::Key(path.to_owned()))
}
