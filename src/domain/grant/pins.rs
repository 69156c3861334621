//! Whom an end believes: issuers, their keys, and what each may speak for.
//!
//! Pure data; `config` reads it from files. A key is found by issuer and name
//! and has its own algorithm, so that nothing in a grant chooses how it is checked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::claims::{Claims, is_status_uri};
use super::edition::Edition;
use super::error::Scope;
use super::key::{JwsKey, KeyId};
use super::purpose::{LegalBasis, PurposeCode};
use crate::domain::catalogue::AgencyId;
use crate::domain::peer::{Role, SpiffeId};

/// Keys by name, several for rotation.
pub type Keys = BTreeMap<KeyId, JwsKey>;

/// What is pinned for one issuer.
#[derive(Debug, Clone, Default)]
pub struct IssuerPin {
    /// Keys that sign its grants.
    pub keys: Keys,
    /// Keys that sign its status lists.
    pub status_keys: Keys,
    /// Its status lists.
    pub status_uris: BTreeSet<Box<str>>,
    /// The legal bases that it may speak for.
    pub legal_bases: BTreeSet<LegalBasis>,
    /// The purposes that it may speak for.
    pub purposes: BTreeSet<PurposeCode>,
    /// The agencies that it may open.
    pub agencies: BTreeSet<AgencyId>,
    /// The consumers that it may open them to.
    pub consumers: BTreeSet<SpiffeId>,
}

impl IssuerPin {
    /// Holds the claims that concern a grant as a whole against the pin. The
    /// agencies stand in disclosures and are held against it there.
    pub(super) fn allows(&self, claims: &Claims) -> Result<(), Scope> {
        let all = [
            (self.legal_bases.contains(&claims.legal_basis), Scope::Basis),
            (self.purposes.contains(&claims.purpose), Scope::Purpose),
            (self.consumers.contains(&claims.client), Scope::Consumer),
            (self.status_uris.contains(&claims.status.uri), Scope::StatusUri),
        ];
        all.into_iter().find(|(allowed, _)| !allowed).map_or(Ok(()), |(_, scope)| Err(scope))
    }
}

/// Why pins are refused at load.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The id is in another role.
    #[error("`{0}` is not in the role `issuer`: use spiffe://trust-domain/issuer/name")]
    Role(SpiffeId),
    /// Pinned twice.
    #[error("issuer `{0}` is pinned twice: put all its keys under one entry")]
    Twice(SpiffeId),
    /// Without one of its parts an issuer could grant nothing.
    #[error("issuer `{issuer}` has no {part}: an empty list allows nothing, so remove the issuer")]
    Empty {
        /// The issuer.
        issuer: SpiffeId,
        /// What is empty.
        part: &'static str,
    },
    /// No status URI.
    #[error("`{0}` is not a status URI: use https:// and at most 255 printable characters")]
    StatusUri(String),
    /// Two issuers share a list, so that each could revoke or revive the other's.
    #[error("status URI `{0}` is pinned for two issuers: each needs its own")]
    SharedStatusUri(Box<str>),
}

impl PinError {
    /// The key of the issuer's entry that is wrong.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Role(_) | Self::Twice(_) => "id",
            Self::Empty { part, .. } => part,
            Self::StatusUri(_) | Self::SharedStatusUri(_) => "status_uris",
        }
    }
}

/// The pinned issuers.
#[derive(Debug, Clone)]
pub struct IssuerPins {
    issuers: HashMap<SpiffeId, IssuerPin>,
    /// Status URI to the one issuer that may publish it.
    status: BTreeMap<Box<str>, SpiffeId>,
    edition: Edition,
}

impl Default for IssuerPins {
    fn default() -> Self {
        Self { issuers: HashMap::new(), status: BTreeMap::new(), edition: Edition::new() }
    }
}

impl IssuerPins {
    /// Pins an issuer.
    ///
    /// # Errors
    /// Everything that is wrong; the pins stay as they were.
    pub fn pin(&mut self, issuer: SpiffeId, pin: IssuerPin) -> Result<(), Vec<PinError>> {
        let mut wrong = Vec::new();
        if issuer.role() != Role::Issuer {
            wrong.push(PinError::Role(issuer.clone()));
        }
        if self.issuers.contains_key(&issuer) {
            wrong.push(PinError::Twice(issuer.clone()));
        }
        let parts = [
            (pin.keys.is_empty(), "keys"),
            (pin.status_keys.is_empty(), "status_keys"),
            (pin.status_uris.is_empty(), "status_uris"),
            (pin.legal_bases.is_empty(), "legal_bases"),
            (pin.purposes.is_empty(), "purposes"),
            (pin.agencies.is_empty(), "agencies"),
            (pin.consumers.is_empty(), "consumers"),
        ];
        let empty = parts.into_iter().filter(|(empty, _)| *empty);
        wrong.extend(empty.map(|(_, part)| PinError::Empty { issuer: issuer.clone(), part }));
        for uri in &pin.status_uris {
            if !is_status_uri(uri) {
                wrong.push(PinError::StatusUri(uri.escape_default().to_string()));
            }
            if self.status.contains_key(uri) {
                wrong.push(PinError::SharedStatusUri(uri.clone()));
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        self.status.extend(pin.status_uris.iter().map(|uri| (uri.clone(), issuer.clone())));
        self.issuers.insert(issuer, pin);
        self.edition = Edition::new();
        Ok(())
    }

    /// The pins as far as `keep` lets them stand: it takes from a pin what does not stand
    /// any more, and tells whether the issuer still does. Nothing is added.
    #[must_use]
    pub fn narrowed(&self, mut keep: impl FnMut(&SpiffeId, &mut IssuerPin) -> bool) -> Self {
        let mut pins = Self::default();
        for (issuer, pin) in &self.issuers {
            let mut pin = pin.clone();
            if keep(issuer, &mut pin) {
                // One that opens nothing any more is none.
                let _ = pins.pin(issuer.clone(), pin);
            }
        }
        pins
    }

    pub(super) const fn edition(&self) -> Edition {
        self.edition
    }

    /// What is pinned for an issuer.
    pub fn get(&self, issuer: &SpiffeId) -> Option<&IssuerPin> {
        self.issuers.get(issuer)
    }

    /// Every status URI with its issuer: what is to be fetched, on a schedule.
    pub fn status_uris(&self) -> impl Iterator<Item = (&str, &SpiffeId)> {
        self.status.iter().map(|(uri, issuer)| (&**uri, issuer))
    }

    /// The key that may sign the list at a status URI.
    pub fn status_key(&self, uri: &str, kid: &KeyId) -> Option<&JwsKey> {
        self.issuers.get(self.status.get(uri)?)?.status_keys.get(kid)
    }
}
