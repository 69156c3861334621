//! What the kit must be told: test people, and for an enforcing agency the
//! identity and the test issuer with which to ask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::config::file::{self, FileError};
use crate::config::link::LinkConfig;
use crate::domain::catalogue::AgencyId;
use crate::domain::grant::{LegalBasis, PurposeCode};
use crate::domain::peer::SpiffeId;
use crate::domain::sensitive::Sensitive;

/// The kit's file. Paths are relative to it. See `docs/conformance.md`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// For level `source`.
    pub source: Option<SourcePlan>,
    /// For level `enforcing`.
    pub enforcing: Option<EnforcingPlan>,
}

/// `[source]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcePlan {
    /// Test people who have a row in at least one query; two or more.
    pub known: Vec<TestNumber>,
    /// A number that is nobody's.
    pub unknown: TestNumber,
    /// The longest that one call may take.
    #[serde(default = "default_deadline", with = "humantime_serde")]
    pub deadline: Duration,
    /// The agency's own file, with the mapping and the catalogue's folder.
    pub mapping: Option<PathBuf>,
    /// Cells that must be found.
    #[serde(default)]
    pub expect: Vec<Expected>,
}

/// `[[source.expect]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The query.
    pub query: String,
    /// Whose row.
    pub subject: TestNumber,
    /// Column to value: a boolean, a number or a text.
    pub cells: BTreeMap<String, toml::Value>,
}

/// `[enforcing]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnforcingPlan {
    /// The agency's name in the catalogue.
    pub agency: AgencyId,
    /// The identity that its certificate must show.
    pub identity: SpiffeId,
    /// The catalogue's folder.
    pub catalogue: PathBuf,
    /// A gateway's certificate and key, and whom to trust.
    pub link: LinkConfig,
    /// The settings of a test issuer whose keys the agency pins, and whose status
    /// list is being served.
    pub issuer: PathBuf,
    /// The consumer for whom grants are made.
    pub consumer: SpiffeId,
    /// The consumer's public proof key, a JWK.
    pub proof_key: PathBuf,
    /// A purpose that the agency accepts from the issuer for the consumer.
    pub purpose: PurposeCode,
    /// A legal basis that the issuer may speak for.
    #[serde(default = "default_basis")]
    pub legal_basis: LegalBasis,
    /// Test people with a record; one or more.
    pub known: Vec<TestNumber>,
    /// A well-formed number that is nobody's.
    pub unknown: TestNumber,
    /// Items to ask for, which the agency's policy opens; two or more.
    pub items: Vec<String>,
    /// A certificate of another role that the agency's trust accepts, if any.
    pub other_role: Option<PairEntry>,
    /// The longest that one call may take.
    #[serde(default = "default_deadline", with = "humantime_serde")]
    pub deadline: Duration,
    /// How long a revocation may take to be heard of; without it that is skipped.
    #[serde(default, with = "humantime_serde")]
    pub revoked_within: Option<Duration>,
}

/// The number of a test person, who is nobody.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "String")]
pub struct TestNumber(Sensitive<String>);

impl From<String> for TestNumber {
    fn from(number: String) -> Self {
        Self(Sensitive::new(number))
    }
}

impl TestNumber {
    /// The number.
    pub const fn number(&self) -> &Sensitive<String> {
        &self.0
    }
}

/// A certificate and its key, PEM.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairEntry {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

const fn default_deadline() -> Duration {
    Duration::from_secs(5)
}

const fn default_basis() -> LegalBasis {
    LegalBasis::WrittenConsent
}

/// Why a plan cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A section that the level needs.
    #[error("the plan has no [{0}]: level `{0}` needs it, see docs/conformance.md")]
    Section(&'static str),
    /// Too few of something.
    #[error("`{name}` under [{section}] needs {least} entries at least")]
    Few {
        /// The section.
        section: &'static str,
        /// The key.
        name: &'static str,
        /// How many.
        least: usize,
    },
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// [`PlanError::File`].
    pub fn load(path: &Path) -> Result<Self, PlanError> {
        let mut plan: Self = file::read_toml(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        if let Some(source) = &mut plan.source {
            source.mapping = source.mapping.take().map(|path| folder.join(path));
        }
        if let Some(enforcing) = plan.enforcing.take() {
            plan.enforcing = Some(enforcing.resolved(folder));
        }
        Ok(plan)
    }

    /// The part for level `source`.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn source(self) -> Result<SourcePlan, PlanError> {
        let plan = self.source.ok_or(PlanError::Section("source"))?;
        enough("source", "known", plan.known.len(), 2)?;
        Ok(plan)
    }

    /// The part for level `enforcing`.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn enforcing(self) -> Result<EnforcingPlan, PlanError> {
        let plan = self.enforcing.ok_or(PlanError::Section("enforcing"))?;
        enough("enforcing", "known", plan.known.len(), 1)?;
        enough("enforcing", "items", plan.items.len(), 2)?;
        Ok(plan)
    }
}

fn enough(
    section: &'static str,
    name: &'static str,
    found: usize,
    least: usize,
) -> Result<(), PlanError> {
    if found < least { Err(PlanError::Few { section, name, least }) } else { Ok(()) }
}

impl EnforcingPlan {
    fn resolved(mut self, folder: &Path) -> Self {
        self.link = self.link.resolved(folder);
        let resolve = |path: &mut PathBuf| *path = folder.join(&*path);
        resolve(&mut self.catalogue);
        resolve(&mut self.issuer);
        resolve(&mut self.proof_key);
        if let Some(pair) = &mut self.other_role {
            resolve(&mut pair.certificate);
            resolve(&mut pair.key);
        }
        self
    }
}
