//! The agency's gRPC service: the three calls, each led to [`Agency`].

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::clock;
use crate::link::unread::UntilSent;
use crate::service::agency::answer::Agency;
use crate::service::agency::exchange;
use crate::service::peer::{link_of, peer_of};
use crate::wire::proto::pb;
use crate::wire::proto::pb::agency_service_server::AgencyService;
use crate::wire::refusal::Refusal;
use crate::wire::section::RequestHash;
use crate::wire::{deadline, trace};

/// Serves an agency.
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
        Ok(Response::new(self.agency.describe(&self.agency.limits())))
    }

    async fn fetch_section(
        &self,
        request: Request<pb::FetchSectionRequest>,
    ) -> Result<Response<pb::FetchSectionResponse>, Status> {
        let kept = UntilSent::default();
        let answer = async {
            let peer = peer_of(&request)?;
            let place = self.agency.enter(&peer);
            let cap = self.agency.limits().max_deadline;
            let until = deadline::deadline(request.metadata(), clock::now(), cap);
            let stated = trace::of_call(request.metadata().as_ref());
            // The unary call is the simple one, so it takes the same path as the
            // stream at the price of encoding twice.
            let encoded = Bytes::from(request.into_inner().encode_to_vec());
            let hash = RequestHash::of(&encoded);
            let asked = place.as_ref().map_err(Clone::clone);
            let answer = self.agency.answer(&peer, asked, encoded, hash, until);
            let answer = self.agency.traced(stated, answer).await;
            kept.keep(place.ok());
            answer
        };
        let answer = answer.await.map_err(|refusal: Refusal| refusal.into_status(""))?;
        let decoded = pb::FetchSectionResponse::decode(answer)
            .map_err(|_| Status::internal("the agency's own answer cannot be decoded"))?;
        let mut response = Response::new(decoded);
        response.extensions_mut().insert(kept);
        Ok(response)
    }

    type ExchangeStream = Pin<Box<dyn Stream<Item = Result<pb::ExchangeResponse, Status>> + Send>>;

    async fn exchange(
        &self,
        request: Request<Streaming<pb::ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let link = link_of(&request).map_err(|refusal| refusal.into_status(""))?;
        let (answers, kept) =
            exchange::serve(self.agency.clone(), link, request.into_inner(), self.stop.clone());
        let mut response: Response<Self::ExchangeStream> = Response::new(Box::pin(answers));
        response.extensions_mut().insert(kept);
        Ok(response)
    }
}
