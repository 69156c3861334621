//! A server in front of our agency that breaks what a [`Fault`] says, and nothing
//! else: it has an agency's certificate, passes each question on with a gateway's,
//! and hands the answer back.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
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
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tributary::link::accept;
use tributary::link::limits::LinkLimits;
use tributary::link::tls::LinkTls;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::agency_service_client::AgencyServiceClient;
use tributary::wire::proto::pb::exchange_request::Message as Asked;
use tributary::wire::proto::pb::exchange_response::Message as Told;
use tributary::wire::section::RequestHash;

use super::open_door;

/// Longer than any message that our agency takes.
const LONG: usize = 300 * 1024;

/// What our agency says to a question.
pub type Said = Result<pb::FetchSectionResponse, Status>;

/// A message on a stream, as it came.
pub enum Heard<'a> {
    Garbage,
    TooLong,
    /// And whether it is a question under an id that is not above all before it.
    Message(&'a pb::ExchangeRequest, bool),
}

/// What becomes of a message.
pub enum Then {
    /// Our agency gets it.
    Forward,
    /// Nobody does.
    Ignore,
    /// As if our agency had refused it.
    Refuse,
    /// The stream ends.
    End,
    /// Every stream does.
    EndAll,
}

/// What is broken; nothing unless said.
pub trait Fault: Send + Sync + 'static {
    fn describe(&self, _: &mut pb::DescribeResponse) {}

    fn serving(&self) -> bool {
        true
    }

    /// What is said to a question, here and on a stream.
    fn say(&self, _asked: &[u8], said: Said) -> Said {
        said
    }

    /// A caller went away before there was an answer, having told its deadline or not.
    fn gone(&self, _told: bool) {}

    fn heard(&self, heard: Heard<'_>) -> Then {
        match heard {
            Heard::Message(..) => Then::Forward,
            Heard::Garbage | Heard::TooLong => Then::End,
        }
    }

    fn told(&self, told: pb::ExchangeResponse) -> Vec<pb::ExchangeResponse> {
        vec![told]
    }

    /// Whether anybody gets in, with TLS or without.
    fn open(&self) -> bool {
        false
    }
}

struct Shared {
    fault: Box<dyn Fault>,
    agency: AgencyServiceClient<Channel>,
    /// Counts the times at which every stream ended.
    ended: watch::Sender<u32>,
}

/// The server, running as long as this lives.
pub struct Proxy {
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Proxy {
    /// Stands before the agency at the far end of the channel.
    pub async fn start(tls: LinkTls, agency: Channel, fault: Box<dyn Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = watch::channel(false);
        let (open, agency) = (fault.open(), AgencyServiceClient::new(agency));
        let service = Service(Arc::new(Shared { fault, agency, ended: watch::Sender::new(0) }));
        let stopping = async move { drop(stopped.wait_for(|stop| *stop).await) };
        if open {
            tokio::spawn(open_door::serve(listener, tls, service, stopping));
        } else {
            let limits = LinkLimits { drain: Duration::from_millis(100), ..LinkLimits::default() };
            tokio::spawn(accept::serve(listener, tls, service, limits, stopping));
        }
        Self { address, stop }
    }
}

#[derive(Clone)]
pub struct Service(Arc<Shared>);

impl tower::Service<http::Request<Incoming>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let path = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let told = request.headers().contains_key("grpc-timeout");
            let body = request.into_body();
            let answer = match path.as_str() {
                "Describe" => shared.describe().await,
                "Check" => Ok(vec![8, if shared.fault.serving() { 1 } else { 2 }].into()),
                "FetchSection" => shared.fetch(body, told).await,
                "Exchange" => return Ok(shared.exchange(body)),
                _ => Err(Status::unimplemented("not behind the proxy")),
            };
            Ok(match answer {
                Ok(bytes) => respond(ReceiverStream::new(once(bytes))),
                Err(status) => status.into_http(),
            })
        })
    }
}

/// Tells the fault when it is dropped too early.
struct Caller<'a> {
    shared: &'a Shared,
    told: bool,
    answered: bool,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.fault.gone(self.told);
        }
    }
}

impl Shared {
    async fn describe(&self) -> Result<Bytes, Status> {
        let described = self.agency.clone().describe(pb::DescribeRequest {}).await;
        let mut described = described?.into_inner();
        self.fault.describe(&mut described);
        Ok(described.encode_to_vec().into())
    }

    async fn fetch(&self, body: Incoming, told: bool) -> Result<Bytes, Status> {
        let mut caller = Caller { shared: self, told, answered: false };
        let body = body.collect().await.map_err(|_| Status::cancelled("no body"))?.to_bytes();
        let asked = body.slice(5.min(body.len())..);
        let said = match pb::FetchSectionRequest::decode(asked.clone()) {
            Ok(request) => self.agency.clone().fetch_section(request).await,
            Err(_) => Err(Status::invalid_argument("no message")),
        };
        let said = self.fault.say(&asked, said.map(tonic::Response::into_inner));
        caller.answered = true;
        Ok(said?.encode_to_vec().into())
    }

