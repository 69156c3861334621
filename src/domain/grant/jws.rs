//! A compact JWS (RFC 7515), taken apart and held against a pinned key.
//!
//! A grant's header may name `alg`, `typ` and `kid` and nothing else: no key, no
//! address of one. Of what others sign, what else the header names is passed over, and
//! never followed. A `crit` refuses both, also an empty one (RFC 7515, section 4.1.11).

use super::base64;
use super::error::GrantError;
use super::fields::Fields;
use super::json::{Json, JsonError};
use super::key::{JwsKey, KeyId};

/// A JWS whose signature has not been checked yet.
#[derive(Debug)]
pub struct Jws<'a> {
    /// The algorithm that the header claims.
    pub algorithm: String,
    /// The type that the header claims.
    pub typ: String,
    /// The key that the header names.
    pub kid: Option<KeyId>,
    /// The payload's bytes.
    pub payload: Vec<u8>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes `header.payload.signature` apart.
    ///
    /// # Errors
    /// Another number of parts, base64url that is not canonical, or a header
    /// that is not as the module says.
    pub fn parse(text: &'a str) -> Result<Self, GrantError> {
        Self::read(text, Json::parse)
    }

    /// As [`Jws::parse`], with a header of which other members are passed over.
    ///
    /// # Errors
    /// As [`Jws::parse`].
    pub fn parse_open(text: &'a str) -> Result<Self, GrantError> {
        Self::read(text, |header| Json::parse_known(header, &["alg", "typ", "kid", "crit"]))
    }

    fn read(
        text: &'a str,
        json: impl FnOnce(&[u8]) -> Result<Json, JsonError>,
    ) -> Result<Self, GrantError> {
        let form = || GrantError::Form("the signed part is not header.payload.signature");
        let (signed, signature) = text.rsplit_once('.').ok_or_else(form)?;
        let (header, payload) = signed.split_once('.').ok_or_else(form)?;
        let part = |text: &str| {
            base64::decode(text)
                .filter(|bytes| !bytes.is_empty())
                .ok_or(GrantError::Form("a part of the signed part is not canonical base64url"))
        };
        let header =
            json(&part(header)?).map_err(|source| GrantError::Json { part: "header", source })?;
        let mut fields = Fields::new("header", header)?;
        let algorithm = fields.text("alg", 16)?;
        let typ = fields.text("typ", 64)?;
        let kid = match fields.take("kid") {
            None => None,
            Some(Json::Text(text)) => {
                Some(KeyId::new(&text).ok_or_else(|| fields.form("kid", "a key's name"))?)
            }
            Some(_) => return Err(fields.form("kid", "a key's name").into()),
        };
        if fields.take("crit").is_some() {
            return Err(GrantError::Critical);
        }
        fields.finish()?;
        Ok(Self {
            algorithm,
            typ,
            kid,
            payload: part(payload)?,
            signed,
            signature: part(signature)?,
        })
    }

    /// Checks the signature with a key that the caller pinned.
    ///
    /// # Errors
    /// [`GrantError::Algorithm`] when the header claims another algorithm than
    /// the key's, [`GrantError::Signature`] when the signature is not the key's.
    pub fn check(&self, key: &JwsKey) -> Result<(), GrantError> {
        if self.algorithm != key.algorithm().as_str() {
            return Err(GrantError::Algorithm(key.algorithm().as_str()));
        }
        if !key.holds(self.signed.as_bytes(), &self.signature) {
            return Err(GrantError::Signature);
        }
        Ok(())
    }
}
