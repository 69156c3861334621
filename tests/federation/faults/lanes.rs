//! How questions reach an agency: streams that are drained and replaced under load, and
//! the window.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tonic_health::pb::health_check_response::ServingStatus;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::exchange_response::Message as ToGateway;

use super::answers::{AGENCY, ITEMS, RATIO, honest, others_are_right, own_or_nothing, request_id};
use crate::kit::federation::{CUT, DEADLINE, Federation, link, outcome, within};
use crate::kit::rogue::{Asked, Event, Rogue, Step};
use crate::kit::waiting::becomes;

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_without_exchange_is_not_asked() {
    let federation = Federation::start();
    let rogue = Rogue::start(&federation, AGENCY, false, honest).await;
    let gateway = federation.gateway_capped(CUT, &[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::NotServing).await;
    let ask = async || {
        let answer = federation.ask(&channel, "", 1, &ITEMS, DEADLINE).await.unwrap();
        others_are_right(&federation, &answer, 1);
        outcome(&answer, AGENCY)
    };
    becomes("its being told", "UNAVAILABLE NO_EXCHANGE", ask).await;
    assert_eq!(rogue.count(|event| matches!(event, Event::Unary(_))), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_stream_is_replaced_and_nothing_is_lost() {
    let federation = Federation::start();
    let seen = AtomicUsize::new(0);
    // Every tenth question drains its stream, and is answered after that.
    let script = move |asked: &Asked| {
        if seen.fetch_add(1, Ordering::Relaxed) % 10 == 4 {
            let drain = pb::ExchangeDrain { reason: "AGE".into() };
            let after = Step::Wait(Duration::from_millis(30));
            [vec![Step::say(ToGateway::Drain(drain)), after], honest(asked)].concat()
        } else {
            honest(asked)
        }
    };
    let mut rogue = Rogue::start(&federation, AGENCY, true, script).await;
    let gateway = federation.gateway(&[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    rogue.saw(|event| *event == Event::Opened).await;
    let lost = load(&federation, &channel, 4, 25).await;
    assert!(lost.is_empty(), "lost while drained: {lost:?}");
    rogue.saw(|event| *event == Event::Finish).await;
    assert!(rogue.count(|event| *event == Event::Opened) > 2, "no stream was replaced");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_three_hundred_milliseconds_lose_no_question() {
    let federation = Federation::start();
    let agency = federation
        .agency(AGENCY, |document| {
            let mut limits = toml_edit::Table::new();
            limits["max_stream_age"] = toml_edit::value("300ms");
            document["limits"] = toml_edit::Item::Table(limits);
        })
        .await;
    let gateway = federation.gateway(&[(AGENCY, agency.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    federation.informed(&channel, &[RATIO]).await;
    let lost = load(&federation, &channel, 4, 30).await;
    assert!(lost.is_empty(), "lost at a stream's age: {lost:?}");
}

/// Asks with several callers, each many times in a row; gives what the replaced
/// agency's section said other than that it was answered.
async fn load(
    federation: &Federation,
    channel: &tonic::transport::Channel,
    callers: usize,
    times: usize,
) -> HashMap<String, usize> {
    let calls = (0..callers).map(async |person| {
        let mut lost = Vec::new();
        for nth in 0..times {
            let id = request_id("load", person, nth);
            let answer = federation.ask(channel, &id, person, &ITEMS, DEADLINE).await.unwrap();
            match outcome(&answer, AGENCY).as_str() {
                "OK" | "NO_RECORD" => {}
                other => lost.push(other.to_owned()),
            }
        }
        lost
    });
    let mut counted = HashMap::new();
    for what in join_all(calls).await.into_iter().flatten() {
        *counted.entry(what).or_insert(0) += 1;
    }
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_beyond_the_window_are_refused_at_once_and_the_rest_answered() {
    let federation = Federation::start();
    // Answers only after every question that will come has come.
    let (open, gate) = watch::channel(false);
    let slow = move |asked: &Asked| [vec![Step::Until(gate.clone())], honest(asked)].concat();
    let rogue = Rogue::start(&federation, AGENCY, true, slow).await;
    rogue.hello(|hello| hello.limits.as_mut().unwrap().max_in_flight = 2);
    let gateway = federation.gateway(&[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    let people = federation.described.grants.len().min(24);
    let mut asked: FuturesUnordered<_> = (0..people)
        .map(async |person| {
            let id = request_id("window", person, 0);
            let answer = federation.ask(&channel, &id, person, &ITEMS, DEADLINE).await.unwrap();
            (person, answer)
        })
        .collect();
    let mut refused = 0;
    while let Some((person, answer)) = within(asked.next()).await {
        own_or_nothing(&answer, person);
        others_are_right(&federation, &answer, person);
        match outcome(&answer, AGENCY).as_str() {
            // None is answered before the last one that is too much was refused.
            "OK" => assert!(*open.borrow()),
            "UNAVAILABLE WINDOW_FULL" => refused += 1,
            other => panic!("{other}"),
        }
        // Two streams of two questions, at most.
        if asked.len() <= 4 {
            open.send_replace(true);
        }
    }
    assert!(refused >= people - 4, "{refused} of {people} were refused");
    let answered = people - refused;
    assert!(answered >= 2, "only {answered} of {people} were answered");
    let sent = rogue.count(|event| matches!(event, Event::Fetch(_)));
    assert_eq!(sent, answered, "what was refused was not sent");
}

/// The real agency refuses what a gateway sends beyond its window, and loses
/// nothing of the rest.
#[tokio::test(flavor = "multi_thread")]
async fn row_44_an_agency_under_more_than_it_takes_answers_what_it_can() {
    let federation = Federation::start();
    let agency = federation
        .agency(AGENCY, |document| {
            let mut limits = toml_edit::Table::new();
            limits["max_in_flight"] = toml_edit::value(64);
            limits["max_total"] = toml_edit::value(1);
            document["limits"] = toml_edit::Item::Table(limits);
        })
        .await;
    let gateway = federation.gateway(&[(AGENCY, agency.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    federation.informed(&channel, &[RATIO]).await;
    let people = federation.described.grants.len().min(32);
    let items = [&[RATIO][..], &ITEMS[1..]].concat();
    let asked = (0..people).map(async |person| {
        let id = request_id("total", person, 0);
        federation.ask(&channel, &id, person, &items, DEADLINE).await.unwrap()
    });
    let mut answered = 0;
    for answer in join_all(asked).await {
        match outcome(&answer, AGENCY).as_str() {
            "OK" | "NO_RECORD" => answered += 1,
            "UNAVAILABLE OVERLOADED" => {}
            other => panic!("{other}"),
        }
    }
    assert!(answered > 0);
    // The room is given back.
    let answer = federation.ask(&channel, &request_id("after", 0, 0), 0, &items, DEADLINE).await;
    assert_eq!(outcome(&answer.unwrap(), AGENCY), "OK");
}
