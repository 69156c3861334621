//! The city's files: what stands in `examples/city`, carried in the binary and
//! written to the demo's folder, with certificates made anew. The gateway's parties, which
//! have a file each there, stand in its one file here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;

use super::{Options, consent};
use crate::clock;
use crate::config::agency::AgencyConfig;
use crate::config::catalogue;
use crate::config::gateway::GatewayConfig;
use crate::domain::catalogue::Catalogue;
use crate::domain::peer::{Role, SpiffeId, TrustDomain};
use crate::files;
use crate::link::pki::{Authority, CertificateRequest, PkiError, Validity};

/// The gateway's name among the processes.
pub(super) const GATEWAY: &str = "gateway";

/// The gateway's identity: the audience of every grant.
pub(super) const GATEWAY_ID: &str = "spiffe://gateway.city.example/gateway/main";

/// Certificates of a demo last this long.
const VALID_DAYS: i64 = 30;

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../examples/city/", $path)))),*]
    };
}

/// The gateway's configuration, with every party in the one file: who tries things out has
/// one file to change.
const GATEWAY_FILE: (&str, &str) = ("gateway.toml", include_str!("gateway.toml"));

const FILES: &[(&str, &str)] = files![
    "agencies/education.toml",
    "agencies/employment.toml",
    "agencies/enterprise.toml",
    "agencies/lending.toml",
    "agencies/social_security.toml",
    "agencies/traffic.toml",
    "agencies/volunteering.toml",
    "policies/gateway.cedar",
    "policies/vocabulary.toml",
    "policies/agencies/education.cedar",
    "policies/agencies/employment.cedar",
    "policies/agencies/enterprise.cedar",
    "policies/agencies/lending.cedar",
    "policies/agencies/social_security.cedar",
    "policies/agencies/traffic.cedar",
    "policies/agencies/volunteering.cedar",
    "consent/issuer.toml",
    "consent/credit_profile.toml",
    "catalogue/assets.toml",
    "catalogue/bundles.toml",
    "catalogue/education.toml",
    "catalogue/employment.toml",
    "catalogue/enterprise.toml",
    "catalogue/housing_fund.toml",
    "catalogue/lending.toml",
    "catalogue/reserved.toml",
    "catalogue/social_security.toml",
    "catalogue/tax.toml",
    "catalogue/traffic.toml",
    "catalogue/utilities.toml",
    "catalogue/volunteering.toml",
];

const SCHEMAS: &[(&str, &str)] = files![
    "schema/education.sql",
    "schema/employment.sql",
    "schema/enterprise.sql",
    "schema/lending.sql",
    "schema/social_security.sql",
    "schema/traffic.sql",
    "schema/volunteering.sql",
];

/// Consumers of the demo: trust domain and name.
const CONSUMERS: [(&str, &str); 2] =
    [("scoring.city.example", "scoring-service"), ("bank.city.example", "loan-desk")];

