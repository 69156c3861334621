//! The claims that an issuer signs, read strictly into types of ours.
//!
//! Form only: whether a claim is acceptable here and now is decided on every
//! use, in `verified`.

use std::collections::HashSet;

use time::{Duration, OffsetDateTime};

use super::base64;
use super::error::GrantError;
use super::fields::Fields;
use super::json::Json;
use super::jwk::Jwk;
use super::key::JwsKey;
use super::purpose::{Frequency, LegalBasis, Per, PurposeCode};
use crate::domain::names::GrantId;
use crate::domain::peer::{Role, SpiffeId};

/// The header's `typ`.
pub const TYPE: &str = "tributary-grant+sd-jwt";

/// How many digests a grant may have, decoys among them: the last has room for the
/// [`MAX_DISCLOSURES`](super::MAX_DISCLOSURES) of 64 agencies and a gateway.
pub const DIGEST_COUNTS: [usize; 4] = [16, 32, 64, 128];

/// Latest time that a claim may state, in unix seconds: the end of 9999.
const MAX_TIME: i64 = 253_402_300_799;

/// Where a grant's status stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRef {
    /// The list.
    pub uri: Box<str>,
    /// The place in the list.
    pub index: u32,
}

/// The signed claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who granted.
    pub issuer: SpiffeId,
    /// The gateway that the grant is for.
    pub audience: SpiffeId,
    /// When it was issued.
    pub issued_at: OffsetDateTime,
    /// From when it holds.
    pub not_before: OffsetDateTime,
    /// The first moment at which it no longer holds.
    pub expires_at: OffsetDateTime,
    /// Its number, unique with its issuer.
    pub jti: GrantId,
    /// The consumer that it is for.
    pub client: SpiffeId,
    /// The key with which the consumer will prove its requests.
    pub proof_key: JwsKey,
    /// What it is for, by code.
    pub purpose: PurposeCode,
    /// What it is for, in the words that the person saw.
    pub purpose_text: Box<str>,
    /// On what ground.
    pub legal_basis: LegalBasis,
    /// The document or the article that holds the ground.
    pub legal_basis_ref: Box<str>,
    /// For how long the consumer may keep what it read.
    pub data_life: Duration,
    /// How often it may be used.
    pub frequency: Frequency,
    /// Where its status stands.
    pub status: StatusRef,
    /// The digests of its disclosures, decoys among them.
    pub digests: HashSet<[u8; 32]>,
}

impl Claims {
    /// Reads the payload of a grant.
    ///
    /// # Errors
    /// [`GrantError::Json`], [`GrantError::Claim`] or [`GrantError::Digests`].
    pub fn parse(payload: &[u8]) -> Result<Self, GrantError> {
        let payload =
            Json::parse(payload).map_err(|source| GrantError::Json { part: "payload", source })?;
        let mut top = Fields::new("grant", payload)?;
        let issuer = identity(&mut top, "iss", Role::Issuer)?;
        let audience = identity(&mut top, "aud", Role::Gateway)?;
        let client = identity(&mut top, "client_id", Role::Consumer)?;
        let (issued, start, end) =
            (seconds(&mut top, "iat")?, seconds(&mut top, "nbf")?, seconds(&mut top, "exp")?);
        if end <= start || end <= issued {
            return Err(top.form("exp", "later than `nbf` and `iat`").into());
        }
        let jti = top.parsed("jti", "16 to 64 base64url characters", |text| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            let fits = (16..=64).contains(&text.len()) && text.bytes().all(allowed);
            GrantId::new(text).ok().filter(|_| fits)
        })?;

        let mut confirmation = top.object("cnf")?;
        let proof_key = Jwk::from_json(confirmation.need("jwk")?)
            .and_then(Jwk::into_verifying)
            .map_err(|_| confirmation.form("jwk", "a public Ed25519 or P-256 key"))?;
        confirmation.finish()?;

        let mut purpose = top.object("purpose")?;
        let code = purpose.parsed("code", "a purpose's code", PurposeCode::new)?;
        let text = purpose.text("text", 512)?;
        purpose.finish()?;

        let mut basis = top.object("legal_basis")?;
        let legal_basis =
            basis.parsed("kind", "consent, written_consent or statute", LegalBasis::from_name)?;
        let legal_basis_ref = basis.text("ref", 256)?;
        basis.finish()?;

