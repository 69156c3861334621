//! A gateway and two agencies with certificates, and what the tests of links do again
//! and again.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::AlertDescription;
use tokio::io::AsyncReadExt;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tributary::domain::peer::{Role, SpiffeId};
use tributary::link::connect::Connector;
use tributary::link::limits::{ConnectLimits, LinkLimits};
use tributary::link::pki::Issued;
use tributary::link::tls;

use crate::kit::pki::{Pair, Pki, Server, link_tls};
use crate::kit::rude::{rude, rude_connect};

pub const GATEWAY: &str = "gateway.city.example";
pub const WORK: &str = "employment.city.example";
pub const SCHOOL: &str = "education.city.example";
/// Only a hang reaches it.
pub const FOREVER: Duration = Duration::from_secs(90);

/// A gateway and two agencies; the server under test is the employment agency.
pub struct City {
    pub pki: Pki,
    pub gateway: Issued,
    pub work: Issued,
}

impl City {
    pub fn new() -> Self {
        let pki = Pki::new(&[GATEWAY, WORK, SCHOOL]);
        Self {
            gateway: pki.issue(GATEWAY, Role::Gateway, "main"),
            work: pki.issue(WORK, Role::Agency, "employment"),
            pki,
        }
    }

    pub fn agency_tls(&self) -> tls::LinkTls {
        let gateways = self.pki.trust(GATEWAY, &[Role::Gateway]);
        let school = self.pki.trust(SCHOOL, &[Role::Agency]);
        link_tls(&self.work, &[gateways, school])
    }

    pub fn gateway_tls(&self) -> tls::LinkTls {
        let work = self.pki.trust(WORK, &[Role::Agency]);
        let school = self.pki.trust(SCHOOL, &[Role::Agency]);
        link_tls(&self.gateway, &[work, school])
    }

    pub async fn server(&self) -> Server {
        Server::start(self.agency_tls(), LinkLimits::default()).await
    }

    pub fn connector(&self, server: &Server) -> Connector {
        self.connector_to(server.address, "spiffe://employment.city.example/agency/employment")
    }

    pub fn connector_to(&self, address: SocketAddr, expected: &str) -> Connector {
        let expected: SpiffeId = expected.parse().unwrap();
        let address = address.to_string();
        Connector::new(&address, expected, self.gateway_tls(), ConnectLimits::default()).unwrap()
    }
}

pub async fn check(channel: &Channel, service: &str) -> Result<(), tonic::Status> {
    let mut client = HealthClient::new(channel.clone());
    let request = HealthCheckRequest { service: service.to_owned() };
    client.check(request).await.map(|_| ())
}

/// Connects rudely and reads on; gives the alert that comes.
pub async fn alert(address: SocketAddr, pair: Option<&Pair>) -> AlertDescription {
    let reading = async {
        let mut stream = rude_connect(address, rude(pair, &["h2"])).await?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await
    };
    let error = tokio::time::timeout(FOREVER, reading)
        .await
        .expect("no alert came")
        .expect_err("the server let it in, or closed without an alert");
    let inner = error.get_ref().expect("no TLS error");
    match inner.downcast_ref::<rustls::Error>() {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        other => panic!("no alert but {other:?} ({error})"),
    }
}

/// Waits until the server closes.
pub async fn closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut all = Vec::new();
    let _ = tokio::time::timeout(FOREVER, stream.read_to_end(&mut all))
        .await
        .expect("the server did not close");
}

/// Limits in which no handshake and no silence is ever too long.
pub fn unhurried() -> LinkLimits {
    LinkLimits { handshake: FOREVER * 2, silence: FOREVER * 2, ..LinkLimits::default() }
}
