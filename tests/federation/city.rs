//! A served demo, and the ways to ask its gateway and its agencies.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use prost::Message;
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Channel;
use tributary::app::client::{Address, ClientError, GatewayClient};
use tributary::app::demo::Federation;
use tributary::config::gateway::GatewayConfig;
use tributary::config::link::TrustConfig;
use tributary::domain::catalogue::Catalogue;
use tributary::domain::peer::{Role, SpiffeId};
use tributary::link::connect::{ConnectError, Connector};
use tributary::link::identity::OwnIdentity;
use tributary::link::limits::ConnectLimits;
use tributary::link::tls::LinkTls;
use tributary::link::trust::{Trust, TrustStore};
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::agency_service_client::AgencyServiceClient;
use tributary::wire::proto::pb::profile_service_client::ProfileServiceClient;
use tributary::wire::refusal::reason_of;

pub use crate::kit::forged::{name_in, part_of};
use crate::kit::waiting::until;

pub use crate::kit::waiting::UNHURRIED as DEADLINE;

/// A running demo; dropping it stops every process.
pub struct City {
    pub home: PathBuf,
    pub federation: Federation,
    pub catalogue: Catalogue,
    demo: Child,
    _folder: TempDir,
}

impl Drop for City {
    fn drop(&mut self) {
        let _ = self.demo.kill();
        let _ = self.demo.wait();
    }
}

