//! An agency's configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::audit::AuditConfig;
use super::catalogue::check_agency;
use super::counters::CountersConfig;
use super::door::DoorConfig;
use super::faults::Faults;
use super::file::FileError;
use super::grants::{ConsumerEntry, GrantsConfig};
use super::link::LinkConfig;
use super::mapping::{QueryEntry, SourceEntry};
use super::parties::{self, Written};
use super::policy::PolicyConfig;
use super::subject::SubjectConfig;
use super::telemetry::TelemetryConfig;
use crate::domain::catalogue::{AgencyId, Catalogue, Title};

/// The file as it is written. See `examples/city/agencies`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgencyConfig {
    /// The agency's name in the catalogue.
    pub id: AgencyId,
    /// Its name for people.
    pub title: Title,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The catalogue's folder.
    pub catalogue: PathBuf,
    /// Party files, such as `gateways.d/*.toml`: one or more patterns.
    #[serde(default, deserialize_with = "parties::one_or_more")]
    pub include: Vec<String>,
    /// Certificate, key, and whom to trust.
    pub link: LinkConfig,
    /// The kill switch: `false` releases nothing from within a second on, without
    /// a restart.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whose grants are believed, for what, and the keys that open subjects.
    pub grants: GrantsConfig,
    /// Where every disclosure is recorded before it happens.
    pub audit: AuditConfig,
    /// Who may read what; it can be stricter than the gateway's.
    pub policy: PolicyConfig,
    /// Where uses of grants are counted.
    pub counters: CountersConfig,
    /// The format of card numbers.
    pub subject: SubjectConfig,
    /// Limits; each has a default.
    #[serde(default)]
    pub limits: AgencyLimitsConfig,
    /// What peers may take; each has a default.
    #[serde(default)]
    pub door: DoorConfig,
    /// Where liveness, readiness and metrics are served, if anywhere.
    pub telemetry: Option<TelemetryConfig>,
    /// Where the records are.
    pub source: SourceEntry,
    /// What of them answers which item.
    pub query: Vec<Spanned<QueryEntry>>,
    /// Consumers, beside those that an issuer's entry lists.
    #[serde(default)]
    pub consumer: Vec<ConsumerEntry>,
    /// The party files that are part of it.
    #[serde(skip)]
    pub parties: Vec<PathBuf>,
}

const fn yes() -> bool {
    true
}

/// Limits of an agency.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgencyLimitsConfig {
    /// Requests under way on one stream.
    pub max_in_flight: u32,
    /// Requests under way altogether.
    pub max_total: usize,
    /// Age at which a stream is replaced.
    #[serde(deserialize_with = "stream_age")]
    pub max_stream_age: Duration,
    /// Longest time given to one question.
    #[serde(with = "humantime_serde")]
    pub max_deadline: Duration,
    /// How old the records may be; stated to gateways.
    #[serde(with = "humantime_serde")]
    pub freshness: Duration,
}

/// Streams that live shorter would be opened again and again.
const LEAST_STREAM_AGE: Duration = Duration::from_millis(100);

fn stream_age<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let age: Duration = humantime_serde::deserialize(from)?;
    match age < LEAST_STREAM_AGE {
        true => Err(serde::de::Error::custom(format!(
            "max_stream_age must be at least {LEAST_STREAM_AGE:?}, not {age:?}: a stream is \
             replaced when it reaches it"
        ))),
        false => Ok(age),
    }
}

impl Default for AgencyLimitsConfig {
    fn default() -> Self {
        Self {
            max_in_flight: 1024,
            max_total: 4096,
            // Shorter than the link's own age, so that a stream is replaced
            // before its connection is.
            max_stream_age: Duration::from_secs(20 * 60),
            max_deadline: Duration::from_secs(10),
            freshness: Duration::from_secs(24 * 60 * 60),
        }
    }
}

impl AgencyConfig {
    /// Reads a file, and gives its text as well, by whose lines the mapping's
    /// faults are named. Relative paths are taken from the file's own folder.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and key.
    pub fn load(path: &Path) -> Result<(Self, String), FileError> {
        let (config, text, faults) = Self::judge(path)?;
        Ok((faults.finish(config)?, text))
    }

    /// As [`AgencyConfig::load`], for who judges further before the file is refused.
    ///
    /// # Errors
    /// The file cannot be read at all.
    pub fn judge(path: &Path) -> Result<(Option<Self>, String, Faults), FileError> {
        let written = Written::read(path)?;
        let (config, faults) = Self::judge_written(&written);
        Ok((config, written.text, faults))
    }

    /// As [`AgencyConfig::judge`], of files that were read.
    pub fn judge_written(written: &Written) -> (Option<Self>, Faults) {
        let (config, mut faults) = written.judge::<Self>(parties::OF_AGENCY);
        let folder = written.folder();
        let config = config.map(|mut config| {
            config.grants.admit(&config.consumer, &config.link, &mut faults);
            config.link.check("link", &mut faults);
            config.limits.check(&mut faults);
            config.door.check(&mut faults);
            if let Some(telemetry) = &config.telemetry {
                telemetry.check(config.listen, &mut faults);
            }
            config.catalogue = folder.join(&config.catalogue);
            config.link = config.link.resolved(folder);
            config.policy = config.policy.resolved(folder);
            config.audit = config.audit.resolved(folder);
            config.parties = written.parties.iter().map(|party| party.path.clone()).collect();
            config
        });
        (config, faults)
    }

    /// Holds the agency's id against a catalogue, which must know it.
    pub fn check_id(&self, catalogue: &Catalogue, faults: &mut Faults) {
        check_agency("id", &self.id, catalogue, faults);
    }
}

impl AgencyLimitsConfig {
    fn check(&self, faults: &mut Faults) {
        for (key, zero) in [
            ("max_in_flight", self.max_in_flight == 0),
            ("max_total", self.max_total == 0),
            ("max_stream_age", self.max_stream_age.is_zero()),
            ("max_deadline", self.max_deadline.is_zero()),
        ] {
            if zero {
                faults.add(&format!("limits.{key}"), "must not be zero");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_59_streams_that_would_end_as_soon_as_they_begin_are_refused() {
        let limits =
            |age| toml::from_str::<AgencyLimitsConfig>(&format!("max_stream_age = \"{age}\""));
        for age in ["0s", "99ms"] {
            let error = limits(age).unwrap_err().to_string();
            assert!(error.contains("max_stream_age must be at least 100ms"), "{error}");
        }
        assert_eq!(limits("20m").unwrap().max_stream_age, Duration::from_secs(1200));
    }
}
