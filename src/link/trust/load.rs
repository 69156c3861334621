//! Reads anchors and revocation lists from files.
//!
//! Anchors that cannot be read stop the start: skipping one silently would turn
//! a typing error into a refused agency. Revocation lists that cannot be read
//! close their own trust domain only, since a list goes bad while we run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::TrustStore;
use super::domain::{Anchors, Domain, Revocation};
use super::revocation::Lists;
use crate::config::link::TrustConfig;
use crate::config::pem;
use crate::domain::peer::TrustDomain;
use crate::files;
use crate::link::certificate;

/// Why the trust store cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TrustLoadError {
    /// An anchor file cannot be read.
    #[error("cannot read the anchors of `{domain}` in `{file}`: check that the file exists")]
    Read {
        /// Whose anchors.
        domain: TrustDomain,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An anchor file has no certificates, or something that is none.
    #[error(
        "the anchors of `{domain}` in `{file}` are unusable ({problem}): install its authority's certificates in PEM"
    )]
    Anchors {
        /// Whose anchors.
        domain: TrustDomain,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file of revocation lists cannot be used.
    #[error(
        "the revocation lists of `{domain}` in `{file}` are unusable ({problem}): install current ones in PEM"
    )]
    Lists {
        /// Whose lists.
        domain: TrustDomain,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// What happens to a trust domain whose revocation lists can no longer be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadList {
    /// The lists that were read last stay in force, for as long as they say.
    Keep,
    /// Nobody of the domain is believed.
    Close,
}

impl TrustStore {
    /// Reads every file that `config` names.
    ///
    /// # Errors
    /// [`TrustLoadError`] for anchors that are missing or unusable. Unusable
    /// revocation lists are no error: they show in [`TrustStore::alarms`] and
    /// nobody of their domain is believed.
    pub fn load(config: &[TrustConfig]) -> Result<Self, TrustLoadError> {
        let (store, faults) = Self::default().reload(config, BadList::Close);
        let fatal = |fault: &TrustLoadError| !matches!(fault, TrustLoadError::Lists { .. });
        faults.into_iter().find(fatal).map_or(Ok(store), Err)
    }

    /// Reads every file again, for a store in place of this one, and says what
    /// could not be read. Anchors that cannot be read stay as they were, and no
    /// other trust domain is touched by it.
    #[must_use]
    pub fn reload(&self, config: &[TrustConfig], bad: BadList) -> (Self, Vec<TrustLoadError>) {
        let (mut domains, mut faults) = (BTreeMap::new(), Vec::new());
        for entry in config {
            let last = self.domains.get(&entry.domain);
            let anchors = load_anchors(entry).map(Arc::new).or_else(|fault| {
                faults.push(fault);
                last.map(|last| Arc::clone(&last.anchors)).ok_or(())
            });
            let revocation = load_revocation(entry).unwrap_or_else(|(fault, problem)| {
                faults.push(fault);
                match last.map(|last| &last.revocation) {
                    Some(lists) if bad == BadList::Keep && lists.has_lists() => Arc::clone(lists),
                    _ => Arc::new(Revocation::Unusable(problem)),
                }
            });
            if let Ok(anchors) = anchors {
                let domain = Domain { roles: entry.roles.clone(), anchors, revocation };
                domains.insert(entry.domain.clone(), domain);
            }
        }
        (Self { domains }, faults)
    }
}

fn load_anchors(entry: &TrustConfig) -> Result<Anchors, TrustLoadError> {
    let unusable = |problem: String| TrustLoadError::Anchors {
        domain: entry.domain.clone(),
        file: entry.anchors.clone(),
        problem,
    };
    let text = files::read(&entry.anchors, files::LARGE).map_err(|source| {
        TrustLoadError::Read { domain: entry.domain.clone(), file: entry.anchors.clone(), source }
    })?;
    let mut found = Anchors::default();
    for der in pem::authorities(&text).map_err(|error| unusable(error.to_string()))? {
        let parsed = certificate::parse(&der).map_err(|error| unusable(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(unusable(format!("`{}` is no authority's certificate", parsed.subject())));
        }
        found.add(&der, &parsed).map_err(|error| unusable(error.to_string()))?;
    }
    Ok(found)
}

fn load_revocation(entry: &TrustConfig) -> Result<Arc<Revocation>, (TrustLoadError, String)> {
    let Some(file) = &entry.crl else { return Ok(Arc::new(Revocation::NotConfigured)) };
    load_lists(file).map(Arc::new).map_err(|problem| {
        let (domain, file) = (entry.domain.clone(), file.clone());
        (TrustLoadError::Lists { domain, file, problem: problem.clone() }, problem)
    })
}

fn load_lists(file: &Path) -> Result<Revocation, String> {
    let text = files::read(file, files::LARGE)
        .map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
    let lists = pem::lists(&text).map_err(|error| error.to_string())?;
    Lists::read(&lists).map(Revocation::Lists)
}
