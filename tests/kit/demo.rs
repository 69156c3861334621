//! A served demo, and the ways to ask its gateway and its agencies.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tributary::app::client::{Address, ClientError, GatewayClient};
use tributary::app::demo::{AgencyEntry, ConsumerEntry, Federation};
use tributary::config::gateway::GatewayConfig;
use tributary::config::link::TrustConfig;
use tributary::domain::catalogue::Catalogue;
use tributary::domain::peer::{Role, SpiffeId};
use tributary::link::connect::{ConnectError, Connector};
use tributary::link::limits::ConnectLimits;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::agency_service_client::AgencyServiceClient;
use tributary::wire::proto::pb::profile_service_client::ProfileServiceClient;
use tributary::wire::refusal::reason_of;

use super::pki;
use super::process::{Process, binary, told};
use super::waiting::{UNHURRIED, until};

/// A running demo; dropping it stops every process.
pub struct City {
    pub home: PathBuf,
    pub described: Federation,
    pub catalogue: Arc<Catalogue>,
    pub demo: Process,
    _folder: TempDir,
}

impl City {
    pub fn start(extra: &[&str]) -> Self {
        Self::of(60, extra)
    }

    /// One of so many people.
    pub fn of(people: usize, extra: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap().join("city");
        let mut command = binary();
        command.args(["demo", "--serve", "--people", &people.to_string(), "--deadline", "60s"]);
        // It speaks once every link is up.
        let demo =
            Process::until(command.arg("--dir").arg(&home).args(extra), "The federation runs.");
        let text = std::fs::read_to_string(home.join(Federation::FILE)).unwrap();
        let described = serde_json::from_str(&text).unwrap();
        let catalogue = tributary::config::catalogue::load(&home.join("catalogue")).unwrap();
        let catalogue = Arc::new(catalogue);
        Self { home, described, catalogue, demo, _folder: folder }
    }

    pub fn entry(&self, id: &str) -> &AgencyEntry {
        self.described.agencies.iter().find(|agency| agency.id == id).unwrap()
    }

    pub fn config_of(&self, agency: &str) -> &Path {
        &self.entry(agency).config
    }

    fn named(&self, consumer: &str) -> &ConsumerEntry {
        self.described.consumers.iter().find(|entry| entry.id.ends_with(consumer)).unwrap()
    }

    /// A connection to a gateway as an identity of the development PKI.
    pub async fn connect(
        &self,
        to: impl Display,
        certificate: &Path,
        key: &Path,
    ) -> Result<Channel, ConnectError> {
        let gateway: SpiffeId = self.described.gateway.id.parse().unwrap();
        let trust = TrustConfig {
            domain: gateway.trust_domain().clone(),
            roles: vec![Role::Gateway],
            anchors: self.described.trust_bundle.clone(),
            crl: None,
        };
        let tls = pki::tls(certificate, key, &[trust]);
        let limits = ConnectLimits::default();
        Connector::new(&to.to_string(), gateway, tls, limits).unwrap().channel().await
    }

    pub fn address(&self, certificate: PathBuf, key: PathBuf) -> Address {
        Address {
            endpoint: self.described.gateway.endpoint.clone(),
            gateway: self.described.gateway.id.parse().unwrap(),
            certificate,
            key,
            trust_bundle: self.described.trust_bundle.clone(),
            proof_key: None,
        }
    }

    pub async fn client(&self) -> GatewayClient {
        self.client_as("scoring-service").await
    }

    pub async fn client_as(&self, name: &str) -> GatewayClient {
        self.try_client(name).await.unwrap()
    }

    pub async fn try_client(&self, name: &str) -> Result<GatewayClient, ClientError> {
        let ConsumerEntry { certificate, key, proof_key, .. } = self.named(name);
        let address = self.address(certificate.clone(), key.clone());
        GatewayClient::connect(&Address { proof_key: proof_key.clone(), ..address }).await
    }

    /// The generated client, for requests that the library's own does not make.
    pub async fn profiles(&self) -> ProfileServiceClient<Channel> {
        self.profiles_as("scoring-service").await
    }

    pub async fn profiles_as(&self, name: &str) -> ProfileServiceClient<Channel> {
        let ConsumerEntry { certificate, key, .. } = self.named(name);
        let gateway = &self.described.gateway.endpoint;
        ProfileServiceClient::new(self.connect(gateway, certificate, key).await.unwrap())
    }

    /// What health says of a name at the gateway, in a word.
    pub async fn health(&self, name: &str) -> String {
        let consumer = &self.described.consumers[0];
        let gateway = &self.described.gateway.endpoint;
        let channel = self.connect(gateway, &consumer.certificate, &consumer.key).await.unwrap();
        let request = HealthCheckRequest { service: name.to_owned() };
        match HealthClient::new(channel).check(request).await {
            Ok(said) => said.into_inner().status().as_str_name().to_owned(),
            Err(status) => format!("{:?}", status.code()),
        }
    }

    /// The genuine grant of a person.
    pub fn grant(&self, person: usize) -> String {
        std::fs::read_to_string(&self.described.grants[person].file).unwrap()
    }

    /// Revokes a grant at the consent service.
    pub fn revoke_grant(&self, jti: &str) {
        let settings = &self.described.issuer.settings;
        told(binary().args(["grant", "revoke", "--settings"]).arg(settings).arg(jti));
    }

    /// What the gateway answers to a presentation: `OK`, or its reason.
    pub async fn at_gateway(&self, client: &mut GatewayClient, grant: &str, item: &str) -> String {
        match client.profile(grant, vec![item.into()], UNHURRIED).await {
            Ok(_) => "OK".into(),
            Err(ClientError::Refused { reason, .. }) => reason,
            Err(error) => panic!("{error}"),
        }
    }

    /// An agency as the gateway reaches it: for asking past the gateway.
    pub async fn agency(&self, id: &str) -> AgencyServiceClient<Channel> {
        let link = GatewayConfig::load(&self.described.gateway.config).unwrap().link;
        self.agency_as(id, &link.certificate, &link.key).await.unwrap()
    }

    /// An agency, expected as the gateway expects it, with anybody's certificate.
    pub async fn agency_as(
        &self,
        id: &str,
        certificate: &Path,
        key: &Path,
    ) -> Result<AgencyServiceClient<Channel>, ConnectError> {
        let config = GatewayConfig::load(&self.described.gateway.config).unwrap();
        let tls = pki::tls(certificate, key, &config.link.trust);
        let entry = config.agency.iter().find(|agency| agency.id.as_str() == id).unwrap();
        let (endpoint, expected) = (&entry.endpoints[0], entry.identity.clone());
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
            consumer: self.described.consumers[0].id.clone(),
            grant: Some(pb::GrantPresentation {
                sd_jwt: grant.as_bytes().to_vec().into(),
                ..Default::default()
            }),
            ..Default::default()
        }
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
