//! The agency: one question about one person, answered from its own holdings.
//!
//! The rules of the stream that carries most questions are in
//! [`super::exchange`]; what an answer looks like is in `wire::section`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use prost::Message;
use tokio::sync::{Semaphore, watch};
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::exchange;
use crate::clock;
use crate::config::agency::AgencyLimitsConfig;
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::item::ItemSet;
use crate::domain::peer::{PeerId, Role, SpiffeId};
use crate::domain::section::{Absence, Section, SectionStatus};
use crate::domain::subject::{Subject, SubjectFormat};
use crate::link::authority::Link;
use crate::source::{Held, Holdings};
use crate::wire::proto::pb;
use crate::wire::proto::pb::agency_service_server::AgencyService;
use crate::wire::refusal::{FieldFault, Refusal};
use crate::wire::section::RequestHash;
use crate::wire::{deadline, profile, section};

/// What an agency answers from.
pub struct Agency {
    id: AgencyId,
    catalogue: Arc<Catalogue>,
    holdings: Holdings,
    format: SubjectFormat,
    limits: AgencyLimitsConfig,
    offered: ItemSet,
    room: Semaphore,
}

impl std::fmt::Debug for Agency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agency").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A question that passed every check of form.
struct Question {
    subject: Subject,
    items: ItemSet,
}

impl Agency {
    /// An agency that answers about `holdings`.
    pub fn new(
        id: AgencyId,
        catalogue: Arc<Catalogue>,
        holdings: Holdings,
        format: SubjectFormat,
        limits: AgencyLimitsConfig,
    ) -> Self {
        let (offered, room) = (holdings.items(), Semaphore::new(limits.max_total));
        Self { id, catalogue, holdings, format, limits, offered, room }
    }

    /// What it states about itself.
    pub fn describe(&self) -> pb::DescribeResponse {
        pb::DescribeResponse {
            agency: self.id.to_string(),
            catalogue_digest: Bytes::copy_from_slice(&self.catalogue.digest().0),
            items: self.offered.iter().map(|item| u32::from(item.get())).collect(),
            freshness: prost_types::Duration::try_from(self.limits.freshness).ok(),
            limits: Some(pb::AgencyLimits {
                max_in_flight: self.limits.max_in_flight,
                max_request_bytes: crate::wire::MAX_MESSAGE_BYTES.try_into().unwrap_or(u32::MAX),
                max_stream_age: prost_types::Duration::try_from(self.limits.max_stream_age).ok(),
            }),
            features: vec![pb::ProtocolFeature::Exchange.into()],
        }
    }

    /// Its limits.
    pub const fn limits(&self) -> &AgencyLimitsConfig {
        &self.limits
    }

    /// Answers one encoded `FetchSectionRequest` with an encoded
    /// `FetchSectionResponse`.
    ///
    /// # Errors
    /// A refusal of the question itself: malformed, not for this catalogue, from
    /// no gateway, or too many at once.
    pub async fn answer(
        &self,
        peer: &PeerId,
        request: Bytes,
        hash: RequestHash,
        until: Instant,
    ) -> Result<Bytes, Refusal> {
        let _room = self.room.try_acquire().map_err(|_| {
            Refusal::overloaded("the agency has as many requests under way as it takes")
        })?;
        if peer.spiffe().role() != Role::Gateway {
            return Err(Refusal::new(
                Code::PermissionDenied,
                "NOT_A_GATEWAY",
                "only an identity in the role of a gateway may ask an agency",
            ));
        }
        let question = self.admit(request)?;
        let section = self.look_up(&question, until).await;
        Ok(section::encode(&section, &self.catalogue, hash, blind()?))
    }

    fn admit(&self, request: Bytes) -> Result<Question, Refusal> {
        let request = pb::FetchSectionRequest::decode(request).map_err(|_| {
            Refusal::new(
                Code::InvalidArgument,
                "UNDECODABLE",
                "the request is no FetchSectionRequest",
            )
        })?;
        if *request.catalogue_digest != self.catalogue.digest().0 {
            return Err(Refusal::new(
                Code::FailedPrecondition,
                "WRONG_CATALOGUE",
                "the request is numbered by another catalogue; Describe states the right digest",
            ));
        }
        let mut fields = Vec::new();
        let mut fault = |field: &str, description: String| {
            fields.push(FieldFault { field: field.into(), description });
        };
        if !profile::is_request_id(&request.request_id) {
            fault("request_id", "is not a request id".into());
        }
        let consumer: Result<SpiffeId, _> = request.consumer.parse();
        if !consumer.is_ok_and(|consumer| consumer.role() == Role::Consumer) {
            fault("consumer", "is not the SPIFFE id of a consumer".into());
        }
        let subject = self.format.parse(&request.subject);
        if let Err(error) = &subject {
            fault("subject", error.to_string());
        }
        let items = ItemSet::from_bytes(&request.items).filter(|items| !items.is_empty());
        if items.is_none() {
            fault("items", "must be a set of 1 to 512 bits with a bit set".into());
        }
        match (subject, items) {
            (Ok(subject), Some(items)) if fields.is_empty() => Ok(Question { subject, items }),
            _ => Err(Refusal::bad_request(fields)),
        }
    }

