//! Grants taken apart, changed, and put together again: signed anew with a key
//! of choice, or with the signature that they had.

use serde_json::Value;

use crate::app::conformance::{Verdict, failed};
use crate::domain::grant::{base64, digest};
use crate::issuer::SigningKey;

/// A grant in its parts.
pub(super) struct Forgery {
    pub header: Value,
    pub claims: Value,
    pub disclosures: Vec<String>,
    signature: String,
}

impl Forgery {
    pub fn of(part: &str) -> Verdict<Self> {
        let mut pieces = part.trim_end_matches('~').split('~');
        let mut jwt = pieces.next().unwrap_or_default().split('.');
        let mut json = || {
            let bytes = base64::decode(jwt.next().unwrap_or_default()).unwrap_or_default();
            serde_json::from_slice(&bytes).unwrap_or(Value::Null)
        };
        let (header, claims) = (json(), json());
        let signature = jwt.next().unwrap_or_default().to_owned();
        if !header.is_object() || !claims.is_object() {
            return failed("the test issuer's grant cannot be taken apart");
        }
        Ok(Self { header, claims, disclosures: pieces.map(str::to_owned).collect(), signature })
    }

    /// Puts it together with the signature that it had.
    pub fn unsigned(&self) -> String {
        self.with(&self.signed_part(), &self.signature)
    }

    /// Puts it together, signed with this key.
    pub fn signed(&self, key: &SigningKey) -> Verdict<String> {
        let signed = self.signed_part();
        match key.sign(signed.as_bytes()) {
            Ok(signature) => Ok(self.with(&signed, &base64::encode(&signature))),
            Err(error) => failed(format!("the kit cannot sign: {error}")),
        }
    }

    fn signed_part(&self) -> String {
        let encode = |value: &Value| base64::encode(value.to_string().as_bytes());
        format!("{}.{}", encode(&self.header), encode(&self.claims))
    }

    fn with(&self, signed: &str, signature: &str) -> String {
        let mut text = format!("{signed}.{signature}~");
        for disclosure in &self.disclosures {
            text.push_str(disclosure);
            text.push('~');
        }
        text
    }

    /// The one disclosure, read.
    pub fn disclosed(&self) -> Value {
        let bytes = self.disclosures.first().and_then(|encoded| base64::decode(encoded));
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null)
    }

    /// Puts another disclosure in the one's place, and its digest into the claims.
    pub fn redisclose(&mut self, parts: &Value) {
        let Some(encoded) = self.disclosures.first_mut() else { return };
        let old = base64::encode(&digest(encoded));
        *encoded = base64::encode(parts.to_string().as_bytes());
        let new = base64::encode(&digest(encoded));
        let known = self.claims.get_mut("_sd").and_then(Value::as_array_mut);
        for entry in known.into_iter().flatten() {
            if *entry == old.as_str() {
                *entry = new.clone().into();
            }
        }
    }
}

/// An agency's part of a presentation: the signed part and its own disclosure.
pub(super) fn part(presentation: &str, agency: &str) -> String {
    let mut pieces = presentation.split('~');
    let signed = pieces.next().unwrap_or_default();
    let own = pieces.find(|encoded| name_in(encoded).as_deref() == Some(agency));
    match own {
        Some(own) => format!("{signed}~{own}~"),
        None => format!("{signed}~"),
    }
}

/// The claim that a disclosure discloses.
fn name_in(encoded: &str) -> Option<String> {
    let parts: Value = serde_json::from_slice(&base64::decode(encoded)?).ok()?;
    Some(parts.get(1)?.as_str()?.to_owned())
}
