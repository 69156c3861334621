//! A `SourceService` as a source: a real server on a Unix socket that answers
//! well, badly, late, not at all, and again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream;
use rust_decimal::Decimal;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};
use tributary::clock;
use tributary::domain::reason::Reason as Stated;
use tributary::domain::section::{Absence, SectionStatus};
use tributary::domain::value::{CodeIndex, Value};
use tributary::source::{Held, Holdings, Reason};
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::source_cell::Kind;
use tributary::wire::proto::pb::source_service_server::{SourceService, SourceServiceServer};

use super::town::{held, item, mapping, numbers, subject};

const SERVICE: &str = r#"
[source.grpc]
endpoint = "unix:source.sock"
statement_timeout = "60s"
"#;

const JOB: &str = r#"
[[query]]
name = "job"
subject = "person_id"
as_of = "updated_on"
[query.items]
"work.job.employed" = "employed"
"work.job.sector" = { column = "sector", codes = { G = "public", P = "private" } }
"work.job.pay" = { column = "pay_fen", currency = "CNY", scale = 2 }
"work.job.level" = "level"
"work.job.share" = "share"
"#;

const COLUMNS: [&str; 7] =
    ["person_id", "updated_on", "employed", "sector", "pay_fen", "level", "share"];

type Answer = Result<pb::FetchRowsResponse, Status>;
type Answering = dyn Fn(&pb::FetchRowsRequest) -> Option<Answer> + Send + Sync;

/// Answers as it is told; `None` never answers.
#[derive(Clone)]
struct Told {
    answer: Arc<Answering>,
    described: pb::DescribeSourceResponse,
    asked: Arc<Mutex<Vec<pb::FetchRowsRequest>>>,
}

#[tonic::async_trait]
impl SourceService for Told {
    async fn describe_source(
        &self,
        _: Request<pb::DescribeSourceRequest>,
    ) -> Result<Response<pb::DescribeSourceResponse>, Status> {
        Ok(Response::new(self.described.clone()))
    }

    async fn fetch_rows(
        &self,
        request: Request<pb::FetchRowsRequest>,
    ) -> Result<Response<pb::FetchRowsResponse>, Status> {
        let request = request.into_inner();
        self.asked.lock().unwrap().push(request.clone());
        match (self.answer)(&request) {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }
}

/// A running service; it ends, connections and all, when it is dropped.
struct Service {
    asked: Arc<Mutex<Vec<pb::FetchRowsRequest>>>,
    socket: PathBuf,
    runtime: Option<tokio::runtime::Runtime>,
    _stop: oneshot::Sender<()>,
}

impl Service {
    fn start(
        folder: &Path,
        answer: impl Fn(&pb::FetchRowsRequest) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        Self::start_described(folder, described(&COLUMNS, 0), answer)
    }

