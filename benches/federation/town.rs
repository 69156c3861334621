//! A made-up town: as many agencies, items and gateways as are wanted, each a
//! process of the real binary with its own keys, database and log. For growth,
//! which the demo's seven agencies do not show.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tributary::app::demo::people::People;
use tributary::app::demo::{ConsumerEntry, Federation, GatewayEntry, IssuerEntry};
use tributary::clock;
use tributary::config::catalogue;
use tributary::domain::catalogue::AgencyId;
use tributary::domain::grant::{Algorithm, KeyId};
use tributary::domain::peer::Role;
use tributary::issuer::key_files;
use tributary::link::pki::{Authority, CertificateRequest, Issued, Validity};

use crate::child::Server;
use crate::city::{Asked, City, Processes, SEED};
use crate::front::Front;
use crate::{town_data, town_files};

/// The name of every key.
pub const KID: &str = "2026-1";

/// What town is wanted.
#[derive(Debug, Clone)]
pub struct Spec {
    pub agencies: usize,
    /// Items altogether, dealt out evenly.
    pub items: usize,
    pub gateways: usize,
    pub people: usize,
    /// Where the logs are; in the town's folder when not given.
    pub logs: Option<PathBuf>,
    /// Whether the gateways find the last agency behind a front.
    pub front: bool,
    /// After how long that agency ends a stream, where not as usual.
    pub stream_age: Option<&'static str>,
}

/// One party with its certificate and, where it has one, its log.
#[derive(Debug)]
pub struct Party {
    pub name: String,
    pub issued: Issued,
    /// The folder of its keys.
    pub folder: PathBuf,
}

/// What stands in the town's folder before anything runs.
#[derive(Debug)]
pub struct Town {
    pub home: PathBuf,
    pub logs: PathBuf,
    pub agencies: Vec<Party>,
    pub gateway: Party,
    pub gateways: usize,
    pub consumer: Party,
    pub consent: Party,
    pub consent_port: u16,
}

/// Writes a town, starts it, and waits until the gateways have every link.
pub async fn start(spec: &Spec) -> anyhow::Result<City> {
    ensure!((1..=64).contains(&spec.agencies), "a town has 1 to 64 agencies");
    let home = tempfile::Builder::new().prefix("tributary-bench-").tempdir()?;
    let town = build(spec, &home)?;
    let made = People::new(SEED, spec.people);
    let catalogue = catalogue::load(&town.home.join("catalogue"))?;
    for agency in &town.agencies {
        town_data::fill(&town, agency, &catalogue, made)?;
    }
    let mut servers = Vec::new();
    servers.push(consent(&town).await?);
    let mut asked = Vec::new();
    for (place, agency) in town.agencies.iter().enumerate() {
        let config = town.agency_file(place);
        let server = Server::tributary("agency", &config, &town.log_of(&agency.name)).await?;
        let id = AgencyId::new(&agency.name).context("an agency's id")?;
        asked.push(Asked {
            items: catalogue.owned_by(&id),
            id,
            config,
            endpoint: server.address.to_string(),
            identity: agency.issued.id.clone(),
            pid: server.pid,
        });
        servers.push(server);
    }
    let mut led = asked.clone();
    let mut front = None;
    if let Some(last) = led.last_mut().filter(|_| spec.front) {
        let way = Front::to(last.endpoint.parse()?).await?;
        last.endpoint = way.address.to_string();
        front = Some(way);
    }
    let mut gateways = Vec::new();
    for number in 0..town.gateways {
        let config = town_files::gateway(&town, number, &led)?;
        let log = town.log_of(&format!("gateway-{number}"));
        let server = Server::tributary("gateway", &config, &log).await?;
        let endpoint = server.address.to_string();
        let id = town.gateway.issued.id.to_string();
        gateways.push(GatewayEntry { endpoint, id, config, pid: server.pid });
        servers.push(server);
    }
    let federation = describe(&town, gateways.first().context("no gateway")?, &servers);
    let processes = Processes::Ours(servers);
    let mut city = City::of(home, federation, gateways, catalogue, asked, made, processes).await?;
    city.front = front;
    Ok(city)
}

