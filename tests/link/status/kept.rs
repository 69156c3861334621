//! Connections that are kept between fetches: by whom, how long, and when not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tributary::clock;
use tributary::link::https::{FetchLimits, HttpsClient, HttpsUri, PublishLimits};
use tributary::service::status_lists::MEDIA_TYPE;

use super::support::*;
use crate::kit::waiting::until;

/// What stands between client and server, counts connections and can cut them.
struct Wire {
    port: u16,
    connections: Arc<AtomicUsize>,
    cut: watch::Sender<()>,
}

impl Wire {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, cut) = (connections.clone(), watch::Sender::new(()));
        let cuts = cut.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut cuts = cuts.clone();
                tokio::spawn(async move {
                    cuts.mark_unchanged();
                    let mut far = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { port, connections, cut }
    }

    fn uri(&self) -> String {
        format!("https://localhost:{}{PATH}", self.port)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn limits() -> FetchLimits {
    // However slow the machine is, no connection gets too old meanwhile.
    FetchLimits { connect: LONG, total: LONG, kept: LONG * 10, ..FetchLimits::default() }
}

/// Fetches so often, and gives how many connections there were for it.
async fn connections_of(fetches: usize, server: PublishLimits, client: FetchLimits) -> usize {
    let pki = Pki::new();
    let site = Site::start_at("127.0.0.1:0".parse().unwrap(), &pki.issued, server).await;
    site.show("document");
    let wire = Wire::to(site.address).await;
    let (client, uri) = (HttpsClient::new(pki.anchors(), client), wire.uri());
    let uri = HttpsUri::parse(&uri).unwrap();
    for _ in 0..fetches {
        assert_eq!(client.get(&uri, MEDIA_TYPE).await.unwrap(), "document");
    }
    wire.connections()
}

/// A server whose time is never up while a test runs.
fn unhurried() -> PublishLimits {
    PublishLimits {
        handshake: LONG * 3,
        headers: LONG * 3,
        idle: LONG * 3,
        whole: LONG * 3,
        life: LONG * 10,
        ..PublishLimits::default()
    }
}

#[tokio::test]
async fn one_connection_serves_many_fetches_within_both_ends_bounds() {
    assert_eq!(connections_of(7, unhurried(), limits()).await, 1);
    let few = PublishLimits { requests: 3, ..unhurried() };
    assert_eq!(connections_of(7, few, limits()).await, 3, "three requests a connection");
    let short = PublishLimits { life: Duration::ZERO, ..unhurried() };
    assert_eq!(connections_of(3, short, limits()).await, 3, "too old for another request");
    let fickle = FetchLimits { kept: Duration::ZERO, ..limits() };
    assert_eq!(connections_of(3, unhurried(), fickle).await, 3, "the client keeps none");
}

#[tokio::test]
async fn where_half_of_the_places_are_taken_nobody_keeps_one() {
    let pki = Pki::new();
    let narrow = PublishLimits { connections: 4, ..unhurried() };
    let site = Site::start_at("127.0.0.1:0".parse().unwrap(), &pki.issued, narrow).await;
    site.show("document");
    let wire = Wire::to(site.address).await;
    let client = HttpsClient::new(pki.anchors(), limits());
    let uri = HttpsUri::parse(&wire.uri()).unwrap();
    let get = async || {
        let got = async || client.get(&uri, MEDIA_TYPE).await;
        assert_eq!(until("an answer", got, Result::is_ok).await.unwrap(), "document");
    };
    get().await;
    get().await;
    assert_eq!(wire.connections(), 1, "there is room");
    let _one = TcpStream::connect(site.address).await.unwrap();
    let _two = TcpStream::connect(site.address).await.unwrap();
    let made = async || {
        let before = wire.connections();
        get().await;
        get().await;
        wire.connections() - before
    };
    until("each fetch has a connection of its own", made, |made| *made == 2).await;
}

#[tokio::test]
async fn a_connection_that_was_cut_is_made_anew_and_nobody_hears_of_it() {
    let pki = Pki::new();
    let mut site = Site::start_at("127.0.0.1:0".parse().unwrap(), &pki.issued, unhurried()).await;
    site.show("document");
    let wire = Wire::to(site.address).await;
    let client = HttpsClient::new(pki.anchors(), limits());
    let uri = HttpsUri::parse(&wire.uri()).unwrap();
    for nth in 1..=3 {
        assert_eq!(client.get(&uri, MEDIA_TYPE).await.unwrap(), "document");
        assert_eq!(wire.connections(), nth);
        wire.cut.send_replace(());
    }
    // A stop does not wait for connections that are only kept.
    assert_eq!(client.get(&uri, MEDIA_TYPE).await.unwrap(), "document");
    tokio::time::timeout(LONG, site.stop()).await.expect("it does not stop");
}

#[tokio::test]
async fn who_holds_a_connection_and_asks_no_more_is_closed() {
    let pki = Pki::new();
    let short = Duration::from_secs(1);
    for (limits, more) in [
        (PublishLimits { idle: short, ..unhurried() }, ""),
        // Not even for half a head that stands still.
        (PublishLimits { whole: short, ..unhurried() }, "GET / HTTP/1.1\r\nhost: "),
    ] {
        let site = Site::start_at("127.0.0.1:0".parse().unwrap(), &pki.issued, limits).await;
        site.show("document");
        let heard = async || {
            let mut stream = pki.connected(site.address).await.ok()?;
            let request = format!("GET {PATH} HTTP/1.1\r\nhost: localhost\r\n\r\n{more}");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut rest = Vec::new();
            let reading = stream.read_to_end(&mut rest);
            let _ = tokio::time::timeout(LONG, reading).await.expect("it is not closed");
            Some(String::from_utf8_lossy(&rest).into_owned())
        };
        // On a slow machine the time may be up before the first request is there.
        let answered = |heard: &Option<String>| {
            heard.as_ref().is_some_and(|heard| heard.starts_with("HTTP/1.1 200"))
        };
        until("an answer, and then the end", heard, answered).await;
    }
}

#[tokio::test]
async fn who_trusts_anew_connects_anew() {
    let (pki, signer) = (Pki::new(), Signer::new("consent"));
    let site = Site::start_at("127.0.0.1:0".parse().unwrap(), &pki.issued, unhurried()).await;
    let wire = Wire::to(site.address).await;
    let uri = wire.uri();
    site.show(signer.list(&uri, &[], clock::utc()));
    let mut plan = plan(&pki.anchors(), &[(&signer, &uri)]);
    plan.limits.kept = LONG * 10;
    let (poll, _, _stop) = start(plan.clone());
    site.fetched_again(4).await;
    assert!(poll.is_fresh());
    assert_eq!(wire.connections(), 1);
    // The same list, and nothing is taken on the word of the connection that there was.
    poll.replace(plan.clone()).unwrap();
    site.fetched_again(4).await;
    assert_eq!(wire.connections(), 2);
    plan.anchors.insert(spiffe("consent"), Pki::new().anchors());
    let logs = Logs::capture();
    poll.replace(plan).unwrap();
    eventually("the server is not believed", || logs.count("HTTPS_TLS_FAILED") == 1).await;
    assert!(poll.is_fresh(), "the list that was taken before is what its key signed");
}
