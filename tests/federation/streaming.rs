//! Many profiles over one stream: the same answers as by calls, each failure its
//! own, and no more under way than the window.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use prost::Message;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::stream_profiles_response::Outcome;

use crate::kit::demo::City;
use crate::kit::process::binary;
use crate::kit::waiting::UNHURRIED as DEADLINE;

const ITEM: &str = "employment.current.started_on";

fn request(id: &str, grant: &str) -> pb::StreamProfilesRequest {
    let request = pb::GetProfileRequest {
        request_id: id.into(),
        items: vec![ITEM.into()],
        grant: Some(pb::GrantPresentation {
            sd_jwt: grant.to_owned().into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    pb::StreamProfilesRequest { request: request.encode_to_vec().into(), ..Default::default() }
}

/// Everything that comes back, by request id.
async fn ask(
    city: &City,
    requests: Vec<pb::StreamProfilesRequest>,
) -> BTreeMap<String, Result<pb::GetProfileResponse, pb::ProfileFailure>> {
    let mut client = city.profiles().await;
    let stream = client.stream_profiles(tokio_stream::iter(requests)).await.unwrap();
    let mut answers = BTreeMap::new();
    let mut stream = stream.into_inner();
    while let Some(answer) = stream.next().await {
        let answer = answer.unwrap();
        let outcome = match answer.outcome.unwrap() {
            Outcome::Profile(profile) => Ok(profile),
            Outcome::Failure(failure) => Err(failure),
        };
        assert!(answers.insert(answer.request_id, outcome).is_none(), "answered twice");
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_as_calls_do_and_each_failure_stands_alone() {
    let city = City::start(&[]);
    let people = city.described.grants.len().min(40);
    let mut requests: Vec<_> =
        (0..people).map(|person| request(&format!("p{person}"), &city.grant(person))).collect();
    let mut forged = city.grant(0);
    // A letter inside the signature's part of the token.
    let at = forged.find('~').unwrap() - 10;
    let other = if forged.as_bytes()[at] == b'A' { "B" } else { "A" };
    forged.replace_range(at..=at, other);
    requests.insert(1, request("forged", &forged));
    let undecodable =
        pb::StreamProfilesRequest { request: vec![0xff; 9].into(), ..Default::default() };
    requests.insert(2, undecodable);
    let digest = vec![7; 32].into();
    let grant = pb::GrantPresentation { digest, ..Default::default() };
    let unknown = pb::GetProfileRequest {
        request_id: "unknown".into(),
        items: vec![ITEM.into()],
        grant: Some(grant),
        ..Default::default()
    };
    let unknown = unknown.encode_to_vec().into();
    requests.push(pb::StreamProfilesRequest { request: unknown, ..Default::default() });
    let hurried =
        pb::StreamProfilesRequest { remaining_micros: 1, ..request("late", &city.grant(1)) };
    requests.push(hurried);

    let mut answers = ask(&city, requests).await;
    let failure = answers.remove("forged").unwrap().unwrap_err();
    assert_eq!(
        (failure.reason.as_str(), failure.code),
        ("GRANT_SIGNATURE", Code::PermissionDenied.into())
    );
    assert!(!failure.refusal_id.is_empty());
    let failure = answers.remove("unknown").unwrap().unwrap_err();
    assert_eq!(
        (failure.reason.as_str(), failure.code),
        ("GRANT_UNKNOWN", Code::FailedPrecondition.into())
    );
    assert_eq!(answers.remove("").unwrap().unwrap_err().reason, "UNDECODABLE");
    // Its time is up before any agency can answer: that is a section's status.
    let late = answers.remove("late").unwrap().unwrap();
    assert!(late.sections.iter().all(|section| section.status() == pb::SectionStatus::Timeout));

    assert_eq!(answers.len(), people);
    let mut client = city.client().await;
    for person in 0..people {
        let streamed = answers.remove(&format!("p{person}")).unwrap().unwrap();
        let called =
            client.profile(&city.grant(person), vec![ITEM.into()], DEADLINE).await.unwrap();
        assert_eq!(streamed.profile, called.profile);
        assert!(streamed.receipt.is_some(), "no record, no data");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_does_not_read_waits_and_loses_nothing() {
    let city = City::start(&[]);
    let grant = city.grant(0);
    let mut client = city.profiles().await;
    let (asks, queue) = tokio::sync::mpsc::channel(1);
    let mut stream = client.stream_profiles(ReceiverStream::new(queue)).await.unwrap().into_inner();
    let asking = tokio::spawn(async move {
        for id in 0..600 {
            asks.send(request(&format!("r{id}"), &grant)).await.unwrap();
        }
    });
    // Others are served while this one does not read.
    let mut other = city.client().await;
    for person in 1..8 {
        let answer = other.profile(&city.grant(person), vec![ITEM.into()], DEADLINE).await.unwrap();
        assert!(answer.receipt.is_some());
    }
    let mut answered = 0;
    while let Some(answer) = stream.next().await {
        answer.unwrap();
        answered += 1;
    }
    asking.await.unwrap();
    assert_eq!(answered, 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_writes_a_line_for_each_line() {
    let city = City::start(&[]);
    let mut child = binary()
        .args(["profile", "stream", "--federation"])
        .arg(city.home.join("federation.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = String::new();
    for person in 0..20 {
        let grant = city.grant(person);
        let grant = grant.trim_end();
        input.push_str(&serde_json::json!({ "grant": grant, "items": [ITEM] }).to_string());
        input.push('\n');
    }
    input.push_str("\nno json\n{\"grant\": \"x~\", \"colour\": 1}\n");
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = output.await.unwrap();
    writing.join().unwrap();

    let lines: BTreeMap<u64, serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| (line["line"].as_u64().unwrap(), line))
        .collect();
    assert_eq!(
        lines.keys().copied().collect::<Vec<_>>(),
        (1..=20).chain([22, 23]).collect::<Vec<_>>()
    );
    assert!((1..=20).all(|line| lines[&line]["profile"]["receipt"].is_object()));
    assert_eq!(lines[&22]["error"]["reason"], "BAD_LINE");
    let summary = String::from_utf8(output.stderr).unwrap();
    assert!(summary.contains("22 answered"), "{summary}");
    assert!(summary.contains("2 without a profile (BAD_LINE 2)"), "{summary}");
    assert_eq!(output.status.code(), Some(1));
}
