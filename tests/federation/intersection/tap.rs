//! A recorder at an agency's door: it hands every byte on between the gateway and
//! the agency, and notes each question and what left the agency in answer to it.
//! To the gateway it shows the agency's certificate, to the agency the gateway's.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;
use tributary::config::agency::AgencyConfig;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::link::accept;
use tributary::link::connect::Connector;
use tributary::link::limits::{ConnectLimits, LinkLimits};
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::exchange_request::Message as Asked;
use tributary::wire::proto::pb::exchange_response::Message as Told;

use crate::kit::federation::Federation;
use crate::kit::pki::tls_of;

/// A question, and what left the agency in answer to it.
#[derive(Debug, Clone)]
pub struct Sent {
    pub question: pb::FetchSectionRequest,
    /// The section, or the reason of a refusal.
    pub answer: Result<pb::Section, String>,
}

impl Sent {
    pub fn asked(&self) -> ItemSet {
        ItemSet::from_bytes(&self.question.items).unwrap()
    }

    /// The values that left the agency.
    pub fn values(&self) -> Vec<pb::SectionItem> {
        let Ok(section) = &self.answer else { return Vec::new() };
        match &section.body {
            None => Vec::new(),
            Some(pb::section::Body::Clear(bytes)) => {
                pb::SectionBody::decode(bytes.clone()).unwrap().items
            }
            Some(other) => panic!("a body of a kind that does not exist yet: {other:?}"),
        }
    }

    /// Every item of which the answer tells anything about the person: a value, a
    /// date, or that there is none.
    pub fn told(&self) -> ItemSet {
        let Ok(section) = &self.answer else { return ItemSet::EMPTY };
        let envelope = section.envelope.as_ref().unwrap();
        let silent = [pb::Absence::Denied, pb::Absence::NotOffered];
        let missing = envelope.missing.iter().filter(|gap| !silent.contains(&gap.absence()));
        let dated = envelope.items.iter().map(|item| item.number);
        let values = self.values().into_iter().map(|item| item.number);
        let numbers = dated.chain(values).chain(missing.map(|gap| gap.number));
        numbers.map(|number| ItemNumber::new(number).unwrap()).collect()
    }
}

/// Asks something at once: a connection that is silent at first is closed, and on
/// a busy machine it takes a while until the first real request.
pub async fn greet(channel: &Channel) {
    let mut health = HealthClient::new(channel.clone());
    health.check(HealthCheckRequest::default()).await.unwrap();
}

/// The recorder of one agency, running.
pub struct Tap {
    pub address: SocketAddr,
    sent: Arc<Mutex<Vec<Sent>>>,
    stop: watch::Sender<bool>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Tap {
    /// Stands before `agency`, which listens at `behind`.
    pub async fn before(federation: &Federation, agency: &str, behind: SocketAddr) -> Self {
        let gateway = GatewayConfig::load(&federation.described.gateway.config).unwrap();
        let expected = gateway.agency.iter().find(|entry| entry.id.as_str() == agency).unwrap();
        let (expected, limits) = (expected.identity.clone(), ConnectLimits::default());
        let address = behind.to_string();
        let connector = Connector::new(&address, expected, tls_of(&gateway.link), limits).unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let channel = connector.channel().await.unwrap();
        greet(&channel).await;
        let relay = Relay { agency: channel, sent: sent.clone() };

        let (own, _) = AgencyConfig::load(&federation.entry(agency).config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, mut stopped) = watch::channel(false);
        let limits = LinkLimits::default();
        tokio::spawn(accept::serve(listener, tls_of(&own.link), relay, limits, async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
        Self { address, sent, stop }
    }

    /// What was asked and answered under a request id.
    pub fn of(&self, request_id: &str) -> Vec<Sent> {
        let sent = self.sent.lock().unwrap();
        sent.iter().filter(|sent| sent.question.request_id == request_id).cloned().collect()
    }
}

#[derive(Clone)]
struct Relay {
    agency: Channel,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl tower::Service<http::Request<Incoming>> for Relay {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        let relay = self.clone();
        Box::pin(async move {
            let exchange = request.uri().path().ends_with("/Exchange");
            let notes = Notes { under_way: Arc::default(), sent: relay.sent, exchange };
            let (mut asked, mut told) = (Frames::default(), Frames::default());
            let back = notes.clone();
            let request = request.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    asked.read(&frame).into_iter().for_each(|message| notes.asked(message));
                    frame
                }))
            });
            Ok(match relay.agency.oneshot(request).await {
                Ok(response) => response.map(|body| {
                    Body::new(body.map_frame(move |frame| {
                        told.read(&frame).into_iter().for_each(|message| back.told(message));
                        frame
                    }))
                }),
                Err(error) => Status::unavailable(error.to_string()).into_http(),
            })
        })
    }
}

/// Cuts a body into gRPC messages.
#[derive(Default)]
struct Frames(BytesMut);

impl Frames {
    fn read(&mut self, frame: &Frame<Bytes>) -> Vec<Bytes> {
        self.0.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        let mut messages = Vec::new();
        while self.0.len() >= 5 {
            let length = u32::from_be_bytes(self.0[1..5].try_into().unwrap()) as usize;
            if self.0.len() < 5 + length {
                break;
            }
            self.0.advance(5);
            messages.push(self.0.split_to(length).freeze());
        }
        messages
    }
}

/// The questions of one call that wait for their answer.
#[derive(Clone)]
struct Notes {
    under_way: Arc<Mutex<HashMap<u64, pb::FetchSectionRequest>>>,
    sent: Arc<Mutex<Vec<Sent>>>,
    exchange: bool,
}

impl Notes {
    fn asked(&self, message: Bytes) {
        let (id, question) = if self.exchange {
            match pb::ExchangeRequest::decode(message).unwrap().message.unwrap() {
                Asked::Fetch(fetch) => (fetch.exchange_id, fetch.request),
                Asked::Cancel(_)
                | Asked::Finish(_)
                | Asked::AskLog(_)
                | Asked::ShowLog(_)
                | Asked::AskAlive(_) => {
                    return;
                }
            }
        } else {
            (0, message)
        };
        let question = pb::FetchSectionRequest::decode(question).unwrap();
        self.under_way.lock().unwrap().insert(id, question);
    }

    fn told(&self, message: Bytes) {
        let (id, answer) = if self.exchange {
            match pb::ExchangeResponse::decode(message).unwrap().message.unwrap() {
                Told::Answer(answer) => (answer.exchange_id, Ok(answer.response)),
                Told::Failure(failure) => (failure.exchange_id, Err(failure.reason)),
                Told::Hello(_)
                | Told::Drain(_)
                | Told::AskLog(_)
                | Told::ShowLog(_)
                | Told::Alive(_) => return,
            }
        } else {
            (0, Ok(message))
        };
        // Describe asks nothing that is noted.
        let Some(question) = self.under_way.lock().unwrap().remove(&id) else { return };
        let decode = |bytes| pb::FetchSectionResponse::decode(bytes).unwrap().section.unwrap();
        self.sent.lock().unwrap().push(Sent { question, answer: answer.map(decode) });
    }
}