        top.parsed("mode", "VIEW", |mode| (mode == "VIEW").then_some(()))?;
        let data_life = top.integer("data_life", 0..=10 * 366 * 86_400)?;

        let mut often = top.object("frequency")?;
        let count = often.integer("count", 1..=1_000_000)?;
        let per = often.parsed("per", "hour, day, week, month or grant", Per::from_name)?;
        let frequency = Frequency { count: u32::try_from(count).unwrap_or(1), per };
        often.finish()?;

        let status = status(top.object("status")?)?;
        top.parsed("_sd_alg", "sha-256", |name| (name == "sha-256").then_some(()))?;
        let digests = digests(top.list("_sd")?)?;
        top.finish()?;

        Ok(Self {
            issuer,
            audience,
            issued_at: moment(issued),
            not_before: moment(start),
            expires_at: moment(end),
            jti,
            client,
            proof_key,
            purpose: code,
            purpose_text: text.into(),
            legal_basis,
            legal_basis_ref: legal_basis_ref.into(),
            data_life: Duration::seconds(data_life),
            frequency,
            status,
            digests,
        })
    }

    /// Seconds for which the grant holds, from the earlier of `iat` and `nbf`:
    /// a grant made out for a later time is as long-lived as its keys must be.
    pub fn lifetime(&self) -> i64 {
        (self.expires_at - self.issued_at.min(self.not_before)).whole_seconds()
    }
}

fn identity(fields: &mut Fields, name: &'static str, role: Role) -> Result<SpiffeId, GrantError> {
    let id = fields.parsed(name, "a SPIFFE id in the right role", |text| {
        text.parse::<SpiffeId>().ok().filter(|id| id.role() == role)
    })?;
    Ok(id)
}

fn seconds(fields: &mut Fields, name: &'static str) -> Result<i64, GrantError> {
    Ok(fields.integer(name, 0..=MAX_TIME)?)
}

/// A time within [`MAX_TIME`], which always exists.
fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A status URI: `https://`, printable ASCII, at most 255 bytes.
pub fn is_status_uri(uri: &str) -> bool {
    uri.len() > 8
        && uri.len() <= 255
        && uri.starts_with("https://")
        && uri.bytes().all(|byte| byte.is_ascii_graphic())
}

fn status(mut outer: Fields) -> Result<StatusRef, GrantError> {
    let mut list = outer.object("status_list")?;
    outer.finish()?;
    let index = list.integer("idx", 0..=i64::from(u32::MAX))?;
    let uri = list.parsed("uri", "an https:// URI of at most 255 bytes", |uri| {
        is_status_uri(uri).then(|| uri.into())
    })?;
    list.finish()?;
    Ok(StatusRef { uri, index: u32::try_from(index).unwrap_or(u32::MAX) })
}

fn digests(entries: Vec<Json>) -> Result<HashSet<[u8; 32]>, GrantError> {
    if !DIGEST_COUNTS.contains(&entries.len()) {
        let [few, some, many, most] = DIGEST_COUNTS;
        let told = format!("their number must be {few}, {some}, {many} or {most}");
        return Err(GrantError::Digests(told.into()));
    }
    let mut digests = HashSet::with_capacity(entries.len());
    for entry in entries {
        let digest = match entry {
            Json::Text(text) => base64::decode_exact(&text),
            _ => None,
        };
        let digest =
            digest.ok_or(GrantError::Digests("one is not 32 bytes in base64url".into()))?;
        if !digests.insert(digest) {
            return Err(GrantError::Digests("one stands twice".into()));
        }
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::MAX_DISCLOSURES;

    #[test]
    fn the_number_of_digests_is_the_same_in_code_pages_and_message() {
        let told = |count: usize| digests(vec![Json::Null; count]).unwrap_err().to_string();
        for count in 0..=DIGEST_COUNTS[3] * 2 {
            let right = told(count).contains("not 32 bytes");
            assert_eq!(right, DIGEST_COUNTS.contains(&count), "{count}");
        }
        assert!((DIGEST_COUNTS[2]..DIGEST_COUNTS[3]).contains(&MAX_DISCLOSURES));
        for text in [
            &*told(0),
            include_str!("../../../docs/errors/GRANT_DIGESTS.md"),
            include_str!("../../../docs/threat-model.md"),
        ] {
            assert!(text.contains("16, 32, 64 or 128"), "{text}");
        }
    }
}
