//! An agency of two replicas that count on one PostgreSQL database: killed, stopped in
//! order and started again under load, each use is counted once. And two processes that
//! count apart, which are not one agency. Without TRIBUTARY_TEST_POSTGRES the first says
//! that it is skipped; scripts/test-postgres starts a server.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::{join, join_all};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tonic::transport::Channel;
use tributary::domain::reason::Reason;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::status_service_client::StatusServiceClient;

use super::answers::{AGENCY, OTHERS, RATIO};
use crate::kit::federation::{DEADLINE, Federation, Served, outcome, within};
use crate::kit::process::Process;
use crate::kit::waiting::{Reserved, until};

/// A replica that is started again where it was.
struct Replica {
    kept: Reserved,
    config: PathBuf,
    running: Option<Process>,
}

impl Replica {
    fn new(federation: &Federation, counters: Option<&str>) -> Self {
        let kept = Reserved::new();
        let config = federation.copy_of(&federation.entry(AGENCY).config, |document| {
            document["listen"] = toml_edit::value(kept.address().to_string());
            if let Some(url) = counters {
                document["counters"]["url"] = toml_edit::value(url);
            }
        });
        let running = Some(Process::role("agency", &config));
        Self { kept, config, running }
    }

    fn kill(&mut self) {
        self.running = None;
    }

    async fn stop(&mut self) {
        let _ = self.running.take().unwrap().terminate().await;
    }

    fn start(&mut self) {
        self.running = Some(Process::role("agency", &self.config));
    }
}

/// A gateway that finds the agency at both replicas.
async fn gateway(federation: &Federation, replicas: &[&Replica]) -> (Served, Channel) {
    let endpoints = replicas.iter().map(|replica| replica.kept.address().to_string());
    let endpoints = toml_edit::Array::from_iter(endpoints);
    let edit = |document: &mut toml_edit::DocumentMut| {
        let entries = document["agency"].as_array_of_tables_mut().unwrap();
        let entry = entries.iter_mut().find(|e| e["id"].as_str() == Some(AGENCY)).unwrap();
        entry.remove("endpoint");
        entry["endpoints"] = toml_edit::value(endpoints);
    };
    let gateway = federation.gateway_with(&[], edit).await;
    let channel = federation.consumer(gateway.address).await;
    (gateway, channel)
}

/// Those who ask, each request once, and how often they were answered.
struct Callers {
    federation: Arc<Federation>,
    channel: Channel,
    asked: AtomicUsize,
    answered: AtomicUsize,
}

