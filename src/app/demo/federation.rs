//! `federation.json`: how any client reaches a running demo.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::city::{City, Consumer, DemoError, GATEWAY, GATEWAY_ID};
use super::consent::{self, CONSENT};
use super::processes::Processes;

/// A running federation, for clients and tests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Federation {
    /// The gateway.
    pub gateway: GatewayEntry,
    /// The agencies.
    pub agencies: Vec<AgencyEntry>,
    /// Identities that may ask.
    pub consumers: Vec<ConsumerEntry>,
    /// Identities that may read the gateway's audit log.
    #[serde(default)]
    pub reviewers: Vec<ConsumerEntry>,
    /// The trust anchor of the gateway's domain, and of no other.
    pub trust_bundle: PathBuf,
    /// The consent service.
    pub issuer: IssuerEntry,
    /// Card numbers of synthetic people. The first is in every agency's records.
    pub subjects: Vec<String>,
    /// A grant for each of them.
    pub grants: Vec<GrantEntry>,
    /// One of them for each outcome that a client has to cope with.
    #[serde(default)]
    pub test_people: Vec<TestPerson>,
}

/// A synthetic person of whom it is known what becomes of the basic profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TestPerson {
    /// The outcome in a word: `complete`, `conflict`, `disputed`, `lapsed_fact`,
    /// `no_record_at_one_agency`, `invalid_value` or `partial_sum`.
    pub outcome: String,
    /// Who: a synthetic card number.
    pub subject: String,
    /// At which agency it shows, if at one.
    pub agency: Option<String>,
    /// In which item it shows, if in one.
    pub item: Option<String>,
    /// What it means.
    pub meaning: String,
}

/// The consent service's process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IssuerEntry {
    /// Its settings, for `tributary grant issue` and `revoke`.
    pub settings: PathBuf,
    /// Where its status list is.
    pub status_uri: String,
    /// Its process id.
    pub pid: u32,
}

/// A grant that was issued.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GrantEntry {
    /// Whose profile it opens: a synthetic card number.
    pub subject: String,
    /// The consumer to whom it was given.
    pub consumer: String,
    /// Its number, for `tributary grant revoke`.
    pub jti: String,
    /// The grant itself.
    pub file: PathBuf,
}

/// The gateway's process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GatewayEntry {
    /// Host and port.
    pub endpoint: String,
    /// Its SPIFFE id.
    pub id: String,
    /// Its configuration file.
    pub config: PathBuf,
    /// Its process id.
    pub pid: u32,
}

/// An agency's process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgencyEntry {
    /// Its name in the catalogue.
    pub id: String,
    /// Host and port.
    pub endpoint: String,
    /// Its configuration file.
    pub config: PathBuf,
    /// Its SQLite database.
    pub database: PathBuf,
    /// Its process id.
    pub pid: u32,
}

/// A consumer's identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConsumerEntry {
    /// Its SPIFFE id.
    pub id: String,
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The private key that proves its requests, JWK; a reviewer has none.
    #[serde(default)]
    pub proof_key: Option<PathBuf>,
}

impl Federation {
    /// The file's name in the demo's folder.
    pub const FILE: &'static str = "federation.json";

    /// Writes the file whole: it appears only when everything in it is true.
    pub(super) fn write(&self, home: &Path) -> Result<(), DemoError> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::from)?;
        let mut file = tempfile::NamedTempFile::new_in(home)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        file.persist(home.join(Self::FILE)).map_err(|error| error.error)?;
        Ok(())
    }
}

pub(super) fn describe(
    city: &City,
    processes: &Processes,
    grants: Vec<GrantEntry>,
    test_people: Vec<TestPerson>,
) -> Result<Federation, DemoError> {
    let process = |name: &str| {
        let address = processes.address(name).map(|address| address.to_string());
        address.zip(processes.pid(name)).ok_or_else(|| DemoError::Process {
            name: name.to_owned(),
            why: "it ended".into(),
            log: String::new(),
        })
    };
    let (endpoint, pid) = process(GATEWAY)?;
    let gateway =
        GatewayEntry { endpoint, id: GATEWAY_ID.into(), config: city.gateway_config(), pid };
    let agencies = city.agencies.iter().map(|id| {
        let (endpoint, pid) = process(id)?;
        let (config, database) = (city.agency_config(id), city.database(id));
        Ok::<_, DemoError>(AgencyEntry { id: id.clone(), endpoint, config, database, pid })
    });
    let entry = |of: &Consumer| ConsumerEntry {
        id: of.id.to_string(),
        certificate: of.certificate.clone(),
        key: of.key.clone(),
        proof_key: Some(of.certificate.with_file_name("proof.jwk")).filter(|key| key.exists()),
    };
    let (_, pid) = process(CONSENT)?;
    let status_uri = city.consent.as_ref().map(|consent| consent.status_uri.clone());
    let issuer = IssuerEntry {
        settings: consent::settings_file(city),
        status_uri: status_uri.unwrap_or_default(),
        pid,
    };
    Ok(Federation {
        gateway,
        agencies: agencies.collect::<Result<_, _>>()?,
        consumers: city.consumers.iter().map(entry).collect(),
        reviewers: city.reviewers.iter().map(entry).collect(),
        trust_bundle: city.trust_bundle(),
        issuer,
        subjects: grants.iter().map(|grant| grant.subject.clone()).collect(),
        grants,
        test_people,
    })
}