    async fn look_up(&self, question: &Question, until: Instant) -> Section {
        let asked = question.items;
        let offered = asked.and(&self.offered);
        let not_offered = asked.without(&offered);
        let held = if offered.is_empty() {
            Held::Answered { items: Vec::new(), missing: Vec::new() }
        } else {
            self.holdings.fetch(&question.subject, &offered, until).await
        };
        let bare = |status, reason| Section::without_values(self.id.clone(), asked, status, reason);
        match held {
            Held::NoRecord => bare(SectionStatus::NoRecord, ""),
            Held::Failed { status, reason } => bare(status, reason),
            Held::Answered { items, mut missing } => {
                if !not_offered.is_empty() {
                    missing.extend(not_offered.iter().map(|item| (item, Absence::NotOffered)));
                    missing.sort_unstable_by_key(|(item, _)| *item);
                }
                Section { items, missing, ..bare(SectionStatus::Ok, "") }
            }
        }
    }
}

/// Sixteen random bytes, so that a body's digest tells nothing of its values.
fn blind() -> Result<[u8; 16], Refusal> {
    let mut blind = [0; 16];
    aws_lc_rs::rand::fill(&mut blind).map_err(|_| {
        Refusal::new(Code::Internal, "NO_RANDOMNESS", "the system's random generator failed")
    })?;
    Ok(blind)
}

/// The verified peer that `link` put into a request.
///
/// # Errors
/// `UNAUTHENTICATED` where there is none, which only a wiring fault can cause.
pub fn peer_of<T>(request: &Request<T>) -> Result<PeerId, Refusal> {
    request.extensions().get::<PeerId>().cloned().ok_or_else(no_peer)
}

fn no_peer() -> Refusal {
    Refusal::new(Code::Unauthenticated, "NO_PEER", "the link has no verified peer")
}

/// The agency's gRPC service.
#[derive(Debug, Clone)]
pub struct AgencyServer {
    agency: Arc<Agency>,
    stop: watch::Receiver<bool>,
}

impl AgencyServer {
    /// Serves an agency. Streams are drained once `stop` turns true.
    pub const fn new(agency: Arc<Agency>, stop: watch::Receiver<bool>) -> Self {
        Self { agency, stop }
    }
}

#[tonic::async_trait]
impl AgencyService for AgencyServer {
    async fn describe(
        &self,
        _: Request<pb::DescribeRequest>,
    ) -> Result<Response<pb::DescribeResponse>, Status> {
        Ok(Response::new(self.agency.describe()))
    }

    async fn fetch_section(
        &self,
        request: Request<pb::FetchSectionRequest>,
    ) -> Result<Response<pb::FetchSectionResponse>, Status> {
        let answer = async {
            let peer = peer_of(&request)?;
            let until = deadline::deadline(
                request.metadata(),
                clock::now(),
                self.agency.limits.max_deadline,
            );
            // The unary call is the simple one, so it takes the same path as the
            // stream at the price of encoding twice.
            let encoded = Bytes::from(request.into_inner().encode_to_vec());
            let hash = RequestHash::of(&encoded);
            self.agency.answer(&peer, encoded, hash, until).await
        };
        let answer = answer.await.map_err(|refusal: Refusal| refusal.into_status(""))?;
        let decoded = pb::FetchSectionResponse::decode(answer)
            .map_err(|_| Status::internal("the agency's own answer cannot be decoded"))?;
        Ok(Response::new(decoded))
    }

    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<pb::ExchangeResponse, Status>> + Send>>;

    async fn exchange(
        &self,
        request: Request<Streaming<pb::ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let link = request.extensions().get::<Link>().cloned();
        let link = link.ok_or_else(|| no_peer().into_status(""))?;
        let answers =
            exchange::serve(self.agency.clone(), link, request.into_inner(), self.stop.clone());
        Ok(Response::new(Box::pin(answers)))
    }
}