fn describe(town: &Town, gateway: &GatewayEntry, servers: &[Server]) -> Federation {
    Federation {
        gateway: gateway.clone(),
        agencies: Vec::new(),
        consumers: vec![ConsumerEntry {
            id: town.consumer.issued.id.to_string(),
            certificate: town.consumer.issued.certificate.clone(),
            key: town.consumer.issued.key.clone(),
            proof_key: None,
        }],
        reviewers: Vec::new(),
        trust_bundle: town.gateway.folder.join("ca.pem"),
        issuer: IssuerEntry {
            settings: town.home.join("consent/issuer.toml"),
            status_uri: town.status_uri(),
            pid: servers.first().map_or(0, |consent| consent.pid),
        },
        subjects: Vec::new(),
        grants: Vec::new(),
        test_people: Vec::new(),
    }
}

async fn consent(town: &Town) -> anyhow::Result<Server> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.args(["grant", "serve", "--dir"]).arg(town.home.join("consent"));
    command.arg("--certificate").arg(&town.consent.issued.certificate);
    command.arg("--key").arg(&town.consent.issued.key);
    command.arg("--listen").arg(format!("127.0.0.1:{}", town.consent_port));
    command.arg("--until-stdin-closes");
    Server::start(command).await.context("the consent service")
}

fn build(spec: &Spec, home: &TempDir) -> anyhow::Result<Town> {
    let folder = home.path().join("town");
    for part in ["data", "logs", "catalogue", "policies", "agencies", "consent", "certs"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let certs = folder.join("certs");
    let now = clock::utc();
    let party = |name: &str, role: Role| -> anyhow::Result<Party> {
        let domain = format!("{name}.town.example");
        let authority = Authority::create(&certs, &domain.parse()?, now)?;
        let request = CertificateRequest::local(role, name, Validity::days(now, 30)?);
        let issued = authority.issue(&request)?;
        Ok(Party { name: name.to_owned(), issued, folder: certs.join(domain) })
    };
    let names = (0..spec.agencies).map(|number| format!("a{number:02}"));
    let agencies = names.map(|name| party(&name, Role::Agency));
    let town = Town {
        logs: spec.logs.clone().unwrap_or_else(|| folder.join("audit")),
        agencies: agencies.collect::<anyhow::Result<_>>()?,
        gateway: party("gateway", Role::Gateway)?,
        gateways: spec.gateways,
        consumer: party("scoring", Role::Consumer)?,
        consent: party("consent", Role::Issuer)?,
        consent_port: std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port(),
        home: folder,
    };
    keys(&town)?;
    town_files::write(&town, spec.items, spec.stream_age)?;
    Ok(town)
}

fn keys(town: &Town) -> anyhow::Result<()> {
    let kid = kid()?;
    for stem in ["consent/signing", "consent/status"] {
        key_files::signing(&town.home.join(stem), Algorithm::EdDsa, &kid)?;
    }
    key_files::signing(&town.consumer.folder.join("proof"), Algorithm::EdDsa, &kid)?;
    key_files::secret(&town.home.join("consent/person.secret"))?;
    for agency in &town.agencies {
        key_files::sealing(&agency.folder.join("sealing"), &kid)?;
        key_files::secret(&agency.folder.join("tags.seed"))?;
        key_files::log(&agency.folder.join("audit"), &town.origin(&agency.name).parse()?)?;
    }
    for number in 0..town.gateways {
        let name = format!("gateway-{number}");
        key_files::log(&town.gateway.folder.join(&name), &town.origin(&name).parse()?)?;
    }
    Ok(())
}

fn kid() -> anyhow::Result<KeyId> {
    KeyId::new(KID).context("a key's name")
}

impl Town {
    pub fn agency_file(&self, place: usize) -> PathBuf {
        self.home.join(format!("agencies/a{place:02}.toml"))
    }

    pub fn log_of(&self, name: &str) -> PathBuf {
        self.home.join(format!("logs/{name}.log"))
    }

    pub fn origin(&self, name: &str) -> String {
        format!("{name}.town.example/2026")
    }

    pub fn status_uri(&self) -> String {
        format!("https://localhost:{}/status/1", self.consent_port)
    }
}
