//! Row 35: a process that is told to stop does so, whatever its peers do.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::answers::{AGENCY, ITEMS, request_id};
use crate::kit::federation::{DEADLINE, Federation, outcome};
use crate::kit::process::Process;
use crate::kit::rogue::{Event, Rogue};

/// As the matrix says.
const STOPS_WITHIN: Duration = Duration::from_secs(25);

/// Keeps asking until the gateway is gone; gives how often it was answered.
async fn keep_asking(
    federation: Arc<Federation>,
    channel: tonic::transport::Channel,
    person: usize,
) -> usize {
    for nth in 0.. {
        let id = request_id("busy", person, nth);
        if federation.ask(&channel, &id, person, &ITEMS, DEADLINE).await.is_err() {
            return nth;
        }
    }
    0
}

#[tokio::test(flavor = "multi_thread")]
async fn row_35_a_gateway_stops_under_load_with_stalled_peers() {
    let federation = Federation::start();
    // Never answers: some of what is under way cannot finish by itself.
    let mut rogue = Rogue::start(&federation, AGENCY, true, |_| Vec::new()).await;
    let config = federation.copy_of(&federation.described.gateway.config, |document| {
        let entries = document["agency"].as_array_of_tables_mut().unwrap();
        let entry = entries.iter_mut().find(|e| e["id"].as_str() == Some(AGENCY)).unwrap();
        entry["endpoint"] = toml_edit::value(rogue.address.to_string());
        // What is never answered ends long before the stop must.
        document["limits"]["max_deadline"] = toml_edit::value("2s");
    });
    let gateway = Process::role("gateway", &config);
    // One peer that never speaks, one that shook hands and is silent.
    let mute = TcpStream::connect(gateway.address()).unwrap();
    let idle = federation.consumer(gateway.address()).await;
    let asking: Vec<_> = (0..3)
        .map(|person| {
            let (federation, address) = (federation.clone(), gateway.address());
            tokio::spawn(async move {
                let channel = federation.consumer(address).await;
                keep_asking(federation, channel, person).await
            })
        })
        .collect();
    rogue.saw(|event| matches!(event, Event::Fetch(_))).await;
    let took = gateway.terminate().await;
    assert!(took < STOPS_WITHIN, "{took:?}");
    for asking in asking {
        crate::kit::federation::within(asking).await.unwrap();
    }
    drop((mute, idle));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_35_an_agency_stops_under_load_and_loses_no_question() {
    let federation = Federation::start();
    let config = federation.copy_of(&federation.entry(AGENCY).config, |_| {});
    let agency = Process::role("agency", &config);
    let mute = TcpStream::connect(agency.address()).unwrap();
    let gateway = federation.gateway(&[(AGENCY, agency.address())]).await;
    let channel = federation.consumer(gateway.address).await;
    let up = tonic_health::pb::health_check_response::ServingStatus::Serving;
    crate::kit::federation::link(&channel, AGENCY, up).await;
    federation.informed(&channel, &ITEMS).await;
    let asking: Vec<_> = (0..4)
        .map(|person| {
            let (federation, channel) = (federation.clone(), channel.clone());
            tokio::spawn(async move {
                let mut found = Vec::new();
                for nth in 0.. {
                    let id = request_id("busy", person, nth);
                    let asked = federation.ask(&channel, &id, person, &ITEMS, DEADLINE).await;
                    found.push(outcome(&asked.unwrap(), AGENCY));
                    if found.last().unwrap().starts_with("UNAVAILABLE") {
                        break;
                    }
                }
                found
            })
        })
        .collect();
    let took = agency.terminate().await;
    assert!(took < STOPS_WITHIN, "{took:?}");
    for asking in asking {
        // Answered until it was gone, and then told so; never anything between.
        let mut found = crate::kit::federation::within(asking).await.unwrap();
        let last = found.pop().unwrap();
        assert!(last.starts_with("UNAVAILABLE"), "{last}");
        assert!(found.iter().all(|found| found == "OK" || found == "NO_RECORD"), "{found:?}");
    }
    drop(mute);
}
