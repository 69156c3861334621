//! Rows 57 and 58: an agency that keeps its connections and does not answer on them, or
//! that is gone for a moment, costs its own section alone, is told so, and is found again.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::exchange_response::Message as ToGateway;

use super::answers::{
    AGENCY, ITEMS, fresh_id, honest, others_are_right, own_or_nothing, request_id,
};
use crate::kit::federation::{DEADLINE, Federation, Served, link, outcome, within};
use crate::kit::process::Process;
use crate::kit::proxy::Proxy;
use crate::kit::rogue::{Asked, Event, Rogue, Step};
use crate::kit::sqlite_file;
use crate::kit::waiting::{PATIENCE, becomes, until};

/// A gateway whose agency is somewhere else, and a consumer of it.
struct Place {
    federation: Arc<Federation>,
    gateway: Served,
    channel: Channel,
}

impl Place {
    async fn new(federation: Arc<Federation>, endpoints: &[String], cap: &str) -> Self {
        let edit = |document: &mut toml_edit::DocumentMut| {
            let entries = document["agency"].as_array_of_tables_mut().unwrap();
            let entry = entries.iter_mut().find(|e| e["id"].as_str() == Some(AGENCY)).unwrap();
            entry.remove("endpoint");
            entry["endpoints"] = toml_edit::value(toml_edit::Array::from_iter(endpoints));
            document["limits"]["max_deadline"] = toml_edit::value(cap);
        };
        let gateway = federation.gateway_with(&[], edit).await;
        let channel = federation.consumer(gateway.address).await;
        Self { federation, gateway, channel }
    }

    /// What the section says; the others are right whatever it says.
    async fn ask(&self, person: usize) -> String {
        let asked = self.federation.ask(&self.channel, "", person, &ITEMS, DEADLINE).await;
        let answer = asked.unwrap();
        others_are_right(&self.federation, &answer, person);
        outcome(&answer, AGENCY)
    }

    async fn becomes(&self, what: &str, wanted: &str) {
        becomes(what, wanted, async || self.ask(1).await).await;
    }

    async fn serves(&self, wanted: ServingStatus) {
        link(&self.channel, AGENCY, wanted).await;
    }
}

fn agency(federation: &Federation) -> Process {
    Process::role("agency", &federation.copy_of(&federation.entry(AGENCY).config, |_| {}))
}