    fn start_described(
        folder: &Path,
        described: pb::DescribeSourceResponse,
        answer: impl Fn(&pb::FetchRowsRequest) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        // A runtime of its own, so that its end cuts connections as a process's would.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let asked = Arc::default();
        let told = Told { answer: Arc::new(answer), described, asked: Arc::clone(&asked) };
        let socket = folder.join("source.sock");
        let guard = runtime.enter();
        let listener = UnixListener::bind(&socket).unwrap();
        drop(guard);
        let (stop, stopped) = oneshot::channel::<()>();
        let incoming = stream::unfold(listener, async |listener| {
            let accepted = listener.accept().await.map(|(stream, _)| stream);
            Some((accepted, listener))
        });
        let incoming = Box::pin(incoming);
        runtime.spawn(async move {
            tonic::transport::Server::builder()
                .add_service(SourceServiceServer::new(told))
                .serve_with_incoming_shutdown(incoming, async {
                    let _ = stopped.await;
                })
                .await
        });
        Self { asked, socket, runtime: Some(runtime), _stop: stop }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Until every connection is closed.
            tokio::task::block_in_place(|| runtime.shutdown_timeout(Duration::from_secs(60)));
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn described(columns: &[&str], max_subjects: u32) -> pb::DescribeSourceResponse {
    let column = |name: &&str| pb::SourceColumn { name: (*name).into(), kind: 0 };
    let columns = columns.iter().map(column).collect();
    let queries = vec![pb::SourceQuery { name: "job".into(), columns }];
    pb::DescribeSourceResponse { queries, max_subjects }
}

fn text(text: &str) -> Option<Kind> {
    Some(Kind::Text(text.into()))
}

fn row(kinds: Vec<Option<Kind>>) -> pb::SourceRow {
    pb::SourceRow { cells: kinds.into_iter().map(|kind| pb::SourceCell { kind }).collect() }
}

/// A good row of this person.
fn good(person: &str) -> pb::SourceRow {
    row(vec![
        text(person),
        text("2025-01-15"),
        Some(Kind::Boolean(true)),
        text("G"),
        Some(Kind::Integer(1_234_550)),
        Some(Kind::Integer(7)),
        Some(Kind::Real(0.1)),
    ])
}

fn rows(rows: Vec<pb::SourceRow>) -> Option<Answer> {
    Some(Ok(pb::FetchRowsResponse { rows }))
}

/// A good row for those whose number starts with `p`.
fn all(request: &pb::FetchRowsRequest) -> Option<Answer> {
    let known = request.subjects.iter().filter(|subject| subject.starts_with('p'));
    rows(known.map(|subject| good(subject)).collect())
}

fn holdings(folder: &Path) -> Holdings {
    Holdings::open(mapping(&format!("{SERVICE}{JOB}"), folder))
}

/// Of a mapping that does not wait long.
fn impatient(folder: &Path) -> Holdings {
    let text = format!("{SERVICE}{JOB}").replace("60s", "400ms");
    Holdings::open(mapping(&text, folder))
}

async fn fetch(holdings: &Holdings, person: &str) -> Held {
    let items = [1, 2, 4, 5, 6].into_iter().map(item).collect();
    let deadline = clock::now() + Duration::from_secs(90);
    holdings.fetch(&subject(person), &items, deadline).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_services_rows_become_values() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), all);
    let holdings = holdings(folder.path());
    assert_eq!(holdings.check().await, Ok(()));
    let (items, missing) = held(fetch(&holdings, "p1").await);
    let found: Vec<_> =
        items.iter().map(|item| (item.number.get(), *item.value.expose())).collect();
    let expected = [
        (1, Value::Boolean(true)),
        (2, Value::Code(CodeIndex(0))),
        (4, Value::Money(Decimal::new(1_234_550, 2))),
        (5, Value::Integer(7)),
        (6, Value::Decimal(Decimal::new(1, 1))),
    ];
    assert_eq!(found, expected);
    assert_eq!(missing, []);
    assert_eq!(fetch(&holdings, "nobody").await, Held::NoRecord);
    let asked = service.asked.lock().unwrap();
    let last = asked.last().unwrap();
    assert_eq!((last.query.as_str(), &last.subjects), ("job", &vec!["nobody".to_owned()]));
    assert_eq!(last.columns, COLUMNS, "only the mapping's columns, the subject first");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_share_calls_and_no_person_stands_twice() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), all);
    let holdings = Arc::new(holdings(folder.path()));
    let asking: Vec<_> = (0..300)
        .map(|at| {
            let holdings = Arc::clone(&holdings);
            tokio::spawn(async move { fetch(&holdings, &format!("p{}", at % 100)).await })
        })
        .collect();
    for answer in asking {
        assert_eq!(held(answer.await.unwrap()).0.len(), 5);
    }
    let asked = service.asked.lock().unwrap();
    assert!(asked.len() < 300, "no batching: {} calls", asked.len());
    for call in asked.iter() {
        let distinct: std::collections::BTreeSet<_> = call.subjects.iter().collect();
        assert_eq!(distinct.len(), call.subjects.len());
    }
}

