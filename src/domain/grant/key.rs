//! Public keys of issuers, consumers and agencies, and the check of a signature.
//!
//! A key knows its algorithm, so that no header can choose another. Private keys
//! for signing live with the issuer.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// The algorithms that a grant or a status list may be signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519, `EdDSA` in JOSE (RFC 8037).
    EdDsa,
    /// ECDSA over P-256 with SHA-256, fixed-length signatures (RFC 7518).
    Es256,
}

impl Algorithm {
    /// The JOSE name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm with a JOSE name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::EdDsa, Self::Es256].into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// The name of a key: 1 to 64 letters, digits, '.', '-' and '_'.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(Box<str>);

impl KeyId {
    /// The name, if it has the right form.
    pub fn new(name: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        (!name.is_empty() && name.len() <= 64 && name.bytes().all(allowed))
            .then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for KeyId {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::new(&name).ok_or_else(|| {
            format!(
                "`{}` is not a key's name: use 1 to 64 letters, digits, '.', '-' and '_'",
                name.escape_default()
            )
        })
    }
}

impl From<KeyId> for String {
    fn from(kid: KeyId) -> Self {
        kid.0.into()
    }
}

/// A public key that checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct JwsKey {
    algorithm: Algorithm,
    /// Ed25519: 32 bytes. P-256: the uncompressed point, 65 bytes.
    bytes: Box<[u8]>,
}

impl JwsKey {
    /// A key from its raw bytes: 32 for Ed25519, an uncompressed point of 65
    /// for P-256. `None` for another length. Whether the point is on its curve
    /// shows at the first signature.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let fits = match algorithm {
            Algorithm::EdDsa => bytes.len() == 32,
            Algorithm::Es256 => bytes.len() == 65 && bytes.first() == Some(&4),
        };
        fits.then(|| Self { algorithm, bytes: bytes.into() })
    }

    /// The one algorithm that this key checks.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw bytes.
    pub const fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a signature over a message is this key's.
    pub fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        let checked = match self.algorithm {
            Algorithm::EdDsa => {
                UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature)
            }
            Algorithm::Es256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.bytes)
                .verify(message, signature),
        };
        checked.is_ok()
    }
}

impl fmt::Debug for JwsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwsKey({})", self.algorithm.as_str())
    }
}

/// An agency's public key, to which subjects are sealed: X25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealingKey(pub [u8; 32]);
