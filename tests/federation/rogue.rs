//! An agency that lies or breaks: over the real link, with the right certificate,
//! and with any bytes it likes (row 30 of the fault matrix). Its section is lost;
//! the others are delivered, and never are bytes of one answer shown as another's.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use futures_util::future::BoxFuture;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tributary::config::agency::AgencyConfig;
use tributary::domain::catalogue::{AgencyId, Catalogue};
use tributary::domain::item::ItemSet;
use tributary::domain::section::{HeldItem, Section, SectionStatus};
use tributary::domain::sensitive::Sensitive;
use tributary::domain::value::{CodeIndex, Value};
use tributary::link::accept;
use tributary::link::identity::OwnIdentity;
use tributary::link::limits::LinkLimits;
use tributary::link::tls::LinkTls;
use tributary::link::trust::{Trust, TrustStore};
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::exchange_request::Message as Asked;
use tributary::wire::proto::pb::exchange_response::Message as Told;
use tributary::wire::section::{self, RequestHash};

use crate::city::{City, DEADLINE};

/// What the rogue does with the next question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Honest,
    WrongOuterEcho,
    /// The answer to another question under this one's id and echo.
    AnothersAnswer,
    InnerGarbage,
    Unasked,
    InAnothersName,
    WrongDigest,
    OversizeFrame,
    GarbageFrame,
    Silent,
    Hangup,
    StrangeIdsFirst,
}

/// Sends bytes as they are given.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = pb::ExchangeRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = pb::ExchangeRequest;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        pb::ExchangeRequest::decode(bytes).map(Some).map_err(|e| Status::internal(e.to_string()))
    }
}

#[derive(Clone)]
struct Rogue {
    agency: AgencyId,
    catalogue: Arc<Catalogue>,
    mode: Arc<Mutex<Mode>>,
}

impl NamedService for Rogue {
    const NAME: &'static str = "tributary.v1.AgencyService";
}

impl<B> tower::Service<http::Request<B>> for Rogue
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    B::Data: Send,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let rogue = self.clone();
        Box::pin(async move { Ok(Grpc::new(Raw).streaming(rogue, request).await) })
    }
}

impl StreamingService<pb::ExchangeRequest> for Rogue {
    type Response = Bytes;
    type ResponseStream = ReceiverStream<Result<Bytes, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<pb::ExchangeRequest>>) -> Self::Future {
        let (rogue, inbound) = (self.clone(), request.into_inner());
        Box::pin(async move {
            let (out, frames) = mpsc::channel(64);
            tokio::spawn(rogue.serve(inbound, out));
            Ok(Response::new(ReceiverStream::new(frames)))
        })
    }
}

fn frame(message: Told) -> Bytes {
    pb::ExchangeResponse { message: Some(message) }.encode_to_vec().into()
}

impl Rogue {
    async fn serve(
        self,
        mut inbound: Streaming<pb::ExchangeRequest>,
        out: mpsc::Sender<Result<Bytes, Status>>,
    ) {
        let items = self.catalogue.owned_by(&self.agency);
        let description = pb::DescribeResponse {
            agency: self.agency.to_string(),
            catalogue_digest: self.catalogue.digest().0.to_vec().into(),
            items: items.iter().map(|item| u32::from(item.get())).collect(),
            limits: Some(pb::AgencyLimits { max_in_flight: 64, ..Default::default() }),
            ..Default::default()
        };
        let hello = pb::ExchangeHello { description: Some(description) };
        if out.send(Ok(frame(Told::Hello(hello)))).await.is_err() {
            return;
        }
        let mut before = Bytes::new();
        while let Ok(Some(message)) = inbound.message().await {
            let Some(Asked::Fetch(fetch)) = message.message else { continue };
            let mode = *self.mode.lock().unwrap();
            let honest = self.answer(&fetch.request, mode);
            if mode == Mode::Hangup {
                return;
            }
            for frame in self.frames(mode, &fetch, honest.clone(), &before) {
                if out.send(Ok(frame)).await.is_err() {
                    return;
                }
            }
            before = honest;
        }
    }

    fn frames(
        &self,
        mode: Mode,
        fetch: &pb::ExchangeFetch,
        response: Bytes,
        before: &Bytes,
    ) -> Vec<Bytes> {
        let request_hash = RequestHash::of(&fetch.request).to_bytes();
        let honest = pb::ExchangeAnswer { exchange_id: fetch.exchange_id, request_hash, response };
        let answer = |answer| frame(Told::Answer(answer));
        match mode {
            Mode::WrongOuterEcho => {
                vec![answer(pb::ExchangeAnswer { request_hash: vec![7; 32].into(), ..honest })]
            }
            Mode::AnothersAnswer => {
                vec![answer(pb::ExchangeAnswer { response: before.clone(), ..honest })]
            }
            Mode::InnerGarbage => {
                vec![answer(pb::ExchangeAnswer { response: vec![0xff; 90].into(), ..honest })]
            }
            Mode::OversizeFrame => {
                vec![answer(pb::ExchangeAnswer { response: vec![0; 600_000].into(), ..honest })]
            }
            // A frame that is no message, and an honest one behind it, which must not
            // be believed any more.
            Mode::GarbageFrame => vec![vec![0xff; 40].into(), answer(honest)],
            Mode::StrangeIdsFirst => {
                let strange = pb::ExchangeAnswer { exchange_id: 1 << 40, ..honest.clone() };
                vec![answer(strange), answer(honest.clone()), answer(honest)]
            }
            Mode::Silent | Mode::Hangup => Vec::new(),
            _ => vec![answer(honest)],
        }
    }

