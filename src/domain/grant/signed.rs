//! A grant whose signature and digests hold: facts that never change, and so
//! the only part that may be cached.
//!
//! It gives no authority. [`SignedGrant::authorise`] turns it into a
//! [`super::VerifiedGrant`], once for every use.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::claims::{Claims, TYPE};
use super::disclosure::{AgencyDisclosure, Disclosure, DisclosureFault, digest};
use super::error::GrantError;
use super::jws::Jws;
use super::key::{JwsKey, KeyId};
use super::pins::IssuerPins;
use super::presentation::{Presentation, PresentationDigest};
use super::subject::{OpeningKeys, SealError, associated_data, open};
use super::verified::Standing;
use crate::domain::sensitive::Sensitive;
use crate::domain::subject::SubjectTag;

/// One agency's disclosure, with its place in the presentation.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) disclosure: AgencyDisclosure,
    encoded: Range<usize>,
    /// The digest of what its agency is shown, once somebody wanted it.
    pub(super) part: OnceLock<PresentationDigest>,
}

/// What a presentation says. Made by [`Contents::read`] it is only a claim.
#[derive(Debug)]
pub struct Contents {
    pub(super) text: Box<str>,
    pub(super) jwt: Range<usize>,
    /// The name of the key that is said to have signed it.
    pub kid: KeyId,
    /// The issuer's claims.
    pub claims: Claims,
    pub(super) granted: Vec<Granted>,
    /// The gateway's disclosure, if it is there.
    pub gateway: Option<SubjectTag>,
}

impl Contents {
    /// Reads a presentation without checking its signature: for people who look
    /// at a grant, never for a decision.
    ///
    /// # Errors
    /// Whatever is wrong with its form or its digests.
    pub fn read(presentation: &Presentation<'_>) -> Result<Self, GrantError> {
        Self::read_with(presentation, |_, _, _| Ok(()))
    }

    /// Reads a presentation; `check` sees the signed part before any disclosure
    /// is looked at.
    fn read_with(
        presentation: &Presentation<'_>,
        check: impl FnOnce(&Jws<'_>, &KeyId, &Claims) -> Result<(), GrantError>,
    ) -> Result<Self, GrantError> {
        let jws = Jws::parse(presentation.jwt())?;
        if jws.typ != TYPE {
            return Err(GrantError::Type(TYPE));
        }
        let kid = jws
            .kid
            .clone()
            .ok_or(super::fields::FieldError::Missing { place: "header", name: "kid" })?;
        let claims = Claims::parse(&jws.payload)?;
        check(&jws, &kid, &claims)?;

        let mut granted: Vec<Granted> = Vec::new();
        let mut gateway = None;
        let mut seen = BTreeSet::new();
        let mut at = presentation.jwt().len() + 1;
        for encoded in presentation.disclosures() {
            let digest = digest(encoded);
            if !claims.digests.contains(&digest) {
                return Err(DisclosureFault::NotSigned.into());
            }
            if !seen.insert(digest) {
                return Err(DisclosureFault::Twice.into());
            }
            match Disclosure::parse(encoded)? {
                Disclosure::Gateway(tag) => {
                    if gateway.replace(tag).is_some() {
                        return Err(DisclosureFault::Twice.into());
                    }
                }
                Disclosure::Agency(disclosure) => {
                    if granted.iter().any(|known| known.disclosure.agency == disclosure.agency) {
                        return Err(DisclosureFault::Twice.into());
                    }
                    let encoded = at..at + encoded.len();
                    granted.push(Granted { disclosure, encoded, part: OnceLock::new() });
                }
            }
            at += encoded.len() + 1;
        }
        let text: Box<str> = presentation.text().into();
        Ok(Self { jwt: 0..presentation.jwt().len(), text, kid, claims, granted, gateway })
    }

    /// The disclosures of agencies, in the order of the presentation.
    pub fn agencies(&self) -> impl Iterator<Item = &AgencyDisclosure> {
        self.granted.iter().map(|granted| &granted.disclosure)
    }
}

/// A grant whose signature and digests hold under a key that was pinned when
/// they were checked.
pub struct SignedGrant {
    pub(super) contents: Contents,
    pub(super) digest: PresentationDigest,
    /// The key that the signature holds under, compared on every use: a key
    /// that is no longer pinned takes its grants with it.
    pub(super) key: JwsKey,
    /// What the agency opened; a gateway has no key to fill it.
    opened: OnceLock<Sensitive<Box<str>>>,
    /// Of the last use that was allowed.
    standing: Mutex<Option<Arc<Standing>>>,
}

impl SignedGrant {
    /// Checks signature, digests and form of a presentation.
    ///
    /// # Errors
    /// Whatever does not hold; see [`GrantError::reason`].
    pub fn check(presentation: &[u8], pins: &IssuerPins) -> Result<Self, GrantError> {
        let cut = Presentation::parse(presentation)?;
        let mut used = None;
        let contents = Contents::read_with(&cut, |jws, kid, claims| {
            let key = pinned_key(pins, claims, kid)?;
            jws.check(key)?;
            used = Some(key.clone());
            Ok(())
        })?;
        let key = used.ok_or(GrantError::Signature)?;
        let digest = PresentationDigest::of(presentation);
        Ok(Self { contents, digest, key, opened: OnceLock::new(), standing: Mutex::default() })
    }