#[tokio::test(flavor = "multi_thread")]
async fn row_57_a_stopped_agency_is_told_to_hang_and_asked_again_once_it_goes_on() {
    let federation = Federation::start();
    let agency = agency(&federation);
    let endpoint = agency.address().to_string();
    // A question that nobody gave up would be waited for longer than a test may take.
    let place = Place::new(federation, &[endpoint], "1h").await;
    place.serves(ServingStatus::Serving).await;
    place.becomes("the first answer", "OK").await;
    agency.signal("STOP");
    // The very questions that were put while nobody knew are given up.
    let found = within(join_all((0..4).map(|person| place.ask(person)))).await;
    assert!(found.iter().all(|found| found == "UNAVAILABLE AGENCY_HUNG"), "{found:?}");
    place.serves(ServingStatus::NotServing).await;
    assert_eq!(place.ask(1).await, "UNAVAILABLE AGENCY_HUNG");
    agency.signal("CONT");
    place.serves(ServingStatus::Serving).await;
    place.becomes("its being asked again", "OK").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_57_a_network_that_drops_everything_is_noticed_without_a_reset() {
    let federation = Federation::start();
    let agency = agency(&federation);
    let mut way = Proxy::start(&format!("tcp://{}/", agency.address())).await;
    let endpoint = way.address().to_string();
    let place = Place::new(federation, &[endpoint], "1h").await;
    place.becomes("the first answer", "OK").await;
    way.freeze();
    assert_eq!(within(place.ask(1)).await, "UNAVAILABLE AGENCY_HUNG");
    place.serves(ServingStatus::NotServing).await;
    way.stop().await;
    way.resume().await;
    place.becomes("its being asked again", "OK").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_57_a_server_that_is_silent_after_tcp_or_after_tls_costs_nobody_else() {
    let federation = Federation::start();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = mute.local_addr().unwrap().to_string();
    let place = Place::new(federation.clone(), &[endpoint], "8s").await;
    place.becomes("its being told", "UNAVAILABLE CONNECT_TIMEOUT").await;
    place.serves(ServingStatus::NotServing).await;

    let rogue = Rogue::start(&federation, AGENCY, true, honest).await;
    // An empty name stands for no Hello at all.
    rogue.hello(|hello| hello.agency.clear());
    let place = Place::new(federation, &[rogue.address.to_string()], "8s").await;
    place.becomes("its being told", "UNAVAILABLE NO_EXCHANGE").await;
    rogue.hello(|hello| hello.agency = AGENCY.into());
    place.serves(ServingStatus::Serving).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_57_an_agency_whose_database_hangs_is_left_alone_and_found_again() {
    let federation = Federation::start();
    // A database of its own: others ask the one that it has.
    let file = federation.home.join("data/hangs.db");
    std::fs::copy(federation.home.join(format!("data/{AGENCY}.db")), &file).unwrap();
    let config = federation.copy_of(&federation.entry(AGENCY).config, |document| {
        document["source"]["sql"]["url"] = toml_edit::value("sqlite:../data/hangs.db");
    });
    let agency = Process::role("agency", &config);
    // Longer than four times what is usual, on a busy machine as well.
    let place = Place::new(federation, &[agency.address().to_string()], "4s").await;
    place.becomes("the first answer", "OK").await;
    // What is usual.
    for person in 0..16 {
        place.ask(person).await;
    }
    let locked = sqlite_file::locked(&file);
    let found = async || join_all((0..8).map(|person| place.ask(person))).await;
    let left = |found: &Vec<String>| found.iter().any(|one| one == "UNAVAILABLE AGENCY_FAILING");
    until("its being left alone", found, left).await;
    place.serves(ServingStatus::NotServing).await;
    drop(locked);
    place.becomes("its being found again", "OK").await;
    place.serves(ServingStatus::Serving).await;
}

/// As one whose database hangs, of whose answers none is mistaken.
#[tokio::test(flavor = "multi_thread")]
async fn row_57_an_agency_that_answers_nothing_in_time_is_left_alone_and_found_again() {
    let federation = Federation::start();
    let rogue = Rogue::start(&federation, AGENCY, true, honest).await;
    let place = Place::new(federation, &[rogue.address.to_string()], "1s").await;
    place.serves(ServingStatus::Serving).await;
    // What is usual.
    let id = |nth| request_id("usual", 1, nth);
    for nth in 0..16 {
        let (federation, channel) = (&place.federation, &place.channel);
        drop(federation.ask(channel, &id(nth), 1, &ITEMS, DEADLINE).await.unwrap());
    }
    rogue.script(|_| vec![Step::Wait(PATIENCE)]);
    let found = async || {
        let asked = (0..8).map(async |person| {
            let id = fresh_id("late", person);
            let (federation, channel) = (&place.federation, &place.channel);
            let answer = federation.ask(channel, &id, person, &ITEMS, DEADLINE).await.unwrap();
            own_or_nothing(&answer, person);
            outcome(&answer, AGENCY)
        });
        join_all(asked).await
    };
    let left = |found: &Vec<String>| found.iter().any(|one| one == "UNAVAILABLE AGENCY_FAILING");
    until("its being left alone", found, left).await;
    place.serves(ServingStatus::NotServing).await;
    rogue.script(honest);
    let asked = async || {
        let id = fresh_id("again", 1);
        let (federation, channel) = (&place.federation, &place.channel);
        outcome(&federation.ask(channel, &id, 1, &ITEMS, DEADLINE).await.unwrap(), AGENCY)
    };
    becomes("its being found again", "OK", asked).await;
    place.serves(ServingStatus::Serving).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_58_a_crash_with_200_questions_under_way_opens_no_circuit() {
    const QUESTIONS: usize = 200;
    let federation = Federation::start();
    let rogue = Rogue::start(&federation, AGENCY, true, |_| Vec::new()).await;
    let mut way = Proxy::start(&format!("tcp://{}/", rogue.address)).await;
    let place = Place::new(federation, &[way.address().to_string()], "1h").await;
    place.serves(ServingStatus::Serving).await;
    let items = [ITEMS[0]];
    let asked = (0..QUESTIONS).map(async |nth| {
        let id = request_id("crash", 1, nth);
        let (federation, channel) = (&place.federation, &place.channel);
        let answer = federation.ask(channel, &id, 1, &items, DEADLINE).await.unwrap();
        outcome(&answer, AGENCY)
    });
    let crash = async {
        let all = async || rogue.count(|event| matches!(event, Event::Fetch(_)));
        until("all being under way", all, |count| *count == QUESTIONS).await;
        way.stop().await;
    };
    let (found, ()) = within(futures_util::future::join(join_all(asked), crash)).await;
    assert!(found.iter().all(|found| found == "UNAVAILABLE LANE_LOST"), "{found:?}");
    place.serves(ServingStatus::NotServing).await;
    rogue.script(honest);
    way.resume().await;
    place.serves(ServingStatus::Serving).await;
    // Not one question is spent on finding out: the first is answered.
    let id = request_id("back", 1, 0);
    let (federation, channel) = (&place.federation, &place.channel);
    let answer = federation.ask(channel, &id, 1, &items, DEADLINE).await.unwrap();
    assert_eq!(outcome(&answer, AGENCY), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_59_an_agency_that_drains_and_ends_every_stream_causes_no_storm_of_handshakes() {
    let federation = Federation::start();
    let ends = |_: &Asked| {
        let drain = pb::ExchangeDrain { reason: "AGE".into() };
        vec![Step::say(ToGateway::Drain(drain)), Step::End(tonic::Code::Ok)]
    };
    let rogue = Rogue::start(&federation, AGENCY, true, ends).await;
    let place = Place::new(federation, &[rogue.address.to_string()], "1s").await;
    let opened = || rogue.count(|event| *event == Event::Opened);
    let began = tributary::clock::now();
    for person in 0..40 {
        drop(place.ask(person).await);
    }
    // Half a second apart, once the first few have shown what it does. A machine that is
    // slow makes fewer.
    let most = 20 + began.elapsed().as_millis() / 180;
    assert!(opened() as u128 <= most, "{} streams, more than {most}", opened());
    drop(place.gateway);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_59_one_of_two_endpoints_may_die_or_hang_and_no_section_is_lost() {
    let federation = Federation::start();
    let agency = agency(&federation);
    let server = format!("tcp://{}/", agency.address());
    let (mut one, two) = (Proxy::start(&server).await, Proxy::start(&server).await);
    let endpoints = [one.address().to_string(), two.address().to_string()];
    let place = Place::new(federation.clone(), &endpoints, "60s").await;
    place.becomes("the first answer", "OK").await;
    // Both are up before either is taken away.
    let both = async || (one.connections(), two.connections());
    until("both endpoints", both, |(one, two)| *one >= 2 && *two >= 2).await;
    for hangs in [false, true] {
        let all = async {
            // Enough are lost with an endpoint to spend what may be asked again, were they
            // led back to it.
            let calls = (0..64).map(async |caller| {
                let person = caller % 4;
                for _ in 0..3 {
                    let found = place.ask(person).await;
                    assert!(found == "OK" || found == "NO_RECORD", "{found}");
                }
            });
            join_all(calls).await
        };
        let fault = async {
            match hangs {
                true => one.freeze(),
                false => one.stop().await,
            }
        };
        within(futures_util::future::join(all, fault)).await;
        one.stop().await;
        one.resume().await;
        let again = async || one.connections();
        until("the endpoint that came back", again, |one| *one >= 2).await;
    }
}
