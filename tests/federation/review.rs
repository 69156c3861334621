//! The audit log over the network: who may read it, what they get, and that each
//! search is itself in the log.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tributary::app::client::ClientError;
use tributary::app::reviewer::ReviewClient;
use tributary::config::agency::AgencyConfig;
use tributary::domain::audit::export::Line;
use tributary::domain::audit::{Query, RequestId, SubjectTag};

use crate::kit::demo::City;
use crate::kit::process::binary;
use crate::kit::waiting::UNHURRIED as DEADLINE;
use crate::kit::waiting::until;

const ORIGIN: &str = "gateway.city.example/2026";

async fn connect(city: &City, certificate: &Path, key: &Path) -> ReviewClient {
    let address = city.address(certificate.to_owned(), key.to_owned());
    ReviewClient::connect(&address, ORIGIN).await.unwrap()
}

async fn board(city: &City) -> ReviewClient {
    let board = &city.described.reviewers[0];
    connect(city, &board.certificate, &board.key).await
}

/// What the gateway says to each kind of question.
async fn refusals(client: &mut ReviewClient) -> Vec<String> {
    let tag = SubjectTag::new([1; 32]);
    let answers = [
        client.list(&Query::default(), 0, 10).await.map(drop),
        client.subject_access([&tag], 0).await.map(drop),
        client.checkpoint().await.map(drop),
        client.inclusion(0).await.map(drop),
        client.consistency(1).await.map(drop),
    ];
    let word = |answer| match answer {
        Ok(()) => "OK".to_owned(),
        Err(ClientError::Refused { reason, status }) => format!("{:?} {reason}", status.code()),
        Err(error) => panic!("{error}"),
    };
    answers.into_iter().map(word).collect()
}

/// The tag by which the gateway's log knows the person of a grant.
fn tag(city: &City, person: usize) -> String {
    let grant = &city.described.grants[person].file;
    let inspected = binary().args(["grant", "inspect"]).arg(grant).output().unwrap();
    let text = String::from_utf8(inspected.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("log tag")).unwrap();
    line.rsplit(' ').next().unwrap().to_owned()
}

/// Every tag of a person, as the issuer tells it to them.
fn issuers_tags(city: &City, person: usize) -> Vec<String> {
    let mut tags = binary();
    tags.args(["grant", "tags", "--settings"]).arg(&city.described.issuer.settings);
    let tags = tags.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut tags = tags.unwrap();
    let mut number = tags.stdin.take().unwrap();
    number.write_all(city.described.subjects[person].as_bytes()).unwrap();
    drop(number);
    let told = printed(&tags.wait_with_output().unwrap());
    told.lines().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
}

fn review(city: &City, args: &[&str]) -> Output {
    let mut review = binary();
    review.args(["audit", "review"]).args(args).arg("--federation");
    review.arg(city.home.join("federation.json")).arg("--log-key");
    review.arg(log_key(city)).stdin(Stdio::null()).output().unwrap()
}

fn log_key(city: &City) -> PathBuf {
    city.home.join("certs/dev/gateway.city.example/audit.vkey")
}

fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn only_named_reviewers_read_the_log_and_they_get_no_profile() {
    let city = City::start(&[]);
    let pki = city.home.join("certs/dev");
    // The public command makes a reviewer's certificate; being one is not enough.
    let issued = binary()
        .args(["pki", "issue", "--domain", "review.city.example", "--role", "reviewer"])
        .args(["--id", "stranger", "--dir"])
        .arg(&pki)
        .output()
        .unwrap();
    let issued = printed(&issued);
    let path = |what: &str| {
        let line = issued.lines().find(|line| line.starts_with(what)).unwrap();
        PathBuf::from(line.rsplit(' ').next().unwrap())
    };
    let (certificate, key) = (path("certificate"), path("key"));
    let mut stranger = connect(&city, &certificate, &key).await;
    assert_eq!(refusals(&mut stranger).await, ["PermissionDenied REVIEW_DENIED"; 5]);

    let consumer = &city.described.consumers[0];
    let mut client = connect(&city, &consumer.certificate, &consumer.key).await;
    assert_eq!(refusals(&mut client).await, ["PermissionDenied NOT_A_REVIEWER"; 5]);
    let (agency, _) = AgencyConfig::load(city.config_of("education")).unwrap();
    let mut client = connect(&city, &agency.link.certificate, &agency.link.key).await;
    assert_eq!(refusals(&mut client).await, ["PermissionDenied NOT_A_REVIEWER"; 5]);

    // A reviewer reads the log and nothing else.
    let mut client = board(&city).await;
    let included = async || client.inclusion(0).await.map(drop);
    drop(until("publication", included, Result::is_ok).await);
    assert_eq!(refusals(&mut client).await, ["OK"; 5]);
    let board = &city.described.reviewers[0];
    let address = city.address(board.certificate.clone(), board.key.clone());
    let mut asking = tributary::app::client::GatewayClient::connect(&address).await.unwrap();
    let item = "employment.current.started_on";
    assert_eq!(city.at_gateway(&mut asking, &city.grant(0), item).await, "NOT_A_CONSUMER");

    // More than a page may have is refused, and so is too much of everything.
    let oversize = client.list(&Query::default(), 0, 501).await;
    let Err(ClientError::Refused { status, .. }) = oversize else { panic!("{oversize:?}") };
    assert!(status.message().contains("page_size"), "{}", status.message());
    let mut quota = false;
    for _ in 0..121 {
        if let Err(ClientError::Refused { reason, .. }) = client.checkpoint().await {
            assert_eq!(reason, "REVIEW_QUOTA");
            quota = true;
            break;
        }
    }
    assert!(quota, "a reviewer may ask without end");
}

