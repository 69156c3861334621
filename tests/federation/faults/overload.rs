//! More than can be done, and agencies that break what they are asked: what is
//! refused, what is asked again, and who does not suffer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use prost::Message;
use tokio::sync::watch;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tributary::wire::proto::google::rpc;
use tributary::wire::refusal::reason_of;

use super::answers::{AGENCY, ITEMS, RATIO, honest, others_are_right, own_or_nothing, request_id};
use crate::kit::federation::{DEADLINE, Federation, link, outcome, within};
use crate::kit::rogue::{Asked, Event, Rogue, Step};
use crate::kit::waiting::becomes;

/// Refused for want of room, and told when to come again.
fn assert_shed(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason_of(status), "OVERLOADED");
    let details = rpc::Status::decode(status.details()).unwrap().details;
    let retry = details.iter().find(|any| any.type_url.ends_with("google.rpc.RetryInfo"));
    let retry = rpc::RetryInfo::decode(retry.unwrap().value.as_slice()).unwrap();
    assert!(retry.retry_delay.is_some());
}

/// An agency that answers once the gate is open.
async fn gated(federation: &Federation) -> (Rogue, watch::Sender<bool>) {
    let (open, gate) = watch::channel(false);
    let script = move |asked: &Asked| [vec![Step::Until(gate.clone())], honest(asked)].concat();
    (Rogue::start(federation, AGENCY, true, script).await, open)
}

fn limits(all: i64, one: i64) -> impl FnOnce(&mut toml_edit::DocumentMut) {
    move |document| {
        document["limits"]["max_deadline"] = toml_edit::value("1h");
        document["limits"]["max_in_flight"] = toml_edit::value(all);
        document["limits"]["max_in_flight_per_consumer"] = toml_edit::value(one);
    }
}

