//! The `[grants]` section: pinned issuers, purposes with their ceilings, and,
//! at an agency, the keys that open subjects.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration as Wait;

use serde::Deserialize;
use time::Duration;

use super::catalogue::check_agency;
use super::faults::Faults;
use super::key_file::{opening_key, pinned_key};
use super::link::{LinkConfig, NOT_BELIEVED};
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::grant::{
    Frequency, IssuerPin, IssuerPins, KeyId, Keys, LegalBasis, OpeningKeys, Purpose, PurposeCode,
    PurposeTable,
};
use crate::domain::item::ItemSet;
use crate::domain::peer::{Role, SpiffeId};

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
    /// Whether a request is answered only with its consumer's proof.
    #[serde(default)]
    pub require_proof: bool,
    /// The pinned issuers.
    #[serde(default)]
    pub issuer: Vec<IssuerEntry>,
    /// The closed list of purposes.
    #[serde(default)]
    pub purpose: Vec<PurposeEntry>,
    /// An agency's own keys that open subjects; a gateway has none.
    #[serde(default)]
    pub opening_key: Vec<OpeningKeyEntry>,
    /// Whom a gateway asks; an agency asks nobody.
    #[serde(skip)]
    pub asked: Option<BTreeSet<AgencyId>>,
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
    /// The agencies that it may open; without it those whose own entries name it.
    pub agencies: Option<Vec<AgencyId>>,
    /// The consumers that it may open them to; without it those whose own entries name it.
    pub consumers: Option<Vec<SpiffeId>>,
    /// More agencies, whose own entries name it.
    #[serde(skip)]
    pub opened: Vec<AgencyId>,
    /// More consumers, whose own entries name it.
    #[serde(skip)]
    pub admitted: Vec<SpiffeId>,
}

/// One `[[consumer]]`: who may ask, beside those that an issuer's entry lists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerEntry {
    /// The identity in its certificate.
    pub id: SpiffeId,
    /// The issuers that may open agencies to it.
    pub issuers: Vec<SpiffeId>,
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

impl Grants {
    /// What stays of it under another section that cannot be used: whom that section does
    /// not name is believed no more, whatever else is wrong with it.
    #[must_use]
    pub fn narrowed(&self, config: &GrantsConfig) -> Self {
        let pins = self.pins.narrowed(|issuer, pin| {
            let Some(entry) = config.issuer.iter().find(|entry| entry.id == *issuer) else {
                return false;
            };
            pin.agencies.retain(|id| config.may_name(entry, id));
            pin.consumers.retain(|id| entry.consumers().any(|listed| listed == id));
            true
        });
        Self { pins, ..self.clone() }
    }
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct Grants {
    /// The pinned issuers.
    pub pins: IssuerPins,
    /// The purposes.
    pub purposes: PurposeTable,
    /// Whether a request is answered only with its consumer's proof.
    pub require_proof: bool,
    /// How old a status list may be.
    pub max_age: Duration,
    /// How often the lists are fetched.
    pub fetch_every: Wait,
    /// For each issuer, the file of the anchors of its HTTPS servers.
    pub status_anchors: BTreeMap<SpiffeId, PathBuf>,
}

impl IssuerEntry {
    /// The agencies that it may open, whoever says so.
    pub fn agencies(&self) -> impl Iterator<Item = &AgencyId> {
        self.agencies.iter().flatten().chain(&self.opened)
    }

    /// The consumers that it may open them to, whoever says so.
    pub fn consumers(&self) -> impl Iterator<Item = &SpiffeId> {
        self.consumers.iter().flatten().chain(&self.admitted)
    }

    /// What it lacks as long as no party names it.
    fn waits_for(&self) -> Option<&'static str> {
        if self.agencies.is_none() && self.opened.is_empty() {
            Some("agency")
        } else if self.consumers.is_none() && self.admitted.is_empty() {
            Some("consumer")
        } else {
            None
        }
    }
}

impl GrantsConfig {
    /// Whether an issuer's grants may name an agency. Where each agency says itself who may
    /// open it, one that is not asked at all says nothing: what a grant has of it is left
    /// alone, so that a grant outlives an agency that goes.
    fn may_name(&self, entry: &IssuerEntry, agency: &AgencyId) -> bool {
        let unasked = || self.asked.as_ref().is_some_and(|asked| !asked.contains(agency));
        entry.agencies().any(|listed| listed == agency) || (entry.agencies.is_none() && unasked())
    }

