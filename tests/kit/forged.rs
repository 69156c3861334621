//! Grants as an attacker or a mistaken issuer would make them: a genuine one,
//! taken apart, changed, and signed again with the issuer's own key where that is
//! what the case needs.

use std::path::Path;

use serde_json::Value;
use tributary::domain::grant::base64;
use tributary::issuer::SigningKey;

pub struct Forgery {
    pub header: Value,
    pub claims: Value,
    pub disclosures: Vec<String>,
    /// Signs what the case has made; the genuine key unless changed.
    pub key: SigningKey,
    /// Keeps the genuine signature instead of signing again.
    pub keep_signature: bool,
    signature: String,
}

impl Forgery {
    pub fn of(home: &Path, grant: &str) -> Self {
        let mut parts = grant.trim_end().trim_end_matches('~').split('~');
        let mut jwt = parts.next().unwrap().split('.');
        let mut json = || -> Value {
            serde_json::from_slice(&base64::decode(jwt.next().unwrap()).unwrap()).unwrap()
        };
        let (header, claims) = (json(), json());
        let signature = jwt.next().unwrap().to_owned();
        let jwk = std::fs::read(home.join("consent/signing.jwk")).unwrap();
        Self {
            header,
            claims,
            disclosures: parts.map(str::to_owned).collect(),
            key: SigningKey::from_jwk(&jwk).unwrap(),
            keep_signature: false,
            signature,
        }
    }

    pub fn finish(&self) -> String {
        let encode = |value: &Value| base64::encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", encode(&self.header), encode(&self.claims));
        let signature = if self.keep_signature {
            self.signature.clone()
        } else {
            base64::encode(&self.key.sign(signed.as_bytes()).unwrap())
        };
        let mut text = format!("{signed}.{signature}~");
        for disclosure in &self.disclosures {
            text.push_str(disclosure);
            text.push('~');
        }
        text
    }

    /// Changes the disclosure of an agency and pins its new digest.
    pub fn redisclose(&mut self, agency: &str, change: impl Fn(&mut Value)) {
        let at =
            self.disclosures.iter().position(|encoded| name_in(encoded).as_deref() == Some(agency));
        let encoded = &mut self.disclosures[at.unwrap()];
        let old = digest(encoded);
        let mut parts: Value = serde_json::from_slice(&base64::decode(encoded).unwrap()).unwrap();
        change(&mut parts);
        *encoded = base64::encode(parts.to_string().as_bytes());
        let new = digest(encoded);
        for known in self.claims["_sd"].as_array_mut().unwrap() {
            if *known == old.as_str() {
                *known = new.clone().into();
            }
        }
    }
}

pub fn digest(encoded: &str) -> String {
    base64::encode(&tributary::domain::grant::digest(encoded))
}

/// An agency's part of a presentation: the signed part and its own disclosure.
pub fn part_of(grant: &str, agency: &str) -> String {
    let signed = grant.split('~').next().unwrap();
    let own = grant.split('~').skip(1).find(|encoded| name_in(encoded).as_deref() == Some(agency));
    format!("{signed}~{}~", own.unwrap_or_default())
}

/// The claim that a disclosure discloses.
pub fn name_in(encoded: &str) -> Option<String> {
    let bytes = base64::decode(encoded)?;
    let parts: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(parts.get(1)?.as_str()?.to_owned())
}
