//! The status service: how gateway and agencies do, for those whom `[status]` names.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tonic::{Request, Response, Status};

use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;
use crate::service::gateway::answer::Gateway;
use crate::service::peer::peer_of;
use crate::wire::proto::pb;
use crate::wire::proto::pb::status_service_server::StatusService;
use crate::wire::refusal::Refusal;
use crate::wire::status::{self, Own};

/// Who may ask, now.
#[derive(Debug)]
pub struct Readers(ArcSwap<BTreeSet<SpiffeId>>);

impl Readers {
    /// These.
    pub fn new(readers: BTreeSet<SpiffeId>) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(readers)))
    }

    /// These from now on.
    pub fn replace(&self, readers: BTreeSet<SpiffeId>) {
        self.0.store(Arc::new(readers));
    }
}

/// Serves the status.
pub struct StatusServer {
    gateway: Arc<Gateway>,
    may: Arc<Readers>,
    own: Box<dyn Fn() -> Own + Send + Sync>,
}

impl fmt::Debug for StatusServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusServer").field("may", &self.may).finish_non_exhaustive()
    }
}

impl StatusServer {
    /// Serves the status of a gateway to these identities; `own` looks at the process.
    pub fn new(
        gateway: Arc<Gateway>,
        may: Arc<Readers>,
        own: impl Fn() -> Own + Send + Sync + 'static,
    ) -> Self {
        Self { gateway, may, own: Box::new(own) }
    }

    fn check<T>(&self, request: &Request<T>) -> Result<(), Refusal> {
        let peer = peer_of(request)?;
        if self.may.0.load().contains(peer.spiffe()) {
            return Ok(());
        }
        let message = "the gateway's `[status]` section does not name you";
        Err(Refusal::new(Reason::StatusDenied, message))
    }
}

#[tonic::async_trait]
impl StatusService for StatusServer {
    async fn get_status(
        &self,
        request: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::GetStatusResponse>, Status> {
        self.check(&request).map_err(|refusal| refusal.into_status(""))?;
        Ok(Response::new(status::encode((self.own)(), self.gateway.agencies_now())))
    }
}
