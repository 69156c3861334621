//! Reads anchors and revocation lists from files.
//!
//! Anchors that cannot be read stop the start: skipping one silently would turn
//! a typing error into a refused agency. Revocation lists that cannot be read
//! close their own trust domain only, since a list goes bad while we run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use time::OffsetDateTime;
use webpki::OwnedCertRevocationList;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::{Domain, Revocation, TrustStore};
use crate::config::link::TrustConfig;
use crate::domain::peer::TrustDomain;
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
    /// The same domain stands twice.
    #[error("trust domain `{0}` is listed twice: merge the two entries into one")]
    Twice(TrustDomain),
}

impl TrustStore {
    /// Reads every file that `config` names.
    ///
    /// # Errors
    /// [`TrustLoadError`] for anchors that are missing or unusable. Unusable
    /// revocation lists are no error: they show in [`TrustStore::alarms`] and
    /// nobody of their domain is believed.
    pub fn load(config: &[TrustConfig]) -> Result<Self, TrustLoadError> {
        let mut domains = BTreeMap::new();
        for entry in config {
            let domain = load_domain(entry)?;
            if domains.insert(entry.domain.clone(), domain).is_some() {
                return Err(TrustLoadError::Twice(entry.domain.clone()));
            }
        }
        Ok(Self { domains })
    }
}

fn load_domain(entry: &TrustConfig) -> Result<Domain, TrustLoadError> {
    let unusable = |problem: String| TrustLoadError::Anchors {
        domain: entry.domain.clone(),
        file: entry.anchors.clone(),
        problem,
    };
    let text = std::fs::read(&entry.anchors).map_err(|source| TrustLoadError::Read {
        domain: entry.domain.clone(),
        file: entry.anchors.clone(),
        source,
    })?;
    let mut anchors = Vec::new();
    let mut anchor_ends = Vec::new();
    for der in CertificateDer::pem_slice_iter(&text) {
        let der = der.map_err(|error| unusable(error.to_string()))?;
        let parsed = certificate::parse(&der).map_err(|error| unusable(error.to_string()))?;
        if !parsed.is_ca() {
            return Err(unusable(format!("`{}` is no authority's certificate", parsed.subject())));
        }
        let anchor =
            webpki::anchor_from_trusted_cert(&der).map_err(|error| unusable(error.to_string()))?;
        anchors.push(anchor.to_owned());
        anchor_ends.push(parsed.validity().not_after.to_datetime());
    }
    if anchors.is_empty() {
        return Err(unusable("no certificate in it".to_owned()));
    }
    let revocation = match &entry.crl {
        None => Revocation::NotConfigured,
        Some(file) => load_lists(file).unwrap_or_else(|problem| {
            tracing::error!(
                reason = "revocation_unusable",
                domain = %entry.domain,
                file = %file.display(),
                problem,
                "nobody of this trust domain is believed until a current revocation list is installed"
            );
            Revocation::Unusable(problem)
        }),
    };
    Ok(Domain { roles: entry.roles.clone(), anchors, anchor_ends, revocation })
}

fn load_lists(file: &Path) -> Result<Revocation, String> {
    let text = std::fs::read(file)
        .map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
    let mut lists = Vec::new();
    let mut next_update: Option<OffsetDateTime> = None;
    for der in CertificateRevocationListDer::pem_slice_iter(&text) {
        let der = der.map_err(|error| error.to_string())?;
        let list = OwnedCertRevocationList::from_der(&der).map_err(|error| error.to_string())?;
        let (_, parsed) =
            CertificateRevocationList::from_der(&der).map_err(|error| error.to_string())?;
        let renewal = parsed
            .next_update()
            .ok_or("a revocation list does not say when it is to be renewed")?
            .to_datetime();
        next_update = Some(next_update.map_or(renewal, |earliest| earliest.min(renewal)));
        lists.push(list.into());
    }
    let next_update = next_update.ok_or("no revocation list in it")?;
    Ok(Revocation::Lists { lists, next_update })
}
