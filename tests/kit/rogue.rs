//! An agency that a test scripts: a valid certificate, our link floor, and
//! whatever bytes the test wants on the stream. It writes gRPC frames by hand,
//! since no honest server can be made to send what it sends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codec::{DecodeBuf, Decoder};
use tonic::{Code, Status, Streaming};
use tributary::config::agency::AgencyConfig;
use tributary::domain::catalogue::AgencyId;
use tributary::domain::reason::Reason;
use tributary::link::accept;
use tributary::link::limits::LinkLimits;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::exchange_request::Message as FromGateway;
use tributary::wire::proto::pb::exchange_response::Message as ToGateway;
use tributary::wire::refusal::Refusal;

use super::federation::Federation;
use super::pki;

/// A question that came on a stream.
#[derive(Clone, Debug)]
pub struct Asked {
    pub exchange_id: u64,
    /// The time that the gateway gives; none for a FetchSection call.
    pub remaining: Option<Duration>,
    pub bytes: Bytes,
    pub request: pb::FetchSectionRequest,
}

/// What is done about a question, in order.
#[derive(Clone, Debug)]
pub enum Step {
    /// A well-formed frame with these bytes in it.
    Frame(Vec<u8>),
    /// These bytes, as they are.
    Raw(Vec<u8>),
    Wait(Duration),
    /// Goes on once the gate is open.
    Until(watch::Receiver<bool>),
    /// Ends the stream in order, with a status.
    End(Code),
    /// The same with a reason, as our own servers state one.
    Refuse(Reason),
    /// Resets the stream.
    Cut,
}

impl Step {
    pub fn say(message: ToGateway) -> Self {
        Self::Frame(pb::ExchangeResponse { message: Some(message) }.encode_to_vec())
    }
}

/// What the gateway did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Opened,
    Fetch(String),
    Cancel(u64),
    Finish,
    Unary(String),
}

/// What is done about each question.
pub type Script = Arc<dyn Fn(&Asked) -> Vec<Step> + Send + Sync>;

struct Shared {
    script: Mutex<Script>,
    hello: Mutex<pb::DescribeResponse>,
    exchange: bool,
    events: watch::Sender<Vec<Event>>,
}

impl Shared {
    fn tell(&self, event: Event) {
        self.events.send_modify(|events| events.push(event));
    }
}

/// A scripted agency, running.
pub struct Rogue {
    pub address: SocketAddr,
    pub events: watch::Receiver<Vec<Event>>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Rogue {
    /// Stands in for `agency` with that agency's own certificate.
    pub async fn start(
        federation: &Federation,
        agency: &str,
        exchange: bool,
        script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::start_as(federation, agency, agency, exchange, script).await
    }

    /// Describes itself as `agency` with the certificate of `holder`.
    pub async fn start_as(
        federation: &Federation,
        agency: &str,
        holder: &str,
        exchange: bool,
        script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let (config, _) = AgencyConfig::load(&federation.entry(holder).config).unwrap();
        let id = AgencyId::new(agency).unwrap();
        let owned = federation.catalogue.owned_by(&id);
        let hello = pb::DescribeResponse {
            agency: agency.into(),
            catalogue_digest: federation.catalogue.digest().0.to_vec().into(),
            items: owned.iter().map(|number| u32::from(number.get())).collect(),
            limits: Some(pb::AgencyLimits {
                max_in_flight: 256,
                max_request_bytes: 256 * 1024,
                ..Default::default()
            }),
            ..Default::default()
        };
        let (events, seen) = watch::channel(Vec::new());
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(script)),
            hello: Mutex::new(hello),
            exchange,
            events,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = watch::channel(false);
        let limits = LinkLimits { drain: Duration::from_millis(200), ..LinkLimits::default() };
        let service = Service(shared.clone());
        tokio::spawn(accept::serve(
            listener,
            pki::tls_of(&config.link),
            service,
            limits,
            async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            },
        ));
        Self { address, events: seen, shared, stop }
    }

    /// Does something else from now on.
    pub fn script(&self, script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Describes itself otherwise from the next stream on.
    pub fn hello(&self, change: impl FnOnce(&mut pb::DescribeResponse)) {
        change(&mut self.shared.hello.lock().unwrap());
    }

    /// Waits until the gateway has done something.
    pub async fn saw(&mut self, what: impl Fn(&Event) -> bool) {
        let seen = self.events.wait_for(|events| events.iter().any(&what));
        drop(super::federation::within(seen).await.unwrap());
    }

    pub fn count(&self, what: impl Fn(&Event) -> bool) -> usize {
        self.events.borrow().iter().filter(|event| what(event)).count()
    }
}