    /// The digest of the exact presentation.
    pub const fn digest(&self) -> PresentationDigest {
        self.digest
    }

    /// SHA-256 of the signed part, which is the same at every receiver.
    pub(super) fn signed_digest(&self) -> [u8; 32] {
        let signed = self.contents.text.get(self.contents.jwt.clone()).unwrap_or_default();
        digest(signed)
    }

    /// What pins, purposes and catalogue made of it when it was last used.
    pub(super) fn standing(&self) -> Option<Arc<Standing>> {
        self.standing.lock().clone()
    }

    pub(super) fn stands(&self, standing: Arc<Standing>) {
        *self.standing.lock() = Some(standing);
    }

    /// How long the presentation is.
    pub(super) fn bytes(&self) -> usize {
        self.contents.text.len()
    }

    /// The signed part with one disclosure, to be forwarded.
    pub(super) fn forward(&self, granted: &Granted) -> Option<Vec<u8>> {
        let text = &self.contents.text;
        let (jwt, disclosure) =
            (text.get(self.contents.jwt.clone())?, text.get(granted.encoded.clone())?);
        Some([jwt, "~", disclosure, "~"].concat().into_bytes())
    }

    /// Opens the subject of one disclosure and keeps it with the grant. The key
    /// must be there even when the subject has been opened before.
    pub(super) fn open(
        &self,
        granted: &AgencyDisclosure,
        keys: &OpeningKeys,
    ) -> Result<Sensitive<Box<str>>, SealError> {
        let key = keys.get(&granted.subject.kid)?;
        if let Some(subject) = self.opened.get() {
            return Ok(subject.clone());
        }
        let claims = &self.contents.claims;
        let aad = associated_data(
            &claims.issuer,
            claims.jti.as_str(),
            &granted.agency,
            &granted.subject.kid,
        );
        let subject = open(key, &granted.subject, &aad)?;
        Ok(self.opened.get_or_init(|| subject).clone())
    }
}

/// The key that the pins hold for a grant.
pub(super) fn pinned_key<'a>(
    pins: &'a IssuerPins,
    claims: &Claims,
    kid: &KeyId,
) -> Result<&'a JwsKey, GrantError> {
    let pin = pins.get(&claims.issuer).ok_or_else(|| GrantError::Issuer(claims.issuer.clone()))?;
    pin.keys
        .get(kid)
        .ok_or_else(|| GrantError::Key { issuer: claims.issuer.clone(), kid: kid.clone() })
}

impl fmt::Debug for SignedGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims = &self.contents.claims;
        write!(f, "SignedGrant({} {})", claims.issuer, claims.jti)
    }
}
