//! What peers may take, at gateways and agencies alike: frames that ask for nothing, one
//! identity on many connections, many identities of one trust domain. Rows 60 to 62.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, future, stream};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use toml_edit::{DocumentMut, Table, value};
use tonic::Status;
use tonic::body::Body;
use tributary::clock;
use tributary::domain::peer::{Role, SpiffeId, TrustDomain};
use tributary::link::pki::{Authority, CertificateRequest, Validity};
use tributary::wire::refusal::reason_of;

use super::raw;
use crate::kit::federation::{Federation, Served, within};
use crate::kit::frames::{
    self, DATA, END_HEADERS, HEADERS, PING, PREFACE, SETTINGS, WINDOW_UPDATE, frame, headers,
};
use crate::kit::rude::{Pair, rude, rude_connect};
use crate::kit::waiting::becomes;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const PRIORITY: u8 = 2;
const MIB: usize = 1 << 20;

/// A process that is attacked, and who may connect to it.
struct Door {
    address: SocketAddr,
    /// A method that takes a stream of messages.
    stream: &'static str,
    role: Role,
    crowd: TrustDomain,
    honest: TrustDomain,
    _served: Served,
}

/// A gateway and an agency, whose `[door]` is like this.
async fn doors(federation: &Federation, section: &[(&str, i64)]) -> Vec<Door> {
    let edit = |document: &mut DocumentMut| {
        let mut door = Table::new();
        for (key, number) in section {
            door[key] = value(*number);
        }
        // Nothing is ended for its slowness.
        door["message_standstill"] = value("60s");
        document["door"] = door.into();
    };
    let [first, second] =
        [0, 1].map(|nth| federation.described.consumers[nth].id.parse::<SpiffeId>().unwrap());
    let [first, second] = [first, second].map(|id| id.trust_domain().clone());
    assert_ne!(first, second);
    let gateway = federation.gateway_with(&[], edit).await;
    let agency = federation.agency("lending", |document| {
        edit(document);
        // Two organisations with gateways.
        let trust = document["link"]["trust"].as_array_of_tables_mut().unwrap();
        for domain in [&first, &second] {
            let mut entry = Table::new();
            entry["domain"] = value(domain.as_str());
            entry["roles"] = value(toml_edit::Array::from_iter(["gateway"]));
            entry["anchors"] = value(format!("../certs/dev/{domain}/ca.pem"));
            trust.push(entry);
        }
    });
    let agency = agency.await;
    let (crowd, honest) = (first.clone(), second.clone());
    vec![
        Door {
            address: gateway.address,
            stream: "/tributary.v1.ProfileService/StreamProfiles",
            role: Role::Consumer,
            crowd: first,
            honest: second,
            _served: gateway,
        },
        Door {
            address: agency.address,
            stream: "/tributary.v1.AgencyService/Exchange",
            role: Role::Gateway,
            crowd,
            honest,
            _served: agency,
        },
    ]
}

impl Door {
    fn issue(&self, federation: &Federation, domain: &TrustDomain, name: &str) -> Pair {
        let authority = Authority::open(&federation.home.join("certs/dev"), domain).unwrap();
        let validity = Validity::days(clock::utc(), 1).unwrap();
        Pair::from(&authority.issue(&CertificateRequest::local(self.role, name, validity)).unwrap())
    }

    /// A connection on which a call was answered; none where the door refuses it.
    async fn enter(&self, pair: &Pair) -> Option<SendRequest<Body>> {
        let entering = async {
            let stream = rude_connect(self.address, rude(Some(pair), &["h2"])).await.ok()?;
            let (mut sender, connection) =
                handshake(TokioExecutor::new(), TokioIo::new(stream)).await.ok()?;
            tokio::spawn(connection);
            let asked = raw::request(CHECK);
            let asked = asked.body(Body::new(Full::new(Bytes::from(raw::frame(0, &[]))))).unwrap();
            let answer = sender.send_request(asked).await.ok()?;
            let trailers = answer.into_body().collect().await.ok()?;
            trailers.trailers()?.get("grpc-status").filter(|status| *status == "0")?;
            Some(sender)
        };
        within(entering).await
    }

    /// Whoever keeps the rules gets in and is answered.
    async fn serves_others(&self, federation: &Federation) {
        let pair = self.issue(federation, &self.honest, "honest");
        assert!(self.enter(&pair).await.is_some(), "{:?}", self.role);
    }

