//! What the consumer's key signs: for whom, for how long, and the root of a tree of requests.

use serde_json::{Value, json};

use super::fault::ProofFault;
use crate::domain::audit::Hash;
use crate::domain::grant::fields::Fields;
use crate::domain::grant::json::Json;
use crate::domain::grant::{Jws, JwsKey, LEEWAY, base64};
use crate::domain::now::Now;
use crate::domain::peer::{Role, SpiffeId};

/// The header's `typ`.
pub const TOKEN_TYPE: &str = "tributary-request+jwt";

/// Most bytes of the token.
pub const MAX_TOKEN_BYTES: usize = 1024;

/// Most requests under one signature.
pub const MAX_LEAVES: u64 = 4096;

/// Longest life, in seconds.
const MAX_LIFE: i64 = 60;

/// Latest time that may be stated: the end of 9999.
const MAX_TIME: i64 = 253_402_300_799;

/// The signed claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofHead {
    /// The gateway that is asked.
    pub audience: SpiffeId,
    /// When it was signed, in unix seconds.
    pub issued_at: i64,
    /// The first second in which it no longer holds.
    pub expires_at: i64,
    /// The root of the tree of requests.
    pub root: Hash,
    /// How many leaves the tree has.
    pub size: u64,
}

impl ProofHead {
    /// The payload to sign.
    pub fn payload(&self) -> Value {
        json!({
            "aud": self.audience.as_str(), "iat": self.issued_at, "exp": self.expires_at,
            "root": base64::encode(&self.root.0), "size": self.size,
        })
    }

    /// Reads a token that this key signed.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub fn verify(token: &str, key: &JwsKey) -> Result<Self, ProofFault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(ProofFault::Token);
        }
        let jws = Jws::parse(token).map_err(|_| ProofFault::Token)?;
        if jws.typ != TOKEN_TYPE {
            return Err(ProofFault::Token);
        }
        jws.check(key).map_err(|_| ProofFault::Signature)?;
        let payload = Json::parse(&jws.payload).map_err(|_| ProofFault::Token)?;
        let mut claims = Fields::new("proof", payload)?;
        let audience = claims.parsed("aud", "a gateway's SPIFFE id", |text| {
            text.parse::<SpiffeId>().ok().filter(|id| id.role() == Role::Gateway)
        })?;
        let issued_at = claims.integer("iat", 0..=MAX_TIME)?;
        let expires_at = claims.integer("exp", 0..=MAX_TIME)?;
        if !(1..=MAX_LIFE).contains(&(expires_at - issued_at)) {
            return Err(claims.form("exp", "1 to 60 seconds after `iat`").into());
        }
        let root = claims.parsed("root", "32 bytes in base64url", base64::decode_exact)?;
        let size = claims.integer("size", 1..=MAX_LEAVES.cast_signed())?.unsigned_abs();
        claims.finish()?;
        Ok(Self { audience, issued_at, expires_at, root: Hash(root), size })
    }

    /// Holds it against the gateway that asks and the time.
    ///
    /// # Errors
    /// [`ProofFault::Audience`], [`ProofFault::Expired`] or [`ProofFault::NotYetValid`].
    pub fn check(&self, gateway: &SpiffeId, now: Now) -> Result<(), ProofFault> {
        if self.audience != *gateway {
            return Err(ProofFault::Audience);
        }
        if now.latest.unix_timestamp() >= self.expires_at {
            return Err(ProofFault::Expired);
        }
        if self.issued_at > now.earliest.saturating_add(LEEWAY).unix_timestamp() {
            return Err(ProofFault::NotYetValid);
        }
        Ok(())
    }
}
