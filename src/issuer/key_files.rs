//! Keys made and kept as files: the private half with mode 0600, the public one beside it.
//! A file that is there is never replaced.

use std::path::{Path, PathBuf};

use super::files::{FileError, write_private, write_public};
use super::keys::{PersonKeys, SealingKeyPair, SigningKey, SigningKeyError};
use super::random::RandomError;
use crate::domain::audit::{NoteError, Origin, SigningKey as LogKey, VerifyingKey};
use crate::domain::grant::jwk::PublicKey;
use crate::domain::grant::{Algorithm, KeyId, base64};
use crate::domain::sensitive::Sensitive;

/// Why there is no such key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be made.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// It cannot be made.
    #[error(transparent)]
    Log(#[from] NoteError),
    /// It cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its public half cannot be written.
    #[error("the private key was written, its public half was not")]
    Public(#[source] FileError),
}

impl From<RandomError> for KeyFileError {
    fn from(error: RandomError) -> Self {
        Self::Key(error.into())
    }
}

/// Where the two halves of a key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// With mode 0600.
    pub private: PathBuf,
    /// To be handed out.
    pub public: PathBuf,
}

/// Makes a key that signs grants, status lists or a consumer's proofs: `STEM.jwk` and
/// `STEM.pub.jwk`.
///
/// # Errors
/// [`KeyFileError`].
pub fn signing(stem: &Path, algorithm: Algorithm, kid: &KeyId) -> Result<KeyFiles, KeyFileError> {
    let key = SigningKey::generate(algorithm, kid.clone())?;
    jwk(stem, &key.to_jwk()?, &PublicKey::Verifying(key.verifying_key()?), kid)
}

/// Makes a key to which subjects are sealed, as [`signing`] does.
///
/// # Errors
/// [`KeyFileError`].
pub fn sealing(stem: &Path, kid: &KeyId) -> Result<KeyFiles, KeyFileError> {
    let pair = SealingKeyPair::generate(kid.clone())?;
    let secret = pair.to_jwk();
    jwk(stem, &secret, &PublicKey::Sealing(pair.public), kid)
}

fn jwk(
    stem: &Path,
    secret: &Sensitive<String>,
    public: &PublicKey,
    kid: &KeyId,
) -> Result<KeyFiles, KeyFileError> {
    let public = format!("{}\n", public.to_json(Some(kid)));
    both(stem, ["jwk", "pub.jwk"], secret.expose(), &public)
}

/// Makes the key of an audit log: `STEM.seed`, and `STEM.vkey`, which verifiers take.
///
/// # Errors
/// [`KeyFileError`].
pub fn log(stem: &Path, origin: &Origin) -> Result<(KeyFiles, VerifyingKey), KeyFileError> {
    let seed = PersonKeys::generate_secret()?;
    let key = LogKey::from_seed(seed.expose())?.verifying_key(origin)?;
    let files = both(stem, ["seed", "vkey"], &base64::encode(seed.expose()), &format!("{key}\n"))?;
    Ok((files, key))
}

/// Makes a secret without a public half, such as for tags of persons.
///
/// # Errors
/// [`KeyFileError`].
pub fn secret(path: &Path) -> Result<(), KeyFileError> {
    let secret = PersonKeys::generate_secret()?;
    Ok(write_private(path, base64::encode(secret.expose()).as_bytes())?)
}

fn both(
    stem: &Path,
    endings: [&str; 2],
    secret: &str,
    told: &str,
) -> Result<KeyFiles, KeyFileError> {
    let [private, public] = endings.map(|ending| with_ending(stem, ending));
    write_private(&private, secret.as_bytes())?;
    write_public(&public, told.as_bytes()).map_err(KeyFileError::Public)?;
    Ok(KeyFiles { private, public })
}

/// The path with an ending more; a dot in the name is kept.
pub fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