impl Callers {
    async fn ask(&self, person: usize) -> String {
        let id = format!("replica.{}", self.asked.fetch_add(1, Ordering::Relaxed));
        let asked = self.federation.ask(&self.channel, &id, person, &[RATIO], DEADLINE).await;
        let found = outcome(&asked.unwrap(), AGENCY);
        let counts = usize::from(found == "OK" || found == "NO_RECORD");
        self.answered.fetch_add(counts, Ordering::Relaxed);
        found
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more were answered.
    async fn more(&self, count: usize) {
        let wanted = self.answered() + count;
        let answered = async || self.answered();
        until("more answers", answered, |answered| *answered >= wanted).await;
    }
}

fn server(test: &str) -> Option<String> {
    let server = std::env::var("TRIBUTARY_TEST_POSTGRES").ok();
    if server.is_none() {
        // Past the harness, which would keep it to itself.
        let said = "TRIBUTARY_TEST_POSTGRES is not set; use scripts/test-postgres";
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {said}");
    }
    server
}

/// A database of its own.
async fn fresh(server: &str, about: &str) -> String {
    let name = format!("replicas_{about}_{}", std::process::id());
    let mut connection = PgConnection::connect(server).await.unwrap();
    let statement = format!("create database {name} template template0");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    format!("{}/{name}", server.rsplit_once('/').unwrap().0)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_come_and_go_under_load_count_each_use_once() {
    let Some(server) = server("replicas_that_come_and_go_under_load_count_each_use_once") else {
        return;
    };
    let url = fresh(&server, "load").await;
    let federation = Federation::start();
    let mut one = Replica::new(&federation, Some(&url));
    let mut two = Replica::new(&federation, Some(&url));
    let (_gateway, channel) = gateway(&federation, &[&one, &two]).await;
    let (asked, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let callers = Callers { federation, channel, asked, answered };
    let first = async || callers.ask(0).await;
    until("the first answer", first, |found| found == "OK" || found == "NO_RECORD").await;
    let over = AtomicBool::new(false);
    let asking = join_all((0..4).map(async |person| {
        let mut lost = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let found = callers.ask(person).await;
            if found != "OK" && found != "NO_RECORD" {
                lost.push(found);
            }
        }
        lost
    }));
    let changes = async {
        callers.more(40).await;
        one.kill();
        callers.more(40).await;
        one.start();
        callers.more(40).await;
        two.stop().await;
        callers.more(40).await;
        two.start();
        callers.more(40).await;
        one.stop().await;
        callers.more(40).await;
        over.store(true, Ordering::Relaxed);
    };
    let (lost, ()) = within(join(asking, changes)).await;
    let lost = lost.concat();
    // A replica that has just started has no status list yet and refuses, uncounted.
    assert!(lost.iter().all(|one| one.contains("GRANT_STATUS_STALE")), "{lost:?}");
    assert_eq!(used(&url).await, callers.answered());
}

/// How many uses were counted.
async fn used(url: &str) -> usize {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let sum = "select coalesce(sum(used), 0)::bigint from uses";
    let used: i64 = sqlx::query_scalar(sum).fetch_one(&mut connection).await.unwrap();
    usize::try_from(used).unwrap()
}

/// A catalogue that defines one of the agency's items otherwise, and that item.
fn with_another_meaning(federation: &Federation) -> (PathBuf, String) {
    let folder = federation.home.join("catalogue-replicas");
    std::fs::create_dir(&folder).unwrap();
    let mut redefined = String::new();
    for entry in std::fs::read_dir(federation.home.join("catalogue")).unwrap() {
        let path = entry.unwrap().path();
        let mut text = std::fs::read_to_string(&path).unwrap();
        if path.ends_with(format!("{AGENCY}.toml")) {
            let mut document: toml_edit::DocumentMut = text.parse().unwrap();
            let items = document["item"].as_array_of_tables_mut().unwrap();
            let item = items.iter_mut().find(|item| item["id"].as_str() != Some(RATIO)).unwrap();
            item["meaning"] = toml_edit::value("It means something else from now on.");
            redefined = item["id"].as_str().unwrap().to_owned();
            text = document.to_string();
        }
        std::fs::write(folder.join(path.file_name().unwrap()), text).unwrap();
    }
    (folder, redefined)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_69_replicas_take_a_catalogue_one_after_the_other_and_no_section_is_lost() {
    let test = "row_69_replicas_take_a_catalogue_one_after_the_other_and_no_section_is_lost";
    let Some(server) = server(test) else { return };
    let url = fresh(&server, "catalogue").await;
    let federation = Arc::new(Federation::fresh());
    let (catalogue, redefined) = with_another_meaning(&federation);
    let mut one = Replica::new(&federation, Some(&url));
    let mut two = Replica::new(&federation, Some(&url));
    let (_gateway, channel) = gateway(&federation, &[&one, &two]).await;
    let status = async || {
        let mut status = StatusServiceClient::new(channel.clone());
        let status = status.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
        let agency = status.agencies.into_iter().find(|agency| agency.agency == AGENCY).unwrap();
        (agency.endpoints_up, agency.differing_items)
    };
    until("both replicas", status, |now| *now == (2, Vec::new())).await;
    let (asked, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let callers = Callers { federation, channel: channel.clone(), asked, answered };
    let over = AtomicBool::new(false);
    let asking = join_all((0..4).map(async |person| {
        while !over.load(Ordering::Relaxed) {
            let found = callers.ask(person).await;
            assert!(["OK", "NO_RECORD"].contains(&&*found), "{found}");
        }
    }));
    let turn = |replica: &Replica| {
        let text = std::fs::read_to_string(&replica.config).unwrap();
        let mut document: toml_edit::DocumentMut = text.parse().unwrap();
        document["catalogue"] = toml_edit::value(catalogue.to_str().unwrap());
        std::fs::write(&replica.config, document.to_string()).unwrap();
    };
    let other = (2, vec![redefined]);
    let changes = async {
        callers.more(40).await;
        // One takes it while it runs, and the other by being started anew.
        turn(&one);
        until("the item that one defines otherwise", status, |now| *now == other).await;
        callers.more(40).await;
        two.stop().await;
        turn(&two);
        callers.more(40).await;
        two.start();
        until("both again", status, |now| *now == other).await;
        callers.more(40).await;
        one.stop().await;
        callers.more(40).await;
        one.start();
        until("both again", status, |now| *now == other).await;
        over.store(true, Ordering::Relaxed);
    };
    // Each wait in it has its own limit.
    join(asking, changes).await;
    assert_eq!(used(&url).await, callers.answered());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_endpoint_that_counts_apart_is_not_asked() {
    let federation = Federation::start();
    let (mut one, mut two) = (Replica::new(&federation, None), Replica::new(&federation, None));
    two.kill();
    let (_gateway, channel) = gateway(&federation, &[&one, &two]).await;
    let (asked, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let callers = Callers { federation: federation.clone(), channel, asked, answered };
    let becomes = async |wanted: String| {
        until(&wanted, async || callers.ask(0).await, |found| *found == wanted).await;
    };
    becomes("OK".into()).await;
    // What the first has counted, the second does not know.
    two.start();
    one.kill();
    becomes(format!("UNAVAILABLE {}", Reason::CountersDiffer)).await;
    let before = callers.answered();
    for person in 0..20 {
        callers.ask(person).await;
    }
    assert_eq!(callers.answered(), before);
    // The others do not notice.
    let items = ["education.attainment.study_mode"];
    let answer = federation.ask(&callers.channel, "", 0, &items, DEADLINE).await.unwrap();
    assert!(["OK", "NO_RECORD"].contains(&&*outcome(&answer, OTHERS[2])));
    one.start();
    becomes("OK".into()).await;
}
