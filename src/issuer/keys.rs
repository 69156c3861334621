//! Private keys: for signing, for opening subjects, and for a person's tags.
//!
//! Each is kept as a JWK; [`super::write_private`] writes it with mode 0600.

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};

use super::random::{self, RandomError};
use crate::domain::grant::jwk::{Jwk, KeyError, PublicKey};
use crate::domain::grant::subject::{length_prefixed, suite};
use crate::domain::grant::{Algorithm, JwsKey, KeyId, SealingKey, base64};
use crate::domain::peer::SpiffeId;
use crate::domain::sensitive::Sensitive;
use crate::domain::subject::SubjectTag;

/// Why a private key cannot be made or read. Never holds the key.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The text is no JWK of ours.
    #[error("the private key cannot be read")]
    Jwk(#[from] KeyError),
    /// The key has no name.
    #[error("the private key has no `kid`: add one, so that verifiers find the public key")]
    NoName,
    /// The halves do not belong together.
    #[error("the private key's halves do not belong together")]
    Mismatch,
    /// No randomness.
    #[error("the key cannot be made or used")]
    Random(#[from] RandomError),
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// A private key that signs grants or status lists.
pub struct SigningKey {
    kid: KeyId,
    pair: Pair,
}

impl SigningKey {
    /// Makes a key.
    ///
    /// # Errors
    /// [`SigningKeyError::Random`].
    pub fn generate(algorithm: Algorithm, kid: KeyId) -> Result<Self, SigningKeyError> {
        let pair = match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::Ed25519),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::P256)
            }
        };
        Ok(Self { kid, pair: pair.map_err(|_| RandomError)? })
    }

    /// Reads a private JWK.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn from_jwk(text: &[u8]) -> Result<Self, SigningKeyError> {
        let jwk = Jwk::parse(text)?;
        let kid = jwk.kid.ok_or(SigningKeyError::NoName)?;
        let secret = jwk.secret.ok_or(KeyError::Public)?;
        let PublicKey::Verifying(public) = jwk.public else {
            return Err(KeyError::Kind.into());
        };
        let (secret, public_bytes) = (secret.expose(), public.bytes());
        let pair = match public.algorithm() {
            Algorithm::EdDsa => {
                Ed25519KeyPair::from_seed_and_public_key(secret, public_bytes).map(Pair::Ed25519)
            }
            Algorithm::Es256 => EcdsaKeyPair::from_private_key_and_public_key(
                &ECDSA_P256_SHA256_FIXED_SIGNING,
                secret,
                public_bytes,
            )
            .map(Pair::P256),
        };
        Ok(Self { kid, pair: pair.map_err(|_| SigningKeyError::Mismatch)? })
    }

    /// The key's name.
    pub const fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The one algorithm that it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Ed25519(_) => Algorithm::EdDsa,
            Pair::P256(_) => Algorithm::Es256,
        }
    }

    /// The public half.
    ///
    /// # Errors
    /// [`SigningKeyError::Mismatch`], if the library gave a key of another form.
    pub fn verifying_key(&self) -> Result<JwsKey, SigningKeyError> {
        let bytes = match &self.pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::P256(pair) => pair.public_key().as_ref(),
        };
        JwsKey::new(self.algorithm(), bytes).ok_or(SigningKeyError::Mismatch)
    }

    /// The whole key as a JWK, for its private file.
    ///
    /// # Errors
    /// [`SigningKeyError::Random`], if the library does not give the key out.
    pub fn to_jwk(&self) -> Result<Sensitive<String>, SigningKeyError> {
        let failed = |_| RandomError;
        let mut scalar = [0; 32];
        match &self.pair {
            Pair::Ed25519(pair) => {
                let seed = pair.seed().and_then(|seed| seed.as_be_bytes()).map_err(failed)?;
                scalar.copy_from_slice(seed.as_ref());
            }
            Pair::P256(pair) => {
                let secret = pair.private_key().as_be_bytes().map_err(failed)?;
                scalar.copy_from_slice(secret.as_ref());
            }
        }
        let public = PublicKey::Verifying(self.verifying_key()?);
        Ok(private_jwk(&public, &self.kid, &scalar))
    }

    /// Signs a JWS: header and payload in, compact form out.
    ///
    /// # Errors
    /// [`SigningKeyError::Random`].
    pub fn sign_jws(
        &self,
        typ: &str,
        payload: &serde_json::Value,
    ) -> Result<String, SigningKeyError> {
        let header = serde_json::json!({
            "alg": self.algorithm().as_str(), "kid": self.kid.as_str(), "typ": typ,
        });
        let part = |value: &serde_json::Value| base64::encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(payload));
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", base64::encode(&signature)))
    }

    /// Signs bytes.
    ///
    /// # Errors
    /// [`SigningKeyError::Random`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningKeyError> {
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.try_sign(message),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message),
        };
        Ok(signature.map_err(|_| RandomError)?.as_ref().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {})", self.kid, self.algorithm().as_str())
    }
}

/// An agency's key pair for subjects.
#[derive(Debug)]
pub struct SealingKeyPair {
    /// Its name.
    pub kid: KeyId,
    /// What issuers pin.
    pub public: SealingKey,
    /// What the agency alone has.
    pub secret: Sensitive<[u8; 32]>,
}

impl SealingKeyPair {
    /// Makes a key pair.
    ///
    /// # Errors
    /// [`SigningKeyError::Random`].
    pub fn generate(kid: KeyId) -> Result<Self, SigningKeyError> {
        let (public, secret) = suite().generate_key_pair().map_err(|_| RandomError)?;
        let public = public.0.try_into().map_err(|_| SigningKeyError::Mismatch)?;
        let secret =
            <[u8; 32]>::try_from(secret.secret_bytes()).map_err(|_| SigningKeyError::Mismatch)?;
        Ok(Self { kid, public: SealingKey(public), secret: Sensitive::new(secret) })
    }

    /// The whole key as a JWK, for its private file.
    pub fn to_jwk(&self) -> Sensitive<String> {
        private_jwk(&PublicKey::Sealing(self.public), &self.kid, self.secret.expose())
    }
}

fn private_jwk(public: &PublicKey, kid: &KeyId, scalar: &[u8; 32]) -> Sensitive<String> {
    let mut jwk = public.to_json(Some(kid));
    if let Some(members) = jwk.as_object_mut() {
        members.insert("d".to_owned(), base64::encode(scalar).into());
    }
    Sensitive::new(format!("{jwk}\n"))
}

/// The secret from which each person's own key derives.
pub struct PersonKeys(hmac::Key);

impl PersonKeys {
    /// Derives from a secret.
    pub fn new(secret: &Sensitive<[u8; 32]>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// A fresh secret.
    ///
    /// # Errors
    /// [`RandomError`].
    pub fn generate_secret() -> Result<Sensitive<[u8; 32]>, RandomError> {
        Ok(Sensitive::new(random::bytes()?))
    }

    /// A person's tag in one grant: HMAC-SHA-256 under the person's key over
    /// issuer and number, so that two grants of one person look unrelated.
    pub fn tag(&self, person: &Sensitive<String>, issuer: &SpiffeId, jti: &str) -> SubjectTag {
        let own = hmac::sign(&self.0, &length_prefixed(&["person", person.expose()]));
        let own = hmac::Key::new(hmac::HMAC_SHA256, own.as_ref());
        let mut tag = [0; 32];
        let text = length_prefixed(&[issuer.as_str(), jti]);
        tag.copy_from_slice(hmac::sign(&own, &text).as_ref());
        SubjectTag::new(tag)
    }
}

impl fmt::Debug for PersonKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKeys")
    }
}
