//! What whoever runs a federation sees of it: health, readiness, metrics.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use futures_util::StreamExt;
use tonic::{Code, Request, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tributary::app::client::{Address, ClientError, GatewayClient};
use tributary::config::gateway::GatewayConfig;
use tributary::telemetry::metrics::names;
use tributary::wire::proto::pb;
use tributary::wire::refusal::reason_of;

use crate::kit::federation::{DEADLINE, Federation, Profiles, link, outcome, within};
use crate::kit::pages::Pages;
use crate::kit::process::{Process, binary, signal};
use crate::kit::waiting::{Reserved, UNHURRIED, becomes, until};

const ITEM: &str = "education.attainment.study_mode";

/// Waits until a watch says so; on a busy machine a list may be too old for a moment.
async fn says(watch: &mut Streaming<HealthCheckResponse>, status: ServingStatus) {
    while within(watch.message()).await.unwrap().unwrap().status() != status {}
}

#[tokio::test(flavor = "multi_thread")]
async fn row_67_stale_status_lists_take_no_gateway_out_and_show_as_their_issuers() {
    let (federation, pages) = (Federation::fresh(), Pages::new());
    let gateway = federation
        .gateway_with(&[], |document| {
            pages.configure(document);
            document["grants"]["max_age"] = toml_edit::value("2s");
        })
        .await;
    let channel = federation.consumer(gateway.address).await;
    let mut health = HealthClient::new(channel.clone());
    let config = GatewayConfig::load(&federation.described.gateway.config).unwrap();
    let issuer = config.grants.issuer[0].id.clone();
    let request = |service: &str| HealthCheckRequest { service: service.to_owned() };
    let mut of_issuer =
        health.watch(request(&format!("issuer/{issuer}"))).await.unwrap().into_inner();
    says(&mut of_issuer, ServingStatus::Serving).await;
    let mut unknown = health.watch(request("issuer/nobody")).await.unwrap().into_inner();
    let first = within(unknown.message()).await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);

    signal(federation.described.issuer.pid, "STOP");
    says(&mut of_issuer, ServingStatus::NotServing).await;
    let asked = async || match federation.ask(&channel, "", 0, &[ITEM], DEADLINE).await {
        Ok(_) => "OK".to_owned(),
        Err(status) => format!("{:?} {}", status.code(), reason_of(&status)),
    };
    becomes("a refusal that says to ask again", "Unavailable GRANT_STATUS_STALE", asked).await;
    let (status, text) = pages.get("/readyz?verbose").await.unwrap();
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(&format!("NOT_SERVING issuer/{issuer}")), "{text}");
    let whole = health.check(request("")).await.unwrap().into_inner();
    assert_eq!(whole.status(), ServingStatus::Serving);
    let metrics = pages.metrics().await;
    let stale = format!("tributary_status_list_fresh{{issuer=\"{issuer}\"}} 0");
    assert!(metrics.contains(&stale), "{metrics}");

    signal(federation.described.issuer.pid, "CONT");
    says(&mut of_issuer, ServingStatus::Serving).await;
    becomes("an answer", "OK", asked).await;
    // Nothing more was said of the name that nobody knows, and its stream goes on.
    let more = tokio::time::timeout(std::time::Duration::from_millis(1), unknown.message()).await;
    assert!(more.is_err(), "{more:?}");
}

/// The series of a reading, each with its labels and without its value.
fn series(metrics: &str) -> BTreeSet<&str> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect()
}

/// What is wrong with the metrics, as Prometheus' own tool sees it.
fn promtool(metrics: &str) -> String {
    let mut command = Command::new("promtool");
    let command = command.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    if output.status.success() && told.is_empty() {
        String::new()
    } else {
        format!("wrong: {told}")
    }
}

