//! Making a grant: claims, disclosures, decoys, signature.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::{Date, Duration, OffsetDateTime};

use super::keys::{PersonKeys, SigningKey, SigningKeyError};
use super::random::{self, RandomError};
use super::seal::seal;
use super::status::{StatusDirectory, StatusStateError};
use crate::domain::catalogue::AgencyId;
use crate::domain::grant::jwk::PublicKey;
use crate::domain::grant::subject::{SUITE, associated_data, pad};
use crate::domain::grant::{
    Contents, DIGEST_COUNTS, Frequency, GATEWAY_CLAIM, GrantError, JwsKey, KeyId, LegalBasis,
    MAX_DISCLOSURES, Presentation, PurposeCode, SealError, SealingKey, TYPE, base64, digest,
};
use crate::domain::peer::SpiffeId;
use crate::domain::sensitive::Sensitive;
use crate::domain::subject::SubjectTag;

/// What is asked of one agency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgencyRequest {
    /// The agency.
    pub agency: AgencyId,
    /// Ids of items.
    pub items: Vec<String>,
    /// The first day of the records.
    pub from: Date,
    /// The last day of the records.
    pub to: Date,
}

/// What a person or a statute grants.
#[derive(Debug, Clone)]
pub struct GrantRequest {
    /// The gateway.
    pub audience: SpiffeId,
    /// The consumer.
    pub client: SpiffeId,
    /// The consumer's proof key.
    pub proof_key: JwsKey,
    /// What for, by code.
    pub purpose: PurposeCode,
    /// What for, in the words that the person saw.
    pub purpose_text: String,
    /// On what ground.
    pub legal_basis: LegalBasis,
    /// The document or the article that holds the ground.
    pub legal_basis_ref: String,
    /// From when.
    pub not_before: OffsetDateTime,
    /// Until when.
    pub expires_at: OffsetDateTime,
    /// For how long the consumer may keep what it read.
    pub data_life: Duration,
    /// How often.
    pub frequency: Frequency,
    /// The person: the citizen-card number.
    pub subject: Sensitive<String>,
    /// What is asked of each agency.
    pub agencies: Vec<AgencyRequest>,
}

/// A grant as it is handed to the consumer.
#[derive(Debug, Clone)]
pub struct IssuedGrant {
    /// The whole SD-JWT, with every disclosure.
    pub presentation: String,
    /// Its number.
    pub jti: String,
    /// Its place in the status list.
    pub index: u32,
}

