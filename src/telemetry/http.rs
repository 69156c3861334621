//! A few pages over plain HTTP for whoever runs the process: GET alone, one request a
//! connection.
//!
//! It knows nothing of what the pages say. Who can connect may read them, which is why it
//! listens on loopback unless told otherwise; and why each connection has few bytes, little
//! time and one of few places.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Bytes of a request's headers at most; hyper takes no less than 8 KiB.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// From the connection to the end of the request's headers.
const HEADERS: Duration = Duration::from_secs(5);

/// A connection's whole life.
const WHOLE: Duration = Duration::from_secs(15);

/// Connections at once; the next one waits in the system's queue.
const CONNECTIONS: usize = 16;

/// How long a system that gives no connection is left alone.
const PAUSE: Duration = Duration::from_millis(250);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The path.
    pub path: &'a str,
    /// What follows `?`; empty without.
    pub query: &'a str,
    /// The header `Accept`; empty without.
    pub accept: &'a str,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The status.
    pub status: StatusCode,
    /// Its media type.
    pub media: &'static str,
    /// Its text.
    pub text: String,
}

/// Serves pages for ever; dropped, it stops at once. `find` gives the page at a path, if
/// there is one, without waiting for anything.
pub async fn serve<F>(listener: TcpListener, find: F)
where
    F: Fn(Asked<'_>) -> Option<Page> + Send + Sync + 'static,
{
    let find = Arc::new(find);
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = listener.accept(), if tasks.len() < CONNECTIONS => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let find = find.clone();
                tasks.spawn(async move {
                    let _ = timeout(WHOLE, converse(stream, &*find)).await;
                });
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// One connection: one request and its answer.
async fn converse(stream: TcpStream, find: &impl Fn(Asked<'_>) -> Option<Page>) {
    let service =
        service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request, find))));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Anybody may connect and do nothing: no event worth a line.
    let _ = pin!(connection).await;
}

fn answer(
    request: &Request<Incoming>,
    find: &impl Fn(Asked<'_>) -> Option<Page>,
) -> Response<Full<Bytes>> {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let uri = request.uri();
    let asked = Asked {
        path: uri.path(),
        query: uri.query().unwrap_or_default(),
        accept: accept.unwrap_or_default(),
    };
    let plain = |status, text: &str| Page { status, media: "text/plain", text: text.to_owned() };
    let allowed = request.method() == Method::GET;
    let page = match allowed {
        true => find(asked),
        false => Some(plain(StatusCode::METHOD_NOT_ALLOWED, "GET alone\n")),
    };
    let page = page.unwrap_or_else(|| {
        plain(StatusCode::NOT_FOUND, "there are /livez, /readyz, /readyz?verbose and /metrics\n")
    });
    let mut answer = Response::new(Full::new(page.text.into()));
    *answer.status_mut() = page.status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page.media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !allowed {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn told(address: std::net::SocketAddr, asked: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).await.unwrap();
        told
    }

    #[tokio::test]
    async fn pages_are_found_by_get_alone_and_silent_connections_take_few_places() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let find = |asked: Asked<'_>| {
            let text = format!("{asked:?}");
            (asked.path == "/livez").then_some(Page {
                status: StatusCode::OK,
                media: "text/plain",
                text,
            })
        };
        let serving = tokio::spawn(serve(listener, find));
        // All but one of the places are taken by who says nothing.
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS - 1 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let page = told(address, "GET /livez?verbose HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(page.contains("query: \"verbose\""), "{page}");
        let none = told(address, "GET /other HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(none.starts_with("HTTP/1.1 404"), "{none}");
        let wrong = told(address, "DELETE /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(wrong.starts_with("HTTP/1.1 405") && wrong.contains("allow: GET"), "{wrong}");
        let long =
            format!("GET /livez HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(2 * MAX_HEADER_BYTES));
        let long = told(address, &long).await;
        assert!(long.starts_with("HTTP/1.1 431"), "{long}");
        drop(silent);
        serving.abort();
    }
}
