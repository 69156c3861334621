//! Agencies that are dead, slow or silent, and callers that go away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tributary::wire::proto::pb;

use super::answers::{
    AGENCY, ITEMS, RATIO, fresh_id, honest, others_are_right, own_or_nothing, request_id,
};
use super::raw::{Headers, Raw, frame};
use crate::kit::federation::{CUT, DEADLINE, Federation, link, outcome, within};
use crate::kit::rogue::{Asked, Event, Rogue, Step};
use crate::kit::waiting::{Reserved, becomes};

#[tokio::test(flavor = "multi_thread")]
async fn row_27_dead_agencies_cost_nobody_else() {
    let federation = Federation::start();
    // Connects and never speaks: the kernel accepts, nobody reads.
    let hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (nobody, neither) = (Reserved::new(), Reserved::new());
    let elsewhere = [
        (AGENCY, nobody.address()),
        ("volunteering", hole.local_addr().unwrap()),
        ("enterprise", neither.address()),
    ];
    let gateway = federation.gateway_capped(CUT, &elsewhere).await;
    let channel = federation.consumer(gateway.address).await;
    let items = [&ITEMS[..], &["volunteering.service.hours_12m", "enterprise.role.business_count"]]
        .concat();
    let asked = (0..3).map(async |nth| {
        let id = request_id("dead", 2, nth);
        // By the gateway's cap, long before the caller's own.
        within(federation.ask(&channel, &id, 2, &items, DEADLINE)).await.unwrap()
    });
    for answer in join_all(asked).await {
        others_are_right(&federation, &answer, 2);
        assert_eq!(outcome(&answer, AGENCY), "UNAVAILABLE UNREACHABLE");
        assert_eq!(outcome(&answer, "enterprise"), "UNAVAILABLE UNREACHABLE");
        let silent = outcome(&answer, "volunteering");
        assert!(silent.starts_with("TIMEOUT") || silent.starts_with("UNAVAILABLE"), "{silent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_28_a_slow_agency_is_cut_and_told_so_and_its_late_answer_is_nobodys() {
    let federation = Federation::start();
    // Answers once the deadline is over, while other questions are under way.
    let (open, gate) = watch::channel(false);
    let late = move |asked: &Asked| [vec![Step::Until(gate.clone())], honest(asked)].concat();
    let mut rogue = Rogue::start(&federation, AGENCY, true, late).await;
    let gateway = federation.gateway_capped(CUT, &[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    let asked = (0..4).map(async |person| {
        let id = request_id("late", person, 0);
        let asked = within(federation.ask(&channel, &id, person, &ITEMS, DEADLINE)).await;
        (person, asked.expect("the answer comes before the caller gives up"))
    });
    for (person, answer) in join_all(asked).await {
        assert_eq!(outcome(&answer, AGENCY), "TIMEOUT DEADLINE");
        own_or_nothing(&answer, person);
        others_are_right(&federation, &answer, person);
    }
    rogue.saw(|event| matches!(event, Event::Cancel(_))).await;
    rogue.script(|_| Vec::new());
    let id = request_id("beside", 4, 0);
    let beside = async {
        let answer = federation.ask(&channel, &id, 4, &ITEMS, DEADLINE).await.unwrap();
        assert_eq!(outcome(&answer, AGENCY), "TIMEOUT DEADLINE");
        own_or_nothing(&answer, 4);
    };
    let late = async {
        rogue.saw(|event| *event == Event::Fetch(id.clone())).await;
        open.send_replace(true);
    };
    tokio::join!(beside, late);
    rogue.script(honest);
    // So many were late that it was left alone for a moment.
    becomes("an answer in time", "OK", async || {
        let id = fresh_id("in-time", 5);
        let answer = federation.ask(&channel, &id, 5, &ITEMS, DEADLINE).await.unwrap();
        own_or_nothing(&answer, 5);
        outcome(&answer, AGENCY)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_33_a_caller_that_goes_away_cancels_at_the_agency() {
    let federation = Federation::start();
    let mut rogue = Rogue::start(&federation, AGENCY, true, |_| Vec::new()).await;
    // Whoever goes away is noticed by that alone: no time runs out meanwhile.
    let gateway = federation.gateway_capped("1h", &[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    let asking = federation.ask(&channel, "gone.1.0", 1, &ITEMS, Duration::from_secs(3600));
    // Dropped as soon as the agency has the question: long before any deadline.
    tokio::select! {
        answer = asking => panic!("answered: {answer:?}"),
        () = rogue.saw(|event| matches!(event, Event::Fetch(id) if id == "gone.1.0")) => {}
    }
    rogue.saw(|event| matches!(event, Event::Cancel(_))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_comes_back_on_its_port_and_the_gateway_finds_it() {
    let federation = Federation::start();
    let kept = Reserved::new();
    let address = kept.address();
    // The gateway is there first.
    let gateway = federation.gateway(&[(AGENCY, address)]).await;
    let channel = federation.consumer(gateway.address).await;
    for round in 0..2 {
        link(&channel, AGENCY, ServingStatus::NotServing).await;
        let id = request_id("down", 3, round);
        let answer = federation.ask(&channel, &id, 3, &ITEMS, DEADLINE).await.unwrap();
        assert!(outcome(&answer, AGENCY).starts_with("UNAVAILABLE"));
        others_are_right(&federation, &answer, 3);
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
        others_are_right(&federation, &answer, 3);
        within(agency.stop()).await;
    }
}

/// What the caller states counts, up to the gateway's own cap, and the agencies
/// are told what is left of it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_25_27_28_the_callers_own_deadline_holds_up_to_the_gateways_cap() {
    let federation = Federation::start();
    let told = Arc::new(Mutex::new(HashMap::new()));
    let tell = told.clone();
    // One agency is silent and one is not there.
    let silent = move |asked: &Asked| {
        tell.lock().unwrap().insert(asked.request.request_id.clone(), asked.remaining);
        Vec::new()
    };
    let rogue = Rogue::start(&federation, AGENCY, true, silent).await;
    let nobody = Reserved::new();
    let elsewhere = [(AGENCY, rogue.address), ("enterprise", nobody.address())];
    let items = [&ITEMS[..], &["enterprise.role.business_count"]].concat();
    let seconds = Duration::from_secs;
    let (hour, cut) = (("1h", seconds(3600)), (CUT, seconds(8)));
    // The gateway's cap, what the caller states, and the longest time there is.
    let cases: [(&str, Headers<'_>, Duration); 4] = [
        (hour.0, &[("grpc-timeout", "8S")], seconds(8)),
        (hour.0, &[("grpc-timeout", "8000000u")], seconds(8)),
        (cut.0, &[("grpc-timeout", "99999999H")], cut.1),
        (cut.0, &[], cut.1),
    ];
    for cap in [hour.0, cut.0] {
        let gateway = federation.gateway_capped(cap, &elsewhere).await;
        let channel = federation.consumer(gateway.address).await;
        link(&channel, AGENCY, ServingStatus::Serving).await;
        let raw = Raw::connect(&federation, gateway.address).await;
        let these: Vec<_> = cases.iter().filter(|case| case.0 == cap).collect();
        let asked = these.iter().enumerate().map(async |(nth, (_, headers, _))| {
            let request = federation.request(&request_id(cap, 1, nth), 1, &items);
            raw.call(frame(0, &request.encode_to_vec()), headers).await
        });
        let answers = join_all(asked).await;
        for (nth, ((_, headers, longest), (code, body))) in these.iter().zip(answers).enumerate() {
            assert_eq!(code, Code::Ok, "{headers:?}");
            let answer = pb::GetProfileResponse::decode(body.slice(5..)).unwrap();
            assert_eq!(outcome(&answer, AGENCY), "TIMEOUT DEADLINE", "{headers:?}");
            assert_eq!(outcome(&answer, "enterprise"), "UNAVAILABLE UNREACHABLE");
            others_are_right(&federation, &answer, 1);
            let remaining = told.lock().unwrap().remove(&request_id(cap, 1, nth)).flatten();
            let remaining = remaining.expect("the agency was asked");
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