    fn exchange(self: Arc<Self>, body: Incoming) -> http::Response<Body> {
        let (out, queue) = mpsc::channel(1024);
        // However it ends, the body ends with its sender.
        tokio::spawn(async move { self.stream(body, &out).await });
        respond(ReceiverStream::new(queue))
    }

    /// One stream, until either side ends it.
    async fn stream(&self, body: Incoming, out: &mpsc::Sender<Bytes>) -> Option<()> {
        let mut ended = self.ended.subscribe();
        let (ask, questions) = mpsc::channel(1024);
        let agency = self.agency.clone().exchange(ReceiverStream::new(questions)).await;
        let mut agency = agency.ok()?.into_inner();
        let mut gateway = Streaming::new_request(AsTheyAre, body, None, Some(usize::MAX));
        let mut ask = Some(ask);
        let (mut asked, mut highest) = (HashMap::new(), 0);
        loop {
            tokio::select! {
                _ = ended.changed() => return None,
                message = gateway.message(), if ask.is_some() => {
                    let Ok(Some(bytes)) = message else {
                        ask = None;
                        continue;
                    };
                    let long = bytes.len() > LONG;
                    let request = pb::ExchangeRequest::decode(bytes).ok();
                    let fetch = request.as_ref().and_then(|request| match &request.message {
                        Some(Asked::Fetch(fetch)) => Some(fetch.clone()),
                        _ => None,
                    });
                    let stale = fetch.as_ref().is_some_and(|fetch| fetch.exchange_id <= highest);
                    let heard = match &request {
                        _ if long => Heard::TooLong,
                        Some(request) => Heard::Message(request, stale),
                        None => Heard::Garbage,
                    };
                    match (self.fault.heard(heard), request) {
                        (Then::Forward, Some(request)) => {
                            if let Some(fetch) = fetch {
                                highest = highest.max(fetch.exchange_id);
                                asked.insert(fetch.exchange_id, fetch.request);
                            }
                            ask.as_ref()?.send(request).await.ok()?;
                        }
                        (Then::Refuse, _) => {
                            let fetch = fetch?;
                            let said = Err(Status::invalid_argument("refused"));
                            let said = self.say(fetch.exchange_id, &fetch.request, said);
                            out.send(said.encode_to_vec().into()).await.ok()?;
                        }
                        (Then::Ignore, _) => {}
                        (Then::End | Then::Forward, _) => return None,
                        (Then::EndAll, _) => {
                            self.ended.send_modify(|count| *count += 1);
                            return None;
                        }
                    }
                }
                told = agency.message() => {
                    let told = self.passed_on(told.ok()??, &asked);
                    for told in self.fault.told(told) {
                        out.send(told.encode_to_vec().into()).await.ok()?;
                    }
                }
            }
        }
    }

    /// What our agency told, with the fault in its answers.
    fn passed_on(
        &self,
        told: pb::ExchangeResponse,
        asked: &HashMap<u64, Bytes>,
    ) -> pb::ExchangeResponse {
        let (id, said) = match &told.message {
            Some(Told::Answer(answer)) => {
                let said = pb::FetchSectionResponse::decode(answer.response.clone()).unwrap();
                (answer.exchange_id, Ok(said))
            }
            Some(Told::Failure(failure)) => {
                let status = Status::new(Code::from(failure.code), failure.reason.clone());
                (failure.exchange_id, Err(status))
            }
            _ => return told,
        };
        asked.get(&id).map_or(told, |asked| self.say(id, asked, said))
    }

    fn say(&self, exchange_id: u64, asked: &Bytes, said: Said) -> pb::ExchangeResponse {
        let request_hash = RequestHash::of(asked).to_bytes();
        let message = match self.fault.say(asked, said) {
            Ok(said) => {
                let response = said.encode_to_vec().into();
                Told::Answer(pb::ExchangeAnswer { exchange_id, request_hash, response })
            }
            Err(status) => Told::Failure(pb::ExchangeFailure {
                exchange_id,
                request_hash,
                code: status.code().into(),
                reason: status.message().to_owned(),
            }),
        };
        pb::ExchangeResponse { message: Some(message) }
    }
}

fn once(bytes: Bytes) -> mpsc::Receiver<Bytes> {
    let (out, queue) = mpsc::channel(1);
    out.try_send(bytes).unwrap();
    queue
}

/// Messages in frames, and a good end.
fn respond(messages: ReceiverStream<Bytes>) -> http::Response<Body> {
    let frames = messages.map(|bytes| {
        let mut framed = vec![0];
        framed.put_u32(u32::try_from(bytes.len()).unwrap());
        framed.extend(bytes);
        Ok::<_, Infallible>(Frame::data(Bytes::from(framed)))
    });
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", 0.into());
    let end = futures_util::stream::once(async move { Ok(Frame::trailers(trailers)) });
    http::Response::builder()
        .header("content-type", "application/grpc")
        .body(Body::new(StreamBody::new(frames.chain(end))))
        .unwrap()
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
