//! Whose certificates a federation believes, and when they expire: read from the
//! files that the configurations name, where they are at hand.

use std::path::Path;

use time::OffsetDateTime;

use super::{Files, ReviewError};
use crate::config::agency::AgencyConfig;
use crate::config::gateway::GatewayConfig;
use crate::config::link::LinkConfig;
use crate::domain::flows::places::GATEWAY;
use crate::link::pki::show::{Description, describe};

/// A certificate that somebody's configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// `gateway`, or an agency.
    pub house: String,
    /// The trust domain that it vouches for; `None` for the house's own certificate.
    pub domain: Option<String>,
    /// The roles that the domain may speak for.
    pub roles: Vec<&'static str>,
    /// The file, from the federation's folder.
    pub file: String,
    /// What is in it; the reason, where it cannot be read.
    pub certificates: Result<Vec<Certificate>, String>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its subject.
    pub subject: String,
    /// The last moment of its validity.
    pub not_after: OffsetDateTime,
    /// SHA-256 of its DER.
    pub fingerprint: String,
}

/// Every anchor and own certificate of a federation.
///
/// # Errors
/// A configuration cannot be read. A missing certificate is no error.
pub fn anchors(root: &Path, now: OffsetDateTime) -> Result<Vec<Anchor>, ReviewError> {
    let files = Files::find(root)?;
    let mut found = Vec::new();
    let config = GatewayConfig::load(&files.gateway)?;
    house(&files, GATEWAY, &config.link, now, &mut found);
    for path in &files.agencies {
        let (config, _) = AgencyConfig::load(path)?;
        house(&files, config.id.as_str(), &config.link, now, &mut found);
    }
    Ok(found)
}

fn house(
    files: &Files,
    house: &str,
    link: &LinkConfig,
    now: OffsetDateTime,
    found: &mut Vec<Anchor>,
) {
    let read = |path: &Path| match describe(path, now) {
        Ok(described) => Ok(described.into_iter().map(certificate).collect()),
        Err(_) if !path.exists() => Err("not at hand".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    found.push(Anchor {
        house: house.to_owned(),
        domain: None,
        roles: Vec::new(),
        file: files.name(&link.certificate),
        certificates: read(&link.certificate),
    });
    for trust in &link.trust {
        found.push(Anchor {
            house: house.to_owned(),
            domain: Some(trust.domain.to_string()),
            roles: trust.roles.iter().map(|role| role.as_str()).collect(),
            file: files.name(&trust.anchors),
            certificates: read(&trust.anchors),
        });
    }
}

fn certificate(described: Description) -> Certificate {
    Certificate {
        subject: described.subject,
        not_after: described.not_after,
        fingerprint: described.fingerprint,
    }
}