/// A request of which everything that a caller chooses is chosen by chance.
fn by_chance(nth: u64) -> pb::GetProfileRequest {
    // An LCG (Knuth, MMIX).
    let random =
        nth.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let canary = format!("canary-{random:x}");
    pb::GetProfileRequest {
        request_id: canary.clone(),
        items: vec![format!("canary.{random:x}.item"), ITEM.to_owned()][(nth % 2) as usize..]
            .to_vec(),
        grant: Some(pb::GrantPresentation {
            sd_jwt: format!("{canary}.{canary}.{canary}~").into_bytes().into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_hold_and_stay_few_whatever_is_asked() {
    let (federation, pages) = (Federation::start(), Pages::new());
    let of_agency = Pages::new();
    let agency = federation.agency("traffic", |document| of_agency.configure(document)).await;
    let gateway = federation
        .gateway_with(&[("traffic", agency.address)], |document| pages.configure(document))
        .await;
    let channel = federation.consumer(gateway.address).await;
    let everything = [ITEM, "traffic.licence.status"];
    for person in 0..20 {
        federation.ask(&channel, "", person, &everything, DEADLINE).await.unwrap();
    }
    let before = pages.metrics().await;
    let asking = futures_util::stream::iter(0..10_000_u64).map(|nth| {
        let mut profiles = Profiles::new(channel.clone());
        async move { profiles.get_profile(Request::new(by_chance(nth))).await.unwrap_err().code() }
    });
    let codes: BTreeSet<String> =
        asking.buffer_unordered(64).map(|code| format!("{code:?}")).collect().await;
    assert!(!codes.contains("Ok"), "{codes:?}");

    for (pages, agency_role) in [(&pages, false), (&of_agency, true)] {
        let metrics = pages.metrics().await;
        assert_eq!(promtool(&metrics), "", "{metrics}");
        let series = series(&metrics);
        assert!(series.len() < 2000, "{} series", series.len());
        let lower = metrics.to_lowercase();
        for never in ["canary", "consumer/", "scoring-service"] {
            assert!(!lower.contains(never), "{never}: {metrics}");
        }
        let subject = &federation.described.grants[0].subject;
        assert!(!metrics.contains(subject.as_str()), "a card number");
        // Every metric is told by one role at least, and no other is.
        let stems: BTreeSet<&str> = metrics
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        let known: BTreeSet<String> = names::ALL.iter().map(|name| name.family()).collect();
        let unknown: Vec<_> = stems.iter().filter(|stem| !known.contains(**stem)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        let sections = if agency_role {
            "tributary_sections_total{agency=\"traffic\""
        } else {
            "tributary_sections_total{agency=\"education\",status=\"OK\",reason=\"\"}"
        };
        assert!(metrics.contains(sections), "{sections}: {metrics}");
    }
    let refused = pages.metrics().await;
    let counted = refused.lines().filter(|line| line.starts_with("tributary_refusals_total"));
    let counted: f64 =
        counted.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum();
    assert!(counted >= 10_000.0, "{counted}: {before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_curl_sees_it() {
    let (federation, pages) = (Federation::start(), Pages::new());
    let config = federation.copy_of(&federation.described.gateway.config, |document| {
        pages.configure(document);
    });
    let gateway = Process::role("gateway", &config);
    let curl = async |path: &str, more: &[&str]| {
        let url = format!("http://{}{path}", pages.address());
        let output = Command::new("curl").args(["-sS", "-i", &url]).args(more).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let ready = async || curl("/readyz", &[]).await;
    until("a gateway that is ready", ready, |told| told.starts_with("HTTP/1.1 200 OK")).await;
    let accept = ["-H", "accept: application/openmetrics-text"];
    let told = curl("/metrics", &accept).await;
    assert!(told.contains("content-type: application/openmetrics-text"), "{told}");
    assert!(told.ends_with("# EOF\n"), "{told}");
    assert!(curl("/livez", &["-X", "POST"]).await.starts_with("HTTP/1.1 405"), "a POST");
    gateway.terminate().await;
}

/// Lines at info and above since a place in a log, of whatever the gateway said.
fn lines_since(log: &Path, place: usize) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().skip(place).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_that_was_away_costs_a_few_lines_the_last_of_which_says_for_how_long() {
    let (federation, port) = (Federation::start(), Reserved::new());
    let agency = federation.copy_of(&federation.entry("education").config, |document| {
        document["listen"] = toml_edit::value(port.address().to_string());
    });
    let gateway = federation.copy_of(&federation.described.gateway.config, |document| {
        let entries = document["agency"].as_array_of_tables_mut().unwrap();
        let entry = entries.iter_mut().find(|e| e["id"].as_str() == Some("education")).unwrap();
        entry["endpoint"] = toml_edit::value(port.address().to_string());
        // The agency's log here is none that a gateway has pinned.
        document["audit"].as_table_mut().unwrap().remove("peer");
    });
    let running = Process::role("agency", &agency);
    let log = gateway.with_extension("log");
    let mut command = binary();
    command.args(["gateway", "--config"]).arg(&gateway).arg("--json-log");
    let gateway = Process::logging(&mut command, &log);
    let channel = federation.consumer(gateway.address()).await;
    federation.informed(&channel, &[ITEM]).await;
    link(&channel, "education", ServingStatus::Serving).await;
    let place = lines_since(&log, 0).len();
    let ask = async || {
        let answer = federation.ask(&channel, "", 0, &[ITEM], DEADLINE).await.unwrap();
        outcome(&answer, "education")
    };
    // Killed in the middle of a stream of requests, which goes on while it is away.
    let asking = async |count: usize| {
        let asked = futures_util::stream::iter(0..count).map(|_| ask()).buffer_unordered(16);
        asked.collect::<BTreeSet<String>>().await
    };
    let (_, _) = tokio::join!(asking(100), async { drop(running) });
    link(&channel, "education", ServingStatus::NotServing).await;
    let away = asking(600).await;
    assert!(!away.contains("OK"), "{away:?}");
    let _again = Process::role("agency", &agency);
    link(&channel, "education", ServingStatus::Serving).await;
    becomes("an answer", "OK", async || ask().await).await;
    let told = async || lines_since(&log, place);
    let last =
        |lines: &Vec<String>| lines.last().is_some_and(|line| line.contains("agency is asked"));
    let lines = until("the line that it is back", told, last).await;
    assert!(lines.len() <= 5, "{lines:#?}");
    let last: serde_json::Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert!(last["fields"]["after_ms"].as_u64().is_some(), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_says_how_each_agency_does_to_those_who_are_named() {
    let federation = Federation::start();
    let mut client = federation.client().await;
    client.profile(&federation.grant(0), vec![ITEM.into()], UNHURRIED).await.unwrap();
    let status = |consumer: &str, more: &[&str]| {
        let file = federation.home.join(tributary::app::demo::Federation::FILE);
        let mut command = binary();
        command.args(["status", "--consumer", consumer, "--federation"]).arg(file).args(more);
        command.output().unwrap()
    };
    let told = status("scoring-service", &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let agencies = json["agencies"].as_array().unwrap();
    assert_eq!(agencies.len(), 7, "{json}");
    assert!(agencies.iter().all(|agency| agency["state"] == "AGENCY_STATE_UP"), "{json}");
    let education = agencies.iter().find(|agency| agency["agency"] == "education").unwrap();
    for window in education["windows"].as_array().unwrap() {
        // proto3 JSON writes numbers of 64 bits as text.
        assert_ne!(window["questions"], "0", "{json}");
        assert!(window["p99"].as_str().is_some_and(|time| time.ends_with('s')), "{json}");
    }
    assert!(json["expiries"].as_array().unwrap().len() > 7, "{json}");
    assert_eq!(told.status.code(), Some(0));
    let table = String::from_utf8(status("scoring-service", &[]).stdout).unwrap();
    for line in ["education", "certificate the gateway's own: ", " ms", "ready, up "] {
        assert!(table.contains(line), "{line}: {table}");
    }
    let refused = status("loan-desk", &[]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && told.contains("STATUS_DENIED"), "{told}");
}

/// HAProxy, which passes connections to those gateways whose pages say that they are
/// ready. Killed when dropped.
struct Balancer {
    address: SocketAddr,
    process: std::process::Child,
    _port: Reserved,
    _folder: tempfile::TempDir,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Balancer {
    /// As docs/operations.md has it.
    fn start(gateways: [(SocketAddr, SocketAddr); 2]) -> Self {
        let (port, folder) = (Reserved::new(), tempfile::tempdir().unwrap());
        let servers = gateways.iter().enumerate().map(|(nth, (gateway, pages))| {
            format!("    server g{nth} {gateway} check addr 127.0.0.1 port {}\n", pages.port())
        });
        let config = format!(
            "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 10m\n    \
             timeout server 10m\nfrontend in\n    bind {}\n    default_backend gateways\n\
             backend gateways\n    option httpchk GET /readyz\n    option redispatch\n    \
             retries 3\n    default-server inter 200ms fall 1 rise 2\n{}",
            port.address(),
            servers.collect::<String>()
        );
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        // Debian has it where only root's path leads.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let program = path.split(':').map(|folder| Path::new(folder).join("haproxy"));
        let program = program.into_iter().find(|program| program.is_file());
        let mut command = Command::new(program.expect("haproxy, which scripts/test installs"));
        let process = command.arg("-db").arg("-f").arg(&file).stderr(Stdio::null()).spawn();
        let address = port.address();
        Self { address, process: process.unwrap(), _port: port, _folder: folder }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_stopped_behind_haproxy_loses_no_request() {
    let federation = Federation::start();
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let pages = Pages::new();
        let config = federation.copy_of(&federation.described.gateway.config, |document| {
            pages.configure(document);
        });
        gateways.push((Process::role("gateway", &config), pages));
    }
    for (gateway, pages) in &gateways {
        let ready = async || pages.ready().await.map(|(status, _)| status);
        becomes("a gateway that is ready", Some(200), ready).await;
        let channel = federation.consumer(gateway.address()).await;
        federation.informed(&channel, &[ITEM]).await;
    }
    let at = |nth: usize| (gateways[nth].0.address(), gateways[nth].1.address());
    let balancer = Balancer::start([at(0), at(1)]);
    let reached = async || tokio::net::TcpStream::connect(balancer.address).await.is_ok();
    becomes("HAProxy", true, reached).await;

    // Eight consumers ask one request after the other. Each is to be answered in its time,
    // on another connection where the one that it has goes.
    let consumer = &federation.described.consumers[0];
    let address = federation.address(consumer.certificate.clone(), consumer.key.clone());
    let address = Address { endpoint: balancer.address.to_string(), ..address };
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (address, grant, stopped) = (address.clone(), federation.grant(0), stopped.clone());
            tokio::spawn(async move {
                let mut answered = 0;
                while !*stopped.borrow() {
                    one_answer(&address, &grant, &stopped, &mut answered).await;
                }
                answered
            })
        })
        .collect();
    let (first, pages) = gateways.remove(0);
    let answered = async || served(&pages.metrics().await);
    until("requests at the first gateway", answered, |count| *count > 50).await;
    first.terminate().await;
    let (_second, pages) = &gateways[0];
    let before = served(&pages.metrics().await);
    let answered = async || served(&pages.metrics().await);
    until("requests at the other", answered, |count| *count > before + 200).await;
    stop.send_replace(true);
    for consumer in asking {
        assert!(within(consumer).await.unwrap() > 0, "a consumer without an answer");
    }
}

/// Asks on one connection until it goes or the test is over. What is refused for itself is
/// no loss of a connection, and fails.
async fn one_answer(
    address: &Address,
    grant: &str,
    stopped: &tokio::sync::watch::Receiver<bool>,
    answered: &mut u32,
) {
    let Ok(mut client) = GatewayClient::connect(address).await else {
        return tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    while !*stopped.borrow() {
        match client.profile(grant, vec![ITEM.into()], UNHURRIED).await {
            Ok(_) => *answered += 1,
            Err(ClientError::Refused { status, .. }) if status.code() == Code::Unavailable => {
                return;
            }
            Err(error) => panic!("a request was lost: {error}"),
        }
    }
}

/// How many profiles a gateway has given, by its metrics.
fn served(metrics: &str) -> u64 {
    let given = "rpc_server_call_duration_seconds_count{\
        rpc_method=\"tributary.v1.ProfileService/GetProfile\",rpc_response_status_code=\"OK\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(given)?.parse().ok());
    line.unwrap_or_default()
}
