//! The gateway's configuration file.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::ServerName;
use serde::{Deserialize, Deserializer};

use super::audit::AuditConfig;
use super::catalogue::check_agency;
use super::door::DoorConfig;
use super::faults::Faults;
use super::file::FileError;
use super::grants::{ConsumerEntry, GrantsConfig};
use super::link::{LinkConfig, NOT_BELIEVED};
use super::parties::{self, Written};
use super::policy::PolicyConfig;
use super::review::ReviewConfig;
use super::status::StatusConfig;
use super::telemetry::TelemetryConfig;
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
    /// Party files, such as `agencies.d/*.toml`: one or more patterns.
    #[serde(default, deserialize_with = "parties::one_or_more")]
    pub include: Vec<String>,
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
    /// What peers may take; each has a default.
    #[serde(default)]
    pub door: DoorConfig,
    /// Who may ask how the gateway and its agencies do.
    #[serde(default)]
    pub status: StatusConfig,
    /// Where liveness, readiness and metrics are served, if anywhere.
    pub telemetry: Option<TelemetryConfig>,
    /// The agencies.
    #[serde(default)]
    pub agency: Vec<AgencyEntry>,
    /// Consumers, beside those that an issuer's entry lists.
    #[serde(default)]
    pub consumer: Vec<ConsumerEntry>,
    /// The party files that are part of it.
    #[serde(skip)]
    pub parties: Vec<PathBuf>,
}

/// Limits of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgencyEntry {
    /// Its name in the catalogue.
    pub id: AgencyId,
    /// The identity that its server must show.
    pub identity: SpiffeId,
    /// Host and port of each of its endpoints, which count uses together. A single one may
    /// also be written as `endpoint`.
    #[serde(alias = "endpoint", deserialize_with = "one_or_more")]
    pub endpoints: Vec<String>,
    /// Connections kept to each endpoint; was called `lanes`.
    #[serde(default = "two", alias = "lanes")]
    pub connections: usize,
    /// Questions under way to it at once, over all endpoints; the gateway puts fewer while
    /// it is late or overloaded.
    #[serde(default = "half_the_room")]
    pub max_in_flight: usize,
    /// Issuers that may open it, beside those whose own entry lists it.
    #[serde(default)]
    pub issuers: Vec<SpiffeId>,
}

const fn two() -> usize {
    2
}

/// Half of the gateway's own default, so that no agency's waiting takes all of it.
const fn half_the_room() -> usize {
    512
}

fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "one endpoint or a list of them, each host:port")]
    enum Written {
        One(String),
        More(Vec<String>),
    }
    Ok(match Written::deserialize(from)? {
        Written::One(endpoint) => vec![endpoint],
        Written::More(endpoints) => endpoints,
    })
}

/// Endpoints of one agency at most.
const MAX_ENDPOINTS: usize = 16;

impl AgencyEntry {
    /// Notes what is wrong with its endpoints.
    fn check_endpoints(&self, mut fault: impl FnMut(&'static str, String)) {
        let count = self.endpoints.len();
        if !(1..=MAX_ENDPOINTS).contains(&count) {
            fault("endpoints", format!("must have 1 to {MAX_ENDPOINTS} entries, not {count}"));
        }
        let mut seen = HashSet::new();
        for endpoint in &self.endpoints {
            let port = endpoint.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
            let shown = endpoint.escape_debug();
            let named = |host: &str| ServerName::try_from(host.trim_matches(['[', ']'])).is_ok();
            if !matches!(port, Some((host, Ok(1..))) if named(host)) {
                let message = format!("must be host:port, without a scheme, not `{shown}`");
                fault("endpoint", message);
            }
            if !seen.insert(endpoint) {
                fault("endpoints", format!("`{shown}` of agency `{}` is listed twice", self.id));
            }
        }
    }
}

impl GatewayConfig {
    /// Reads a file. Its relative paths are taken from its own folder.
    ///
    /// # Errors
    /// Everything that is wrong, with file, line and key.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let (config, faults) = Self::judge(path)?;
        Ok(faults.finish(config)?)
    }

    /// As [`GatewayConfig::load`], for who judges further before the file is refused.
    ///
    /// # Errors
    /// The file cannot be read at all.
    pub fn judge(path: &Path) -> Result<(Option<Self>, Faults), FileError> {
        Ok(Self::judge_written(&Written::read(path)?))
    }

    /// As [`GatewayConfig::judge`], of files that were read.
    pub fn judge_written(written: &Written) -> (Option<Self>, Faults) {
        let (config, mut faults) = written.judge::<Self>(parties::OF_GATEWAY);
        let folder = written.folder();
        let config = config.map(|mut config| {
            for (at, agency) in config.agency.iter().enumerate() {
                let key = format!("agency[{at}].issuers");
                config.grants.open(
                    &key,
                    &agency.issuers,
                    |issuer| {
                        issuer.opened.push(agency.id.clone());
                    },
                    &mut faults,
                );
            }
            config.grants.asked =
                Some(config.agency.iter().map(|agency| agency.id.clone()).collect());
            config.grants.admit(&config.consumer, &config.link, &mut faults);
            config.check(&mut faults);
            config.catalogue = folder.join(&config.catalogue);
            config.link = config.link.resolved(folder);
            config.policy = config.policy.resolved(folder);
            config.audit = config.audit.resolved(folder);
            config.parties = written.parties.iter().map(|party| party.path.clone()).collect();
            config
        });
        (config, faults)
    }