/// What a service may do wrong, and what its section is then.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_answer_is_named_and_never_passed_on() {
    use SectionStatus::{Invalid, Timeout, Unavailable};
    let (timeout, down) = (Stated::SourceTimeout, Stated::SourceDown);
    let (schema, invalid) = (Stated::SourceSchema, Stated::SourceInvalid);
    let status = |status: fn(&'static str) -> Status| Some(Err(status("p1 is 110101199003074477")));
    let mut short = good("p1");
    short.cells.pop();
    let mut numeric = good("17");
    numeric.cells[0].kind = Some(Kind::Integer(17));
    let cases: Vec<(&str, Option<Answer>, SectionStatus, Stated)> = vec![
        ("another person", rows(vec![good("p2")]), Invalid, invalid),
        ("a space behind", rows(vec![good("p1 ")]), Invalid, invalid),
        ("other case", rows(vec![good("P1")]), Invalid, invalid),
        ("a subject that is a number", rows(vec![numeric]), Invalid, invalid),
        ("five rows for one person", rows(vec![good("p1"); 5]), Invalid, invalid),
        ("a cell too few", rows(vec![short]), Invalid, invalid),
        ("oversize", rows(vec![good(&"p".repeat(5 << 20))]), Invalid, invalid),
        ("unknown query", status(Status::not_found), Unavailable, schema),
        ("bad request", status(Status::invalid_argument), Unavailable, schema),
        ("no such call", status(Status::unimplemented), Unavailable, schema),
        ("down", status(Status::unavailable), Unavailable, down),
        ("failed", status(Status::internal), Unavailable, down),
        ("full", status(Status::resource_exhausted), Unavailable, Stated::SourceOverloaded),
        ("late by its own word", status(Status::deadline_exceeded), Timeout, timeout),
        ("silent", None, Timeout, timeout),
    ];
    for (what, answer, status, reason) in cases {
        let folder = tempfile::tempdir().unwrap();
        let silent = answer.is_none();
        let _service = Service::start(folder.path(), move |_| answer.clone());
        let holdings = if silent { impatient(folder.path()) } else { holdings(folder.path()) };
        // As a person whose number is all digits, for the row that has it as a number.
        let person = if what.ends_with("number") { "17" } else { "p1" };
        assert_eq!(fetch(&holdings, person).await, Held::Failed { status, reason }, "{what}");
        let errors = format!("{:?}", holdings.check().await);
        assert!(!errors.contains("110101"), "{what}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_of_another_kind_is_invalid_alone() {
    let folder = tempfile::tempdir().unwrap();
    let _service = Service::start(folder.path(), |_| {
        let mut row = good("p1");
        row.cells[2].kind = text("perhaps");
        row.cells[3].kind = text("G\u{0}");
        row.cells[5].kind = Some(Kind::Real(f64::NAN));
        row.cells[6].kind = None;
        rows(vec![row])
    });
    let (items, missing) = held(fetch(&holdings(folder.path()), "p1").await);
    assert_eq!(items.iter().map(|item| item.number.get()).collect::<Vec<_>>(), [4]);
    let expected = [
        (1, Absence::Invalid),
        (2, Absence::Invalid),
        (5, Absence::Invalid),
        (6, Absence::NotRecorded),
    ];
    assert_eq!(numbers(&missing), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_comes_up_late_or_again_is_found_without_help() {
    let folder = tempfile::tempdir().unwrap();
    let holdings = holdings(folder.path());
    let down = Held::Failed { status: SectionStatus::Unavailable, reason: Stated::SourceDown };
    assert_eq!(fetch(&holdings, "p1").await, down);
    for _ in 0..3 {
        let service = Service::start(folder.path(), all);
        assert_eq!(held(fetch(&holdings, "p1").await).0.len(), 5, "at the first request");
        drop(service);
        assert_eq!(fetch(&holdings, "p1").await, down);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_lacks_is_named_at_start() {
    let without_level: Vec<&str> = COLUMNS.into_iter().filter(|name| *name != "level").collect();
    let elsewhere = pb::DescribeSourceResponse {
        queries: vec![pb::SourceQuery { name: "jobs".into(), columns: Vec::new() }],
        max_subjects: 0,
    };
    for (described, expected) in [
        (described(&without_level, 0), "no column `level`"),
        (elsewhere, "no query of this name"),
        (described(&COLUMNS, 100), "set `max_batch = 100`"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let _service = Service::start_described(folder.path(), described, all);
        let errors = holdings(folder.path()).check().await.unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].reason, Reason::Schema);
        assert!(errors[0].to_string().contains(expected), "{}", errors[0]);
    }
    let folder = tempfile::tempdir().unwrap();
    let _service = Service::start(folder.path(), |_| rows(vec![good("p1")]));
    let errors = holdings(folder.path()).check().await.unwrap_err();
    assert!(errors[0].to_string().contains("about nobody"), "{}", errors[0]);
}
