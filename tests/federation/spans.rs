//! Spans of a request, as a collector gets them, and collectors that get none.

use futures_util::StreamExt;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use toml_edit::DocumentMut;
use tonic::Request;
use tonic::transport::Channel;
use tributary::domain::trace::TraceContext;
use tributary::telemetry::spans::ROOM;
use tributary::wire::proto::pb;
use tributary::wire::refusal::reason_of;

use crate::kit::collector::{Collector, told};
use crate::kit::federation::{DEADLINE, Federation, Profiles};
use crate::kit::pages::Pages;
use crate::kit::waiting::{Reserved, until};

const ITEM: &str = "education.attainment.study_mode";

/// Sends every trace there.
fn sending(document: &mut DocumentMut, pages: &Pages, collector: std::net::SocketAddr) {
    pages.configure(document);
    document["telemetry"]["traces"] = toml_edit::value(format!("http://{collector}"));
    document["telemetry"]["traces_ratio"] = toml_edit::value(1.0);
}

/// Spans that a collector took, and that were dropped.
async fn counts(pages: &Pages) -> (u64, u64) {
    let metrics = pages.metrics().await;
    let of = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().parse::<f64>().ok());
        number.unwrap_or_else(|| panic!("no {name}: {metrics}")) as u64
    };
    (of("tributary_spans_exported_total"), of("tributary_spans_dropped_total"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requests_steps_are_told_as_spans_and_nothing_of_whom_it_is_about() {
    let (federation, pages, of_agency) = (Federation::start(), Pages::new(), Pages::new());
    let port = Reserved::new();
    let collector = Collector::at(port.address()).await;
    let agency = federation
        .agency("traffic", |document| sending(document, &of_agency, port.address()))
        .await;
    let gateway = federation
        .gateway_with(&[("traffic", agency.address)], |document| {
            sending(document, &pages, port.address());
        })
        .await;
    let channel = federation.consumer(gateway.address).await;
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let context = TraceContext::parse(text).unwrap();
    let mut request =
        Request::new(federation.request("canary-request", 3, &[ITEM, "traffic.licence.status"]));
    request.set_timeout(DEADLINE);
    request.metadata_mut().insert("traceparent", text.parse().unwrap());
    request.metadata_mut().insert("tracestate", "canary=state".parse().unwrap());
    let answer = Profiles::new(channel.clone()).get_profile(request).await.unwrap().into_inner();
    assert!(answer.sections.iter().all(|section| section.reason.is_empty()), "{answer:?}");

    let of_trace = |service: &str| {
        let mut spans = collector.spans(service);
        spans.retain(|span| span.trace_id == context.trace.bytes());
        spans
    };
    let gateways = async || of_trace("tributary-gateway");
    let spans = until("three spans of the gateway", gateways, |spans| spans.len() == 3).await;
    let agencies = async || of_trace("tributary-agency");
    let answers = until("a span of the agency", agencies, |spans| spans.len() == 1).await;

    let whole = spans.iter().find(|span| span.name.ends_with("/GetProfile")).unwrap();
    assert_eq!(whole.parent_span_id, context.parent.bytes());
    assert_eq!(told(&whole.attributes, "rpc.response.status_code"), "OK");
    assert_eq!(told(&whole.attributes, "tributary.agencies"), "2");
    let section = |agency: &str| {
        let is = |span: &&Span| told(&span.attributes, "tributary.agency") == agency;
        spans.iter().find(is).unwrap()
    };
    for agency in ["education", "traffic"] {
        let section = section(agency);
        assert_eq!(section.parent_span_id, whole.span_id, "{agency}");
        assert_eq!(told(&section.attributes, "tributary.section.status"), "OK", "{agency}");
        assert!(section.start_time_unix_nano <= section.end_time_unix_nano);
        assert!(section.end_time_unix_nano <= whole.end_time_unix_nano, "{agency}");
    }
    assert_eq!(answers[0].parent_span_id, section("traffic").span_id);
    assert_eq!(told(&answers[0].attributes, "tributary.agency"), "traffic");

    // A refusal says why.
    let refused = Profiles::new(channel).get_profile(unknown_grant()).await.unwrap_err();
    let why = async || {
        let spans = collector.spans("tributary-gateway");
        let of = |span: &Span| told(&span.attributes, "error.type");
        spans.iter().map(of).filter(|reason| !reason.is_empty()).collect::<Vec<_>>()
    };
    until("the span of a refusal", why, |why| why.contains(&reason_of(&refused))).await;
    // Counted a moment after the collector has answered.
    let taken = async || counts(&pages).await;
    until("four spans that were taken", taken, |counts| counts.0 >= 4 && counts.1 == 0).await;

    let told = collector.text().to_lowercase();
    let person = &federation.described.grants[3];
    for never in ["canary", "scoring-service", "spiffe", "attainment", &person.subject] {
        assert!(!told.contains(never), "{never}: {told}");
    }
}

/// A request that is refused before any agency is asked.
fn unknown_grant() -> pb::GetProfileRequest {
    pb::GetProfileRequest {
        items: vec![ITEM.to_owned()],
        grant: Some(pb::GrantPresentation {
            sd_jwt: "canary.canary.canary~".as_bytes().into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Has so many requests refused, each of which is a span.
async fn flood(channel: &Channel, requests: usize) {
    let asking = futures_util::stream::iter(0..requests).map(|_| {
        let mut profiles = Profiles::new(channel.clone());
        async move { profiles.get_profile(unknown_grant()).await.unwrap_err().code() }
    });
    asking.buffer_unordered(64).collect::<Vec<_>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_or_never_reads_holds_up_nobody() {
    let federation = Federation::start();
    let (away, silent) = (Reserved::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let silent_at = silent.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            held.push(connection);
        }
    });
    for collector in [away.address(), silent_at] {
        let pages = Pages::new();
        let gateway =
            federation.gateway_with(&[], |document| sending(document, &pages, collector)).await;
        let channel = federation.consumer(gateway.address).await;
        let flooded = 3 * ROOM;
        flood(&channel, flooded).await;
        // What waits and what is on its way is all that is not dropped.
        let (exported, dropped) = counts(&pages).await;
        assert_eq!(exported, 0);
        assert!(dropped as usize >= flooded - ROOM - ROOM / 2, "{dropped} of {flooded}");
        for person in 0..5 {
            let answer = federation.ask(&channel, "", person, &[ITEM], DEADLINE).await.unwrap();
            assert_eq!(answer.sections[0].reason, "");
        }
        if collector == away.address() {
            let collector = Collector::at(collector).await;
            let sent = async || collector.spans("tributary-gateway").len();
            until("spans at the collector that came", sent, |spans| *spans > 0).await;
            let took = async || counts(&pages).await.0;
            until("spans that were taken", took, |exported| *exported > 0).await;
        }
        gateway.stop().await;
    }
}