    fn check(&self, faults: &mut Faults) {
        self.link.check("link", faults);
        self.door.check(faults);
        self.review.check(&self.link, faults);
        self.status.check(&self.link, faults);
        if let Some(telemetry) = &self.telemetry {
            telemetry.check(self.listen, faults);
        }
        let mut seen = HashSet::new();
        for (at, agency) in self.agency.iter().enumerate() {
            let mut fault = |key, message| faults.add(&format!("agency[{at}].{key}"), message);
            if !seen.insert(&agency.id) {
                fault("id", format!("is listed twice: `{}` has an entry already", agency.id));
            }
            if agency.identity.role() != Role::Agency {
                let id = &agency.identity;
                fault("identity", format!("is no agency's: use spiffe://…/agency/…, not `{id}`"));
            }
            if !(1..=16).contains(&agency.connections) {
                fault("connections", format!("must be 1 to 16, not {}", agency.connections));
            }
            if !(1..=65_536).contains(&agency.max_in_flight) {
                let message = format!("must be 1 to 65536, not {}", agency.max_in_flight);
                fault("max_in_flight", message);
            }
            agency.check_endpoints(fault);
            if agency.identity.role() == Role::Agency && !self.link.believes(&agency.identity) {
                let message = format!("is `{}`, {NOT_BELIEVED}", agency.identity);
                faults.doubt(&format!("agency[{at}].identity"), message);
            }
        }
        self.check_shared(faults);
        let limits = &self.limits;
        if limits.max_in_flight_per_consumer > limits.max_in_flight {
            let message = format!(
                "is {}, more than `limits.max_in_flight` ({}), so that one consumer may take \
                 all the room",
                limits.max_in_flight_per_consumer, limits.max_in_flight
            );
            faults.doubt("limits.max_in_flight_per_consumer", message);
        }
        for (key, zero) in [
            ("max_deadline", limits.max_deadline.is_zero()),
            ("max_in_flight", limits.max_in_flight == 0),
            ("max_in_flight_per_consumer", limits.max_in_flight_per_consumer == 0),
        ] {
            if zero {
                faults.add(&format!("limits.{key}"), "must not be zero");
            }
        }
        if !(1..=4096).contains(&limits.stream_window) {
            let message = format!("must be 1 to 4096, not {}", limits.stream_window);
            faults.add("limits.stream_window", message);
        }
    }

    /// Notes what two agencies have in common: one of the two would never be reached.
    fn check_shared(&self, faults: &mut Faults) {
        let (mut identities, mut endpoints) = (HashMap::new(), HashMap::new());
        // A gateway that is only tried out has one place for all, where nobody answers.
        let mut all = self.agency.iter().map(|agency| &agency.endpoints);
        let first = all.next();
        let tried_out = self.agency.len() > 2 && all.all(|each| Some(each) == first);
        for (at, agency) in self.agency.iter().enumerate() {
            let shared = |what: &str, other: &AgencyId| {
                format!("has `{what}`, as agency `{other}` has: each needs its own")
            };
            if let Some(other) = identities.insert(&agency.identity, &agency.id) {
                let message = shared(agency.identity.as_str(), other);
                faults.add(&format!("agency[{at}].identity"), message);
            }
            for endpoint in &agency.endpoints {
                let other = endpoints.insert(endpoint, &agency.id);
                let Some(other) = other.filter(|other| **other != agency.id) else { continue };
                let message = shared(&endpoint.escape_debug().to_string(), other);
                let key = format!("agency[{at}].endpoints");
                match tried_out {
                    true => faults.doubt(&key, message),
                    false => faults.add(&key, message),
                }
            }
        }
    }