/// Why a grant is not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// An agency whose sealing key is not pinned.
    #[error("no sealing key is pinned for agency `{0}`: add it under [[sealing]]")]
    NoSealingKey(AgencyId),
    /// The subject cannot be padded.
    #[error("the subject cannot be sealed")]
    Subject(#[from] SealError),
    /// The records failed.
    #[error("the grant cannot be recorded, so it was not issued")]
    Records(#[from] StatusStateError),
    /// Signing failed.
    #[error("the grant cannot be signed")]
    Sign(#[from] SigningKeyError),
    /// No randomness.
    #[error("the grant cannot be made")]
    Random(#[from] RandomError),
    /// Every verifier would refuse what was asked for.
    #[error("every verifier would refuse this grant")]
    Refused(#[source] GrantError),
}

/// An issuer with its keys and records.
#[derive(Debug)]
pub struct Issuer {
    /// Who it is.
    pub id: SpiffeId,
    /// Signs its grants.
    pub signing: SigningKey,
    /// The agencies' sealing keys, pinned out of band.
    pub sealing: BTreeMap<AgencyId, (KeyId, SealingKey)>,
    /// Makes the tags of persons.
    pub persons: PersonKeys,
    /// Its records.
    pub records: StatusDirectory,
}

impl Issuer {
    /// By which tag a gateway's audit log knows a person's use of a grant.
    pub fn tag(&self, person: &Sensitive<String>, jti: &str) -> SubjectTag {
        self.persons.tag(person, &self.id, jti)
    }

    /// Issues a grant. Purposes, ceilings and catalogue are the verifiers'
    /// business; form is checked here, with their own parser.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(
        &self,
        request: &GrantRequest,
        now: OffsetDateTime,
    ) -> Result<IssuedGrant, IssueError> {
        let jti = random::number()?;
        let tag = self.persons.tag(&request.subject, &self.id, &jti);
        let mut disclosures =
            vec![disclosure(GATEWAY_CLAIM, &json!({"subject_tag": base64::encode(tag.expose())}))?];
        for agency in &request.agencies {
            disclosures.push(self.agency_disclosure(agency, &request.subject, &jti)?);
        }
        if disclosures.len() > MAX_DISCLOSURES {
            return Err(IssueError::Refused(GrantError::Size));
        }
        let digests = with_decoys(&disclosures)?;

        // A first draft with any index shows whether the form holds, so that a
        // refused request leaves no record behind.
        self.sign(&self.claims(request, &jti, 0, &digests, now), &disclosures)?;
        let index = self.records.allocate(&jti, &request.subject, request.expires_at)?;
        let claims = self.claims(request, &jti, index, &digests, now);
        let presentation = self.sign(&claims, &disclosures)?;
        Ok(IssuedGrant { presentation, jti, index })
    }

    fn agency_disclosure(
        &self,
        request: &AgencyRequest,
        subject: &Sensitive<String>,
        jti: &str,
    ) -> Result<String, IssueError> {
        let agency = &request.agency;
        let (kid, key) =
            self.sealing.get(agency).ok_or_else(|| IssueError::NoSealingKey(agency.clone()))?;
        let padded = pad(subject.expose())?;
        let sealed = seal(kid, key, &padded, &associated_data(&self.id, jti, agency, kid))?;
        let value = json!({
            "agency": agency.as_str(),
            "items": request.items,
            "range": {"from": request.from.to_string(), "to": request.to.to_string()},
            "subject": {
                "suite": SUITE,
                "kid": sealed.kid.as_str(),
                "enc": base64::encode(&sealed.enc),
                "ct": base64::encode(&sealed.ct),
            },
        });
        Ok(disclosure(agency.as_str(), &value)?)
    }

    fn claims(
        &self,
        request: &GrantRequest,
        jti: &str,
        index: u32,
        digests: &[String],
        now: OffsetDateTime,
    ) -> Value {
        json!({
            "iss": self.id.as_str(),
            "aud": request.audience.as_str(),
            "iat": now.unix_timestamp(),
            "nbf": request.not_before.unix_timestamp(),
            "exp": request.expires_at.unix_timestamp(),
            "jti": jti,
            "client_id": request.client.as_str(),
            "cnf": {"jwk": PublicKey::Verifying(request.proof_key.clone()).to_json(None)},
            "purpose": {"code": request.purpose.as_str(), "text": request.purpose_text},
            "legal_basis": {
                "kind": request.legal_basis.as_str(), "ref": request.legal_basis_ref,
            },
            "mode": "VIEW",
            "data_life": request.data_life.whole_seconds(),
            "frequency": {
                "count": request.frequency.count, "per": request.frequency.per.as_str(),
            },
            "status": {"status_list": {"idx": index, "uri": self.records.uri()}},
            "_sd": digests,
            "_sd_alg": "sha-256",
        })
    }

    fn sign(&self, claims: &Value, disclosures: &[String]) -> Result<String, IssueError> {
        let jwt = self.signing.sign_jws(TYPE, claims)?;
        let presentation = format!("{jwt}~{}~", disclosures.join("~"));
        Presentation::parse(presentation.as_bytes())
            .and_then(|presentation| Contents::read(&presentation))
            .map_err(IssueError::Refused)?;
        Ok(presentation)
    }
}

/// One disclosure with a fresh salt, encoded.
fn disclosure(name: &str, value: &Value) -> Result<String, RandomError> {
    let parts = json!([random::token()?, name, value]);
    Ok(base64::encode(parts.to_string().as_bytes()))
}

/// The digests with decoys up to the next number that is allowed. Sorting shuffles
/// them: a digest's order says nothing of what it is the digest of.
fn with_decoys(disclosures: &[String]) -> Result<Vec<String>, RandomError> {
    let mut digests: Vec<[u8; 32]> = disclosures.iter().map(|text| digest(text)).collect();
    let total = DIGEST_COUNTS.into_iter().find(|count| *count >= digests.len());
    let total = total.unwrap_or(digests.len());
    while digests.len() < total {
        digests.push(digest(&base64::encode(&random::bytes::<32>()?)));
    }
    digests.sort_unstable();
    Ok(digests.iter().map(|digest| base64::encode(digest)).collect())
}