    /// Tells each issuer that a party's entry names at `key`.
    pub(super) fn open(
        &mut self,
        key: &str,
        issuers: &[SpiffeId],
        mut tell: impl FnMut(&mut IssuerEntry),
        faults: &mut Faults,
    ) {
        for (at, id) in issuers.iter().enumerate() {
            let mut named = self.issuer.iter_mut().filter(|entry| entry.id == *id).peekable();
            if named.peek().is_none() {
                // It may have been taken away, which opens nothing and must not hold up the rest.
                let message = format!(
                    "names `{id}`, which no [[grants.issuer]] pins: it opens nothing until one does"
                );
                faults.doubt(&format!("{key}[{at}]"), message);
            }
            named.for_each(&mut tell);
        }
    }

    /// Tells the issuers of consumers that have an entry of their own, and notes what is
    /// wrong with those.
    pub(super) fn admit(
        &mut self,
        consumers: &[ConsumerEntry],
        link: &LinkConfig,
        faults: &mut Faults,
    ) {
        for (at, consumer) in consumers.iter().enumerate() {
            let (id, key) = (&consumer.id, format!("consumer[{at}].id"));
            if id.role() != Role::Consumer {
                let message = format!("is no consumer's: use spiffe://…/consumer/…, not `{id}`");
                faults.add(&key, message);
            } else if consumers.iter().take(at).any(|other| other.id == *id) {
                faults.add(&key, format!("is refused: `{id}` is listed twice: merge the entries"));
            } else if !link.believes(id) {
                faults.doubt(&key, format!("is `{id}`, {NOT_BELIEVED}"));
            }
            let key = format!("consumer[{at}].issuers");
            let tell = |issuer: &mut IssuerEntry| issuer.admitted.push(id.clone());
            self.open(&key, &consumer.issuers, tell, faults);
        }
    }

    /// Checks the section and reads its public keys; paths are relative to
    /// `folder`. Depends on the catalogue, so that a new one needs a new call.
    pub fn load(
        &self,
        folder: &Path,
        catalogue: &Catalogue,
        faults: &mut Faults,
    ) -> Option<Grants> {
        self.read(folder, Some(catalogue), faults)
    }

    /// Notes what is wrong with the section, but for what it says of items and agencies,
    /// where the catalogue is unsound.
    pub fn judge_without_catalogue(&self, folder: &Path, faults: &mut Faults) {
        self.read(folder, None, faults);
    }

    fn read(
        &self,
        folder: &Path,
        catalogue: Option<&Catalogue>,
        faults: &mut Faults,
    ) -> Option<Grants> {
        let before = faults.count();
        if self.fetch_every.is_zero() {
            faults.add("grants.fetch_every", "must not be zero");
        } else if self.max_age < self.fetch_every.saturating_mul(2) {
            let message = "must be at least twice `fetch_every`, or every list is stale before \
                           the next";
            faults.add("grants.max_age", message);
        }
        let purposes = self.read_purposes(catalogue, faults);
        let mut codes = 0..self.purpose.len();
        let codes_are_known =
            !codes.any(|at| faults.touches(&format!("grants.purpose[{at}].code")));
        let mut pins = IssuerPins::default();
        let mut status_anchors = BTreeMap::new();
        for (at, entry) in self.issuer.iter().enumerate() {
            let key = |name: &str| format!("grants.issuer[{at}].{name}");
            let listed = |code: &PurposeCode| self.purpose.iter().any(|one| one.code == *code);
            if let Some(purpose) = entry.purposes.iter().find(|code| !listed(code))
                && codes_are_known
            {
                let message = format!("names `{purpose}`, which no [[grants.purpose]] lists");
                faults.add(&key("purposes"), message);
            }
            for (other, agency) in entry.agencies.iter().flatten().enumerate() {
                let Some(catalogue) = catalogue else { break };
                check_agency(&key(&format!("agencies[{other}]")), agency, catalogue, faults);
            }
            let mut pin = entry.read(&key(""), folder, faults);
            let known = catalogue.map(Catalogue::agencies).unwrap_or_default();
            pin.agencies.extend(known.into_iter().filter(|id| self.may_name(entry, id)).cloned());
            if let Some(what) = entry.waits_for() {
                let message = format!(
                    "is `{}`, which no {what} names in its `issuers`: it opens nothing until one does",
                    entry.id
                );
                faults.doubt(&key("id"), message);
                continue;
            }
            for error in pins.pin(entry.id.clone(), pin).err().into_iter().flatten() {
                faults.add(&key(error.key()), format!("is refused: {error}"));
            }
            status_anchors.insert(entry.id.clone(), folder.join(&entry.status_anchors));
        }
        let max_age = Duration::try_from(self.max_age).unwrap_or(Duration::MAX);
        let fetch_every = self.fetch_every;
        let (purposes, require_proof) = (purposes?, self.require_proof);
        let grants = Grants { pins, purposes, require_proof, max_age, fetch_every, status_anchors };
        (faults.count() == before).then_some(grants)
    }