/// An answer as an exchange's message.
pub fn answer(asked: &Asked, hash: Bytes, response: Bytes) -> Step {
    let exchange_id = asked.exchange_id;
    Step::say(ToGateway::Answer(pb::ExchangeAnswer { exchange_id, request_hash: hash, response }))
}

#[derive(Clone)]
struct Service(Arc<Shared>);

impl tower::Service<http::Request<Incoming>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let path = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            Ok(match path.as_str() {
                "Exchange" if shared.exchange => exchange(shared, request.into_body()),
                "Describe" => {
                    let hello = shared.hello.lock().unwrap().encode_to_vec();
                    respond(vec![Step::Frame(hello), Step::End(Code::Ok)])
                }
                "FetchSection" => {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    let bytes = body.slice(5..);
                    let asked = read(0, None, bytes);
                    shared.tell(Event::Unary(asked.request.request_id.clone()));
                    let script = shared.script.lock().unwrap().clone();
                    respond(script(&asked))
                }
                _ => respond(vec![Step::End(Code::Unimplemented)]),
            })
        })
    }
}

fn read(exchange_id: u64, remaining: Option<Duration>, bytes: Bytes) -> Asked {
    let request = pb::FetchSectionRequest::decode(bytes.clone()).unwrap();
    Asked { exchange_id, remaining, bytes, request }
}

fn respond(steps: Vec<Step>) -> http::Response<Body> {
    let (out, queue) = mpsc::channel(steps.len().max(1));
    tokio::spawn(perform(steps, out));
    streaming(queue)
}

fn streaming(queue: mpsc::Receiver<Step>) -> http::Response<Body> {
    // Nothing follows an end: the body is over, whoever still has a sender.
    let frames = ReceiverStream::new(queue).scan(false, |over, step| {
        let frame = match step {
            _ if *over => return std::future::ready(None),
            Step::Frame(bytes) => {
                let mut framed = vec![0];
                framed.put_u32(u32::try_from(bytes.len()).unwrap());
                framed.extend(bytes);
                Ok(Frame::data(Bytes::from(framed)))
            }
            Step::Raw(bytes) => Ok(Frame::data(Bytes::from(bytes))),
            Step::End(code) => {
                *over = true;
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", i32::from(code).into());
                Ok(Frame::trailers(trailers))
            }
            Step::Refuse(reason) => {
                *over = true;
                let mut trailers = http::HeaderMap::new();
                let refused = Refusal::new(reason, "refused, as asked").into_status("");
                refused.add_header(&mut trailers).unwrap();
                Ok(Frame::trailers(trailers))
            }
            Step::Cut => {
                *over = true;
                Err(Status::unknown("cut, as asked"))
            }
            Step::Wait(_) | Step::Until(_) => unreachable!("waits are not sent"),
        };
        std::future::ready(Some(frame))
    });
    http::Response::builder()
        .header("content-type", "application/grpc")
        .body(Body::new(StreamBody::new(frames)))
        .unwrap()
}

async fn perform(steps: Vec<Step>, out: mpsc::Sender<Step>) {
    for step in steps {
        match step {
            Step::Wait(long) => tokio::time::sleep(long).await,
            Step::Until(mut gate) => {
                let _ = gate.wait_for(|open| *open).await;
            }
            step => {
                if out.send(step).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads frames without making anything of them.
struct AsTheyAre;

impl Decoder for AsTheyAre {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

fn exchange(shared: Arc<Shared>, body: Incoming) -> http::Response<Body> {
    let (out, queue) = mpsc::channel(1024);
    tokio::spawn(async move {
        shared.tell(Event::Opened);
        let description = shared.hello.lock().unwrap().clone();
        // An empty name stands for no Hello at all.
        if !description.agency.is_empty() {
            let description = Some(Box::new(description));
            let hello = ToGateway::Hello(pb::ExchangeHello { description });
            let _ = out.send(Step::say(hello)).await;
        }
        let mut inbound = Streaming::new_request(AsTheyAre, body, None, None);
        while let Ok(Some(bytes)) = inbound.message().await {
            match pb::ExchangeRequest::decode(bytes).unwrap().message.unwrap() {
                FromGateway::Fetch(fetch) => {
                    let remaining = Some(Duration::from_micros(fetch.remaining_micros));
                    let asked = read(fetch.exchange_id, remaining, fetch.request);
                    shared.tell(Event::Fetch(asked.request.request_id.clone()));
                    let script = shared.script.lock().unwrap().clone();
                    tokio::spawn(perform(script(&asked), out.clone()));
                }
                FromGateway::Cancel(cancel) => shared.tell(Event::Cancel(cancel.exchange_id)),
                FromGateway::Finish(_) => shared.tell(Event::Finish),
                // It does not say that it would show its log.
                FromGateway::AskLog(_) | FromGateway::ShowLog(_) | FromGateway::AskAlive(_) => {}
            }
        }
    });
    streaming(queue)
}
