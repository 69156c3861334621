//! The `[grants]` section: pinned issuers, purposes with their ceilings, and,
//! at an agency, the keys that open subjects. Keys are JWK or PEM files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration as Wait;
use std::{fs, io};

use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use time::Duration;

use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::grant::jwk::{Jwk, KeyError, PublicKey};
use crate::domain::grant::{
    Frequency, IssuerPin, IssuerPins, KeyId, Keys, LegalBasis, OpeningKeys, PinError, Purpose,
    PurposeCode, PurposeTable, SealingKey, VerifyingKey,
};
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read the key file `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds no key of ours.
    #[error("the key file `{}` cannot be used", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// It calls its key otherwise than the configuration.
    #[error("the key file `{}` names its key `{found}`, the configuration `{wanted}`", .path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The name in the file.
        found: KeyId,
        /// The name in the configuration.
        wanted: KeyId,
    },
    /// The algorithm in the configuration is not the key's.
    #[error("the key in `{}` is for {found}, the configuration says {wanted}", .path.display())]
    Algorithm {
        /// The file.
        path: PathBuf,
        /// The key's algorithm.
        found: &'static str,
        /// The configuration's.
        wanted: String,
    },
    /// Others may read a private key.
    #[error("the private key `{}` can be read by others: run chmod 600 on it", .0.display())]
    Mode(PathBuf),
    /// Two keys of one name.
    #[error("key `{0}` stands twice: give each key its own name")]
    Twice(KeyId),
}

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
}

impl GrantsConfig {
    /// Checks the section and reads its public keys; paths are relative to
    /// `folder`. Depends on the catalogue, so that a new one needs a new call.
    ///
    /// # Errors
    /// [`GrantsConfigError`].
    pub fn load(&self, folder: &Path, catalogue: &Catalogue) -> Result<Grants, GrantsConfigError> {
        let mut purposes = std::collections::BTreeMap::new();
        for entry in &self.purpose {
            if purposes.insert(entry.code.clone(), entry.check(catalogue)?).is_some() {
                return Err(GrantsConfigError::PurposeTwice(entry.code.clone()));
            }
        }
        let mut pins = IssuerPins::default();
        for entry in &self.issuer {
            if let Some(purpose) = entry.purposes.iter().find(|code| !purposes.contains_key(*code))
            {
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
        }
        let max_age = Duration::try_from(self.max_age).unwrap_or(Duration::MAX);
        Ok(Grants { pins, purposes: purposes.into_iter().collect(), max_age })
    }

    /// Reads an agency's private keys.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn opening_keys(&self, folder: &Path) -> Result<OpeningKeys, KeyFileError> {
        let mut keys = OpeningKeys::default();
        for entry in &self.opening_key {
            let path = folder.join(&entry.file);
            let read = |source| KeyFileError::Read { path: path.clone(), source };
            if fs::metadata(&path).map_err(read)?.permissions().mode() & 0o077 != 0 {
                return Err(KeyFileError::Mode(path));
            }
            let text = fs::read(&path).map_err(read)?;
            let fault = |source| KeyFileError::Key { path: path.clone(), source };
            let jwk = Jwk::parse(&text).map_err(fault)?;
            if !matches!(jwk.public, PublicKey::Sealing(_)) {
                return Err(fault(KeyError::Kind));
            }
            check_name(&path, jwk.kid, &entry.kid)?;
            let secret = jwk.secret.ok_or_else(|| fault(KeyError::Public))?;
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
        let path = folder.join(&entry.file);
        let (name, key) = public_key(&path)?;
        let PublicKey::Verifying(key) = key else {
            return Err(KeyFileError::Key { path, source: KeyError::Kind });
        };
        check_name(&path, name, &entry.kid)?;
        if key.algorithm().as_str() != entry.algorithm {
            let (found, wanted) = (key.algorithm().as_str(), entry.algorithm.clone());
            return Err(KeyFileError::Algorithm { path, found, wanted });
        }
        if keys.insert(entry.kid.clone(), key).is_some() {
            return Err(KeyFileError::Twice(entry.kid.clone()));
        }
    }
    Ok(keys)
}

fn check_name(path: &Path, found: Option<KeyId>, wanted: &KeyId) -> Result<(), KeyFileError> {
    match found {
        Some(found) if found != *wanted => {
            Err(KeyFileError::Name { path: path.to_owned(), found, wanted: wanted.clone() })
        }
        _ => Ok(()),
    }
}

/// Reads a public key that checks signatures.
///
/// # Errors
/// [`KeyFileError`].
pub fn verifying_key(path: &Path) -> Result<VerifyingKey, KeyFileError> {
    match public_key(path)?.1 {
        PublicKey::Verifying(key) => Ok(key),
        PublicKey::Sealing(_) => {
            Err(KeyFileError::Key { path: path.to_owned(), source: KeyError::Kind })
        }
    }
}

/// Reads a public key to seal to.
///
/// # Errors
/// [`KeyFileError`].
pub fn sealing_key(path: &Path) -> Result<SealingKey, KeyFileError> {
    match public_key(path)?.1 {
        PublicKey::Sealing(key) => Ok(key),
        PublicKey::Verifying(_) => {
            Err(KeyFileError::Key { path: path.to_owned(), source: KeyError::Kind })
        }
    }
}

fn public_key(path: &Path) -> Result<(Option<KeyId>, PublicKey), KeyFileError> {
    let text =
        fs::read(path).map_err(|source| KeyFileError::Read { path: path.to_owned(), source })?;
    let fault = |source| KeyFileError::Key { path: path.to_owned(), source };
    if text.trim_ascii_start().starts_with(b"-----BEGIN") {
        let der =
            SubjectPublicKeyInfoDer::from_pem_slice(&text).map_err(|_| fault(KeyError::Kind))?;
        return PublicKey::from_spki(&der).map(|key| (None, key)).map_err(fault);
    }
    let jwk = Jwk::parse(&text).map_err(fault)?;
    if jwk.secret.is_some() {
        return Err(fault(KeyError::Private));
    }
    Ok((jwk.kid, jwk.public))
}