    fn answer(&self, request: &Bytes, mode: Mode) -> Bytes {
        let hash = RequestHash::of(request);
        let asked = pb::FetchSectionRequest::decode(request.clone()).unwrap().items;
        let asked = ItemSet::from_bytes(&asked).unwrap();
        let agency = match mode {
            Mode::InAnothersName => AgencyId::new("education").unwrap(),
            _ => self.agency.clone(),
        };
        let mut section = Section::without_values(agency, asked, SectionStatus::NoRecord, "");
        if mode == Mode::Unasked {
            let status = self.catalogue.find("traffic.licence.status").unwrap();
            section.status = SectionStatus::Ok;
            section.items.push(HeldItem {
                number: status.number,
                value: Sensitive::new(Value::Code(CodeIndex(0))),
                as_of: time::macros::date!(2026 - 01 - 01),
                disputed: false,
                statement: None,
            });
        }
        let response = section::encode(&section, &self.catalogue, hash, [1; 16]);
        if mode != Mode::WrongDigest {
            return response;
        }
        let mut decoded = pb::FetchSectionResponse::decode(response).unwrap();
        let envelope = decoded.section.as_mut().unwrap().envelope.as_mut().unwrap();
        envelope.catalogue_digest = vec![0; 32].into();
        decoded.encode_to_vec().into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_30_a_rogue_agency_loses_its_own_section_alone() {
    let city = City::start(&[]);
    let entry = city.federation.agencies.iter().find(|agency| agency.id == "traffic").unwrap();
    let pid = entry.pid.to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());

    // In its place, at its address and with its certificate.
    let config = AgencyConfig::load(&entry.config).unwrap().0;
    let link = &config.link;
    let identity =
        OwnIdentity::load(&link.certificate, &link.key, tributary::clock::utc()).unwrap();
    let tls = LinkTls::new(identity, Trust::new(TrustStore::load(&link.trust).unwrap()));
    let mode = Arc::new(Mutex::new(Mode::Honest));
    let catalogue = tributary::config::catalogue::load(&city.home.join("catalogue")).unwrap();
    let rogue = Rogue { agency: config.id, catalogue: Arc::new(catalogue), mode: mode.clone() };
    let mut listener = TcpListener::bind(config.listen).await;
    while listener.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        listener = TcpListener::bind(config.listen).await;
    }
    let limits = LinkLimits::default();
    let service = tonic::service::Routes::new(rogue).prepare();
    tokio::spawn(accept::serve(listener.unwrap(), tls, service, limits, std::future::pending()));

    let mut client = city.client().await;
    // One item of the rogue's, so that another of its items is unasked.
    let items = ["traffic.penalty.settled_on_time_ratio_24m", "education.attainment.study_mode"];
    let mut ask = async |person: usize| {
        let items = items.map(String::from).to_vec();
        let answer = client.profile(&city.grant(person), items, DEADLINE).await.unwrap();
        let traffic = answer.sections.iter().find(|section| section.agency == "traffic").unwrap();
        let education =
            answer.sections.iter().find(|section| section.agency == "education").unwrap();
        assert_eq!(education.status(), pb::SectionStatus::Ok);
        let study = answer.profile.unwrap().items.into_iter().find(|item| item.id == items_id());
        let status = traffic.status().as_str_name().trim_start_matches("SECTION_STATUS_");
        (format!("{status} {}", traffic.reason).trim_end().to_owned(), study.unwrap().value)
    };
    fn items_id() -> &'static str {
        "education.attainment.study_mode"
    }
    let mut honest = None;
    city.eventually("the rogue's link", async || {
        let (status, study) = ask(0).await;
        honest = Some(study);
        status == "NO_RECORD"
    })
    .await;

    for (wanted, expected) in [
        (Mode::WrongOuterEcho, "INVALID WRONG_ECHO"),
        (Mode::InnerGarbage, "INVALID UNDECODABLE"),
        (Mode::Unasked, "INVALID UNASKED_ITEM"),
        (Mode::InAnothersName, "INVALID WRONG_AGENCY"),
        (Mode::WrongDigest, "INVALID WRONG_CATALOGUE"),
        (Mode::OversizeFrame, "UNAVAILABLE"),
        (Mode::GarbageFrame, "UNAVAILABLE"),
        (Mode::Hangup, "UNAVAILABLE"),
        (Mode::Silent, "TIMEOUT DEADLINE"),
        (Mode::StrangeIdsFirst, "NO_RECORD"),
        (Mode::AnothersAnswer, "INVALID WRONG_ECHO"),
    ] {
        if wanted == Mode::AnothersAnswer {
            // So that there is another's answer to give, on whichever lane.
            for _ in 0..4 {
                assert_eq!(ask(1).await.0, "NO_RECORD");
            }
        }
        *mode.lock().unwrap() = wanted;
        let (status, study) = ask(0).await;
        assert!(status.starts_with(expected), "{wanted:?}: {status}, not {expected}");
        assert_eq!(Some(study), honest, "{wanted:?} changed another agency's value");
        *mode.lock().unwrap() = Mode::Honest;
        city.eventually("an honest answer again", async || ask(0).await.0 == "NO_RECORD").await;
    }
}
