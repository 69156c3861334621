//! A peer with the right certificate that breaks HTTP/2 itself, frame by frame
//! (RFC 9113). It loses its connection, and nobody else notices.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::client::TlsStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tributary::domain::peer::Role;
use tributary::link::connect::Connector;
use tributary::link::limits::{ConnectLimits, LinkLimits};
use tributary::link::pki::Issued;

use crate::kit::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE,
    REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, stream, window,
};
use crate::kit::pki::{Pair, Pki, Server, link_tls};
use crate::kit::rude::{rude, rude_connect};

const GATEWAY: &str = "gateway.city.example";
const WORK: &str = "employment.city.example";

/// Only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(90);

const CHECK: &str = "/grpc.health.v1.Health/Check";

fn headers() -> Vec<u8> {
    crate::kit::frames::headers(CHECK, &[])
}

/// What the server said.
#[derive(Debug, Clone, Default)]
struct Seen {
    goaway: bool,
    closed: bool,
    answers: usize,
    /// The code of each stream that the server reset.
    resets: BTreeMap<u32, u32>,
}

/// The peer that breaks HTTP/2.
struct Peer {
    out: WriteHalf<TlsStream<TcpStream>>,
    seen: watch::Receiver<Seen>,
}

impl Peer {
    async fn connect(city: &City) -> Self {
        let config = rude(Some(&Pair::from(&city.gateway)), &["h2"]);
        let stream = rude_connect(city.server.address, config).await.unwrap();
        let (mut read, mut out) = tokio::io::split(stream);
        let (tell, seen) = watch::channel(Seen::default());
        tokio::spawn(async move {
            let mut head = [0_u8; 9];
            while read.read_exact(&mut head).await.is_ok() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let mut payload = vec![0; length];
                if read.read_exact(&mut payload).await.is_err() {
                    break;
                }
                let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
                tell.send_modify(|seen| match head[3] {
                    GOAWAY => seen.goaway = true,
                    HEADERS => seen.answers += 1,
                    RST_STREAM => {
                        let code = u32::from_be_bytes(payload[..4].try_into().unwrap());
                        seen.resets.insert(stream, code);
                    }
                    _ => {}
                });
            }
            tell.send_modify(|seen| seen.closed = true);
        });
        out.write_all(PREFACE).await.unwrap();
        out.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self { out, seen }
    }

    /// Writes as much as the server takes; gives whether it takes more.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        let writing = async {
            self.out.write_all(bytes).await?;
            self.out.flush().await
        };
        let written = tokio::time::timeout(PATIENCE, writing).await;
        written.expect("the server neither reads nor closes").is_ok()
    }

    /// Repeats something until the server has had enough, as it must before so many:
    /// it may be told of more than it has read yet.
    async fn until_gone(&mut self, most: u32, mut step: impl FnMut(u32) -> Vec<u8>) {
        for nth in 0..most {
            let gone = {
                let seen = self.seen.borrow();
                seen.goaway || seen.closed
            };
            if gone || !self.write(&step(nth)).await {
                return;
            }
        }
        self.saw(|seen| seen.goaway || seen.closed).await;
    }

    async fn saw(&mut self, what: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        let awaited = tokio::time::timeout(PATIENCE, seen.wait_for(what)).await;
        match awaited {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("what was awaited did not come: {:?}", self.seen.borrow()),
        }
    }
}

/// An agency's server, and a gateway that may ask it.
struct City {
    pki: Pki,
    gateway: Issued,
    server: Server,
}

impl City {
    async fn start() -> Self {
        Self::bounded(LinkLimits::default()).await
    }

    async fn bounded(limits: LinkLimits) -> Self {
        let pki = Pki::new(&[GATEWAY, WORK]);
        let gateway = pki.issue(GATEWAY, Role::Gateway, "main");
        let work = pki.issue(WORK, Role::Agency, "employment");
        let tls = link_tls(&work, &[pki.trust(GATEWAY, &[Role::Gateway])]);
        let server = Server::start(tls, limits).await;
        Self { pki, gateway, server }
    }

    /// Whoever keeps the rules is served.
    async fn serves_others(&self) {
        let tls = link_tls(&self.gateway, &[self.pki.trust(WORK, &[Role::Agency])]);
        let id = "spiffe://employment.city.example/agency/employment".parse().unwrap();
        let address = self.server.address.to_string();
        let connector = Connector::new(&address, id, tls, ConnectLimits::default()).unwrap();
        let mut client = HealthClient::new(connector.channel().await.unwrap());
        client.check(HealthCheckRequest::default()).await.unwrap();
    }
}

