//! Memory of a gateway and of an agency, and an honest client's latency, while others take
//! what they can: one identity on 32 connections, and 60 identities of one trust domain.
//!
//! On every connection the catalogue and refusals are asked for and never read, and messages
//! begin and do not end; whoever is turned away comes again. Rounds with and without them
//! alternate, and ratios are of the two halves of one round.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use prost::Message;
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

use crate::Args;
use crate::city::City;
use crate::process;
use crate::report::{Figure, Report};
use crate::unary;

/// The part's name.
pub const PART: &str = "siege";

/// Streams of each connection, a third of each kind.
const STREAMS: usize = 48;
/// Refusals that nobody reads, on each stream of that kind.
const ASKED: usize = 300;
const UNFINISHED: usize = 60_000;
const DEADLINE: Duration = Duration::from_secs(2);
/// Between two calls of the honest client.
const PAUSE: Duration = Duration::from_millis(5);
/// Of memory: 32 MiB a peer, and half as much again for what an allocator keeps; 256 MiB in
/// all with it.
const PEER_MIB: f64 = 48.0;
const ALL_MIB: f64 = 256.0;
const RATIO: f64 = 1.5;

/// One kind of siege: so many identities, with so many connections each.
struct Crowd {
    name: &'static str,
    identities: usize,
    connections: usize,
    most_mib: f64,
}

const CROWDS: [Crowd; 2] = [
    Crowd { name: "one identity", identities: 1, connections: 32, most_mib: PEER_MIB },
    Crowd { name: "60 identities", identities: 60, connections: 4, most_mib: ALL_MIB },
];

/// Who is attacked.
struct Target {
    name: &'static str,
    pid: u32,
    endpoint: String,
    identity: SpiffeId,
    role: Role,
    crowd: TrustDomain,
    /// What is asked and not read, and a method that takes a stream of messages.
    unread: &'static str,
    stream: &'static str,
}

pub async fn run(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let length = Duration::try_from_secs_f64(args.seconds.unwrap_or(6.0))?;
    for crowd in &CROWDS {
        for gateway in [true, false] {
            let city = Arc::new(City::start(args.people.min(500)).await?);
            let target = Target::of(&city, gateway)?;
            let (mut calm, mut during, mut failed) = <(Figure, Figure, usize)>::default();
            // What is warm is not what the siege takes.
            honest(&city, length).await?;
            let idle = process::memory(target.pid)?;
            for _ in 0..args.rounds {
                calm.0.push(honest(&city, length).await?.0);
                let attackers = crowd.attack(&city, &target)?;
                sleep(Duration::from_secs(1)).await;
                let (p99, lost) = honest(&city, length).await?;
                drop(attackers);
                during.0.push(p99);
                failed += lost;
                // Their connections are closed, and what they left is let go.
                sleep(Duration::from_secs(2)).await;
            }
            let grown = process::peak_memory(target.pid)? - idle;
            let ratio = during.with(&calm, |during, calm| during / calm);
            let met = |met| if met { "met" } else { "NOT met" };
            let note = format!(
                "{PART}: {} on {} connections each at the {}: memory +{grown:.0} MiB over \
                 {idle:.0} (at most {:.0}: {}); an honest client's p99 {:.2} ms, \
                 without them {:.2} ms, ratio of a round {:.2} ({:.2}–{:.2}; at most {RATIO}: {}), \
                 {failed} calls failed",
                crowd.name,
                crowd.connections,
                target.name,
                crowd.most_mib,
                met(grown <= crowd.most_mib),
                during.median(),
                calm.median(),
                ratio.median(),
                ratio.range().0,
                ratio.range().1,
                met(ratio.median() <= RATIO),
            );
            eprintln!("{note}");
            report.notes.push(note);
        }
    }
    Ok(())
}

/// Calls one after the other for so long: p99 of those that were answered in milliseconds,
/// and how many were not.
async fn honest(city: &City, length: Duration) -> anyhow::Result<(f64, usize)> {
    let mut client = unary::client(city, &city.federation.gateway.endpoint).await?;
    let (until, mut times, mut failed) = (clock::now() + length, Vec::new(), 0);
    for person in city.people.iter().cycle() {
        let began = clock::now();
        if began >= until {
            break;
        }
        match client.profile(&person.grant, city.items.clone(), DEADLINE).await {
            Ok(answer) if answer.sections.iter().all(is_answered) => {
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            _ => failed += 1,
        }
        sleep(PAUSE).await;
    }
    ensure!(!times.is_empty(), "nothing was answered");
    times.sort_by(f64::total_cmp);
    let at = (times.len() * 99 / 100).min(times.len() - 1);
    Ok((times.get(at).copied().unwrap_or(f64::NAN), failed))
}

fn is_answered(section: &pb::SectionReport) -> bool {
    matches!(section.status(), pb::SectionStatus::Ok | pb::SectionStatus::NoRecord)
}

impl Target {
    fn of(city: &City, gateway: bool) -> anyhow::Result<Self> {
        let federation = &city.federation;
        if gateway {
            let consumer = federation.consumers.get(1).context("no second consumer")?;
            return Ok(Self {
                name: "gateway",
                pid: federation.gateway.pid,
                endpoint: federation.gateway.endpoint.clone(),
                identity: federation.gateway.id.parse()?,
                role: Role::Consumer,
                crowd: consumer.id.parse::<SpiffeId>()?.trust_domain().clone(),
                unread: "/tributary.v1.CatalogueService/ListItems",
                stream: "/tributary.v1.ProfileService/StreamProfiles",
            });
        }
        let agency = city.agencies.last().context("no agency")?;
        Ok(Self {
            name: "agency",
            pid: agency.pid,
            endpoint: agency.endpoint.clone(),
            identity: agency.identity.clone(),
            role: Role::Gateway,
            crowd: federation.gateway.id.parse::<SpiffeId>()?.trust_domain().clone(),
            unread: "/tributary.v1.AgencyService/Describe",
            stream: "/tributary.v1.AgencyService/Exchange",
        })
    }

    /// What connects to it as an identity of the crowd, and takes nothing of any answer.
    fn connector(&self, city: &City, name: &str) -> anyhow::Result<Connector> {
        let config = GatewayConfig::load(&city.federation.gateway.config)?;
        let folder = certificates(&config.link.certificate)?;
        let validity = Validity::days(clock::utc(), 1)?;
        let authority = Authority::open(folder, &self.crowd)?;
        let issued = authority.issue(&CertificateRequest::local(self.role, name, validity))?;
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
}

/// The folder of the development authorities, in which our certificate's domain has one.
fn certificates(certificate: &Path) -> anyhow::Result<&Path> {
    certificate.parent().and_then(Path::parent).context("no folder of authorities")
}

impl Crowd {
    /// Attacks for as long as what comes back lives.
    fn attack(&self, city: &City, target: &Target) -> anyhow::Result<JoinSet<()>> {
        let mut attackers = JoinSet::new();
        for nth in 0..self.identities {
            let connector = Arc::new(target.connector(city, &format!("crowd-{nth}"))?);
            for _ in 0..self.connections {
                attackers.spawn(connection(connector.clone(), target.unread, target.stream));
            }
        }
        Ok(attackers)
    }
}

/// One connection, made again whenever it is lost.
async fn connection(connector: Arc<Connector>, unread: &'static str, stream: &'static str) {
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
        sleep(Duration::from_millis(100)).await;
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
