//! Sealing a subject to an agency (RFC 9180, base mode).

use super::random::RandomError;
use crate::domain::grant::subject::{INFO, PADDED, SealedSubject, suite};
use crate::domain::grant::{KeyId, SealingKey};
use crate::domain::sensitive::Sensitive;

/// Seals a padded subject; `aad` comes from
/// [`crate::domain::grant::subject::associated_data`].
///
/// # Errors
/// [`RandomError`], also for a public key that is no point of its curve.
pub fn seal(
    kid: &KeyId,
    key: &SealingKey,
    padded: &Sensitive<[u8; PADDED]>,
    aad: &[u8],
) -> Result<SealedSubject, RandomError> {
    let key = rustls::crypto::hpke::HpkePublicKey(key.0.to_vec());
    let (encapsulated, ciphertext) =
        suite().seal(INFO, aad, padded.expose(), &key).map_err(|_| RandomError)?;
    let enc = encapsulated.0.try_into().map_err(|_| RandomError)?;
    let ct = ciphertext.try_into().map_err(|_| RandomError)?;
    Ok(SealedSubject { kid: kid.clone(), enc, ct })
}
