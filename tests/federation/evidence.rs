//! What stays behind of those who ask again and again, of claims, and of little time:
//! numbers instead of lines and records, and no alarm that is nobody's fault.

use std::collections::BTreeMap;

use tokio_stream::StreamExt;
use tonic::Request;
use tributary::config::agency::AgencyConfig;
use tributary::config::audit::AuditConfig;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::audit::{Checkpoint, Decision, Hash, Record};
use tributary::store::walk::walk;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::exchange_request::Message as Asked;
use tributary::wire::proto::pb::exchange_response::Message as Told;
use tributary::wire::proto::pb::stream_profiles_response::Outcome;

use crate::kit::demo::{City, word};
use crate::kit::waiting::{until, within};
use crate::refusals::{AGENCY, ITEM};

/// A number of requests that nobody asks by accident.
const AGAIN: usize = 200;

fn request(id: &str, items: &[&str], grant: pb::GrantPresentation) -> pb::GetProfileRequest {
    let items = items.iter().map(|item| (*item).to_owned()).collect();
    pb::GetProfileRequest { request_id: id.into(), items, grant: Some(grant), ..Default::default() }
}

fn whole(grant: &str) -> pb::GrantPresentation {
    pb::GrantPresentation { sd_jwt: grant.to_owned().into(), ..Default::default() }
}

/// Of a log that nobody writes any more: its records of requests by decision, and how
/// often a refusal was counted, by reason.
fn recorded(audit: &AuditConfig) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let (mut records, mut counted) = (BTreeMap::new(), BTreeMap::new());
    walk(&audit.folder, None, &mut |step| match step.record {
        Some(Record::Section(section)) => {
            let decision = match &section.decision {
                Decision::Section(status) => status.as_str().to_owned(),
                Decision::Refused(reason) | Decision::Withheld(reason) => reason.to_string(),
            };
            *records.entry(decision).or_default() += 1;
        }
        Some(Record::Refusals(refusals)) => {
            *counted.entry(refusals.reason.to_string()).or_default() += refusals.count;
        }
        _ => {}
    })
    .unwrap();
    (records, counted)
}

