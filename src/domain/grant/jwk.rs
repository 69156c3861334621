//! Keys as JWK (RFC 7517, RFC 8037): the members that we use and no other.
//!
//! Reading a file is the business of `config` and of the issuer.

use serde_json::json;

use super::base64;
use super::fields::{FieldError, Fields};
use super::json::{Json, JsonError};
use super::key::{Algorithm, JwsKey, KeyId, SealingKey};
use crate::domain::sensitive::Sensitive;

/// Why a text is not a key of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not JSON.
    #[error("the key is no JWK")]
    Json(#[from] JsonError),
    /// A member is missing, unknown or malformed.
    #[error("the key is no JWK that is used here")]
    Field(#[from] FieldError),
    /// Another kind of key.
    #[error("the key is of another kind: use Ed25519, P-256 or, for sealing, X25519")]
    Kind,
    /// `alg` does not go with the kind of key.
    #[error("the key's `alg` does not go with its kind")]
    Algorithm,
    /// A private key stands where a public one belongs.
    #[error("this is a private key where a public one belongs: give its `.pub.jwk` file")]
    Private,
    /// A public key stands where a private one belongs.
    #[error("this is a public key where a private one belongs")]
    Public,
}

/// A public key of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// Checks signatures.
    Verifying(JwsKey),
    /// Is sealed to.
    Sealing(SealingKey),
}

/// A key with its name and, in a private file, its secret.
#[derive(Debug)]
pub struct Jwk {
    /// The key's name.
    pub kid: Option<KeyId>,
    /// The public half.
    pub public: PublicKey,
    /// The private half: an Ed25519 seed, a P-256 or an X25519 scalar.
    pub secret: Option<Sensitive<[u8; 32]>>,
}

impl Jwk {
    /// Reads a JWK from its text.
    ///
    /// # Errors
    /// [`KeyError`]; a key of any kind but ours is refused. Members that others publish
    /// beside these are passed over.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let known = &["kty", "crv", "x", "y", "d", "alg", "use", "kid"];
        // A byte-order mark, as editors leave it.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        Self::from_json(Json::parse_known(text, known)?)
    }

    /// Reads a JWK from its parsed text.
    ///
    /// # Errors
    /// As [`Jwk::parse`].
    pub fn from_json(value: Json) -> Result<Self, KeyError> {
        let mut fields = Fields::new("jwk", value)?;
        let kind = fields.text("kty", 8)?;
        let curve = fields.text("crv", 16)?;
        let bytes = |text: &str| base64::decode_exact::<32>(text);
        let expected = "32 bytes in base64url";
        let x = fields.parsed("x", expected, bytes)?;
        let optional = |fields: &mut Fields, name: &'static str| match fields.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(_) => Err(fields.form(name, "a text")),
        };
        let algorithm = optional(&mut fields, "alg")?;
        let usage = optional(&mut fields, "use")?;
        let kid =
            match optional(&mut fields, "kid")? {
                None => None,
                Some(text) => Some(KeyId::new(&text).ok_or_else(|| {
                    fields.form("kid", "1 to 64 letters, digits, '.', '-' and '_'")
                })?),
            };
        let secret = match optional(&mut fields, "d")? {
            None => None,
            Some(text) => {
                let secret = bytes(&text).ok_or_else(|| fields.form("d", expected))?;
                Some(Sensitive::new(secret))
            }
        };
        let (public, named, used) = match (kind.as_str(), curve.as_str()) {
            ("OKP", "Ed25519") => {
                let key = JwsKey::new(Algorithm::EdDsa, &x).ok_or(KeyError::Kind)?;
                (PublicKey::Verifying(key), "EdDSA", "sig")
            }
            ("EC", "P-256") => {
                let y = fields.parsed("y", expected, bytes)?;
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                let key = JwsKey::new(Algorithm::Es256, &point).ok_or(KeyError::Kind)?;
                (PublicKey::Verifying(key), "ES256", "sig")
            }
            ("OKP", "X25519") => (PublicKey::Sealing(SealingKey(x)), super::subject::SUITE, "enc"),
            _ => return Err(KeyError::Kind),
        };
        fields.finish()?;
        let differs = |text: &Option<String>, right| text.as_ref().is_some_and(|t| t != right);
        if differs(&algorithm, named) || differs(&usage, used) {
            return Err(KeyError::Algorithm);
        }
        Ok(Self { kid, public, secret })
    }

    /// The key, if it is a public one that checks signatures.
    ///
    /// # Errors
    /// [`KeyError::Private`] or [`KeyError::Kind`].
    pub fn into_verifying(self) -> Result<JwsKey, KeyError> {
        match self {
            Self { secret: Some(_), .. } => Err(KeyError::Private),
            Self { public: PublicKey::Verifying(key), .. } => Ok(key),
            Self { .. } => Err(KeyError::Kind),
        }
    }
}

impl PublicKey {
    /// The public JWK.
    pub fn to_json(&self, kid: Option<&KeyId>) -> serde_json::Value {
        let mut value = match self {
            Self::Verifying(key) => match key.algorithm() {
                Algorithm::EdDsa => {
                    json!({"kty": "OKP", "crv": "Ed25519", "x": base64::encode(key.bytes())})
                }
                Algorithm::Es256 => {
                    let (x, y) = key
                        .bytes()
                        .get(1..)
                        .unwrap_or_default()
                        .split_at_checked(32)
                        .unwrap_or_default();
                    json!({
                        "kty": "EC", "crv": "P-256",
                        "x": base64::encode(x), "y": base64::encode(y),
                    })
                }
            },
            Self::Sealing(SealingKey(x)) => {
                json!({"kty": "OKP", "crv": "X25519", "x": base64::encode(x)})
            }
        };
        if let (Some(kid), Some(members)) = (kid, value.as_object_mut()) {
            members.insert("kid".to_owned(), kid.as_str().into());
        }
        value
    }

    /// Reads a SubjectPublicKeyInfo (RFC 5280, RFC 8410) in DER.
    ///
    /// # Errors
    /// [`KeyError::Kind`].
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        // Each kind has one DER form, so that a fixed prefix decides.
        const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
        const X25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00";
        const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\
            \x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
        if let Some(bytes) = der.strip_prefix(ED25519) {
            return JwsKey::new(Algorithm::EdDsa, bytes).map(Self::Verifying).ok_or(KeyError::Kind);
        }
        if let Some(bytes) = der.strip_prefix(P256) {
            return JwsKey::new(Algorithm::Es256, bytes).map(Self::Verifying).ok_or(KeyError::Kind);
        }
        let bytes = der.strip_prefix(X25519).ok_or(KeyError::Kind)?;
        bytes.try_into().map(|x| Self::Sealing(SealingKey(x))).map_err(|_| KeyError::Kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_publish_beside_a_key_is_passed_over_and_a_mark_before_it() {
        let x = base64::encode(&[7; 32]);
        let good = format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}","key_ops":[],"x5t":1.5}}"#);
        for text in [good.clone(), format!("\u{feff}{good}")] {
            assert!(matches!(Jwk::parse(text.as_bytes()).unwrap().public, PublicKey::Sealing(_)));
        }
        // In a grant it is our own format.
        Jwk::from_json(Json::parse(good.replace("1.5", "1").as_bytes()).unwrap()).unwrap_err();
        Jwk::parse(good.replace("X25519", "X448").as_bytes()).unwrap_err();
    }
}
