//! The catalogue service: what the items mean. It holds nothing about people.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::domain::catalogue::Catalogue;
use crate::wire::catalogue;
use crate::wire::proto::pb;
use crate::wire::proto::pb::catalogue_service_server::CatalogueService;

/// Serves one catalogue.
#[derive(Debug, Clone)]
pub struct CatalogueServer(Arc<Catalogue>);

impl CatalogueServer {
    /// Serves this catalogue.
    pub const fn new(catalogue: Arc<Catalogue>) -> Self {
        Self(catalogue)
    }
}

#[tonic::async_trait]
impl CatalogueService for CatalogueServer {
    async fn list_items(
        &self,
        request: Request<pb::ListItemsRequest>,
    ) -> Result<Response<pb::ListItemsResponse>, Status> {
        Ok(Response::new(catalogue::encode_items(&self.0, &request.into_inner().prefix)))
    }

    async fn list_bundles(
        &self,
        _: Request<pb::ListBundlesRequest>,
    ) -> Result<Response<pb::ListBundlesResponse>, Status> {
        Ok(Response::new(catalogue::encode_bundles(&self.0)))
    }
}
