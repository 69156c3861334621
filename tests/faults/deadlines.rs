//! Agencies that are dead, slow or silent, and callers that go away.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message;
use tokio::net::TcpListener;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tributary::clock;
use tributary::wire::proto::pb;

use crate::answers::{AGENCY, ITEMS, RATIO, honest, others_are_right, own_or_nothing, request_id};
use crate::federation::{DEADLINE, Federation, link, outcome, within};
use crate::raw::{Headers, Raw, frame};
use crate::rogue::{Asked, Event, Rogue, Step};

/// The gateway's cap of two seconds, and room for a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_27_dead_agencies_cost_nobody_else() {
    let federation = Federation::start();
    // Connects and never speaks: the kernel accepts, nobody reads.
    let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = [
        (AGENCY, nobody().await),
        ("volunteering", hole.local_addr().unwrap()),
        ("enterprise", nobody().await),
    ];
    let gateway = federation.gateway(&elsewhere).await;
    let channel = federation.consumer(gateway.address).await;
    let items = [&ITEMS[..], &["volunteering.service.hours_12m", "enterprise.role.business_count"]]
        .concat();
    for nth in 0..3 {
        let id = request_id("dead", 2, nth);
        let began = clock::now();
        let answer = federation.ask(&channel, &id, 2, &items, DEADLINE).await.unwrap();
        assert!(began.elapsed() < SOON, "not by the deadline");
        others_are_right(&federation, &answer, 2).await;
        assert_eq!(outcome(&answer, AGENCY), "UNAVAILABLE UNREACHABLE");
        assert_eq!(outcome(&answer, "enterprise"), "UNAVAILABLE UNREACHABLE");
        let silent = outcome(&answer, "volunteering");
        assert!(silent.starts_with("TIMEOUT") || silent.starts_with("UNAVAILABLE"), "{silent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_28_a_slow_agency_is_cut_and_told_so_and_its_late_answer_is_nobodys() {
    let federation = Federation::start();
    // Answers some time after the deadline, while other questions are under way.
    let late =
        |asked: &Asked| [vec![Step::Wait(Duration::from_millis(2600))], honest(asked)].concat();
    let mut rogue = Rogue::start(&federation, AGENCY, true, late).await;
    let gateway = federation.gateway(&[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    for person in 0..4 {
        let id = request_id("late", person, 0);
        let began = clock::now();
        let answer = federation.ask(&channel, &id, person, &ITEMS, DEADLINE).await;
        let answer = answer.expect("the answer comes before the caller gives up");
        assert!(began.elapsed() < SOON);
        assert_eq!(outcome(&answer, AGENCY), "TIMEOUT DEADLINE");
        own_or_nothing(&answer, person);
        others_are_right(&federation, &answer, person).await;
    }
    rogue.saw(|event| matches!(event, Event::Cancel(_))).await;
    rogue.script(honest);
    let answer = federation.ask(&channel, &request_id("in-time", 5, 0), 5, &ITEMS, DEADLINE).await;
    let answer = answer.unwrap();
    assert_eq!(outcome(&answer, AGENCY), "OK");
    own_or_nothing(&answer, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_33_a_caller_that_goes_away_cancels_at_the_agency() {
    let federation = Federation::start();
    let mut rogue = Rogue::start(&federation, AGENCY, true, |_| Vec::new()).await;
    let gateway = federation.gateway(&[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    let asking = federation.ask(&channel, "gone.1.0", 1, &ITEMS, Duration::from_secs(60));
    // Dropped as soon as the agency has the question: long before any deadline.
    tokio::select! {
        answer = asking => panic!("answered: {answer:?}"),
        () = rogue.saw(|event| matches!(event, Event::Fetch(id) if id == "gone.1.0")) => {}
    }
    let began = clock::now();
    rogue.saw(|event| matches!(event, Event::Cancel(_))).await;
    // The gateway's own cap is two seconds: the cancel is the caller's.
    assert!(began.elapsed() < Duration::from_millis(1500), "cancelled by the deadline only");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_comes_back_on_its_port_and_the_gateway_finds_it() {
    let federation = Federation::start();
    let address = nobody().await;
    // The gateway is there first.
    let gateway = federation.gateway(&[(AGENCY, address)]).await;
    let channel = federation.consumer(gateway.address).await;
    for round in 0..2 {
        link(&channel, AGENCY, ServingStatus::NotServing).await;
        let id = request_id("down", 3, round);
        let answer = federation.ask(&channel, &id, 3, &ITEMS, DEADLINE).await.unwrap();
        assert!(outcome(&answer, AGENCY).starts_with("UNAVAILABLE"));
        others_are_right(&federation, &answer, 3).await;
        let agency = federation
            .agency(AGENCY, |document| {
                document["listen"] = toml_edit::value(address.to_string());
            })
            .await;
        link(&channel, AGENCY, ServingStatus::Serving).await;
        federation.informed(&channel, &[RATIO]).await;
        let id = request_id("up", 3, round);
        let answer = federation.ask(&channel, &id, 3, &ITEMS, DEADLINE).await.unwrap();
        assert_eq!(outcome(&answer, AGENCY), "OK");
        others_are_right(&federation, &answer, 3).await;
        within(agency.stop()).await;
    }
}

/// What the caller states counts, up to the gateway's own cap, and the agencies
/// are told what is left of it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_25_27_28_the_callers_own_deadline_holds_up_to_the_gateways_cap() {
    let federation = Federation::start();
    let told = Arc::new(Mutex::new(None));
    let tell = told.clone();
    // One agency is silent and one is not there.
    let silent = move |asked: &Asked| {
        *tell.lock().unwrap() = asked.remaining;
        Vec::new()
    };
    let rogue = Rogue::start(&federation, AGENCY, true, silent).await;
    let elsewhere = [(AGENCY, rogue.address), ("enterprise", nobody().await)];
    let items = [&ITEMS[..], &["enterprise.role.business_count"]].concat();
    let (hour, two) = ("1h", "2s");
    let seconds = Duration::from_secs;
    // The gateway's cap, what the caller states, and the longest time there is.
    let cases: [(&str, Headers<'_>, Duration); 5] = [
        (hour, &[("grpc-timeout", "4S")], seconds(4)),
        (hour, &[("grpc-timeout", "4000000u")], seconds(4)),
        (two, &[("grpc-timeout", "99999999H")], seconds(2)),
        (two, &[("grpc-timeout", "soon")], seconds(2)),
        (two, &[], seconds(2)),
    ];
    for cap in [hour, two] {
        let gateway = federation
            .gateway_with(&elsewhere, |document| {
                document["limits"]["max_deadline"] = toml_edit::value(cap);
            })
            .await;
        let channel = federation.consumer(gateway.address).await;
        link(&channel, AGENCY, ServingStatus::Serving).await;
        let raw = Raw::connect(&federation, gateway.address).await;
        for (nth, (_, headers, longest)) in cases.iter().filter(|c| c.0 == cap).enumerate() {
            let request = federation.request(&request_id(cap, 1, nth), 1, &items);
            let (code, body) = raw.call(frame(0, &request.encode_to_vec()), headers).await;
            assert_eq!(code, Code::Ok, "{headers:?}");
            let answer = pb::GetProfileResponse::decode(body.slice(5..)).unwrap();
            assert_eq!(outcome(&answer, AGENCY), "TIMEOUT DEADLINE", "{headers:?}");
            assert_eq!(outcome(&answer, "enterprise"), "UNAVAILABLE UNREACHABLE");
            others_are_right(&federation, &answer, 1).await;
            let remaining = told.lock().unwrap().take().expect("the agency was asked");
            assert!(remaining <= *longest && !remaining.is_zero(), "{headers:?}: {remaining:?}");
        }
        // Too short for anything: said so, and nothing hangs or breaks.
        for short in ["0n", "1n", "1u", "1m"] {
            let request = federation.request(&request_id(cap, 2, 0), 2, &items).encode_to_vec();
            let headers: Headers<'_> = &[("grpc-timeout", short)];
            let (code, body) = raw.call(frame(0, &request), headers).await;
            assert_eq!(code, Code::Ok, "{short}");
            let answer = pb::GetProfileResponse::decode(body.slice(5..)).unwrap();
            assert_ne!(outcome(&answer, AGENCY), "OK", "{short}");
        }
    }
}
