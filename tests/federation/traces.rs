//! The trace of a request: from its consumer through the gateway to an agency, and on the
//! log lines of both.

use prost::Message;
use tokio_stream::StreamExt;
use tonic::Request;
use tributary::domain::trace::TraceContext;
use tributary::wire::proto::pb;
use tributary::wire::refusal::reason_of;

use crate::kit::demo::City;
use crate::kit::federation::Profiles;
use crate::kit::waiting::{UNHURRIED, until};

const SPENT: &str = "FREQUENCY_EXHAUSTED";

fn request(city: &City, id: &str, person: usize, item: &str) -> pb::GetProfileRequest {
    pb::GetProfileRequest {
        request_id: id.into(),
        items: vec![item.into()],
        grant: Some(pb::GrantPresentation {
            sd_jwt: city.grant(person).into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Uses a grant up, so that the next request is refused by the agency, and thereupon by the
/// gateway.
async fn spend(city: &City, profiles: &mut Profiles, person: usize, item: &str) {
    for (id, reason) in [("one", ""), ("two", SPENT)] {
        let mut request = Request::new(request(city, &format!("{id}-{person}"), person, item));
        request.set_timeout(UNHURRIED);
        let answer = profiles.get_profile(request).await.unwrap().into_inner();
        assert_eq!(answer.sections[0].reason, reason, "{id} of {item}");
    }
}

/// The trace ids of a process's refusals for a spent grant, in the order of its lines.
async fn refused(city: &City, process: &str, times: usize) -> Vec<String> {
    let look = async || {
        let log = city.log(process);
        let lines = log.lines().filter(|line| line.contains("refused") && line.contains(SPENT));
        let traces = lines.map(|line| line.rsplit_once("trace_id=").unwrap_or_default().1);
        traces.map(str::to_owned).collect::<Vec<_>>()
    };
    let what = format!("{times} refusals in the log of {process}");
    until(&what, look, |traces| traces.len() >= times).await
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_of_both_ends_have_the_trace_that_the_consumer_names_or_one_that_was_made() {
    let city = City::of(12, &["--grant-uses", "1"]);
    let mut profiles = city.profiles().await;
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let named = TraceContext::parse(text).unwrap().trace.to_string();
    // Of agencies each: so few lines of a kind are all written.
    let cases = [
        ("education", "education.attainment.study_mode", vec![text.to_owned()]),
        ("traffic", "traffic.licence.status", vec![text.to_uppercase()]),
        ("employment", "employment.current.started_on", vec![text.to_owned(), text.to_owned()]),
    ];
    for (person, (agency, item, headers)) in cases.iter().enumerate() {
        spend(&city, &mut profiles, person, item).await;
        let mut request = Request::new(request(&city, &format!("three-{person}"), person, item));
        request.set_timeout(UNHURRIED);
        for header in headers {
            request.metadata_mut().append("traceparent", header.parse().unwrap());
        }
        let denied = profiles.get_profile(request).await.unwrap_err();
        assert_eq!(reason_of(&denied), SPENT);
        let at_gateway = refused(&city, "gateway", person + 1).await;
        // Two requests came this far; the one before had a trace that the gateway made.
        let at_agency = refused(&city, agency, 2).await;
        assert_eq!(at_agency[1], at_gateway[person], "{agency}");
        assert_ne!(at_agency[0], at_agency[1], "{agency}");
        assert!(at_agency.iter().all(|trace| trace.len() == 32), "{at_agency:?}");
        let is_named = at_agency[1] == named;
        assert_eq!(is_named, person == 0, "{agency}: {at_agency:?}");
    }

    let (person, item) = (3, "lending.debt.lender_count");
    spend(&city, &mut profiles, person, item).await;
    let streamed = pb::StreamProfilesRequest {
        request: request(&city, "streamed", person, item).encode_to_vec().into(),
        traceparent: text.replace("4bf92f35", "5bf92f35"),
        ..Default::default()
    };
    let answers = profiles.stream_profiles(tokio_stream::iter([streamed])).await.unwrap();
    let answer = answers.into_inner().next().await.unwrap().unwrap();
    assert!(matches!(
        answer.outcome,
        Some(pb::stream_profiles_response::Outcome::Failure(failure)) if failure.reason == SPENT
    ));
    let named = named.replace("4bf92f35", "5bf92f35");
    assert_eq!(refused(&city, "gateway", cases.len() + 1).await[cases.len()], named);
    assert_eq!(refused(&city, "lending", 2).await[1], named);
}
