//! The `[grants]` section: pinned issuers, purposes with their ceilings, and,
//! at an agency, the keys that open subjects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration as Wait;

use serde::Deserialize;
use time::Duration;

use super::key_file::{KeyFileError, opening_key, pinned_key};
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::grant::{
    Frequency, IssuerPin, IssuerPins, KeyId, Keys, LegalBasis, OpeningKeys, PinError, Purpose,
    PurposeCode, PurposeTable,
};
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;

/// Why the `[grants]` section is refused. The last good one stays in force.
#[derive(Debug, thiserror::Error)]
pub enum GrantsConfigError {
    /// A key file cannot be used.
    #[error("a pinned key cannot be used")]
    Key(#[from] KeyFileError),
    /// The pins are refused.
    #[error("an issuer cannot be pinned")]
    Pin(#[from] PinError),
    /// A purpose names nothing that is in the catalogue.
    #[error("purpose `{purpose}` names `{pattern}`, which is no item of the catalogue")]
    Item {
        /// The purpose.
        purpose: PurposeCode,
        /// The pattern.
        pattern: String,
    },
    /// A purpose stands twice.
    #[error("purpose `{0}` stands twice")]
    PurposeTwice(PurposeCode),
    /// An issuer may speak for a purpose that is not in the list.
    #[error(
        "issuer `{issuer}` may speak for purpose `{purpose}`, which no [[grants.purpose]] lists"
    )]
    UnknownPurpose {
        /// The issuer.
        issuer: SpiffeId,
        /// The purpose.
        purpose: PurposeCode,
    },
    /// An issuer may open an agency that the catalogue does not name.
    #[error("issuer `{issuer}` may open agency `{agency}`, which owns no item of the catalogue")]
    UnknownAgency {
        /// The issuer.
        issuer: SpiffeId,
        /// The agency.
        agency: AgencyId,
    },
    /// Lists would be stale before the next is fetched.
    #[error(
        "`max_age` must be at least twice `fetch_every`, or every list is stale before the next"
    )]
    MaxAge,
    /// A ceiling of nothing.
    #[error("purpose `{purpose}` has a {part} of zero or beyond ten years")]
    Ceiling {
        /// The purpose.
        purpose: PurposeCode,
        /// Which ceiling.
        part: &'static str,
    },
}

/// The `[grants]` section of a gateway or an agency.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantsConfig {
    /// How old a status list may be.
    #[serde(default = "default_max_age", with = "humantime_serde")]
    pub max_age: Wait,
    /// How often the lists are fetched, whether or not a request comes in.
    #[serde(default = "default_fetch_every", with = "humantime_serde")]
    pub fetch_every: Wait,
    /// How many checked signatures are remembered.
    #[serde(default = "default_cache")]
    pub cache: usize,
    /// The pinned issuers.
    #[serde(default)]
    pub issuer: Vec<IssuerEntry>,
    /// The closed list of purposes.
    #[serde(default)]
    pub purpose: Vec<PurposeEntry>,
    /// An agency's own keys that open subjects; a gateway has none.
    #[serde(default)]
    pub opening_key: Vec<OpeningKeyEntry>,
}

fn default_max_age() -> Wait {
    Wait::from_secs(60)
}

fn default_fetch_every() -> Wait {
    Wait::from_secs(5)
}

fn default_cache() -> usize {
    4096
}

/// A pinned public key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// The name that grants give.
    pub kid: KeyId,
    /// `EdDSA` or `ES256`, so that a swapped file is noticed.
    pub algorithm: String,
    /// A JWK or PEM file.
    pub file: PathBuf,
}

/// An agency's private key that opens subjects.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpeningKeyEntry {
    /// The name that grants give.
    pub kid: KeyId,
    /// A JWK file with mode 0600.
    pub file: PathBuf,
}

/// One `[[grants.issuer]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerEntry {
    /// The issuer.
    pub id: SpiffeId,
    /// Keys that sign its grants.
    pub keys: Vec<KeyEntry>,
    /// Keys that sign its status lists.
    pub status_keys: Vec<KeyEntry>,
    /// Its status lists.
    pub status_uris: Vec<Box<str>>,
    /// PEM file of the authorities that vouch for the HTTPS servers of its status
    /// lists; the system's own are not asked.
    pub status_anchors: PathBuf,
    /// The legal bases that it may speak for.
    pub legal_bases: Vec<LegalBasis>,
    /// The purposes that it may speak for.
    pub purposes: Vec<PurposeCode>,
    /// The agencies that it may open.
    pub agencies: Vec<AgencyId>,
    /// The consumers that it may open them to.
    pub consumers: Vec<SpiffeId>,
}

/// One `[[grants.purpose]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurposeEntry {
    /// The code.
    pub code: PurposeCode,
    /// The longest life of a grant.
    #[serde(with = "humantime_serde")]
    pub max_lifetime: Wait,
    /// The most frequent use.
    pub max_frequency: Frequency,
    /// Items: ids, prefixes that end in `.*`, or `*`.
    pub items: Vec<String>,
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct Grants {
    /// The pinned issuers.
    pub pins: IssuerPins,
    /// The purposes.
    pub purposes: PurposeTable,
    /// How old a status list may be.
    pub max_age: Duration,
    /// How often the lists are fetched.
    pub fetch_every: Wait,
    /// For each issuer, the file of the anchors of its HTTPS servers.
    pub status_anchors: BTreeMap<SpiffeId, PathBuf>,
}