    /// The purposes with their ceilings; reads no key.
    pub fn purposes(&self, catalogue: &Catalogue, faults: &mut Faults) -> Option<PurposeTable> {
        self.read_purposes(Some(catalogue), faults)
    }

    fn read_purposes(
        &self,
        catalogue: Option<&Catalogue>,
        faults: &mut Faults,
    ) -> Option<PurposeTable> {
        let before = faults.count();
        let mut purposes = BTreeMap::new();
        for (at, entry) in self.purpose.iter().enumerate() {
            let purpose = entry.check(&format!("grants.purpose[{at}]"), catalogue, faults);
            if purposes.insert(entry.code.clone(), purpose).is_some() {
                let message = format!("is refused: purpose `{}` is listed twice", entry.code);
                faults.add(&format!("grants.purpose[{at}].code"), message);
            }
        }
        (faults.count() == before).then(|| purposes.into_iter().collect())
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
    pub fn opening_keys(&self, folder: &Path, faults: &mut Faults) -> Option<OpeningKeys> {
        let before = faults.count();
        let mut keys = OpeningKeys::default();
        for (at, entry) in self.opening_key.iter().enumerate() {
            let key = format!("grants.opening_key[{at}]");
            let secret = opening_key(&folder.join(&entry.file), &entry.kid);
            let Some(secret) = faults.take(&format!("{key}.file"), secret) else { continue };
            if !keys.add(entry.kid.clone(), &secret) {
                faults.add(&format!("{key}.kid"), twice(&entry.kid));
            }
        }
        (faults.count() == before).then_some(keys)
    }
}

fn twice(kid: &KeyId) -> String {
    format!("is refused: key `{kid}` is listed twice: give each key its own name")
}

impl PurposeEntry {
    /// The purpose; what is wrong is noted, and left out of it.
    fn check(&self, key: &str, catalogue: Option<&Catalogue>, faults: &mut Faults) -> Purpose {
        let mut items = ItemSet::EMPTY;
        for (at, pattern) in self.items.iter().enumerate() {
            let Some(catalogue) = catalogue else { break };
            match catalogue.select(pattern) {
                Some(some) => items = items.or(&some),
                None => {
                    let near = catalogue.similar_to(pattern);
                    let near: Vec<_> = near.iter().map(|id| format!("`{id}`")).collect();
                    let near = match near.is_empty() {
                        true => String::new(),
                        false => format!(": did you mean {}?", near.join(" or ")),
                    };
                    let pattern = pattern.escape_default();
                    let message =
                        format!("names `{pattern}`, which is no item of the catalogue{near}");
                    faults.add(&format!("{key}.items[{at}]"), message);
                }
            }
        }
        let max_lifetime = Duration::try_from(self.max_lifetime).unwrap_or_default();
        if !max_lifetime.is_positive() || max_lifetime > Duration::days(3660) {
            let message = "must be more than nothing and at most ten years (3660days)";
            faults.add(&format!("{key}.max_lifetime"), message);
        }
        if self.max_frequency.count == 0 {
            faults.add(&format!("{key}.max_frequency.count"), "must be 1 or more");
        }
        Purpose { max_lifetime, max_frequency: self.max_frequency, items }
    }
}

impl IssuerEntry {
    fn read(&self, key: &str, folder: &Path, faults: &mut Faults) -> IssuerPin {
        IssuerPin {
            keys: read_keys(&format!("{key}keys"), &self.keys, folder, faults),
            status_keys: read_keys(&format!("{key}status_keys"), &self.status_keys, folder, faults),
            status_uris: self.status_uris.iter().cloned().collect(),
            legal_bases: self.legal_bases.iter().copied().collect(),
            purposes: self.purposes.iter().cloned().collect(),
            agencies: self.agencies().cloned().collect(),
            consumers: self.consumers().cloned().collect(),
        }
    }
}

fn read_keys(key: &str, entries: &[KeyEntry], folder: &Path, faults: &mut Faults) -> Keys {
    let mut keys = Keys::new();
    for (at, entry) in entries.iter().enumerate() {
        let read = pinned_key(&folder.join(&entry.file), &entry.kid, &entry.algorithm);
        let Some(public) = faults.take(&format!("{key}[{at}].file"), read) else { continue };
        if keys.insert(entry.kid.clone(), public).is_some() {
            faults.add(&format!("{key}[{at}].kid"), twice(&entry.kid));
        }
    }
    keys
}
