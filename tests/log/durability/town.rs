//! The smallest federation: one gateway, one agency, the consent service's status
//! list. A demo makes the files once; each test gets a copy, and the roles run in
//! this process or as the real binary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tributary::app::client::{Address, ClientError, GatewayClient};
use tributary::app::demo::Federation;
use tributary::app::issuer::Publication;
use tributary::config::link::TrustConfig;
use tributary::domain::audit::VerifyingKey;
use tributary::domain::peer::{Role, SpiffeId};
use tributary::link::connect::Connector;
use tributary::link::limits::ConnectLimits;
use tributary::store::audit_log::Options;
use tributary::wire::proto::pb;

use crate::kit::demo::City;
use crate::kit::files::copy;
use crate::kit::pki;
use crate::kit::process::binary;
pub use crate::kit::waiting::UNHURRIED as DEADLINE;
use crate::kit::waiting::{Reserved, becomes};

pub const AGENCY: &str = "employment";
pub const ITEM: &str = "employment.current.started_on";

/// What a demo left behind that has ended; its grants may be used again and again.
fn master() -> &'static City {
    static MASTER: OnceLock<City> = OnceLock::new();
    MASTER.get_or_init(|| left("1000000"))
}

/// As [`master`]; each of its grants may be used three times.
fn sparing() -> &'static City {
    static MASTER: OnceLock<City> = OnceLock::new();
    MASTER.get_or_init(|| left("3"))
}

fn left(uses: &str) -> City {
    let mut city = City::of(12, &["--grant-uses", uses]);
    city.demo.signal("TERM");
    assert!(city.demo.wait().success());
    publish(&city.home, &city.described);
    city
}

/// The status list, for every test of this process.
fn publish(home: &Path, federation: &Federation) {
    let uri = &federation.issuer.status_uri;
    let port = uri.trim_start_matches("https://localhost:").split('/').next().unwrap();
    let pair = home.join("certs/dev/consent.city.example/issuer-consent-service");
    let publication = Publication {
        settings: federation.issuer.settings.clone(),
        listen: SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())),
        certificate: pair.with_extension("pem"),
        key: pair.with_extension("key"),
    };
    let (ready, listening) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_stop, stopped) = watch::channel(false);
        let told = move |address| ready.send(address).unwrap();
        runtime.block_on(tributary::app::issuer::run(publication, told, stopped)).unwrap();
    });
    listening.recv().unwrap();
}

/// Whether a role ended well; says why where it did not.
fn told(ended: Result<(), impl std::fmt::Display>) -> bool {
    ended.inspect_err(|error| eprintln!("ended: {error}")).is_ok()
}

/// A role that runs in this process.
pub struct Here {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<bool>,
}

