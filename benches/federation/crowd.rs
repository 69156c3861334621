//! Who besieges: a process of its own that takes what a door lets it take and reads nothing of
//! any answer. On every connection the catalogue and refusals are asked for and never read, and
//! messages begin and do not end; whoever is turned away comes again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Service as _;
use tributary::clock;
use tributary::config::gateway::GatewayConfig;
use tributary::config::link::TrustConfig;
use tributary::domain::peer::{Role, SpiffeId, TrustDomain};
use tributary::link::connect::Connector;
use tributary::link::identity::OwnIdentity;
use tributary::link::limits::ConnectLimits;
use tributary::link::pki::{Authority, CertificateRequest, Validity};
use tributary::link::tls::LinkTls;
use tributary::link::trust::{Trust, TrustStore};
use tributary::wire::proto::pb;

use crate::child::{self, Server};

/// The role of the process.
const ROLE: &str = "besieger";

/// Streams of each connection, a third of each kind.
const STREAMS: usize = 48;
/// Refusals that nobody reads, on each stream of that kind.
const ASKED: usize = 300;
const UNFINISHED: usize = 60_000;
const AGAIN: Duration = Duration::from_millis(100);

/// Who attacks whom, written for the process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The gateway's configuration, beside whose certificate the authorities are.
    pub gateway: PathBuf,
    pub endpoint: String,
    pub identity: SpiffeId,
    /// Of the attackers' certificates.
    pub domain: TrustDomain,
    pub is_gateway: bool,
    pub identities: usize,
    /// Of each identity.
    pub connections: usize,
}

impl Plan {
    /// Starts the process. An attacker has machines of his own; on this one he gets what the
    /// others leave of the cores, so that his own work is not taken for his victim's.
    pub async fn start(&self, folder: &Path) -> anyhow::Result<Server> {
        let file = folder.join("siege.json");
        std::fs::write(&file, serde_json::to_vec(self)?)?;
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(std::env::current_exe()?).arg(ROLE).arg(&file);
        Server::start(command).await.context("starting those who besiege")
    }

    /// What connects as an identity of the crowd, and takes nothing of any answer.
    fn connector(&self, name: &str) -> anyhow::Result<Connector> {
        let config = GatewayConfig::load(&self.gateway)?;
        let folder = certificates(&config.link.certificate)?;
        let validity = Validity::days(clock::utc(), 1)?;
        let authority = Authority::open(folder, &self.domain)?;
        let role = if self.is_gateway { Role::Consumer } else { Role::Gateway };
        let issued = authority.issue(&CertificateRequest::local(role, name, validity))?;
        let identity = OwnIdentity::load(&issued.certificate, &issued.key, clock::utc())?;
        let domain = self.identity.trust_domain();
        let trust = TrustConfig {
            domain: domain.clone(),
            roles: vec![Role::Gateway, Role::Agency],
            anchors: folder.join(domain.as_str()).join("ca.pem"),
            crl: None,
        };
        let tls = LinkTls::new(identity, Trust::new(TrustStore::load(&[trust])?));
        let limits = ConnectLimits { stream_window: 0, ..ConnectLimits::default() };
        Ok(Connector::new(&self.endpoint, self.identity.clone(), tls, limits)?)
    }

    /// A method whose answer is not read, and one that takes a stream of messages.
    const fn methods(&self) -> (&'static str, &'static str) {
        if self.is_gateway {
            (
                "/tributary.v1.CatalogueService/ListItems",
                "/tributary.v1.ProfileService/StreamProfiles",
            )
        } else {
            ("/tributary.v1.AgencyService/Describe", "/tributary.v1.AgencyService/Exchange")
        }
    }
}

/// Attacks until standard input ends.
pub async fn serve(plan: &Path) -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_slice(&std::fs::read(plan)?)?;
    let (mut attackers, methods) = (JoinSet::new(), plan.methods());
    for nth in 0..plan.identities {
        let connector = Arc::new(plan.connector(&format!("crowd-{nth}"))?);
        for _ in 0..plan.connections {
            attackers.spawn(connection(connector.clone(), methods));
        }
    }
    println!("besieging {}", plan.endpoint.rsplit('/').next().unwrap_or_default());
    child::standard_input_ends().await;
    Ok(())
}

/// The folder of the development authorities, in which our certificate's domain has one.
fn certificates(certificate: &Path) -> anyhow::Result<&Path> {
    certificate.parent().and_then(Path::parent).context("no folder of authorities")
}

/// One connection, made again whenever it is lost.
async fn connection(connector: Arc<Connector>, (unread, stream): (&'static str, &'static str)) {
    loop {
        if let Ok(channel) = connector.channel().await {
            let mut streams = JoinSet::new();
            for nth in 0..STREAMS {
                let channel = channel.clone();
                streams.spawn(async move {
                    let (path, body) = match nth % 3 {
                        0 => (unread, begun(framed(&[]), true)),
                        1 => (stream, begun(asked(), false)),
                        _ => (stream, begun(vec![0x7a; UNFINISHED], false)),
                    };
                    let _ = asked_for(channel, path, body).await;
                });
            }
            // Until every stream has ended.
            while streams.join_next().await.is_some() {}
        }
        sleep(AGAIN).await;
    }
}

/// Sends this, and keeps the answer without reading it.
async fn asked_for(mut channel: Channel, path: &str, body: Body) -> anyhow::Result<()> {
    let request = http::Request::post(format!("https://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)?;
    std::future::poll_fn(|context| channel.poll_ready(context)).await?;
    let answer = channel.call(request).await?;
    let mut body = answer.into_body();
    // With no window this waits until the stream ends.
    std::future::poll_fn(|context| {
        hyper::body::Body::poll_frame(std::pin::Pin::new(&mut body), context)
    })
    .await;
    Ok(())
}

/// A body that begins like this, and ends or does not.
fn begun(bytes: Vec<u8>, ends: bool) -> Body {
    let pieces: Vec<Bytes> = bytes.chunks(16_384).map(Bytes::copy_from_slice).collect();
    let pieces = stream::iter(pieces.into_iter().map(|piece| Ok::<_, Status>(Frame::data(piece))));
    match ends {
        true => Body::new(StreamBody::new(pieces)),
        false => Body::new(StreamBody::new(pieces.chain(stream::pending()))),
    }
}

/// Questions that are refused one by one.
fn asked() -> Vec<u8> {
    let one = |nth: usize| {
        let request = pb::GetProfileRequest { request_id: nth.to_string(), ..Default::default() };
        let request = request.encode_to_vec().into();
        framed(&pb::StreamProfilesRequest { request, ..Default::default() }.encode_to_vec())
    };
    (0..ASKED).flat_map(one).collect()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0][..], &length, message].concat()
}
