//! The `[policy]` section: where rules and vocabulary stand, and reading them.
//!
//! What rules mean is the business of `domain::policy`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::file::{self, FileError};
use super::reload::{Watch, files};
use crate::domain::catalogue::Catalogue;
use crate::domain::policy::engine::{DEFAULT_CACHE, Engine, Source};
use crate::domain::policy::finding::PolicyFinding;
use crate::domain::policy::vocabulary::Vocabulary;

/// Ending of the files that hold rules.
const ENDING: &str = "cedar";

/// Most files of one policy.
const MAX_FILES: usize = 256;

/// Where the rules stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// A `.cedar` file, or a folder whose `.cedar` files are all read (not those
    /// of its subfolders). No rule opens nothing.
    pub rules: PathBuf,
    /// The TOML file with the purposes, consumers and agencies that rules may
    /// name.
    pub vocabulary: PathBuf,
    /// How many decisions are remembered, one for each combination of consumer,
    /// purpose, legal basis and agency.
    #[serde(default = "default_cache")]
    pub cached_decisions: NonZeroUsize,
}

fn default_cache() -> NonZeroUsize {
    NonZeroUsize::new(DEFAULT_CACHE).unwrap_or(NonZeroUsize::MIN)
}

/// Why a policy was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum PolicyLoadError {
    /// A file or folder cannot be read.
    #[error("cannot read `{}`: check that it exists and that this account may read it", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// More than anybody reviews.
    #[error("`{}` is too large: keep to {MAX_FILES} files of 1 MiB each", .0.display())]
    TooLarge(PathBuf),
    /// The vocabulary is not TOML of the right shape.
    #[error("{0}")]
    Vocabulary(FileError),
    /// What comes into force cannot be kept beside the audit log.
    #[error("the policy cannot be kept beside the audit log: {source}")]
    Kept {
        /// What the system said.
        source: std::io::Error,
    },
    /// The rules do not pass their checks.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Findings(Vec<PolicyFinding>),
}

impl PolicyConfig {
    /// Reads relative paths as relative to `folder`, the configuration file's own.
    #[must_use]
    pub fn resolved(mut self, folder: &Path) -> Self {
        self.rules = folder.join(&self.rules);
        self.vocabulary = folder.join(&self.vocabulary);
        self
    }

    /// Reads the files and builds the engine.
    ///
    /// # Errors
    /// A file cannot be read or a rule does not hold; everything that is wrong
    /// with the rules is named at once.
    pub fn load(&self, catalogue: &Arc<Catalogue>) -> Result<Engine, PolicyLoadError> {
        let vocabulary = read_vocabulary(&self.vocabulary, catalogue)?;
        let rules = read_texts(&self.rules, ENDING)?;
        let engine = Engine::load(Arc::clone(catalogue), &sources(&rules), &vocabulary)
            .map_err(PolicyLoadError::Findings)?;
        Ok(engine.with_cache(self.cached_decisions.get()))
    }

    /// As [`PolicyConfig::load`], for a configuration file whose faults are gathered.
    pub fn judge(&self, catalogue: &Arc<Catalogue>, faults: &mut Faults) -> Option<Engine> {
        let vocabulary = read_vocabulary(&self.vocabulary, catalogue);
        let texts = read_texts(&self.rules, ENDING);
        let vocabulary = note("policy.vocabulary", vocabulary, faults);
        let texts = note("policy.rules", texts, faults)?;
        let engine = Engine::load(Arc::clone(catalogue), &sources(&texts), &vocabulary?);
        let engine = note("policy.rules", engine.map_err(PolicyLoadError::Findings), faults)?;
        Some(engine.with_cache(self.cached_decisions.get()))
    }

    /// Notes what is wrong with the files, but for what they say of the catalogue, where
    /// that is unsound.
    pub fn judge_without_catalogue(&self, faults: &mut Faults) {
        note("policy.vocabulary", written_vocabulary(&self.vocabulary), faults);
        note("policy.rules", read_texts(&self.rules, ENDING), faults);
    }

    /// As [`PolicyConfig::load`], over the catalogue of another engine.
    ///
    /// # Errors
    /// As [`PolicyConfig::load`].
    pub fn load_beside(&self, other: &Engine) -> Result<Engine, PolicyLoadError> {
        let vocabulary = read_vocabulary(&self.vocabulary, other.catalogue())?;
        let rules = read_texts(&self.rules, ENDING)?;
        Engine::load_beside(other, &sources(&rules), &vocabulary).map_err(PolicyLoadError::Findings)
    }

    /// Watches the files. Begin before they are loaded for the first time.
    pub fn watch(&self) -> Watch {
        Watch::new(vec![self.rules.clone(), self.vocabulary.clone()], ENDING)
    }
}

fn note<T>(key: &str, read: Result<T, PolicyLoadError>, faults: &mut Faults) -> Option<T> {
    match read {
        Ok(read) => return Some(read),
        Err(PolicyLoadError::Findings(found)) => {
            faults.extend(found.iter().map(PolicyFinding::as_finding));
        }
        Err(PolicyLoadError::Vocabulary(FileError::Faults(found))) => faults.extend(found.0),
        Err(error) => return faults.take(key, Err(error)),
    }
    None
}

/// A vocabulary as it is written.
fn written_vocabulary(path: &Path) -> Result<Vocabulary, PolicyLoadError> {
    file::parse_toml(path, &read(path)?).map_err(PolicyLoadError::Vocabulary)
}

/// Reads a vocabulary. One that lists no agency has those of the catalogue.
///
/// # Errors
/// The file cannot be read or is no vocabulary.
pub fn read_vocabulary(path: &Path, catalogue: &Catalogue) -> Result<Vocabulary, PolicyLoadError> {
    let mut vocabulary = written_vocabulary(path)?;
    if vocabulary.agencies.is_empty() {
        vocabulary.agencies = catalogue.agencies().into_iter().cloned().collect();
    }
    Ok(vocabulary)
}

/// Reads a file, or a folder's files with an ending: name and text of each.
///
/// # Errors
/// A file cannot be read, or there are too many or too large ones.
pub fn read_texts(path: &Path, ending: &str) -> Result<Vec<(String, String)>, PolicyLoadError> {
    let found = files(path, ending)
        .map_err(|source| PolicyLoadError::Read { path: path.to_owned(), source })?;
    if found.len() > MAX_FILES {
        return Err(PolicyLoadError::TooLarge(path.to_owned()));
    }
    found
        .iter()
        .map(|file| {
            let name = file.file_name().unwrap_or(file.as_os_str());
            Ok((name.to_string_lossy().into_owned(), read(file)?))
        })
        .collect()
}

/// Names and texts as the domain takes them.
pub fn sources(texts: &[(String, String)]) -> Vec<Source<'_>> {
    texts.iter().map(|(name, text)| Source { name, text }).collect()
}

fn read(path: &Path) -> Result<String, PolicyLoadError> {
    crate::files::read_text(path, crate::files::MEDIUM)
        .map_err(|source| PolicyLoadError::Read { path: path.to_owned(), source })
}