#[tokio::test]
async fn a_search_finds_what_was_asked_and_is_itself_in_the_log() {
    let city = City::start(&[]);
    let mut consumer = city.client().await;
    let items = consumer.bundle("basic").await.unwrap();
    let answer = consumer.profile(&city.grant(0), items.clone(), DEADLINE).await.unwrap();
    consumer.profile(&city.grant(1), items, DEADLINE).await.unwrap();

    let mut client = board(&city).await;
    // At once: also what is in no tile yet.
    let query = Query { request: RequestId::new(&answer.request_id).ok(), ..Query::default() };
    let mut found = Vec::new();
    let mut next = Some(0);
    while let Some(from) = next {
        let page = client.list(&query, from, 3).await.unwrap();
        assert!(page.lines.len() <= 3);
        found.extend(page.lines);
        next = page.next;
    }
    assert_eq!(found.len(), 7);
    let own = |line: &Line| {
        matches!(line, Line::Section(section)
            if section.request == answer.request_id && section.subject_tag.is_none())
    };
    assert!(found.iter().all(own), "{found:?}");

    // Three pages, three records; none says what was searched for.
    let all = client.list(&Query::default(), 0, 500).await.unwrap().lines;
    let searches: Vec<_> = all
        .iter()
        .filter_map(|line| match line {
            Line::Search { reviewer, search, by, hits, .. } => {
                Some((reviewer.as_str(), search.as_str(), by.join(" "), *hits))
            }
            _ => None,
        })
        .collect();
    let board_id = "spiffe://review.city.example/reviewer/board";
    let one = |hits| (board_id, "LIST", "request".to_owned(), hits);
    assert_eq!(searches, [one(3), one(3), one(1)]);

    // Subject access, by the command: a table, and JSON with named items.
    let tag = tag(&city, 0);
    assert!(issuers_tags(&city, 0).contains(&tag));
    assert!(!issuers_tags(&city, 1).contains(&tag));
    let catalogue = city.home.join("catalogue");
    let catalogue = catalogue.to_str().unwrap();
    let table = printed(&review(&city, &["subject", "--tag", &tag, "--catalogue", catalogue]));
    assert!(table.contains("scoring-service asked") && table.contains("disclosed"), "{table}");
    assert!(table.contains("employment.current."), "{table}");
    assert!(!table.contains(&tag));
    let json = printed(&review(&city, &["subject", "--json", "--tag", &tag]));
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let requests = report["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 1, "one of the two requests was about this person");
    assert_eq!(requests[0]["request"], answer.request_id.as_str());
    assert_eq!(requests[0]["agencies"].as_array().unwrap().len(), 7);
    assert_eq!(requests[0]["purpose"], "credit_profile");

    // The same from the log's files.
    let log = city.home.join("audit/gateway");
    let offline = binary()
        .args(["audit", "subject", "--json", "--tag", &tag, "--key"])
        .arg(log_key(&city))
        .arg(&log)
        .output()
        .unwrap();
    let offline: serde_json::Value = serde_json::from_str(&printed(&offline)).unwrap();
    assert_eq!(offline, report);

    // The search by tag is recorded without the tag.
    let listed = printed(&review(&city, &["list", "--consumer", board_id]));
    assert!(listed.contains("searched (SUBJECT_ACCESS) by tag: 7 records"), "{listed}");
    assert!(!listed.contains(&tag));

    // Checkpoint and proofs hold against the log's public key.
    let known = city.home.join("known.checkpoint");
    std::fs::write(&known, printed(&review(&city, &["checkpoint"]))).unwrap();
    let told = printed(&review(&city, &["checkpoint", "--json"]));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["note"].as_str().unwrap().lines().nth(1), Some(&*told["size"].to_string()));
    let index = found[0].index().to_string();
    let proved = async || review(&city, &["prove", "--index", &index]);
    until("its tile", proved, |output| output.status.success()).await;
    let continued = review(&city, &["consistency", "--known", known.to_str().unwrap()]);
    assert!(printed(&continued).contains("continues"), "{continued:?}");
    let beyond = review(&city, &["prove", "--index", "100000"]);
    assert_eq!(beyond.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&beyond.stderr).contains("NO_ENTRY"), "{beyond:?}");
}