    /// Begins a message of which so many bytes come, on a stream of its own; gives why the
    /// stream ended.
    async fn unfinished(&self, mut on: SendRequest<Body>, bytes: usize) -> String {
        let begun = [&[0, 0, 4, 0, 0][..], &vec![0x7a; bytes]].concat();
        let begun = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(begun)))]);
        let body = Body::new(StreamBody::new(begun.chain(stream::pending())));
        let asked = raw::request(self.stream).body(body).unwrap();
        let Ok(answer) = on.send_request(asked).await else { return "closed".to_owned() };
        let (head, body) = answer.into_parts();
        if let Some(status) = raw::status_of(&head.headers) {
            return reason_of(&status);
        }
        let Ok(body) = body.collect().await else { return "closed".to_owned() };
        let status = body.trailers().and_then(raw::status_of);
        status.map_or_else(|| "nothing".to_owned(), |status| reason_of(&status))
    }

    /// Many streams with messages that do not end, on connections of these; goes on once no
    /// more than so many of them are open, and gives why the others ended.
    async fn besiege(
        &self,
        peers: &[Pair],
        streams: usize,
        bytes: usize,
        open: usize,
    ) -> BTreeMap<String, usize> {
        let entered = future::join_all(peers.iter().map(|pair| self.enter(pair))).await;
        let entered: Vec<_> = entered.into_iter().flatten().collect();
        assert!(entered.len() * 10 >= peers.len() * 9, "{} got in", entered.len());
        let mut asked: FuturesUnordered<_> = entered
            .iter()
            .flat_map(|sender| std::iter::repeat_n(sender, streams))
            .map(|sender| self.unfinished(sender.clone(), bytes))
            .collect();
        let mut ended = BTreeMap::new();
        while asked.len() > open {
            let reason = within(asked.next()).await.unwrap();
            *ended.entry(reason).or_insert(0) += 1;
        }
        assert!(!ended.contains_key("MESSAGE_STALLED"), "{:?}: {ended:?}", self.role);
        ended
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_61_frames_without_work_end_their_connection_at_gateways_and_agencies() {
    let federation = Federation::start();
    let open = frame(HEADERS, END_HEADERS, 1, &headers(CHECK, &[]));
    let floods = [
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("WINDOW-UPDATE", frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        ("PRIORITY", frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 1])),
        ("empty-DATA", frame(DATA, 0, 1, &[])),
        ("unknown", frame(0xbb, 0, 0, &[])),
    ];
    for door in doors(&federation, &[("idle_frames", 100)]).await {
        for (what, flood) in &floods {
            // Each by an identity of its own: whoever flooded waits before it is read again.
            let pair = door.issue(&federation, &door.crowd, what);
            let stream = rude_connect(door.address, rude(Some(&pair), &["h2"])).await.unwrap();
            let (mut read, mut write) = tokio::io::split(stream);
            let greeting = [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[]), open.clone()].concat();
            write.write_all(&greeting).await.unwrap();
            let many = flood.repeat(500);
            let flooding = tokio::spawn(async move {
                while write.write_all(&many).await.is_ok() && write.flush().await.is_ok() {}
            });
            let end = async { while frames::next(&mut read).await.is_ok() {} };
            let ended = tokio::time::timeout(std::time::Duration::from_secs(60), end).await;
            assert!(ended.is_ok(), "{what} floods the {:?}'s server on", door.role);
            flooding.abort();
            door.serves_others(&federation).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_60_one_identity_on_32_connections_holds_no_more_than_a_peer_may() {
    const BYTES: usize = 120_000;
    let federation = Federation::start();
    for door in doors(&federation, &[("peer_mib", 16)]).await {
        let pairs: Vec<Pair> =
            (0..32).map(|_| door.issue(&federation, &door.crowd, "one")).collect();
        // A quarter more than the budget closes connections.
        let ended = door.besiege(&pairs, 8, BYTES, 20 * MIB / BYTES).await;
        assert!(ended.contains_key("MEMORY_SPENT"), "{:?}: {ended:?}", door.role);
        door.serves_others(&federation).await;
        // It waits, and is served again once it keeps the rules.
        let served = async || door.enter(&pairs[0]).await.is_some();
        becomes("the return of whoever took too much", true, served).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_60_many_identities_of_one_domain_hold_no_more_than_all_peers_may() {
    const BYTES: usize = 60_000;
    let federation = Federation::start();
    for door in doors(&federation, &[("peer_mib", 8), ("all_peers_mib", 16)]).await {
        let pairs: Vec<Pair> = (0..60)
            .map(|nth| door.issue(&federation, &door.crowd, &format!("one-of-{nth}")))
            .collect();
        let ended = door.besiege(&pairs, 8, BYTES, 20 * MIB / BYTES).await;
        // The heaviest pay with their connections, and those that can still be told are told.
        let paid = |reason: &String| ["closed", "HEAVIEST_PEER"].contains(&&**reason);
        assert!(ended.keys().any(paid), "{:?}: {ended:?}", door.role);
        assert!(!ended.contains_key("CONNECTION_AGE"), "{:?}: {ended:?}", door.role);
        door.serves_others(&federation).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_62_one_domain_takes_its_share_of_connections_and_no_more() {
    const SHARE: i64 = 16;
    let federation = Federation::start();
    let section =
        [("connections", 32), ("connections_per_domain", SHARE), ("connections_per_peer", 2)];
    for door in doors(&federation, &section).await {
        let mut inside = Vec::new();
        for nth in 0..SHARE {
            let pair = door.issue(&federation, &door.crowd, &format!("crowd-{nth}"));
            for _ in 0..2 {
                inside.extend(door.enter(&pair).await);
            }
        }
        let share = usize::try_from(SHARE).unwrap();
        // The kit's own connection may not have ended yet.
        assert!((share - 1..=share).contains(&inside.len()), "{} got in", inside.len());
        door.serves_others(&federation).await;
    }
}
