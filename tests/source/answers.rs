//! What a web service answers, and what of it is a value, nobody, or nothing to be
//! believed: errors with status 200, pages, half answers, busy servers, keys and
//! tokens. Synthetic people.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tributary::domain::section::{Absence, SectionStatus};
use tributary::domain::value::Value;
use tributary::source::{Held, Holdings};

use crate::shared::ask;
use crate::town::mapping;

/// A request as it came.
#[derive(Debug, Clone)]
struct Came {
    target: String,
    headers: hyper::HeaderMap,
    body: String,
}

impl Came {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// An answer: status, headers, body.
type Said = (u16, Vec<(&'static str, String)>, String);

fn said(status: u16, body: &str) -> Said {
    (status, Vec::new(), body.to_owned())
}

/// A service that answers as it is told; ends with the runtime.
struct Told {
    url: String,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Told {
    async fn start(answer: impl Fn(&Came, usize) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let came: Arc<Mutex<Vec<Came>>> = Arc::default();
        let (answer, all) = (Arc::new(answer), Arc::clone(&came));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
                    async move {
                        let target = request.uri().to_string();
                        let headers = request.headers().clone();
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let body = String::from_utf8(body.to_vec()).unwrap();
                        let came = Came { target, headers, body };
                        let before = all.lock().unwrap().len();
                        all.lock().unwrap().push(came.clone());
                        let (status, headers, body) = answer(&came, before);
                        let mut response = Response::builder().status(status);
                        for (name, value) in headers {
                            response = response.header(name, value);
                        }
                        Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
                    }
                });
                tokio::spawn(async move {
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, came }
    }

    fn asked(&self) -> usize {
        self.came.lock().unwrap().len()
    }

    fn holdings(&self, folder: &Path, source: &str, query: &str) -> Holdings {
        let text = format!(
            "[source.http]\nurl = \"{}\"\nstatement_timeout = \"20s\"\n{source}\n
             [[query]]\nname = \"job\"\npath = \"/people/{{subject}}\"\n{query}
             subject = \"id\"\nas_of = \"on\"\n[query.items]\n
             \"work.job.level\" = {{ column = \"n\", unit = \"level\" }}\n",
            self.url
        );
        Holdings::open(mapping(&text, folder))
    }
}

fn secret(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn row(person: &str, level: u32) -> String {
    format!("{{\"id\": \"{person}\", \"on\": \"2025-01-15\", \"n\": {level}}}")
}

/// The level, or a word for why there is none.
async fn level(holdings: &Holdings, person: &str) -> String {
    match ask(holdings, person, &[5]).await {
        Held::NoRecord => "NO_RECORD".to_owned(),
        Held::Failed { status: SectionStatus::Invalid, .. } => "INVALID".to_owned(),
        Held::Failed { reason, .. } => reason.as_str().to_owned(),
        Held::Answered { items, missing } => match items.first().map(|item| *item.value.expose()) {
            Some(Value::Integer(level)) => level.to_string(),
            Some(other) => panic!("{other:?}"),
            None if missing[0].1 == Absence::Invalid => "INVALID".to_owned(),
            None => format!("{:?}", missing[0].1),
        },
    }
}

#[tokio::test]
async fn row_56_an_answer_is_a_value_nobody_or_not_believed_and_nothing_is_guessed() {
    let rows = "rows = \"$.data.list[*]\"";
    let success = "success = { path = \"$.code\", values = [0] }";
    let p1 = row("p1", 7);
    let whole = format!("{{\"code\": 0, \"data\": {{\"list\": [{p1}]}}}}");
    for (query, status, body, wanted) in [
        (rows, 200, whole.clone(), "7"),
        (success, 200, whole.clone(), "7"),
        (rows, 200, "{\"code\": 0, \"data\": {\"list\": []}}".to_owned(), "NO_RECORD"),
        (rows, 200, "{\"code\": 500, \"msg\": \"busy\", \"data\": null}".to_owned(), "INVALID"),
        (success, 200, "{\"code\": 500, \"data\": {\"list\": []}}".to_owned(), "INVALID"),
        (rows, 200, "{\"error\": {\"code\": 5}}".to_owned(), "INVALID"),
        (rows, 200, "<html>maintenance</html>".to_owned(), "INVALID"),
        (rows, 200, String::new(), "INVALID"),
        (rows, 200, whole[..whole.len() - 3].to_owned(), "INVALID"),
        (rows, 200, format!("{whole}{whole}"), "INVALID"),
        (rows, 200, whole.replace("\"data\"", "\"hasMore\": true, \"data\""), "INVALID"),
        (rows, 200, whole.replace("\"list\"", "\"total\": 2, \"list\""), "INVALID"),
        (rows, 206, whole.clone(), "INVALID"),
        (rows, 204, String::new(), "NO_RECORD"),
        (rows, 404, "{}".to_owned(), "SOURCE_SCHEMA"),
        (rows, 410, "{}".to_owned(), "SOURCE_SCHEMA"),
        ("nobody = [404, 410]", 410, "{}".to_owned(), "NO_RECORD"),
        ("nobody = [404, 410]", 404, "{}".to_owned(), "NO_RECORD"),
        (
            "nobody = { path = \"$.code\", values = [44] }",
            200,
            "{\"code\": 44}".to_owned(),
            "NO_RECORD",
        ),
        (
            "nobody = { path = \"$.code\", values = [44] }",
            200,
            "{\"code\": 45}".to_owned(),
            "INVALID",
        ),
        (
            "nobody = { statuses = [404], path = \"$.e\", values = [\"unknown\"] }",
            404,
            "{\"e\": \"unknown\"}".to_owned(),
            "NO_RECORD",
        ),
        (
            "nobody = { statuses = [404], path = \"$.e\", values = [\"unknown\"] }",
            404,
            "{\"e\": \"no such path\"}".to_owned(),
            "SOURCE_SCHEMA",
        ),
        (rows, 301, String::new(), "SOURCE_SCHEMA"),
        (rows, 403, String::new(), "SOURCE_DOWN"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let answer = body.clone();
        let service = Told::start(move |_, _| said(status, &answer)).await;
        let query = if query == rows { query.to_owned() } else { format!("{rows}\n{query}") };
        let holdings = service.holdings(folder.path(), "", &query);
        assert_eq!(level(&holdings, "p1").await, wanted, "{status} {body} {query}");
        assert_eq!(service.asked(), 1, "{status} {body}: asked again");
    }
}

/// Of people asked about at once, an answer that is none costs its own person alone.
#[tokio::test]
async fn row_56_one_persons_odd_answer_costs_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let service = Told::start(|came, _| match came.target.rsplit_once('/').unwrap().1 {
        "p3" => said(404, "{}"),
        "p5" => said(200, "{\"error\": 1}"),
        person => said(200, &format!("[{}]", row(person, 7))),
    })
    .await;
    let holdings = service.holdings(folder.path(), "", "");
    let people: Vec<String> = (0..8).map(|at| format!("p{at}")).collect();
    let asking = people.iter().map(|person| level(&holdings, person));
    for (person, level) in people.iter().zip(futures_util::future::join_all(asking).await) {
        match &**person {
            "p3" => assert!(matches!(&*level, "SOURCE_SCHEMA" | "INVALID"), "{level}"),
            "p5" => assert_eq!(level, "INVALID"),
            _ => assert_eq!(level, "7", "{person}"),
        }
    }
}

#[tokio::test]
async fn row_56_a_busy_service_is_asked_once_more_within_the_deadline() {
    for (status, after, body, wanted, asked) in [
        (503, None, "[]", "7", 2),
        (500, Some("0"), "[]", "7", 2),
        (429, Some("1"), "[]", "7", 2),
        (429, Some("Sun, 06 Nov 1994 08:49:37 GMT"), "[]", "7", 2),
        // Longer than anybody waits.
        (429, Some("3600"), "[]", "SOURCE_DOWN", 1),
        (501, None, "[]", "SOURCE_DOWN", 1),
        (400, None, "[]", "SOURCE_SCHEMA", 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let service = Told::start(move |_, before| match before {
            0 => {
                let after = after.map(|after| ("retry-after", after.to_owned()));
                (status, after.into_iter().collect(), body.to_owned())
            }
            _ => said(200, &format!("[{}]", row("p1", 7))),
        })
        .await;
        let holdings = service.holdings(folder.path(), "", "");
        assert_eq!(level(&holdings, "p1").await, wanted, "{status} {after:?}");
        assert_eq!(service.asked(), asked, "{status} {after:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let service = Told::start(|_, _| said(503, "")).await;
    let holdings = service.holdings(folder.path(), "", "");
    assert_eq!((level(&holdings, "p1").await, service.asked()), ("SOURCE_DOWN".to_owned(), 2));
}

/// Pages are read to their end, at the same service, within bounds.
#[tokio::test]
async fn row_56_pages_are_read_to_their_end() {
    let page = |rows: &str, next: &str| format!("{{\"items\": [{rows}], \"next\": {next}}}");
    let by_path = "rows = \"$.items[*]\"\npaging = \"$.next\"";
    for (next, query, wanted) in [
        ("\"/people/p1?page=2\"", by_path, "7"),
        ("\"?page=2\"", by_path, "7"),
        ("\"?page=2\"", "rows = \"$.items[*]\"", "INVALID"),
        ("\"http://127.0.0.1:1/people/p1?page=2\"", by_path, "INVALID"),
        ("\"//elsewhere.example/p1?page=2\"", by_path, "INVALID"),
        // Round in circles.
        ("\"/people/p1\"", by_path, "INVALID"),
        ("{\"page\": 2}", by_path, "INVALID"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (first, last) = (page("", next), page(&row("p1", 7), "null"));
        let service = Told::start(move |came, _| match came.target.ends_with("page=2") {
            true => said(200, &last),
            false => said(200, &first),
        })
        .await;
        let holdings = service.holdings(folder.path(), "", query);
        assert_eq!(level(&holdings, "p1").await, wanted, "{next} {query}");
    }
    let folder = tempfile::tempdir().unwrap();
    let endless = Told::start(|_, before| {
        said(200, &format!("{{\"items\": [], \"next\": \"?page={before}\"}}"))
    })
    .await;
    let holdings = endless.holdings(folder.path(), "max_pages = 5", by_path);
    assert_eq!((level(&holdings, "p1").await, endless.asked()), ("INVALID".to_owned(), 5));
    let linked = Told::start(|came, _| match came.target.ends_with("page=2") {
        true => said(200, &format!("[{}]", row("p1", 7))),
        false => {
            let link = "<?page=2>; rel=\"next\"".to_owned();
            (200, vec![("link", link)], "[]".to_owned())
        }
    })
    .await;
    for (query, wanted) in [("paging = \"link\"", "7"), ("", "INVALID")] {
        let holdings = linked.holdings(folder.path(), "", query);
        assert_eq!(level(&holdings, "p1").await, wanted, "{query}");
    }
}

#[tokio::test]
async fn a_key_goes_out_in_the_header_that_the_mapping_names() {
    let folder = tempfile::tempdir().unwrap();
    secret(folder.path(), "key", "not-a-secret");
    secret(folder.path(), "account", "reader:not-a-secret");
    for (keys, header, value) in [
        ("token_file = \"key\"", "authorization", "Bearer not-a-secret"),
        ("token_file = \"key\"\ntoken_header = \"X-API-Key\"", "x-api-key", "not-a-secret"),
        ("headers.X-Key = { file = \"key\" }", "x-key", "not-a-secret"),
        ("headers.X-Office = \"42\"", "x-office", "42"),
        (
            "headers.Authorization = { file = \"account\", prefix = \"Basic \", base64 = true }",
            "authorization",
            "Basic cmVhZGVyOm5vdC1hLXNlY3JldA==",
        ),
    ] {
        let service = Told::start(move |came, _| match came.header(header) == value {
            true => said(200, &format!("[{}]", row("p1", 7))),
            false => said(401, ""),
        })
        .await;
        let holdings = service.holdings(folder.path(), keys, "");
        assert_eq!(level(&holdings, "p1").await, "7", "{keys}");
    }
}

/// A token server of the test's own, and a service that takes what it gives.
#[tokio::test]
async fn a_token_is_kept_until_it_expires_and_renewed_once_when_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    secret(folder.path(), "client.secret", "s3cret/+");
    let good = Arc::new(Mutex::new(1_u32));
    let lives = Arc::new(Mutex::new(3600));
    let (of_server, lifetime) = (Arc::clone(&good), Arc::clone(&lives));
    let tokens = Told::start(move |came, _| {
        let basic = data_encoding::BASE64.encode(b"agency%2D1:s3cret%2F%2B");
        let form = "grant_type=client_credentials&scope=records%2Eread";
        if came.header("authorization") != format!("Basic {basic}") || came.body != form {
            return said(401, "{\"error\": \"invalid_client\"}");
        }
        let (token, lives) = (*of_server.lock().unwrap(), *lifetime.lock().unwrap());
        let answer = format!(
            "{{\"access_token\": \"t{token}\", \"token_type\": \"bearer\", \"expires_in\": {lives}}}"
        );
        said(200, &answer)
    })
    .await;
    let taken = Arc::clone(&good);
    let service = Told::start(move |came, _| {
        match came.header("authorization") == format!("Bearer t{}", taken.lock().unwrap()) {
            true => said(200, &format!("[{}]", row("p1", 7))),
            false => said(401, ""),
        }
    })
    .await;
    let oauth2 = |id: &str| {
        format!(
            "[source.http.oauth2]\ntoken_url = \"{}/token\"\nclient_id = \"{id}\"\n\
             secret_file = \"client.secret\"\nscope = \"records.read\"",
            tokens.url
        )
    };
    let holdings = service.holdings(folder.path(), &oauth2("agency-1"), "");
    for _ in 0..3 {
        assert_eq!(level(&holdings, "p1").await, "7");
    }
    assert_eq!((tokens.asked(), service.asked()), (1, 3), "one token for all");
    // Withdrawn before its time.
    *good.lock().unwrap() = 2;
    assert_eq!(level(&holdings, "p1").await, "7");
    assert_eq!((tokens.asked(), service.asked()), (2, 5));
    // One that is refused again is not asked for a third time.
    *good.lock().unwrap() = 3;
    let stubborn = Told::start(|_, _| said(401, "")).await;
    let refused = stubborn.holdings(folder.path(), &oauth2("agency-1"), "");
    assert_eq!(level(&refused, "p1").await, "SOURCE_DOWN");
    assert_eq!((tokens.asked(), stubborn.asked()), (4, 2));
    // Expired at once: a new one for each statement.
    *lives.lock().unwrap() = 0;
    let short = service.holdings(folder.path(), &oauth2("agency-1"), "");
    for _ in 0..2 {
        assert_eq!(level(&short, "p1").await, "7");
    }
    assert_eq!(tokens.asked(), 6);
    let unknown = service.holdings(folder.path(), &oauth2("agency-2"), "");
    assert_eq!(level(&unknown, "p1").await, "SOURCE_DOWN");
    let error = unknown.check().await.unwrap_err();
    let error = error[0].to_string();
    assert!(error.contains("invalid_client") && !error.contains("s3cret"), "{error}");
}

/// Half an answer is no answer, wherever it is cut.
#[tokio::test]
async fn row_56_cut_at_every_byte_an_answer_is_not_believed() {
    let body = format!("{{\"items\": [{}], \"next\": null}}", row("p1", 12));
    let length = body.len();
    let folder = tempfile::tempdir().unwrap();
    let cut = Arc::new(Mutex::new(0));
    let at = Arc::clone(&cut);
    let service = Told::start(move |_, _| said(200, &body[..*at.lock().unwrap()])).await;
    let holdings = service.holdings(folder.path(), "", "rows = \"$.items[*]\"");
    for end in 0..length {
        *cut.lock().unwrap() = end;
        assert_eq!(level(&holdings, "p1").await, "INVALID", "cut at {end}");
    }
    *cut.lock().unwrap() = length;
    assert_eq!(level(&holdings, "p1").await, "12");
}