/// Whether this process is a test's own, as it must be where its memory is measured:
/// others would use some at the same time. If not, the test is run in one that is.
fn alone(test: &str) -> bool {
    const ALONE: &str = "TRIBUTARY_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([&format!("http2::{test}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_13_rapid_reset() {
    let city = City::start().await;
    let mut peer = Peer::connect(&city).await;
    peer.until_gone(20_000, |nth| {
        let open = frame(HEADERS, END_HEADERS, stream(nth), &headers());
        [open, frame(RST_STREAM, 0, stream(nth), &CANCEL.to_be_bytes())].concat()
    })
    .await;
    city.serves_others().await;
}

/// The peer makes the server reset: a window update of nothing is an error of the
/// stream (RFC 9113, section 6.9).
#[tokio::test(flavor = "multi_thread")]
async fn row_14_made_you_reset() {
    let city = City::start().await;
    let mut peer = Peer::connect(&city).await;
    peer.until_gone(20_000, |nth| {
        let open = frame(HEADERS, END_HEADERS, stream(nth), &headers());
        [open, frame(WINDOW_UPDATE, 0, stream(nth), &[0; 4])].concat()
    })
    .await;
    let seen = peer.saw(|seen| seen.goaway || seen.closed).await;
    let limit = LinkLimits::default().local_resets;
    assert!(seen.resets.len() <= limit, "{} resets, the limit is {limit}", seen.resets.len());
    city.serves_others().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_15_headers_that_never_end() {
    if !alone("row_15_headers_that_never_end") {
        return;
    }
    let city = City::start().await;
    let mut peer = Peer::connect(&city).await;
    assert!(peer.write(&frame(HEADERS, 0, 1, &headers())).await);
    // A header of 16,000 bytes in each frame, or a piece of one without end.
    let mut one = vec![0, 1, b'a', 0x7f];
    one.extend([0x81, 0x7c]);
    one.extend([b'x'; 16_000]);
    let before = resident();
    peer.until_gone(2_000, |_| frame(CONTINUATION, 0, 1, &one)).await;
    let more = resident().saturating_sub(before);
    assert!(more < 5 * 1024, "{more} KiB more memory");
    city.serves_others().await;
}

/// Floods that a server may not answer by closing: each frame is allowed. It reads
/// no faster than it can answer, keeps nothing, and serves the others.
#[tokio::test(flavor = "multi_thread")]
async fn row_15_floods_of_frames_take_no_memory_and_no_turn_of_others() {
    if !alone("row_15_floods_of_frames_take_no_memory_and_no_turn_of_others") {
        return;
    }
    let floods: [(&str, Vec<u8>); 3] = [
        ("empty DATA", frame(DATA, 0, 1, &[])),
        ("PING", frame(PING, 0, 0, &[7; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
    ];
    for (name, flood) in floods {
        let city = City::start().await;
        let mut peer = Peer::connect(&city).await;
        assert!(peer.write(&frame(HEADERS, END_HEADERS, 1, &headers())).await);
        let many = flood.repeat(1_000);
        city.serves_others().await;
        let before = resident();
        for nth in 0..200 {
            if !peer.write(&many).await {
                break;
            }
            if nth % 50 == 0 {
                city.serves_others().await;
            }
        }
        city.serves_others().await;
        let more = resident().saturating_sub(before);
        assert!(more < 5 * 1024, "{name}: {more} KiB more memory");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_16_headers_over_the_limit() {
    let city = City::start().await;
    let mut peer = Peer::connect(&city).await;
    // One header of 20,000 bytes, in two frames.
    let mut block = headers();
    block.extend([0, 1, b'a', 0x7f, 0xa1, 0x9b, 0x01]);
    block.extend([b'x'; 20_000]);
    let (first, second) = block.split_at(16_000);
    assert!(peer.write(&frame(HEADERS, 0, 1, first)).await);
    peer.write(&frame(CONTINUATION, END_HEADERS, 1, second)).await;
    let refused = |seen: &Seen| seen.closed || seen.goaway || !seen.resets.is_empty();
    let seen = peer.saw(|seen| refused(seen) || seen.answers > 0).await;
    // An answer is 431 and nothing else: the call itself has no message yet.
    assert!(refused(&seen) || seen.answers == 1, "{seen:?}");
    assert!(city.server.probe.seen.lock().unwrap().is_empty(), "it got to the handler");
    city.serves_others().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_17_streams_over_the_limit() {
    let city = City::start().await;
    let mut peer = Peer::connect(&city).await;
    let most = LinkLimits::default().streams;
    for nth in 0..most + 10 {
        // Open, and without a message: the handler waits.
        assert!(peer.write(&frame(HEADERS, END_HEADERS, stream(nth), &headers())).await);
    }
    let seen = peer.saw(|seen| seen.resets.len() >= 10).await;
    let over = (most..most + 10).map(|nth| (stream(nth), REFUSED_STREAM));
    assert_eq!(seen.resets, over.collect());
    assert!(!seen.goaway && !seen.closed);
    city.serves_others().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_18_a_reader_that_takes_nothing_keeps_nobody_waiting() {
    const ASKED: u32 = 100;
    let drain = Duration::from_millis(300);
    let city = City::bounded(LinkLimits { drain, ..LinkLimits::default() }).await;
    let mut peer = Peer::connect(&city).await;
    // SETTINGS_INITIAL_WINDOW_SIZE of nothing: no byte of an answer may come.
    assert!(peer.write(&window(0)).await);
    for nth in 0..ASKED {
        let open = frame(HEADERS, END_HEADERS, stream(nth), &headers());
        assert!(peer.write(&[open, frame(DATA, END_STREAM, stream(nth), &[0; 5])].concat()).await);
    }
    // Every answer has begun, and none of them can go on: their trailers would be
    // headers too.
    let asked = usize::try_from(ASKED).unwrap();
    peer.saw(|seen| seen.answers >= asked).await;
    city.serves_others().await;
    assert_eq!(peer.seen.borrow().answers, asked);
    // Nor does it hold up a stop.
    let stopped = tokio::time::timeout(PATIENCE, city.server.stop()).await;
    assert!(stopped.is_ok(), "the stop waits for whoever does not read");
    peer.saw(|seen| seen.closed).await;
}
