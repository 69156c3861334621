//! The gateway's configuration file.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::audit::AuditConfig;
use super::file::{self, FileError};
use super::grants::GrantsConfig;
use super::link::LinkConfig;
use super::policy::PolicyConfig;
use super::review::ReviewConfig;
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::peer::{Role, SpiffeId};

/// The file as it is written. See `examples/city/gateway.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The catalogue's folder.
    pub catalogue: PathBuf,
    /// Certificate, key, and whom to trust.
    pub link: LinkConfig,
    /// Whose grants are believed, and for what.
    pub grants: GrantsConfig,
    /// Where every disclosure is recorded before it happens.
    pub audit: AuditConfig,
    /// Who may read what.
    pub policy: PolicyConfig,
    /// Who may read the audit log over the network.
    #[serde(default)]
    pub review: ReviewConfig,
    /// Limits; each has a default.
    #[serde(default)]
    pub limits: GatewayLimitsConfig,
    /// The agencies.
    #[serde(default)]
    pub agency: Vec<AgencyEntry>,
}

/// Limits of a gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayLimitsConfig {
    /// Longest time given to one request.
    #[serde(with = "humantime_serde")]
    pub max_deadline: Duration,
    /// Requests under way at once.
    pub max_in_flight: usize,
    /// Of those, requests of one consumer, so that none takes all the room.
    pub max_in_flight_per_consumer: usize,
    /// Requests under way at once on one stream.
    pub stream_window: usize,
}

impl Default for GatewayLimitsConfig {
    fn default() -> Self {
        Self {
            max_deadline: Duration::from_secs(2),
            max_in_flight: 1024,
            max_in_flight_per_consumer: 768,
            stream_window: 128,
        }
    }
}

/// One agency.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgencyEntry {
    /// Its name in the catalogue.
    pub id: AgencyId,
    /// The identity that its server must show.
    pub identity: SpiffeId,
    /// Host and port.
    pub endpoint: String,
    /// Connections kept to it.
    #[serde(default = "two")]
    pub lanes: usize,
}

const fn two() -> usize {
    2
}

/// Why a gateway's configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum GatewayConfigError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] FileError),
    /// A value in it.
    #[error("{}: {message}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
}

impl GatewayConfig {
    /// Reads a file. Its relative paths are taken from its own folder.
    ///
    /// # Errors
    /// What is wrong, with file and line where there is one.
    pub fn load(path: &Path) -> Result<Self, GatewayConfigError> {
        let mut config: Self = file::read_toml(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.catalogue = folder.join(&config.catalogue);
        config.link = config.link.resolved(folder);
        config.policy = config.policy.resolved(folder);
        config.audit = config.audit.resolved(folder);
        config
            .check()
            .map_err(|message| GatewayConfigError::Value { path: path.into(), message })?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        self.review.check()?;
        let mut seen = HashSet::new();
        for agency in &self.agency {
            if !seen.insert(&agency.id) {
                return Err(format!("agency `{}` stands twice", agency.id));
            }
            if agency.identity.role() != Role::Agency {
                return Err(format!(
                    "identity `{}` of agency `{}` is no agency's",
                    agency.identity, agency.id
                ));
            }
            if !(1..=16).contains(&agency.lanes) {
                return Err(format!(
                    "agency `{}`: lanes must be 1 to 16, not {}",
                    agency.id, agency.lanes
                ));
            }
            let port =
                agency.endpoint.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
            if !matches!(port, Some((host, Ok(1..))) if !host.is_empty()) {
                return Err(format!(
                    "endpoint `{}` of agency `{}` must be host:port, without a scheme",
                    agency.endpoint.escape_debug(),
                    agency.id
                ));
            }
        }
        let GatewayLimitsConfig {
            max_deadline,
            max_in_flight,
            max_in_flight_per_consumer,
            stream_window,
        } = self.limits;
        if max_deadline.is_zero() || max_in_flight == 0 || max_in_flight_per_consumer == 0 {
            let message = "limits.max_deadline, limits.max_in_flight and \
                           limits.max_in_flight_per_consumer must not be zero";
            return Err(message.into());
        }
        if !(1..=4096).contains(&stream_window) {
            return Err(format!("limits.stream_window must be 1 to 4096, not {stream_window}"));
        }
        Ok(())
    }

    /// Holds the agencies against a catalogue.
    ///
    /// # Errors
    /// An agency that the catalogue does not know.
    pub fn check_agencies(
        &self,
        path: &Path,
        catalogue: &Catalogue,
    ) -> Result<(), GatewayConfigError> {
        let known: Vec<String> = catalogue.agencies().iter().map(ToString::to_string).collect();
        let unknown = |agency: &&AgencyEntry| catalogue.owned_by(&agency.id).is_empty();
        match self.agency.iter().find(unknown) {
            None => Ok(()),
            Some(agency) => Err(GatewayConfigError::Value {
                path: path.into(),
                message: format!(
                    "agency `{}` owns no item of the catalogue; it knows {}",
                    agency.id,
                    known.join(", ")
                ),
            }),
        }
    }
}
