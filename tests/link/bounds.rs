//! What stays bounded: handshakes, silence, ages, stops, and what one peer may have.
//! Test names carry the row of the fault matrix that they prove.

use std::time::Duration;

use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tributary::clock;
use tributary::link::connect::{ConnectError, Connector};
use tributary::link::limits::{ConnectLimits, LinkLimits};

use super::city::{City, FOREVER, check, closed, unhurried};
use crate::kit::pki::{Pair, Server};
use crate::kit::rude::{rude, rude_connect};
use crate::kit::waiting::{Reserved, until};

#[tokio::test]
async fn many_requests_at_once_on_one_connection() {
    let city = City::new();
    let server = city.server().await;
    let channel = city.connector(&server).channel().await.unwrap();
    let calls = (0..128).map(|_| check(&channel, ""));
    for outcome in futures_util::future::join_all(calls).await {
        outcome.unwrap();
    }
}

#[tokio::test]
async fn row_10_stalled_handshakes_are_closed_and_keep_nobody_out() {
    let city = City::new();
    // None is ever closed for its time: an honest one gets in past them.
    let server =
        Server::start(city.agency_tls(), LinkLimits { handshakes: 4, ..unhurried() }).await;
    let mut stalled = Vec::new();
    for _ in 0..40 {
        stalled.push(TcpStream::connect(server.address).await.unwrap());
    }
    let channel = city.connector(&server).channel().await.unwrap();
    check(&channel, "").await.unwrap();
    drop(stalled);

    let limits = LinkLimits { handshake: Duration::from_millis(600), ..unhurried() };
    let server = Server::start(city.agency_tls(), limits).await;
    let mut stalled = Vec::new();
    for _ in 0..40 {
        stalled.push(TcpStream::connect(server.address).await.unwrap());
    }
    for mut stream in stalled {
        closed(&mut stream).await;
    }
    let config = rude(Some(&Pair::from(&city.gateway)), &["h2"]);
    let honest = async || rude_connect(server.address, config.clone()).await.map(drop);
    drop(until("a handshake within its time", honest, Result::is_ok).await);
}

#[tokio::test]
async fn row_11_silence_after_the_handshake() {
    let city = City::new();
    let silence = Duration::from_millis(300);
    let server = Server::start(city.agency_tls(), LinkLimits { silence, ..unhurried() }).await;
    let config = rude(Some(&Pair::from(&city.gateway)), &["h2"]);
    let started = clock::now();
    let mut stream = rude_connect(server.address, config).await.unwrap();
    closed(&mut stream).await;
    assert!(started.elapsed() >= silence, "{:?}", started.elapsed());

    // Whoever asked once, in time, may be quiet afterwards.
    let connector = city.connector(&server);
    let channel = tokio::time::timeout(FOREVER, async {
        loop {
            if let Ok(channel) = connector.channel().await
                && check(&channel, "").await.is_ok()
            {
                return channel;
            }
        }
    });
    let channel = channel.await.expect("no request came in time");
    tokio::time::sleep(2 * silence).await;
    check(&channel, "").await.unwrap();
}

#[tokio::test]
async fn row_26_a_panicking_handler_answers_internal() {
    let city = City::new();
    let server = city.server().await;
    let channel = city.connector(&server).channel().await.unwrap();
    let status = check(&channel, "panic").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    assert!(!status.message().contains("as asked"), "the panic's text got out");

    let mut stream = HealthClient::new(channel.clone())
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let status = stream.message().await.unwrap_err();
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    check(&channel, "").await.unwrap();
}