/// The reviewer of the demo: trust domain and name.
const REVIEWER: (&str, &str) = ("review.city.example", "board");

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder is in use.
    #[error("{} is not empty; name a folder that does not exist yet", .0.display())]
    NotEmpty(PathBuf),
    /// The system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file of the demo could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A database.
    #[error("cannot fill the database of {agency}: {source}")]
    Database {
        /// Whose.
        agency: String,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The PostgreSQL server.
    #[error("--postgres: the server does not do as asked: {0}")]
    Server(sqlx::Error),
    /// One of the demo's own files does not hold together.
    #[error("the demo's own files do not hold together: {0}")]
    Inconsistent(String),
    /// A process did not start.
    #[error("{name} did not start: {why}\n{log}")]
    Process {
        /// Which.
        name: String,
        /// What happened.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// The gateway did not become healthy.
    #[error("after {0:?} the gateway still has no link to: {1}")]
    Unhealthy(std::time::Duration, String),
    /// The audit log does not keep its promise.
    #[error("the audit log does not bear out its receipt: {0}")]
    Evidence(String),
    /// A revoked grant was still honoured.
    #[error("ten seconds after its revocation the grant is still honoured")]
    NotRevoked,
    /// Asking the gateway failed.
    #[error(transparent)]
    Client(#[from] crate::app::client::ClientError),
}

/// A folder that holds a city.
#[derive(Debug)]
pub(super) struct City {
    pub(super) home: PathBuf,
    pub(super) catalogue: Arc<Catalogue>,
    /// Ids of the agencies, in the gateway's order.
    pub(super) agencies: Vec<String>,
    pub(super) consumers: Vec<Consumer>,
    pub(super) reviewers: Vec<Consumer>,
    /// The consent service's certificate, key and address.
    pub(super) consent: Option<Consent>,
    /// What keeps the consent service's port for it.
    reserved: Option<TcpSocket>,
}

/// The consent service's files and address.
#[derive(Debug, Clone)]
pub(super) struct Consent {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) port: u16,
    pub(super) status_uri: String,
}

/// The identity and files of a consumer, or of a reviewer.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) id: SpiffeId,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// The agency that a schema's file is for.
fn id_of(path: &str) -> &str {
    path.trim_start_matches("schema/").trim_end_matches(".sql")
}

/// An agency's trust domain, in which '_' may not stand.
pub(super) fn domain_of(agency: &str) -> String {
    format!("{}.city.example", agency.replace('_', "-"))
}

/// Takes a folder that is empty or does not exist.
pub(super) fn claim(dir: &Path) -> Result<PathBuf, DemoError> {
    std::fs::create_dir_all(dir).map_err(|source| DemoError::Write { path: dir.into(), source })?;
    if std::fs::read_dir(dir)?.next().is_some() {
        return Err(DemoError::NotEmpty(dir.to_owned()));
    }
    Ok(dir.canonicalize()?)
}

impl City {
    pub(super) fn build(home: &Path, options: &Options) -> Result<Self, DemoError> {
        for (path, text) in FILES.iter().chain([&GATEWAY_FILE]) {
            write(&home.join(path), text)?;
        }
        std::fs::create_dir_all(home.join("data"))?;
        let inconsistent = |error: String| DemoError::Inconsistent(error);
        let catalogue =
            catalogue::load(&home.join("catalogue")).map_err(|e| inconsistent(e.to_string()))?;
        let mut city = Self {
            home: home.to_owned(),
            catalogue: Arc::new(catalogue),
            agencies: Vec::new(),
            consumers: Vec::new(),
            reviewers: Vec::new(),
            consent: None,
            reserved: None,
        };
        city.edit(&city.gateway_config(), |gateway| {
            gateway.insert("listen", toml_edit::value("127.0.0.1:0"));
            // Several demos may run at once; the gateway's log says where.
            if let Some(telemetry) = gateway.get_mut("telemetry").and_then(|t| t.as_table_mut()) {
                telemetry.insert("listen", toml_edit::value("127.0.0.1:0"));
            }
        })?;
        city.certificates()?;
        for (path, _) in SCHEMAS {
            let id = id_of(path).to_owned();
            city.edit(&city.agency_config(&id), |agency| {
                agency.insert("listen", toml_edit::value("127.0.0.1:0"));
            })?;
            city.agencies.push(id);
        }
        let (port, reserved) = consent::reserve_port()?;
        city.reserved = reserved;
        city.publish_status_list(port, options.grant_uses)?;
        city.allow_time(options.deadline)?;
        consent::make_keys(&city)?;
        Ok(city)
    }

    pub(super) fn gateway_config(&self) -> PathBuf {
        self.home.join("gateway.toml")
    }

    /// The gateway's log, and the public half of its key.
    pub(super) fn gateway_log(&self) -> (PathBuf, PathBuf) {
        let key = self.home.join("certs/dev/gateway.city.example/audit.vkey");
        (self.home.join("audit/gateway"), key)
    }

    pub(super) fn agency_config(&self, id: &str) -> PathBuf {
        self.home.join(format!("agencies/{id}.toml"))
    }

    pub(super) fn database(&self, id: &str) -> PathBuf {
        self.home.join(format!("data/{id}.db"))
    }

    pub(super) fn trust_bundle(&self) -> PathBuf {
        self.pki().join("gateway.city.example/ca.pem")
    }

    pub(super) fn schema(id: &str) -> &'static str {
        let path = format!("schema/{id}.sql");
        SCHEMAS.iter().find(|(name, _)| *name == path).map_or("", |(_, text)| text)
    }

    /// The agency's own configuration, read as the agency reads it.
    pub(super) fn load_agency(&self, id: &str) -> Result<AgencyConfig, DemoError> {
        AgencyConfig::load(&self.agency_config(id))
            .map(|(config, _)| config)
            .map_err(|error| DemoError::Inconsistent(error.to_string()))
    }

    /// Puts an agency's records on a server instead of into a file.
    pub(super) fn set_source(
        &self,
        id: &str,
        url: &str,
        password_file: &Path,
    ) -> Result<(), DemoError> {
        self.edit(&self.agency_config(id), |agency| {
            let sql = agency
                .get_mut("source")
                .and_then(|source| source.get_mut("sql"))
                .and_then(|sql| sql.as_table_like_mut());
            if let Some(sql) = sql {
                sql.insert("url", toml_edit::value(url));
                let file = password_file.display().to_string();
                sql.insert("password_file", toml_edit::value(file));
            }
        })
    }

    /// Once an agency listens, its address stays: in its own file, so that it can
    /// be started again by hand, and in the gateway's.
    pub(super) fn set_agency_address(
        &self,
        id: &str,
        address: SocketAddr,
    ) -> Result<(), DemoError> {
        self.edit(&self.agency_config(id), |agency| {
            agency.insert("listen", toml_edit::value(address.to_string()));
        })?;
        self.edit(&self.gateway_config(), |gateway| {
            let agencies = gateway.get_mut("agency").and_then(|a| a.as_array_of_tables_mut());
            for agency in agencies.into_iter().flat_map(|agencies| agencies.iter_mut()) {
                if agency.get("id").and_then(|name| name.as_str()) == Some(id) {
                    agency.insert("endpoint", toml_edit::value(address.to_string()));
                }
            }
        })
    }

    /// Puts the address of the status list into the consent service's settings and
    /// into every file that pins it, and raises the purposes' ceilings to what the
    /// demo's grants allow.
    fn publish_status_list(&mut self, port: u16, grant_uses: u32) -> Result<(), DemoError> {
        let uri = format!("https://localhost:{port}/status/1");
        self.edit(&consent::settings_file(self), |issuer| {
            issuer.insert("status_uri", toml_edit::value(uri.as_str()));
        })?;
        let configs = self.agencies.iter().map(|agency| self.agency_config(agency));
        for config in configs.chain([self.gateway_config()]) {
            self.edit(&config, |document| {
                let grants = document.get_mut("grants").and_then(|item| item.as_table_mut());
                let Some(grants) = grants else { return };
                // A demo is short: look oftener than the default.
                grants.insert("fetch_every", toml_edit::value("1s"));
                let purposes = grants.get_mut("purpose").and_then(|p| p.as_array_of_tables_mut());
                for purpose in purposes.into_iter().flat_map(|purposes| purposes.iter_mut()) {
                    let frequency =
                        purpose.get_mut("max_frequency").and_then(|f| f.as_inline_table_mut());
                    if let Some(frequency) = frequency {
                        let known = frequency.get("count").and_then(|count| count.as_integer());
                        let count = known.unwrap_or_default().max(i64::from(grant_uses));
                        frequency.insert("count", count.into());
                    }
                }
                let issuers = grants.get_mut("issuer").and_then(|i| i.as_array_of_tables_mut());
                for issuer in issuers.into_iter().flat_map(|issuers| issuers.iter_mut()) {
                    let uris = toml_edit::Array::from_iter([uri.as_str()]);
                    issuer.insert("status_uris", toml_edit::value(uris));
                }
            })?;
        }
        if let Some(consent) = &mut self.consent {
            consent.port = port;
            consent.status_uri = uri;
        }
        Ok(())
    }

    /// Lets a request, and a statement in it, take as long as the demo may wait,
    /// where that is longer than the examples allow.
    fn allow_time(&self, deadline: Duration) -> Result<(), DemoError> {
        let allow = |document: &mut toml_edit::DocumentMut| {
            let limits = document.entry("limits").or_insert_with(toml_edit::table);
            if let Some(limits) = limits.as_table_like_mut() {
                let text = humantime::format_duration(deadline).to_string();
                limits.insert("max_deadline", toml_edit::value(text));
            }
        };
        let config = GatewayConfig::load(&self.gateway_config());
        let config = config.map_err(|error| DemoError::Inconsistent(error.to_string()))?;
        if deadline <= config.limits.max_deadline {
            return Ok(());
        }
        self.edit(&self.gateway_config(), allow)?;
        for id in &self.agencies {
            let longer = deadline > self.load_agency(id)?.limits.max_deadline;
            self.edit(&self.agency_config(id), |agency| {
                if longer {
                    allow(agency);
                }
                let sql = agency.get_mut("source").and_then(|source| source.get_mut("sql"));
                if let Some(sql) = sql.and_then(|sql| sql.as_table_like_mut()) {
                    // The longest that a mapping may state.
                    let time = deadline.min(Duration::from_secs(60));
                    let text = humantime::format_duration(time).to_string();
                    sql.insert("statement_timeout", toml_edit::value(text));
                }
            })?;
        }
        Ok(())
    }

    pub(super) fn set_gateway_address(&self, address: SocketAddr) -> Result<(), DemoError> {
        self.edit(&self.gateway_config(), |gateway| {
            gateway.insert("listen", toml_edit::value(address.to_string()));
        })
    }

    fn pki(&self) -> PathBuf {
        self.home.join("certs/dev")
    }

    fn certificates(&mut self) -> Result<(), DemoError> {
        let now = clock::utc();
        let validity = Validity::days(now, VALID_DAYS)?;
        let issue = |domain: &str, role, name: &str| -> Result<_, DemoError> {
            let domain: TrustDomain =
                domain.parse().map_err(|error| DemoError::Inconsistent(format!("{error}")))?;
            let authority = Authority::create(&self.pki(), &domain, now)?;
            Ok(authority.issue(&CertificateRequest::local(role, name, validity))?)
        };
        issue("gateway.city.example", Role::Gateway, "main")?;
        for (path, _) in SCHEMAS {
            let id = id_of(path);
            issue(&domain_of(id), Role::Agency, &id.replace('_', "-"))?;
        }
        let issued = issue("consent.city.example", Role::Issuer, "consent-service")?;
        let (certificate, key) = (issued.certificate, issued.key);
        let consent = Consent { certificate, key, port: 0, status_uri: String::new() };
        let mut consumers = Vec::new();
        for (domain, name) in CONSUMERS {
            let issued = issue(domain, Role::Consumer, name)?;
            consumers.push(Consumer {
                id: issued.id,
                certificate: issued.certificate,
                key: issued.key,
            });
        }
        let (domain, name) = REVIEWER;
        let issued = issue(domain, Role::Reviewer, name)?;
        let (certificate, key) = (issued.certificate, issued.key);
        self.reviewers = vec![Consumer { id: issued.id, certificate, key }];
        self.consumers = consumers;
        self.consent = Some(consent);
        Ok(())
    }

    fn edit(
        &self,
        path: &Path,
        change: impl FnOnce(&mut toml_edit::DocumentMut),
    ) -> Result<(), DemoError> {
        let text = files::read_text(path, files::MEDIUM)?;
        let mut document: toml_edit::DocumentMut =
            text.parse().map_err(|error| DemoError::Inconsistent(format!("{error}")))?;
        change(&mut document);
        write(path, &document.to_string())
    }
}

fn write(path: &Path, text: &str) -> Result<(), DemoError> {
    let failed = |source| DemoError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}
