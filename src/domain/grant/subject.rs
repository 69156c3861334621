//! The sealed subject: padding, associated data and opening (RFC 9180).
//!
//! Sealing needs randomness and lives with the issuer. Whether what was opened
//! is a card number is for the caller's `SubjectFormat` to say.

use std::collections::BTreeMap;
use std::fmt;

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_128;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey};

use super::base64;
use super::fields::{FieldError, Fields};
use super::key::KeyId;
use crate::domain::catalogue::AgencyId;
use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;
use crate::domain::sensitive::Sensitive;
use crate::domain::subject::MAX_BYTES;

/// The one suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
pub const SUITE: &str = "X25519-HKDF-SHA256-AES128GCM";

/// The application's `info` for the key schedule.
pub const INFO: &[u8] = b"tributary-grant-subject-v1";

/// The suite's implementation.
pub fn suite() -> &'static dyn Hpke {
    DH_KEM_X25519_HKDF_SHA256_AES_128
}

/// Bytes of a padded subject: all subjects are equally long.
pub const PADDED: usize = MAX_BYTES;

/// Bytes that AES-GCM adds.
const TAG: usize = 16;

/// Why a subject cannot be opened. Never says what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No private key of that name.
    #[error("the subject is sealed to a key that this agency no longer has")]
    UnknownKey,
    /// Sealed to another key or for another grant, or altered.
    #[error("the subject does not open for this grant, agency and key")]
    Open,
    /// Opens to something that is no padded text.
    #[error("the opened subject is not a padded text")]
    Padding,
    /// The text to be padded is empty, too long, or not printable ASCII.
    #[error("a subject must be 1 to {PADDED} printable ASCII characters")]
    Subject,
    /// The grant has no disclosure for this agency.
    #[error("the grant has no disclosure for this agency")]
    NoDisclosure,
}

impl SealError {
    /// What a peer is told. One for all, so that nobody learns more.
    pub const fn reason(self) -> Reason {
        Reason::GrantSubject
    }
}

/// A subject sealed to an agency.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSubject {
    /// The name of the agency's key.
    pub kid: KeyId,
    /// The encapsulated key.
    pub enc: [u8; 32],
    /// The ciphertext with its tag.
    pub ct: [u8; PADDED + TAG],
}

impl fmt::Debug for SealedSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSubject(to key {})", self.kid)
    }
}

impl SealedSubject {
    /// Reads `{suite, kid, enc, ct}`.
    ///
    /// # Errors
    /// [`FieldError`].
    pub fn from_fields(mut fields: Fields) -> Result<Self, FieldError> {
        fields.parsed("suite", SUITE, |suite| (suite == SUITE).then_some(()))?;
        let kid = fields.parsed("kid", "a key's name", KeyId::new)?;
        let enc = fields.parsed("enc", "32 bytes in base64url", base64::decode_exact)?;
        let ct = fields.parsed("ct", "80 bytes in base64url", base64::decode_exact)?;
        fields.finish()?;
        Ok(Self { kid, enc, ct })
    }
}

/// What binds a sealed subject to its grant: each part with its length before it.
pub fn associated_data(issuer: &SpiffeId, jti: &str, agency: &AgencyId, kid: &KeyId) -> Vec<u8> {
    length_prefixed(&[issuer.as_str(), jti, agency.as_str(), SUITE, kid.as_str()])
}

/// Texts one after the other, each with its length in 8 bytes before it.
pub fn length_prefixed(texts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// Pads a subject with zero bytes.
///
/// # Errors
/// [`SealError::Subject`].
pub fn pad(subject: &str) -> Result<Sensitive<[u8; PADDED]>, SealError> {
    let fits = (1..=PADDED).contains(&subject.len())
        && subject.bytes().all(|byte| byte.is_ascii_graphic());
    let mut padded = [0; PADDED];
    match padded.get_mut(..subject.len()) {
        Some(start) if fits => start.copy_from_slice(subject.as_bytes()),
        _ => return Err(SealError::Subject),
    }
    Ok(Sensitive::new(padded))
}

fn unpad(padded: &[u8]) -> Result<Sensitive<Box<str>>, SealError> {
    if padded.len() != PADDED {
        return Err(SealError::Padding);
    }
    let end = padded.iter().position(|byte| *byte == 0).unwrap_or(PADDED);
    let (text, rest) = padded.split_at_checked(end).ok_or(SealError::Padding)?;
    if text.is_empty()
        || !text.iter().all(u8::is_ascii_graphic)
        || rest.iter().any(|byte| *byte != 0)
    {
        return Err(SealError::Padding);
    }
    std::str::from_utf8(text)
        .map(|text| Sensitive::new(text.into()))
        .map_err(|_| SealError::Padding)
}

/// Opens a sealed subject with the private key that it was sealed to.
///
/// # Errors
/// [`SealError::Open`] for another key, grant or agency; [`SealError::Padding`].
pub fn open(
    key: &HpkePrivateKey,
    sealed: &SealedSubject,
    aad: &[u8],
) -> Result<Sensitive<Box<str>>, SealError> {
    let encapsulated = EncapsulatedSecret(sealed.enc.to_vec());
    let padded =
        suite().open(&encapsulated, INFO, aad, &sealed.ct, key).map_err(|_| SealError::Open)?;
    unpad(&padded)
}

/// An agency's private keys for opening, several for rotation: an old one is
/// kept for the longest grant life.
#[derive(Default)]
pub struct OpeningKeys(BTreeMap<KeyId, HpkePrivateKey>);

impl OpeningKeys {
    /// Adds a private X25519 key; false if the name is taken.
    pub fn add(&mut self, kid: KeyId, scalar: &Sensitive<[u8; 32]>) -> bool {
        if self.0.contains_key(&kid) {
            return false;
        }
        self.0.insert(kid, HpkePrivateKey::from(scalar.expose().to_vec()));
        true
    }

    /// The key with a name.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`].
    pub fn get(&self, kid: &KeyId) -> Result<&HpkePrivateKey, SealError> {
        self.0.get(kid).ok_or(SealError::UnknownKey)
    }
}

impl fmt::Debug for OpeningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_has_one_form() {
        for subject in ["1", "11010519491231002X", &"9".repeat(PADDED)] {
            let padded = pad(subject).unwrap();
            assert_eq!(*unpad(padded.expose()).unwrap().into_exposed(), *subject);
        }
        assert_eq!(pad(""), Err(SealError::Subject));
        assert_eq!(pad("a b"), Err(SealError::Subject));
        assert_eq!(pad(&"9".repeat(PADDED + 1)), Err(SealError::Subject));
        let mut stray = [0; PADDED];
        assert_eq!(unpad(&stray), Err(SealError::Padding));
        stray[0] = b'1';
        stray[5] = b'1';
        assert_eq!(unpad(&stray), Err(SealError::Padding));
        assert_eq!(unpad(b"1"), Err(SealError::Padding));
    }

    #[test]
    fn lengths_keep_parts_apart() {
        assert_ne!(length_prefixed(&["ab", "c"]), length_prefixed(&["a", "bc"]));
    }
}