#[tokio::test]
async fn an_absent_or_silent_server_is_told_apart() {
    let city = City::new();
    let kept = Reserved::new();
    let address = kept.address();
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let mut connector = Connector::new(
        &address.to_string(),
        "spiffe://employment.city.example/agency/employment".parse().unwrap(),
        city.gateway_tls(),
        ConnectLimits { handshake: Duration::from_millis(200), ..ConnectLimits::default() },
    )
    .unwrap();
    let error = connector.channel().await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
    drop(listener);
    connector = city.connector_to(address, connector.expected().as_str());
    let error = connector.channel().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_broken_channel_stays_broken() {
    let (city, kept) = (City::new(), Reserved::new());
    let server = Server::at(kept.address(), city.agency_tls(), LinkLimits::default()).await;
    let connector = city.connector(&server);
    let channel = connector.channel().await.unwrap();
    check(&channel, "").await.unwrap();
    let tls = server.tls.clone();
    let address = server.address;
    server.stop().await;
    let status = check(&channel, "").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    // The same address answers again; the old channel must not go there by itself.
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let probe = crate::kit::pki::Probe::default();
    let service = tonic_health::pb::health_server::HealthServer::new(probe.clone());
    let forever = std::future::pending();
    let serving =
        tributary::link::accept::serve(listener, tls, service, LinkLimits::default(), forever);
    let serving = tokio::spawn(serving);
    check(&channel, "").await.unwrap_err();
    let fresh = connector.channel().await.unwrap();
    check(&fresh, "").await.unwrap();
    assert_eq!(probe.seen.lock().unwrap().len(), 1);
    serving.abort();
}

#[tokio::test]
async fn row_35_a_stop_is_bounded() {
    let city = City::new();
    // What is idle is not waited for: here that would be without end.
    let limits = LinkLimits { drain: FOREVER * 2, ..unhurried() };
    let idle = Server::start(city.agency_tls(), limits).await;
    let channel = city.connector(&idle).channel().await.unwrap();
    check(&channel, "").await.unwrap();
    let stopped = tokio::time::timeout(FOREVER, idle.stop()).await;
    assert!(stopped.is_ok(), "an idle connection held it up");

    let drain = Duration::from_millis(500);
    let server = Server::start(city.agency_tls(), LinkLimits { drain, ..unhurried() }).await;
    let channel = city.connector(&server).channel().await.unwrap();
    let call = tokio::spawn(async move { check(&channel, "stall").await });
    let _unfinished = TcpStream::connect(server.address).await.unwrap();
    server.probe.saw(1).await;
    let stopped = tokio::time::timeout(FOREVER, server.stop()).await;
    assert!(stopped.expect("the stop has no end") >= drain, "a call was not waited for");
    call.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_connection_goes_at_its_age() {
    let city = City::new();
    let limits = LinkLimits {
        age: Duration::from_millis(400),
        drain: Duration::from_millis(300),
        ..unhurried()
    };
    let server = Server::start(city.agency_tls(), limits).await;
    let connector = city.connector(&server);
    let (mut took, mut ended) = (Duration::ZERO, Ok(()));
    // Until a call comes to the server before the connection has its age.
    while server.probe.seen.lock().unwrap().is_empty() {
        let started = clock::now();
        let call = async { check(&connector.channel().await?, "stall").await.map_err(Into::into) };
        let call: Result<Result<(), Box<dyn std::error::Error>>, _> =
            tokio::time::timeout(FOREVER, call).await;
        ended = call.expect("it goes at no age").map_err(|error| error.to_string());
        took = started.elapsed();
    }
    // The age less up to a tenth, and the drain.
    assert!(took >= Duration::from_millis(660), "{took:?} {ended:?}");
    ended.unwrap_err();
}

#[tokio::test]
async fn a_peer_has_its_share_of_connections() {
    let city = City::new();
    let limits = LinkLimits { connections_per_peer: 2, ..LinkLimits::default() };
    let server = Server::start(city.agency_tls(), limits).await;
    let connector = city.connector(&server);
    let first = connector.channel().await.unwrap();
    let second = connector.channel().await.unwrap();
    check(&first, "").await.unwrap();
    check(&second, "").await.unwrap();
    connector.channel().await.unwrap_err();
    drop(first);
    let third = async || connector.channel().await;
    let third = until("a third in the place of the first", third, Result::is_ok).await.unwrap();
    check(&third, "").await.unwrap();
}