impl Here {
    /// Stops it in order; gives whether it ended well.
    pub async fn stop(self) -> bool {
        self.stop.send_replace(true);
        self.task.await.unwrap()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

/// A copy of the files, for one test.
pub struct Town {
    pub home: PathBuf,
    master: &'static City,
    /// Where the agency listens, in each of its lives.
    agency: Reserved,
    _folder: TempDir,
}

impl Town {
    pub fn new() -> Self {
        Self::of(master())
    }

    /// One in which each grant may be used three times.
    pub fn of_few_uses() -> Self {
        Self::of(sparing())
    }

    fn of(master: &'static City) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap().join("town");
        let from = &master.home;
        for part in ["agencies", "catalogue", "certs", "consent", "data", "policies"] {
            copy(&from.join(part), &home.join(part));
        }
        std::fs::copy(from.join("gateway.toml"), home.join("gateway.toml")).unwrap();
        let town = Self { home, master, agency: Reserved::new(), _folder: folder };
        // Fewer combinations to evaluate at each start.
        town.edit(&town.home.join("policies/vocabulary.toml"), |vocabulary| {
            let agencies = toml_edit::Array::from_iter([AGENCY]);
            vocabulary["agencies"] = toml_edit::value(agencies);
        });
        town.edit(&town.gateway_config(), |gateway| {
            gateway["listen"] = toml_edit::value("127.0.0.1:0");
            gateway["audit"]["look_every"] = toml_edit::value("100ms");
            let agencies = gateway["agency"].as_array_of_tables_mut().unwrap();
            agencies.retain(|agency| agency["id"].as_str() == Some(AGENCY));
        });
        town.edit(&town.agency_config(), |agency| {
            agency["audit"]["look_every"] = toml_edit::value("100ms");
        });
        town.settle(town.agency.address());
        town
    }

    pub fn edit(&self, path: &Path, change: impl FnOnce(&mut toml_edit::DocumentMut)) {
        let mut document: toml_edit::DocumentMut =
            std::fs::read_to_string(path).unwrap().parse().unwrap();
        change(&mut document);
        std::fs::write(path, document.to_string()).unwrap();
    }

    pub fn gateway_config(&self) -> PathBuf {
        self.home.join("gateway.toml")
    }

    pub fn agency_config(&self) -> PathBuf {
        self.home.join(format!("agencies/{AGENCY}.toml"))
    }

    pub fn gateway_log(&self) -> PathBuf {
        self.home.join("audit/gateway")
    }

    pub fn agency_log(&self) -> PathBuf {
        self.home.join("audit").join(AGENCY)
    }

    pub fn key(&self, domain: &str) -> VerifyingKey {
        let file = self.home.join(format!("certs/dev/{domain}.city.example/audit.vkey"));
        std::fs::read_to_string(file).unwrap().parse().unwrap()
    }

    /// Puts the agency's address into both files.
    fn settle(&self, address: SocketAddr) {
        self.edit(&self.agency_config(), |agency| {
            agency["listen"] = toml_edit::value(address.to_string());
        });
        self.edit(&self.gateway_config(), |gateway| {
            let agencies = gateway["agency"].as_array_of_tables_mut().unwrap();
            agencies.get_mut(0).unwrap()["endpoint"] = toml_edit::value(address.to_string());
        });
    }

    pub async fn agency(&self) -> Here {
        self.agency_with(Options::default()).await
    }

    pub async fn agency_with(&self, options: Options) -> Here {
        let (config, (stop, stopped)) = (self.agency_config(), watch::channel(false));
        let (ready, listening) = oneshot::channel();
        let task = tokio::spawn(async move {
            let ready = move |address| ready.send(address).unwrap();
            told(tributary::app::agency::run_with(&config, options, ready, stopped).await)
        });
        Here { address: listening.await.unwrap(), stop, task }
    }

    pub async fn gateway(&self) -> Here {
        self.gateway_with(Options::default()).await
    }

    pub async fn gateway_with(&self, options: Options) -> Here {
        let (config, (stop, stopped)) = (self.gateway_config(), watch::channel(false));
        let (ready, listening) = oneshot::channel();
        let task = tokio::spawn(async move {
            let ready = move |address| ready.send(address).unwrap();
            told(tributary::app::gateway::run_with(&config, options, ready, stopped).await)
        });
        Here { address: listening.await.unwrap(), stop, task }
    }

    /// The command of a role as an operator starts it.
    pub fn command(&self, role: &str) -> Command {
        let config = if role == "gateway" { self.gateway_config() } else { self.agency_config() };
        let mut command = binary();
        command.arg(role).arg("--config").arg(config);
        command
    }

    pub fn grant(&self, person: usize) -> String {
        self.master.grant(person)
    }

    pub fn people(&self) -> usize {
        self.master.described.grants.len()
    }

    fn consumer(&self) -> (PathBuf, PathBuf) {
        let consumer = &self.master.described.consumers[0];
        (consumer.certificate.clone(), consumer.key.clone())
    }

    pub async fn client(&self, gateway: SocketAddr) -> Result<GatewayClient, ClientError> {
        let (certificate, key) = self.consumer();
        let address = self.master.address(certificate, key);
        let address = Address { endpoint: gateway.to_string(), ..address };
        // Each refusal is to be seen as it comes.
        Ok(GatewayClient::connect(&address).await?.asking_once())
    }

    /// The only section of an answer: its status and reason; or the refusal.
    pub async fn ask(&self, client: &mut GatewayClient, person: usize) -> String {
        match client.profile(&self.grant(person), vec![ITEM.into()], DEADLINE).await {
            Ok(answer) => section(&answer),
            Err(ClientError::Refused { reason, .. }) => reason,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts both, and waits until the agency answers.
    pub async fn both(&self) -> (Here, Here) {
        let agency = self.agency().await;
        (agency, self.gateway_of(Options::default()).await)
    }

    /// A gateway that is answered by the agency, which runs.
    pub async fn gateway_of(&self, options: Options) -> Here {
        let gateway = self.gateway_with(options).await;
        let mut client = self.client(gateway.address).await.unwrap();
        becomes("an answer", "OK", async || self.ask(&mut client, 0).await).await;
        gateway
    }

    /// A channel as whoever may speak to a role: a consumer to the gateway, and the
    /// gateway to the agency.
    pub async fn channel(&self, role: Role, at: SocketAddr) -> Channel {
        let (pair, expected) = match role {
            Role::Gateway => (self.consumer(), "spiffe://gateway.city.example/gateway/main"),
            _ => {
                let pair = self.home.join("certs/dev/gateway.city.example/gateway-main");
                let pair = (pair.with_extension("pem"), pair.with_extension("key"));
                (pair, "spiffe://employment.city.example/agency/employment")
            }
        };
        let expected: SpiffeId = expected.parse().unwrap();
        let domain = expected.trust_domain().clone();
        let anchors = self.home.join(format!("certs/dev/{domain}/ca.pem"));
        let trust = TrustConfig { domain, roles: vec![role], anchors, crl: None };
        let tls = pki::tls(&pair.0, &pair.1, &[trust]);
        let limits = ConnectLimits::default();
        let connector = Connector::new(&at.to_string(), expected, tls, limits).unwrap();
        connector.channel().await.unwrap()
    }

    /// What a role's health service says of a name.
    pub async fn health(&self, role: Role, at: SocketAddr, name: &str) -> String {
        let mut client = HealthClient::new(self.channel(role, at).await);
        let request = HealthCheckRequest { service: name.to_owned() };
        match client.check(request).await {
            Ok(answer) => answer.into_inner().status().as_str_name().to_owned(),
            Err(status) => format!("{:?}", status.code()),
        }
    }

    /// Revokes a person's grant at the consent service, for every test of this
    /// process: let nobody else use that person.
    pub fn revoke(&self, person: usize) {
        self.master.revoke_grant(&self.master.described.grants[person].jti);
    }

    /// The consumer as whom clients ask.
    pub fn asks_as(&self) -> String {
        self.master.described.consumers[0].id.clone()
    }
}

/// The only section's status and reason.
pub fn section(answer: &pb::GetProfileResponse) -> String {
    let [report] = &answer.sections[..] else { panic!("{} sections", answer.sections.len()) };
    let status = report.status().as_str_name().trim_start_matches("SECTION_STATUS_");
    format!("{status} {}", report.reason).trim_end().to_owned()
}