fn audits(city: &City) -> (AuditConfig, AuditConfig) {
    let gateway = GatewayConfig::load(&city.described.gateway.config).unwrap().audit;
    (gateway, AgencyConfig::load(city.config_of(AGENCY)).unwrap().0.audit)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_63_64_what_a_spent_grant_is_denied_again_is_counted_and_an_id_is_one_requests() {
    let mut city = City::start(&["--grant-uses", "1"]);
    let mut profiles = city.profiles().await;
    let (grant, other) = (city.grant(0), city.grant(1));
    let mut get = async |request| profiles.get_profile(Request::new(request)).await;
    let used = get(request("one", &[ITEM], whole(&grant))).await.unwrap().into_inner();
    assert_eq!(used.sections[0].status(), pb::SectionStatus::Ok);
    // Denied with a record, and from then on by number.
    let denied = get(request("two", &[ITEM], whole(&grant))).await.unwrap().into_inner();
    assert_eq!(denied.sections[0].reason, "FREQUENCY_EXHAUSTED");
    for number in 0..AGAIN {
        let denied = get(request(&format!("again-{number}"), &[ITEM], whole(&grant))).await;
        assert_eq!(word(&denied.unwrap_err()), "FREQUENCY_EXHAUSTED");
    }
    // What was released may still be repeated.
    let repeated = get(request("one", &[ITEM], whole(&grant))).await.unwrap().into_inner();
    assert_eq!(repeated.sections[0].status(), pb::SectionStatus::Ok);
    // The same id for another grant is refused before any agency is asked.
    let reused = get(request("one", &[ITEM], whole(&other))).await.unwrap_err();
    assert_eq!(word(&reused), "REQUEST_ID_REUSED");

    let (gateway, agency) = audits(&city);
    city.demo.signal("TERM");
    city.demo.end().await;
    let (records, counted) = recorded(&gateway);
    let expected = |word: &str, count: u64| (word.to_owned(), count);
    assert_eq!(records, BTreeMap::from([expected("OK", 2), expected("DENIED", 1)]));
    let again = AGAIN as u64;
    let numbers = [expected("FREQUENCY_EXHAUSTED", again), expected("REQUEST_ID_REUSED", 1)];
    assert_eq!(counted, BTreeMap::from(numbers));
    let (records, counted) = recorded(&agency);
    let kept = [expected("OK", 2), expected("FREQUENCY_EXHAUSTED", 1)];
    assert_eq!(records, BTreeMap::from(kept));
    assert_eq!(counted, BTreeMap::from([expected("FREQUENCY_EXHAUSTED", again)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_63_refusals_that_anybody_can_cause_are_some_lines_and_a_count() {
    let city = City::start(&[]);
    let mut profiles = city.profiles().await;
    let unknown = || pb::GrantPresentation { digest: vec![7; 32].into(), ..Default::default() };
    for _ in 0..AGAIN {
        let refused = profiles.get_profile(request("", &[ITEM], unknown())).await.unwrap_err();
        assert_eq!(word(&refused), "GRANT_UNKNOWN");
    }
    let lines = || {
        let log = city.log("gateway");
        let refused = log.lines().filter(|line| line.contains("GRANT_UNKNOWN"));
        refused.map(str::to_owned).collect::<Vec<_>>()
    };
    let told =
        |lines: &Vec<String>| lines.iter().any(|line| line.contains("more lines were left out"));
    let lines = until("the count of lines", async || lines(), told).await;
    assert!(lines.len() < AGAIN / 4, "{} lines", lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn little_time_is_nobodys_fault() {
    let city = City::start(&[]);
    let mut profiles = city.profiles().await;
    let (grant, mut requests) = (city.grant(0), Vec::new());
    for number in 0..AGAIN as u64 {
        let asked = request(
            &format!("short-{number}"),
            &[ITEM, "lending.debt.lender_count"],
            whole(&grant),
        );
        let request = prost::Message::encode_to_vec(&asked).into();
        let remaining_micros = 1 + number * 10;
        requests.push(pb::StreamProfilesRequest {
            request,
            remaining_micros,
            ..Default::default()
        });
    }
    let answers = profiles.stream_profiles(tokio_stream::iter(requests)).await.unwrap();
    let mut answers = answers.into_inner();
    while let Some(answer) = answers.next().await {
        let sections = match answer.unwrap().outcome.unwrap() {
            Outcome::Profile(profile) => profile.sections,
            Outcome::Failure(failure) => panic!("{failure:?}"),
        };
        for section in sections {
            let late = section.reason == "DEADLINE";
            assert!(late || section.status() == pb::SectionStatus::Ok, "{section:?}");
        }
    }
    for process in ["gateway", AGENCY, "lending"] {
        let log = city.log(process);
        assert!(!log.contains(" ERROR "), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_about_a_log_is_an_alarm_with_its_signature_alone() {
    const ALARM: &str = "LOG_ROLLED_BACK";
    let city = City::start(&[]);
    let mut agency = city.agency(AGENCY).await;
    let keys = AgencyConfig::load(city.config_of(AGENCY)).unwrap().0.audit.keys().unwrap();
    let size = u64::MAX / 2;
    let beyond = Checkpoint { origin: keys.origin.clone(), size, root: Hash([7; 32]) };
    let signed = keys.signing.sign(&beyond).unwrap().as_str().to_owned();
    let mut claim = async |checkpoint: String| {
        let seen = pb::SeenLog { origin: keys.origin.to_string(), size, checkpoint };
        let asked = Asked::AskLog(pb::ExchangeAskLog { seen: vec![seen] });
        let message = pb::ExchangeRequest { message: Some(asked) };
        let pending =
            tokio_stream::StreamExt::chain(tokio_stream::once(message), tokio_stream::pending());
        let mut answers = agency.exchange(pending).await.unwrap().into_inner();
        loop {
            let told = within(answers.message()).await.unwrap().unwrap().message.unwrap();
            if let Told::ShowLog(_) = told {
                return;
            }
        }
    };
    claim(String::new()).await;
    claim("nobody's word".to_owned()).await;
    city.logs(AGENCY, "without proof", 2).await;
    assert!(!city.log(AGENCY).contains(ALARM));
    claim(signed).await;
    city.logs(AGENCY, ALARM, 1).await;
}
