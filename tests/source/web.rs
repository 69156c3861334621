//! A service that answers with JSON: the tables of a site over HTTP.

#![allow(clippy::unwrap_used, reason = "a test's helper")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use crate::site::{Cells, TABLES};

/// Whoever is asked about by this number gets an answer of 100 MiB.
pub const HUGE: &str = "huge";

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Tables = Arc<Mutex<BTreeMap<String, Vec<Cells>>>>;

#[derive(Clone)]
pub struct Web {
    tables: Tables,
    /// What a request must carry.
    token: &'static str,
    /// MiB that were taken from the answer to `HUGE`.
    pub taken: Arc<AtomicUsize>,
}

impl Web {
    /// Serves on a free port of loopback, until the runtime ends.
    pub async fn start(tables: Tables, token: &'static str) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let web = Self { tables, token, taken: Arc::default() };
        let serving = web.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let web = serving.clone();
                tokio::spawn(async move { web.serve(stream).await });
            }
        });
        (web, url)
    }

    /// Answers on one connection until it ends.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let web = self.clone();
        let service = service_fn(move |request| {
            let web = web.clone();
            async move { Ok::<_, Infallible>(web.answer(request).await) }
        });
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let status = |code| {
            let mut response = Response::new(full(Bytes::new()));
            *response.status_mut() = code;
            response
        };
        if request.method() == hyper::Method::HEAD {
            return status(StatusCode::OK);
        }
        let token = request.headers().get("authorization").map(|value| value.as_bytes().to_vec());
        if token != Some(format!("Bearer {}", self.token).into_bytes()) {
            return status(StatusCode::UNAUTHORIZED);
        }
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let (table, one) = path.split_once('/').map_or((&*path, None), |(t, p)| (t, Some(p)));
        let one = one.map(|one| percent_encoding::percent_decode_str(one).decode_utf8().unwrap());
        let asked: Vec<String> = match &one {
            Some(one) => vec![one.to_string()],
            None => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap();
                serde_json::from_value(body["ids"].clone()).unwrap()
            }
        };
        if asked.iter().any(|person| person == HUGE) {
            let taken = Arc::clone(&self.taken);
            let chunks = (0..100).map(move |_| {
                taken.fetch_add(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b' '; 1024 * 1024])))
            });
            let body = StreamBody::new(futures_util::stream::iter(chunks));
            return Response::new(body.boxed_unsync());
        }
        let columns = TABLES.iter().find(|(name, _)| *name == table).map(|(_, columns)| *columns);
        let tables = self.tables.lock().unwrap();
        let (Some(columns), Some(rows)) = (columns, tables.get(table)) else {
            return status(StatusCode::NOT_FOUND);
        };
        let found: Vec<Value> = rows
            .iter()
            .filter(|row| row[0].as_ref().is_some_and(|person| asked.contains(person)))
            .map(|row| object(table, columns, row))
            .collect();
        if one.is_some() && found.is_empty() {
            return status(StatusCode::NOT_FOUND);
        }
        Response::new(full(Bytes::from(json!({ "people": found }).to_string())))
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

fn object(table: &str, columns: &[&str], row: &Cells) -> Value {
    let mut object = serde_json::Map::new();
    for (column, cell) in columns.iter().zip(row) {
        let value = match cell {
            None => Value::Null,
            // Of those with types of their own, each cell is written in JSON.
            Some(text) if table == "typed" => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::from(&**text))
            }
            Some(text) => Value::from(&**text),
        };
        match *column {
            "level" => drop(object.insert("grade".to_owned(), json!({ "level": value }))),
            // Nothing recorded may also be no member at all.
            _ if value.is_null() => {}
            other => drop(object.insert(other.to_owned(), value)),
        }
    }
    Value::Object(object)
}
