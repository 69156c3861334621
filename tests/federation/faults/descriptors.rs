//! Row 46: a process that can open nothing more.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::answers::{ITEMS, OTHERS};
use super::raw;
use crate::kit::federation::{DEADLINE, Federation, outcome};
use crate::kit::frames::{END_HEADERS, HEADERS, PREFACE, frame, headers, window};
use crate::kit::process::Process;
use crate::kit::rude::{rude, rude_connect};
use crate::kit::waiting::{until, within};

/// What the gateway may open; a quarter of it is open when it has started.
const MOST: usize = 128;

/// A consumer may have 32 connections.
const EACH: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn row_46_without_descriptors_a_gateway_waits_and_recovers() {
    const LOOKS: Duration = Duration::from_secs(3);
    let federation = Federation::start();
    let config = federation.copy_of(&federation.described.gateway.config, |_| {});
    let gateway = Process::with_descriptors(MOST, "gateway", &config);
    let channel = federation.consumer(gateway.address()).await;
    federation.informed(&channel, &ITEMS).await;

    // Each stays, with a request under way. Those for whom there is no descriptor
    // wait to be accepted.
    let path = "/tributary.v1.ProfileService/GetProfile";
    let begins = frame(HEADERS, END_HEADERS, 1, &headers(path, &[]));
    let begins = [PREFACE, &window(0), &begins].concat();
    let mut connections = JoinSet::new();
    for pair in raw::consumers(&federation, "many", MOST / EACH) {
        let config = rude(Some(&pair), &["h2"]);
        for _ in 0..EACH {
            let (address, config, begins) = (gateway.address(), config.clone(), begins.clone());
            connections.spawn(async move {
                let mut stream = rude_connect(address, config).await.unwrap();
                stream.write_all(&begins).await.unwrap();
                stream.flush().await.unwrap();
                std::future::pending::<()>().await;
            });
        }
    }
    until("no descriptor left", async || gateway.descriptors(), |open| *open >= MOST).await;
    // Those that were taken have their handshakes first. Then it has nothing to do.
    let worked = async || {
        let before = gateway.worked();
        tokio::time::sleep(LOOKS).await;
        gateway.worked() - before
    };
    until("its waiting instead of trying", worked, |worked| *worked < LOOKS / 4).await;
    assert!(gateway.descriptors() >= MOST, "it had some again meanwhile");
    // Whoever is connected is served all the while.
    let healthy = async |channel: &Channel| {
        let mut client = HealthClient::new(channel.clone());
        within(client.check(HealthCheckRequest::default())).await.unwrap().into_inner().status()
    };
    assert_eq!(healthy(&channel).await, ServingStatus::Serving);

    connections.shutdown().await;
    let consumer = &federation.described.consumers[0];
    let connect =
        async || federation.connect(gateway.address(), &consumer.certificate, &consumer.key).await;
    let channel = until("a new connection", connect, Result::is_ok).await.unwrap();
    assert_eq!(healthy(&channel).await, ServingStatus::Serving);
    // Without a descriptor no status list could be fetched.
    federation.informed(&channel, &ITEMS).await;
    let answer = federation.ask(&channel, "", 0, &ITEMS, DEADLINE).await.unwrap();
    for agency in OTHERS {
        assert_eq!(outcome(&answer, agency), "OK");
    }
}
