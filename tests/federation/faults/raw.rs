//! Calls byte by byte, over plain HTTP/2: what no well-behaved client can be made
//! to send. Nothing here gives up by itself.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes};
use futures_util::{StreamExt, stream};
use http::response::Parts;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::body::Body;
use tonic::{Code, Status};
use tributary::clock;
use tributary::domain::peer::{Role, SpiffeId};
use tributary::link::pki::{Authority, CertificateRequest, Validity};

use crate::kit::federation::{Federation, within};
use crate::kit::rude::{Pair, rude, rude_connect};

/// Headers of a call.
pub type Headers<'a> = &'a [(&'static str, &'a str)];

/// A consumer's connection.
#[derive(Clone)]
pub struct Raw(SendRequest<Body>);

/// A consumer's certificate.
pub fn consumer(federation: &Federation) -> Pair {
    let consumer = &federation.described.consumers[0];
    Pair {
        certificate: std::fs::read_to_string(&consumer.certificate).unwrap(),
        key: std::fs::read_to_string(&consumer.key).unwrap(),
    }
}

/// More consumers, whom the organisations of those that there are call so: so many of
/// each in turn.
pub fn consumers(federation: &Federation, name: &str, count: usize) -> Vec<Pair> {
    let pki = federation.home.join("certs/dev");
    let known = federation.described.consumers.iter();
    let known = known.map(|known| known.id.parse::<SpiffeId>().unwrap());
    let authorities: Vec<Authority> =
        known.map(|known| Authority::open(&pki, known.trust_domain()).unwrap()).collect();
    let validity = Validity::days(clock::utc(), 1).unwrap();
    let issue = |(nth, authority): (usize, &Authority)| {
        let request = CertificateRequest::local(Role::Consumer, &format!("{name}-{nth}"), validity);
        Pair::from(&authority.issue(&request).unwrap())
    };
    authorities.iter().cycle().take(count).enumerate().map(issue).collect()
}

impl Raw {
    pub async fn connect(federation: &Federation, gateway: SocketAddr) -> Self {
        let config = rude(Some(&consumer(federation)), &["h2"]);
        let stream = rude_connect(gateway, config).await.unwrap();
        let (sender, connection) =
            handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// One unary call for a profile: its code and its body, however it was sent.
    pub async fn call(&self, frame: Vec<u8>, headers: Headers<'_>) -> (Code, Bytes) {
        self.send(Body::new(Full::new(Bytes::from(frame))), headers).await
    }

    /// The same, with a body that begins like this and never ends.
    pub async fn stall(&self, begin: Vec<u8>, headers: Headers<'_>) -> (Code, Bytes) {
        let begin = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from(begin)))]);
        self.send(Body::new(StreamBody::new(begin.chain(stream::pending()))), headers).await
    }

    async fn send(&self, body: Body, headers: Headers<'_>) -> (Code, Bytes) {
        let mut request = request(PROFILE);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, body) = self.answer(request.body(body).unwrap()).await;
        (status_of(&head.headers).expect("neither status nor trailers").code(), body)
    }

    /// Whatever is sent: the answer's head, with its trailers among the headers, and its
    /// body.
    pub async fn answer(&self, request: http::Request<Body>) -> (Parts, Bytes) {
        let mut sender = self.0.clone();
        let response = within(sender.send_request(request)).await.unwrap();
        let (mut head, body) = response.into_parts();
        if status_of(&head.headers).is_some() {
            return (head, Bytes::new());
        }
        let body = within(body.collect()).await.unwrap();
        head.headers.extend(body.trailers().cloned().unwrap_or_default());
        (head, body.to_bytes())
    }
}

/// The call that most tests make.
pub const PROFILE: &str = "/tributary.v1.ProfileService/GetProfile";

/// A call as it should be.
pub fn request(path: &str) -> http::request::Builder {
    http::Request::post(format!("https://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// What headers or trailers say of a call.
pub fn status_of(headers: &http::HeaderMap) -> Option<Status> {
    Status::from_header_map(headers)
}

/// A gRPC frame with a flag of its own.
pub fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flag];
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.extend(message);
    frame
}