/// Starts an agency anew that was killed.
pub fn agency_again(config: &Path) -> Child {
    binary()
        .args(["agency", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tributary"))
}

impl City {
    pub fn start(extra: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("city");
        let mut demo = binary()
            .args(["demo", "--serve", "--people", "60", "--deadline", "60s", "--dir"])
            .arg(&home)
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It speaks once every link is up.
        let mut line = String::new();
        let mut out = std::io::BufReader::new(demo.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert!(line.starts_with("The federation runs."), "the demo did not start: {line}");
        let text = std::fs::read_to_string(home.join(Federation::FILE)).unwrap();
        let federation = serde_json::from_str(&text).unwrap();
        let catalogue = tributary::config::catalogue::load(&home.join("catalogue")).unwrap();
        Self { home, federation, catalogue, demo, _folder: folder }
    }

    pub fn address(&self, certificate: PathBuf, key: PathBuf) -> Address {
        Address {
            endpoint: self.federation.gateway.endpoint.clone(),
            gateway: self.federation.gateway.id.parse().unwrap(),
            certificate,
            key,
            trust_bundle: self.federation.trust_bundle.clone(),
        }
    }

    pub async fn client(&self) -> GatewayClient {
        self.client_as("scoring-service").await
    }

    pub async fn client_as(&self, name: &str) -> GatewayClient {
        self.try_client(name).await.unwrap()
    }

    pub async fn try_client(&self, name: &str) -> Result<GatewayClient, ClientError> {
        let consumer = self.federation.consumers.iter().find(|c| c.id.ends_with(name)).unwrap();
        let address = self.address(consumer.certificate.clone(), consumer.key.clone());
        GatewayClient::connect(&address).await
    }

    /// The generated client, for requests that the library's own does not make.
    pub async fn profiles(&self) -> ProfileServiceClient<Channel> {
        self.profiles_as("scoring-service").await
    }

    pub async fn profiles_as(&self, name: &str) -> ProfileServiceClient<Channel> {
        let consumer = self.federation.consumers.iter().find(|c| c.id.ends_with(name)).unwrap();
        let now = tributary::clock::utc();
        let identity = OwnIdentity::load(&consumer.certificate, &consumer.key, now).unwrap();
        let gateway: SpiffeId = self.federation.gateway.id.parse().unwrap();
        let trust = TrustStore::load(&[TrustConfig {
            domain: gateway.trust_domain().clone(),
            roles: vec![Role::Gateway],
            anchors: self.federation.trust_bundle.clone(),
            crl: None,
        }]);
        let tls = LinkTls::new(identity, Trust::new(trust.unwrap()));
        let (endpoint, limits) = (&self.federation.gateway.endpoint, ConnectLimits::default());
        let connector = Connector::new(endpoint, gateway, tls, limits).unwrap();
        ProfileServiceClient::new(connector.channel().await.unwrap())
    }

    /// The genuine grant of a person.
    pub fn grant(&self, person: usize) -> String {
        std::fs::read_to_string(&self.federation.grants[person].file).unwrap()
    }

    /// What the gateway answers to a presentation: `OK`, or its reason.
    pub async fn at_gateway(&self, client: &mut GatewayClient, grant: &str, item: &str) -> String {
        match client.profile(grant, vec![item.into()], DEADLINE).await {
            Ok(_) => "OK".into(),
            Err(ClientError::Refused { reason, .. }) => reason,
            Err(error) => panic!("{error}"),
        }
    }

    /// An agency as the gateway reaches it: for asking past the gateway.
    pub async fn agency(&self, id: &str) -> AgencyServiceClient<Channel> {
        let link = GatewayConfig::load(&self.federation.gateway.config).unwrap().link;
        self.agency_as(id, &link.certificate, &link.key).await.unwrap()
    }

    /// An agency, expected as the gateway expects it, with anybody's certificate.
    pub async fn agency_as(
        &self,
        id: &str,
        certificate: &Path,
        key: &Path,
    ) -> Result<AgencyServiceClient<Channel>, ConnectError> {
        let config = GatewayConfig::load(&self.federation.gateway.config).unwrap();
        let identity = OwnIdentity::load(certificate, key, tributary::clock::utc()).unwrap();
        let trust = TrustStore::load(&config.link.trust).unwrap();
        let tls = LinkTls::new(identity, Trust::new(trust));
        let entry = config.agency.iter().find(|agency| agency.id.as_str() == id).unwrap();
        let (endpoint, expected) = (&entry.endpoint, entry.identity.clone());
        let connector = Connector::new(endpoint, expected, tls, ConnectLimits::default()).unwrap();
        Ok(AgencyServiceClient::new(connector.channel().await?))
    }

    /// A question for an agency's items, as a gateway puts it.
    pub fn question(
        &self,
        request_id: &str,
        grant: &str,
        items: &[&str],
    ) -> pb::FetchSectionRequest {
        let numbers = items.iter().map(|id| self.catalogue.find(id).unwrap().number);
        let set: tributary::domain::item::ItemSet = numbers.collect();
        pb::FetchSectionRequest {
            request_id: request_id.into(),
            items: set.to_bytes().into(),
            catalogue_digest: self.catalogue.digest().0.to_vec().into(),
            consumer: self.federation.consumers[0].id.clone(),
            grant: Some(pb::GrantPresentation {
                sd_jwt: grant.as_bytes().to_vec().into(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// Sends the demo a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.demo.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// What a process of the demo has logged.
    pub fn log(&self, process: &str) -> String {
        std::fs::read_to_string(self.home.join(format!("logs/{process}.log"))).unwrap()
    }

    /// Waits until a process has logged a word so many times.
    pub async fn logs(&self, process: &str, word: &str, times: usize) {
        let what = format!("`{word}` in the log of {process}, {times} times");
        let enough = |log: &String| log.matches(word).count() >= times;
        until(&what, async || self.log(process), enough).await;
    }

    /// Waits for the demo's own end; gives its exit code, and a signal has none.
    pub async fn end(&mut self) -> Option<i32> {
        let look = async || self.demo.try_wait().unwrap();
        let ended = until("the end of the demo", look, Option::is_some).await;
        ended.unwrap().code()
    }

    pub fn config_of(&self, agency: &str) -> &Path {
        &self.federation.agencies.iter().find(|entry| entry.id == agency).unwrap().config
    }
}

/// What an agency answers: its section's status, or its refusal's reason.
pub async fn ask(
    agency: &mut AgencyServiceClient<Channel>,
    question: pb::FetchSectionRequest,
) -> (String, Option<pb::Section>) {
    assert!(question.encoded_len() < 256 * 1024 || question.request_id == "oversize");
    match agency.fetch_section(question).await {
        Ok(answer) => {
            let section = answer.into_inner().section.unwrap();
            let status = section.envelope.as_ref().unwrap().status().as_str_name();
            (status.trim_start_matches("SECTION_STATUS_").into(), Some(section))
        }
        Err(status) => (word(&status), None),
    }
}

pub fn word(status: &Status) -> String {
    match reason_of(status) {
        reason if reason.is_empty() => format!("{:?}", status.code()),
        reason => reason,
    }
}