impl GrantsConfig {
    /// Checks the section and reads its public keys; paths are relative to
    /// `folder`. Depends on the catalogue, so that a new one needs a new call.
    ///
    /// # Errors
    /// [`GrantsConfigError`].
    pub fn load(&self, folder: &Path, catalogue: &Catalogue) -> Result<Grants, GrantsConfigError> {
        if self.fetch_every.is_zero() || self.max_age < self.fetch_every.saturating_mul(2) {
            return Err(GrantsConfigError::MaxAge);
        }
        let purposes = self.purposes(catalogue)?;
        let mut pins = IssuerPins::default();
        let mut status_anchors = BTreeMap::new();
        for entry in &self.issuer {
            if let Some(purpose) = entry.purposes.iter().find(|code| purposes.get(code).is_none()) {
                return Err(GrantsConfigError::UnknownPurpose {
                    issuer: entry.id.clone(),
                    purpose: purpose.clone(),
                });
            }
            let unknown = |agency: &&AgencyId| catalogue.owned_by(agency).is_empty();
            if let Some(agency) = entry.agencies.iter().find(unknown) {
                return Err(GrantsConfigError::UnknownAgency {
                    issuer: entry.id.clone(),
                    agency: agency.clone(),
                });
            }
            pins.pin(entry.id.clone(), entry.read(folder)?)?;
            status_anchors.insert(entry.id.clone(), folder.join(&entry.status_anchors));
        }
        let max_age = Duration::try_from(self.max_age).unwrap_or(Duration::MAX);
        Ok(Grants { pins, purposes, max_age, fetch_every: self.fetch_every, status_anchors })
    }

    /// The purposes with their ceilings; reads no key.
    ///
    /// # Errors
    /// [`GrantsConfigError`].
    pub fn purposes(&self, catalogue: &Catalogue) -> Result<PurposeTable, GrantsConfigError> {
        let mut purposes = BTreeMap::new();
        for entry in &self.purpose {
            if purposes.insert(entry.code.clone(), entry.check(catalogue)?).is_some() {
                return Err(GrantsConfigError::PurposeTwice(entry.code.clone()));
            }
        }
        Ok(purposes.into_iter().collect())
    }

    /// The files of the pinned issuers; paths are relative to `folder`.
    pub fn issuer_files(&self, folder: &Path) -> Vec<PathBuf> {
        let of_issuer = |entry: &IssuerEntry| {
            let keys =
                entry.keys.iter().chain(&entry.status_keys).map(|key| folder.join(&key.file));
            keys.chain([folder.join(&entry.status_anchors)]).collect::<Vec<_>>()
        };
        self.issuer.iter().flat_map(of_issuer).collect()
    }

    /// Reads an agency's private keys.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn opening_keys(&self, folder: &Path) -> Result<OpeningKeys, KeyFileError> {
        let mut keys = OpeningKeys::default();
        for entry in &self.opening_key {
            let secret = opening_key(&folder.join(&entry.file), &entry.kid)?;
            if !keys.add(entry.kid.clone(), &secret) {
                return Err(KeyFileError::Twice(entry.kid.clone()));
            }
        }
        Ok(keys)
    }
}

impl PurposeEntry {
    fn check(&self, catalogue: &Catalogue) -> Result<Purpose, GrantsConfigError> {
        let mut items = ItemSet::EMPTY;
        for pattern in &self.items {
            let some = catalogue.select(pattern).ok_or_else(|| GrantsConfigError::Item {
                purpose: self.code.clone(),
                pattern: pattern.escape_default().to_string(),
            })?;
            items = items.or(&some);
        }
        let ceiling = |part| GrantsConfigError::Ceiling { purpose: self.code.clone(), part };
        let max_lifetime = Duration::try_from(self.max_lifetime)
            .ok()
            .filter(|life| life.is_positive() && *life <= Duration::days(3660))
            .ok_or_else(|| ceiling("max_lifetime"))?;
        if self.max_frequency.count == 0 {
            return Err(ceiling("max_frequency"));
        }
        Ok(Purpose { max_lifetime, max_frequency: self.max_frequency, items })
    }
}

impl IssuerEntry {
    fn read(&self, folder: &Path) -> Result<IssuerPin, KeyFileError> {
        Ok(IssuerPin {
            keys: read_keys(&self.keys, folder)?,
            status_keys: read_keys(&self.status_keys, folder)?,
            status_uris: self.status_uris.iter().cloned().collect(),
            legal_bases: self.legal_bases.iter().copied().collect(),
            purposes: self.purposes.iter().cloned().collect(),
            agencies: self.agencies.iter().cloned().collect(),
            consumers: self.consumers.iter().cloned().collect(),
        })
    }
}

fn read_keys(entries: &[KeyEntry], folder: &Path) -> Result<Keys, KeyFileError> {
    let mut keys = Keys::new();
    for entry in entries {
        let key = pinned_key(&folder.join(&entry.file), &entry.kid, &entry.algorithm)?;
        if keys.insert(entry.kid.clone(), key).is_some() {
            return Err(KeyFileError::Twice(entry.kid.clone()));
        }
    }
    Ok(keys)
}
