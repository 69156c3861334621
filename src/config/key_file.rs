//! Key files: public keys as JWK or PEM, an agency's private ones as JWK.

use std::io;
use std::path::{Path, PathBuf};

use super::pem::{self, PemError};
use super::private_file::{self, PrivateFileError};
use crate::domain::grant::jwk::{Jwk, KeyError, PublicKey};
use crate::domain::grant::{JwsKey, KeyId, SealingKey};
use crate::domain::sensitive::Sensitive;
use crate::files;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read the key file `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds no key of ours.
    #[error("the key file `{}` cannot be used", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// It is PEM, and not of one public key.
    #[error("the key file `{}` cannot be used", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PemError,
    },
    /// It calls its key otherwise than the configuration.
    #[error("the key file `{}` names its key `{found}`, the configuration `{wanted}`", .path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The name in the file.
        found: KeyId,
        /// The name in the configuration.
        wanted: KeyId,
    },
    /// The algorithm in the configuration is not the key's.
    #[error("the key in `{}` is for {found}, the configuration says {wanted}", .path.display())]
    Algorithm {
        /// The file.
        path: PathBuf,
        /// The key's algorithm.
        found: &'static str,
        /// The configuration's.
        wanted: String,
    },
    /// Others may read a private key.
    #[error("the private key `{}` can be read by others: run chmod 600 on it", .0.display())]
    Mode(PathBuf),
}

/// Reads a public key that is pinned under a name, for one algorithm.
///
/// # Errors
/// [`KeyFileError`], also when the file names or is another key.
pub fn pinned_key(path: &Path, kid: &KeyId, algorithm: &str) -> Result<JwsKey, KeyFileError> {
    let (name, key) = public_key(path)?;
    let PublicKey::Verifying(key) = key else {
        return Err(KeyFileError::Key { path: path.to_owned(), source: KeyError::Kind });
    };
    check_name(path, name, kid)?;
    let found = key.algorithm().as_str();
    if found != algorithm {
        let wanted = algorithm.escape_default().to_string();
        return Err(KeyFileError::Algorithm { path: path.to_owned(), found, wanted });
    }
    Ok(key)
}

/// Reads an agency's private key; nobody else may be able to.
///
/// # Errors
/// [`KeyFileError`].
pub fn opening_key(path: &Path, kid: &KeyId) -> Result<Sensitive<[u8; 32]>, KeyFileError> {
    let bytes = private_file::read(path, files::SMALL).map_err(|error| match error {
        PrivateFileError::Read(source) => KeyFileError::Read { path: path.to_owned(), source },
        PrivateFileError::Shared(_) => KeyFileError::Mode(path.to_owned()),
    })?;
    let fault = |source| KeyFileError::Key { path: path.to_owned(), source };
    let jwk = Jwk::parse(&bytes).map_err(fault)?;
    if !matches!(jwk.public, PublicKey::Sealing(_)) {
        return Err(fault(KeyError::Kind));
    }
    check_name(path, jwk.kid, kid)?;
    jwk.secret.ok_or_else(|| fault(KeyError::Public))
}

fn check_name(path: &Path, found: Option<KeyId>, wanted: &KeyId) -> Result<(), KeyFileError> {
    match found {
        Some(found) if found != *wanted => {
            Err(KeyFileError::Name { path: path.to_owned(), found, wanted: wanted.clone() })
        }
        _ => Ok(()),
    }
}

/// Reads a public key that checks signatures.
///
/// # Errors
/// [`KeyFileError`].
pub fn verifying_key(path: &Path) -> Result<JwsKey, KeyFileError> {
    match public_key(path)?.1 {
        PublicKey::Verifying(key) => Ok(key),
        PublicKey::Sealing(_) => {
            Err(KeyFileError::Key { path: path.to_owned(), source: KeyError::Kind })
        }
    }
}

/// Reads a public key to seal to.
///
/// # Errors
/// [`KeyFileError`].
pub fn sealing_key(path: &Path) -> Result<SealingKey, KeyFileError> {
    match public_key(path)?.1 {
        PublicKey::Sealing(key) => Ok(key),
        PublicKey::Verifying(_) => {
            Err(KeyFileError::Key { path: path.to_owned(), source: KeyError::Kind })
        }
    }
}

fn public_key(path: &Path) -> Result<(Option<KeyId>, PublicKey), KeyFileError> {
    let text = files::read(path, files::SMALL)
        .map_err(|source| KeyFileError::Read { path: path.to_owned(), source })?;
    let fault = |source| KeyFileError::Key { path: path.to_owned(), source };
    // A JWK begins with a brace, and has no such line.
    if text.windows(11).any(|part| part == b"-----BEGIN ") {
        let der = pem::public_key(&text)
            .map_err(|source| KeyFileError::Pem { path: path.to_owned(), source })?;
        return PublicKey::from_spki(&der).map(|key| (None, key)).map_err(fault);
    }
    let jwk = Jwk::parse(&text).map_err(fault)?;
    if jwk.secret.is_some() {
        return Err(fault(KeyError::Private));
    }
    Ok((jwk.kid, jwk.public))
}
