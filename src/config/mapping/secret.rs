//! A source's secret: in a file that nobody else may read, or in the environment.
//! Read whenever a connection is made, so that a new one is taken without a
//! restart; never printed.

use std::path::{Path, PathBuf};

use crate::config::private_file::{self, PrivateFileError};
use crate::domain::sensitive::Sensitive;
use crate::files;

/// Longest secret, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretEntry {
    /// In a file of mode 0600.
    File(PathBuf),
    /// In a variable of the environment.
    Environment(String),
}

/// A secret cannot be had. Never holds it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Two places.
    #[error("the secret stands in a file or in the environment, not in both: remove one key")]
    Both,
    /// The file cannot be used.
    #[error("the secret's file `{0}`: {1}")]
    File(String, String),
    /// There is no such variable, or it is no text.
    #[error("the secret's variable `{0}` is not set")]
    Variable(String),
    /// Empty, too long, or with characters that no secret has.
    #[error("the secret of `{0}` is empty, too long or not printable text")]
    Shape(String),
}

impl SecretEntry {
    /// From the two keys of a section; relative paths start at `folder`.
    ///
    /// # Errors
    /// [`SecretError::Both`].
    pub fn new(
        file: Option<&PathBuf>,
        variable: Option<&String>,
        folder: &Path,
    ) -> Result<Option<Self>, SecretError> {
        match (file, variable) {
            (Some(_), Some(_)) => Err(SecretError::Both),
            (Some(file), None) => Ok(Some(Self::File(folder.join(file)))),
            (None, Some(variable)) => Ok(Some(Self::Environment(variable.clone()))),
            (None, None) => Ok(None),
        }
    }

    /// The secret as it is now, without the line's end of its file.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn read(&self) -> Result<Sensitive<String>, SecretError> {
        let (text, place) = match self {
            Self::File(path) => {
                let place = path.display().to_string();
                let bytes = private_file::read(path, files::SMALL).map_err(|error| {
                    let why = match &error {
                        PrivateFileError::Read(io) => format!("{error}: {}", files::why(io)),
                        PrivateFileError::Shared(_) => format!("{error}: run chmod 600 on it"),
                    };
                    SecretError::File(place.clone(), why)
                })?;
                (String::from_utf8(bytes).unwrap_or_default(), place)
            }
            Self::Environment(name) => {
                let text = std::env::var(name).map_err(|_| SecretError::Variable(name.clone()))?;
                (text, name.clone())
            }
        };
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() || secret.len() > MAX_BYTES || secret.chars().any(char::is_control) {
            return Err(SecretError::Shape(place));
        }
        Ok(secret.to_owned().into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_its_files_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let entry = SecretEntry::new(Some(&"secret".into()), None, folder.path()).unwrap().unwrap();
        assert!(matches!(entry.read(), Err(SecretError::File(..))));
        std::fs::write(&path, "hunter2 \n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let open = entry.read().unwrap_err().to_string();
        assert!(open.contains("chmod 600") && !open.contains("hunter2"), "{open}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(entry.read().unwrap().expose(), "hunter2 ");
        for text in ["", "\n", "two\nlines\n", "nul\0"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(entry.read(), Err(SecretError::Shape(_))), "{text:?}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let entry = SecretEntry::Environment("TRIBUTARY_NO_SUCH_VARIABLE".into());
        assert_eq!(
            entry.read().unwrap_err().to_string(),
            "the secret's variable `TRIBUTARY_NO_SUCH_VARIABLE` is not set"
        );
    }
}