/// Twice and ten times what the gateway takes: the rest is refused while what was
/// taken is still under way, that is answered, and so is what comes later.
#[tokio::test(flavor = "multi_thread")]
async fn row_44_what_is_too_much_is_shed_at_once_and_the_rest_answered() {
    const ROOM: usize = 4;
    let federation = Federation::start();
    let (mut rogue, open) = gated(&federation).await;
    let gateway =
        federation.gateway_with(&[(AGENCY, rogue.address)], limits(ROOM as i64, 100)).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    for times in [2, 10] {
        open.send_replace(false);
        let mut asked: FuturesUnordered<_> = (0..ROOM * times)
            .map(|nth| {
                let (federation, channel) = (&federation, channel.clone());
                let id = request_id(&format!("flood{times}"), 1, nth);
                async move { federation.ask(&channel, &id, 1, &ITEMS, DEADLINE).await }
            })
            .collect();
        for _ in 0..ROOM * (times - 1) {
            // None of those that were taken can be answered yet.
            assert_shed(&within(asked.next()).await.unwrap().unwrap_err());
        }
        assert_eq!(asked.len(), ROOM);
        open.send_replace(true);
        while let Some(answer) = within(asked.next()).await {
            let answer = answer.unwrap();
            assert_eq!(outcome(&answer, AGENCY), "OK");
            own_or_nothing(&answer, 1);
        }
        let id = request_id("after", 1, times);
        let answer = federation.ask(&channel, &id, 1, &ITEMS, DEADLINE).await.unwrap();
        assert_eq!(outcome(&answer, AGENCY), "OK");
    }
    rogue.saw(|event| matches!(event, Event::Fetch(id) if id.starts_with("after"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_45_a_flood_of_one_consumer_leaves_room_for_the_others() {
    const SHARE: usize = 3;
    let federation = Federation::start();
    let (_rogue, open) = gated(&federation).await;
    let elsewhere = [(AGENCY, _rogue.address)];
    let gateway = federation.gateway_with(&elsewhere, limits(4, SHARE as i64)).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    let mut flood: FuturesUnordered<_> = (0..40)
        .map(|nth| {
            let (federation, channel) = (&federation, channel.clone());
            async move {
                let id = request_id("flood", 1, nth);
                federation.ask(&channel, &id, 1, &ITEMS, DEADLINE).await
            }
        })
        .collect();
    for _ in 0..40 - SHARE {
        assert_shed(&within(flood.next()).await.unwrap().unwrap_err());
    }
    // The other's request gets as far as its grant, which is not its own.
    let other = &federation.described.consumers[1];
    let other = federation.connect(gateway.address, &other.certificate, &other.key).await.unwrap();
    for nth in 0..10 {
        let id = request_id("other", 1, nth);
        let status = federation.ask(&other, &id, 1, &ITEMS, DEADLINE).await.unwrap_err();
        assert_eq!(reason_of(&status), "GRANT_CLIENT", "{status:?}");
    }
    open.send_replace(true);
    while let Some(answer) = within(flood.next()).await {
        assert_eq!(outcome(&answer.unwrap(), AGENCY), "OK");
    }
}

/// A lane that ends in the middle of a question: asked once more on another lane,
/// and once only.
#[tokio::test(flavor = "multi_thread")]
async fn row_31_a_question_whose_lane_is_lost_is_asked_once_more() {
    let federation = Federation::start();
    let (seen, cuts) = (std::sync::Mutex::new(HashMap::new()), Arc::new(AtomicUsize::new(0)));
    let cutting = cuts.clone();
    let script = move |asked: &Asked| {
        let mut seen = seen.lock().unwrap();
        let times = seen.entry(asked.request.request_id.clone()).or_insert(0);
        *times += 1;
        let id = &asked.request.request_id;
        if id.starts_with("always") || (id.starts_with("once") && *times == 1) {
            cutting.fetch_add(1, Ordering::SeqCst);
            return vec![Step::Cut];
        }
        honest(asked)
    };
    let mut rogue = Rogue::start(&federation, AGENCY, true, script).await;
    let gateway = federation.gateway(&[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    for nth in 0..5 {
        for kind in ["once", "always"] {
            // Both lanes are up again: each that was cut was opened anew.
            let lanes = 2 + cuts.load(Ordering::SeqCst);
            let opened = |events: &Vec<Event>| {
                events.iter().filter(|event| **event == Event::Opened).count() >= lanes
            };
            drop(within(rogue.events.wait_for(opened)).await.unwrap());
            link(&channel, AGENCY, ServingStatus::Serving).await;
            // Most of what is asked is answered, so the circuit stays closed.
            for plain in 0..3 {
                let id = request_id(&format!("plain-{kind}-{plain}"), 1, nth);
                let answer = federation.ask(&channel, &id, 1, &[RATIO], DEADLINE).await.unwrap();
                assert_eq!(outcome(&answer, AGENCY), "OK");
            }
            let id = request_id(kind, 1, nth);
            let answer = federation.ask(&channel, &id, 1, &ITEMS, DEADLINE).await.unwrap();
            others_are_right(&federation, &answer, 1);
            own_or_nothing(&answer, 1);
            let times = rogue.count(|event| *event == Event::Fetch(id.clone()));
            match kind {
                "always" => {
                    assert_eq!(outcome(&answer, AGENCY), "UNAVAILABLE LANE_LOST");
                    assert!(times <= 2, "asked {times} times");
                }
                // Where the other lane was not yet up, there was nobody to ask.
                _ if times == 2 => assert_eq!(outcome(&answer, AGENCY), "OK"),
                _ => assert_eq!(outcome(&answer, AGENCY), "UNAVAILABLE LANE_LOST"),
            }
        }
    }
    let asked = |kind: &str, nth| Event::Fetch(request_id(kind, 1, nth));
    let again = (0..5).filter(|nth| rogue.count(|event| *event == asked("once", *nth)) == 2);
    assert!(again.count() > 0, "nothing was ever asked again");
}

/// A quarter of the questions are lost, again and again: what is asked again stays
/// within a tenth, and a burst.
#[tokio::test(flavor = "multi_thread")]
async fn row_32_questions_are_asked_again_within_a_budget() {
    const CALLERS: usize = 8;
    const TIMES: usize = 60;
    const BURST: usize = 100;
    let federation = Federation::start();
    let nth = AtomicUsize::new(0);
    let script = move |asked: &Asked| match nth.fetch_add(1, Ordering::Relaxed) % 4 {
        0 => vec![Step::End(Code::Ok)],
        _ => honest(asked),
    };
    let rogue = Rogue::start(&federation, AGENCY, true, script).await;
    let gateway = federation.gateway(&[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    join_all((0..CALLERS).map(async |person| {
        for nth in 0..TIMES {
            let id = request_id("lossy", person, nth);
            let answer = federation.ask(&channel, &id, person, &ITEMS, DEADLINE).await.unwrap();
            own_or_nothing(&answer, person);
        }
    }))
    .await;
    let mut attempts = HashMap::new();
    for event in rogue.events.borrow().iter() {
        if let Event::Fetch(id) = event {
            *attempts.entry(id.clone()).or_insert(0) += 1;
        }
    }
    assert!(attempts.values().all(|times| *times <= 2), "{attempts:?}");
    let all: usize = attempts.values().sum();
    let asked = CALLERS * TIMES;
    assert!(all <= asked + asked / 10 + BURST, "{all} attempts for {asked} requests");
    assert!(all > attempts.len(), "nothing was ever asked again");
}

/// An agency that takes connections and breaks every question is left alone, asked
/// with one question at a time, and found again.
#[tokio::test(flavor = "multi_thread")]
async fn row_32_an_agency_that_breaks_every_question_is_left_alone() {
    let federation = Federation::start();
    let breaks = |_: &Asked| vec![Step::End(Code::Ok)];
    let rogue = Rogue::start(&federation, AGENCY, true, breaks).await;
    let gateway = federation.gateway(&[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    let mut nth = 0;
    let mut ask = async |person: usize| {
        nth += 1;
        let id = request_id("broken", person, nth);
        let answer = federation.ask(&channel, &id, person, &ITEMS, DEADLINE).await.unwrap();
        others_are_right(&federation, &answer, person);
        outcome(&answer, AGENCY)
    };
    becomes("its being left alone", "UNAVAILABLE AGENCY_FAILING", async || ask(1).await).await;
    // Now many are asked, and the agency sees hardly any.
    let fetched = |rogue: &Rogue| rogue.count(|event| matches!(event, Event::Fetch(_)));
    let before = fetched(&rogue);
    for _ in 0..100 {
        ask(1).await;
    }
    let after = fetched(&rogue) - before;
    assert!(after <= 50, "{after} of 100 reached an agency that breaks everything");
    rogue.script(honest);
    becomes("its being found again", "OK", async || ask(1).await).await;
    assert_eq!(ask(1).await, "OK");
}
