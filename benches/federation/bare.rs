//! An agency without any check: it believes whoever has a gateway's certificate,
//! reads the same database in the same way, and writes nothing down. No grant, no
//! policy, no count, no log.
//!
//! A process of its own: this program, in another role. Since there is no grant,
//! the person's number travels in clear where the grant would be. No product does
//! that.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tributary::clock;
use tributary::config::agency::AgencyConfig;
use tributary::config::catalogue;
use tributary::domain::catalogue::{Catalogue, Source};
use tributary::domain::item::ItemSet;
use tributary::domain::section::{Section, SectionStatus};
use tributary::link::identity::OwnIdentity;
use tributary::link::tls::LinkTls;
use tributary::link::trust::{Trust, TrustStore};
use tributary::source::{Held, Holdings, Mapping, Written};
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::agency_service_server::{AgencyService, AgencyServiceServer};
use tributary::wire::proto::pb::exchange_request::Message as Asked;
use tributary::wire::proto::pb::exchange_response::Message as Told;
use tributary::wire::section::{self, RequestHash};

use crate::child;

const DEADLINE: Duration = Duration::from_secs(5);

/// Answers that wait to be written to a stream.
const ROOM: usize = 1024;

/// Opens an agency's records as the agency does.
pub fn holdings(file: &Path, catalogue: &Catalogue) -> anyhow::Result<Holdings> {
    let (config, text) = AgencyConfig::load(file)?;
    let written = Written {
        file: Source { name: config.id.as_str(), text: &text },
        folder: file.parent().unwrap_or(file),
        source: &config.source,
        queries: &config.query,
    };
    match Mapping::compile(&config.id, catalogue, written) {
        Ok(mapping) => Ok(Holdings::open(mapping)),
        Err(findings) => bail!("{findings:?}"),
    }
}

/// Serves until standard input ends. One that is mute takes streams, and says nothing.
pub async fn serve(file: PathBuf, mute: bool) -> anyhow::Result<()> {
    let (config, _) = AgencyConfig::load(&file)?;
    let catalogue = catalogue::load(&config.catalogue)?;
    let holdings = holdings(&file, &catalogue)?;
    let identity = OwnIdentity::load(&config.link.certificate, &config.link.key, clock::utc())?;
    let tls = LinkTls::new(identity, Trust::new(TrustStore::load(&config.link.trust)?));
    let bare = Bare(Arc::new(Parts { config, catalogue, holdings, mute }));
    child::serve(tls, Routes::new(AgencyServiceServer::new(bare))).await
}

struct Parts {
    config: AgencyConfig,
    catalogue: Catalogue,
    holdings: Holdings,
    mute: bool,
}

#[derive(Clone)]
struct Bare(Arc<Parts>);

impl Bare {
    async fn answer(
        &self,
        request: pb::FetchSectionRequest,
        hash: RequestHash,
    ) -> anyhow::Result<Bytes> {
        let Parts { config, catalogue, holdings, .. } = &*self.0;
        let number = request.grant.context("no number")?.sd_jwt;
        let subject = config.subject.format.parse(std::str::from_utf8(&number)?)?;
        let items = ItemSet::from_bytes(&request.items).context("no items")?;
        let bare = |status| Section::without_values(config.id.clone(), items, status, None);
        let section = match holdings.fetch(&subject, &items, clock::now() + DEADLINE).await {
            Held::NoRecord => bare(SectionStatus::NoRecord),
            Held::Answered { items, missing } => {
                Section { items, missing, ..bare(SectionStatus::Ok) }
            }
            Held::Failed { reason, .. } => bail!("{reason}"),
        };
        Ok(section::encode(&section, catalogue, hash, [0; 16]))
    }

    async fn exchanged(&self, fetch: pb::ExchangeFetch) -> anyhow::Result<pb::ExchangeResponse> {
        let hash = RequestHash::of(&fetch.request);
        let response = self.answer(pb::FetchSectionRequest::decode(fetch.request)?, hash).await?;
        let exchange_id = fetch.exchange_id;
        let answer = pb::ExchangeAnswer { exchange_id, request_hash: hash.to_bytes(), response };
        Ok(pb::ExchangeResponse { message: Some(Told::Answer(answer)) })
    }

    fn hello(&self) -> pb::ExchangeResponse {
        let Parts { config, catalogue, holdings, .. } = &*self.0;
        let description = pb::DescribeResponse {
            agency: config.id.to_string(),
            catalogue_digest: Bytes::copy_from_slice(&catalogue.digest().0),
            items: holdings.items().iter().map(|item| u32::from(item.get())).collect(),
            limits: Some(pb::AgencyLimits { max_in_flight: ROOM as u32, ..Default::default() }),
            features: vec![pb::ProtocolFeature::Exchange.into()],
            ..Default::default()
        };
        let hello = pb::ExchangeHello { description: Some(Box::new(description)) };
        pb::ExchangeResponse { message: Some(Told::Hello(hello)) }
    }
}

#[tonic::async_trait]
impl AgencyService for Bare {
    async fn describe(
        &self,
        _: Request<pb::DescribeRequest>,
    ) -> Result<Response<pb::DescribeResponse>, Status> {
        Err(Status::unimplemented("bare"))
    }

    async fn fetch_section(
        &self,
        request: Request<pb::FetchSectionRequest>,
    ) -> Result<Response<pb::FetchSectionResponse>, Status> {
        let request = request.into_inner();
        let hash = RequestHash::of(&request.encode_to_vec());
        let answer = self.answer(request, hash).await;
        let answer = answer.map_err(|error| Status::internal(format!("{error:#}")))?;
        let decoded = pb::FetchSectionResponse::decode(answer);
        Ok(Response::new(decoded.map_err(|error| Status::internal(error.to_string()))?))
    }

    type ExchangeStream = ReceiverStream<Result<pb::ExchangeResponse, Status>>;

    async fn exchange(
        &self,
        request: Request<Streaming<pb::ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let (bare, mut questions) = (self.clone(), request.into_inner());
        let (answers, stream) = mpsc::channel(ROOM);
        tokio::spawn(async move {
            if bare.0.mute {
                return answers.closed().await;
            }
            let _ = answers.send(Ok(bare.hello())).await;
            while let Ok(Some(question)) = questions.message().await {
                let Some(Asked::Fetch(fetch)) = question.message else { continue };
                let (bare, answers) = (bare.clone(), answers.clone());
                tokio::spawn(async move {
                    let answer = bare.exchanged(fetch).await;
                    let answer = answer.map_err(|error| Status::internal(format!("{error:#}")));
                    let _ = answers.send(answer).await;
                });
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
