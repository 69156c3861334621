//! The gateway's gRPC service: both calls, each led to [`Gateway`].

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use crate::clock;
use crate::link::unread::UntilSent;
use crate::service::gateway::answer::Gateway;
use crate::service::gateway::stream;
use crate::service::peer::{link_of, peer_of};
use crate::wire::proto::pb;
use crate::wire::proto::pb::profile_service_server::ProfileService;
use crate::wire::{deadline, trace};

/// Serves a gateway.
#[derive(Debug, Clone)]
pub struct GatewayServer {
    gateway: Arc<Gateway>,
    stop: watch::Receiver<bool>,
}

impl GatewayServer {
    /// Serves a gateway. Streams end once `stop` turns true.
    pub const fn new(gateway: Arc<Gateway>, stop: watch::Receiver<bool>) -> Self {
        Self { gateway, stop }
    }
}

#[tonic::async_trait]
impl ProfileService for GatewayServer {
    async fn get_profile(
        &self,
        request: Request<pb::GetProfileRequest>,
    ) -> Result<Response<pb::GetProfileResponse>, Status> {
        let peer = peer_of(&request).map_err(|refusal| refusal.into_status(""))?;
        let cap = self.gateway.limits().max_deadline;
        let until = deadline::deadline(request.metadata(), clock::now(), cap);
        let place = self.gateway.enter(&peer);
        let asked = place.as_ref().map_err(Clone::clone);
        let stated = trace::of_call(request.metadata().as_ref());
        let answer = self.gateway.answer(&peer, asked, request.into_inner(), until);
        match self.gateway.traced(stated, answer).await {
            Ok(response) => {
                let (mut response, kept) = (Response::new(response), UntilSent::default());
                kept.keep(place.ok());
                response.extensions_mut().insert(kept);
                Ok(response)
            }
            Err((refusal, id)) => Err(refusal.into_status(&id)),
        }
    }

    type StreamProfilesStream =
        Pin<Box<dyn Stream<Item = Result<pb::StreamProfilesResponse, Status>> + Send>>;

    async fn stream_profiles(
        &self,
        request: Request<Streaming<pb::StreamProfilesRequest>>,
    ) -> Result<Response<Self::StreamProfilesStream>, Status> {
        let link = link_of(&request).map_err(|refusal| refusal.into_status(""))?;
        let (gateway, stop) = (self.gateway.clone(), self.stop.clone());
        let (answers, kept) = stream::serve(gateway, link, request.into_inner(), stop);
        let mut response: Response<Self::StreamProfilesStream> = Response::new(Box::pin(answers));
        response.extensions_mut().insert(kept);
        Ok(response)
    }
}