    /// Holds the agencies against a catalogue, which must know each of them.
    pub fn check_agencies(&self, catalogue: &Catalogue, faults: &mut Faults) {
        for (at, agency) in self.agency.iter().enumerate() {
            check_agency(&format!("agency[{at}].id"), &agency.id, catalogue, faults);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(rest: &str) -> Result<AgencyEntry, String> {
        let identity = "spiffe://lending.city.example/agency/lending";
        let text = format!("id = \"lending\"\nidentity = \"{identity}\"\n{rest}");
        let entry: AgencyEntry = toml::from_str(&text).map_err(|error| error.to_string())?;
        let mut faults = Vec::new();
        entry.check_endpoints(|key, message| faults.push(format!("{key} {message}")));
        match faults.is_empty() {
            true => Ok(entry),
            false => Err(faults.join("\n")),
        }
    }

    #[test]
    fn one_endpoint_or_several_and_the_names_of_old() {
        let old = entry("endpoint = \"a:1\"\nlanes = 3").unwrap();
        assert_eq!((old.endpoints, old.connections), (vec!["a:1".to_owned()], 3));
        let new = entry("endpoints = [\"a:1\", \"[::1]:2\"]\nconnections = 4").unwrap();
        assert_eq!((new.endpoints.len(), new.connections, new.max_in_flight), (2, 4, 512));
    }

    #[test]
    fn what_is_wrong_with_an_endpoint_is_said_with_the_agency_and_the_endpoint() {
        for (rest, wanted) in [
            (
                "endpoints = [\"a:1\", \"b:1\", \"a:1\"]",
                "`a:1` of agency `lending` is listed twice",
            ),
            ("endpoints = []", "endpoints must have 1 to 16 entries, not 0"),
            (
                "endpoints = [\"?:1\", \"https://a:1\"]",
                "must be host:port, without a scheme, not `?:1`",
            ),
            (
                "endpoints = [\"https://a:1\", \"b\"]",
                "must be host:port, without a scheme, not `b`",
            ),
            ("endpoints = 7", "one endpoint or a list of them, each host:port"),
            ("endpoint = \"a:1\"\nendpoints = [\"b:1\"]", "duplicate field"),
            ("lanes = 2", "missing field `endpoints`"),
        ] {
            let error = entry(rest).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    fn judged(agencies: &[(&str, &str, &str)], more: &str) -> (String, String) {
        let agencies: String = agencies
            .iter()
            .map(|(id, identity, endpoint)| {
                format!("[[agency]]\nid = \"{id}\"\nidentity = \"{identity}\"\nendpoint = \"{endpoint}\"\n")
            })
            .collect();
        let text = format!(
            "listen = \"[::1]:0\"\ncatalogue = \"c\"\n[grants]\n[policy]\nrules = \"r\"\nvocabulary = \"v\"\n\
             [audit]\nfolder = \"a\"\norigin = \"o\"\nkey = \"k\"\n\
             [link]\ncertificate = \"c\"\nkey = \"k\"\n\
             trust = [{{ domain = \"all.example\", roles = [\"agency\", \"reviewer\"], anchors = \"x\" }}]\n\
             {more}\n{agencies}"
        );
        let (config, faults) =
            GatewayConfig::judge_written(&Written::with(Path::new("g.toml"), text));
        let doubts: Vec<String> = faults.doubts().iter().map(ToString::to_string).collect();
        let faults = faults.finish(config).err().map_or(String::new(), |faults| faults.to_string());
        (faults, doubts.join("\n"))
    }

    #[test]
    fn what_stands_twice_is_refused_where_it_cannot_be_meant() {
        let id = |name: &str| format!("spiffe://all.example/agency/{name}");
        let (a, b, c) = (id("a"), id("b"), id("c"));
        let good = [("a", &*a, "h:1"), ("b", &b, "h:2"), ("c", &c, "h:3")];
        assert_eq!(judged(&good, ""), Default::default());
        let told = judged(&[good[0], ("b", &a, "h:2")], "").0;
        assert!(
            told.contains(
                "`agency[1].identity` has `spiffe://all.example/agency/a`, as agency `a` has"
            ),
            "{told}"
        );
        for agencies in [&[good[0], ("b", &b, "h:1")][..], &[good[0], ("b", &b, "h:1"), good[2]]] {
            let told = judged(agencies, "").0;
            assert!(told.contains("`agency[1].endpoints` has `h:1`, as agency `a` has"), "{told}");
        }
        let sketch = [good[0], ("b", &b, "h:1"), ("c", &c, "h:1")];
        let (refused, doubts) = judged(&sketch, "");
        assert!(refused.is_empty() && doubts.lines().count() == 2, "{refused} {doubts}");

        let reviewer = "[[review.reviewer]]\nid = \"spiffe://all.example/reviewer/r\"\nmay = []\n";
        assert_eq!(judged(&good, reviewer), Default::default());
        let told = judged(&good, &reviewer.repeat(2)).0;
        assert!(told.contains("`review.reviewer[1].id` is refused: `spiffe://all.example/reviewer/r` is listed twice"), "{told}");
    }

    #[test]
    fn what_is_hardly_meant_is_told_and_starts() {
        let elsewhere = [("a", "spiffe://else.example/agency/a", "h:1")];
        let limits = "[limits]\nmax_in_flight = 5\nmax_in_flight_per_consumer = 6";
        let (refused, doubts) = judged(&elsewhere, limits);
        assert_eq!(refused, "");
        for told in [
            "`agency[0].identity` is `spiffe://else.example/agency/a`, whom no entry of `link.trust`",
            "`limits.max_in_flight_per_consumer` is 6, more than `limits.max_in_flight` (5)",
        ] {
            assert!(doubts.contains(told), "{doubts}");
        }
    }
}
