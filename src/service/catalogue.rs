//! The catalogue service: what the items mean. It holds nothing about people.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tonic::{Request, Response, Status};

use crate::domain::catalogue::Catalogue;
use crate::link::unread::Shared;
use crate::wire::catalogue;
use crate::wire::proto::pb;
use crate::wire::proto::pb::catalogue_service_server::CatalogueService;

/// Serves one catalogue.
#[derive(Debug, Clone)]
pub struct CatalogueServer {
    catalogue: Arc<Catalogue>,
    /// The whole of it, encoded once for everybody.
    items: Bytes,
    bundles: Bytes,
}

impl CatalogueServer {
    /// Serves this catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        let items = framed(&catalogue::encode_items(&catalogue, ""));
        let bundles = framed(&catalogue::encode_bundles(&catalogue));
        Self { catalogue, items, bundles }
    }
}

/// A message as it is sent: not compressed, and how long it is.
fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(5 + length);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    framed.put(&*message.encode_to_vec());
    framed.freeze()
}

/// An answer whose message is sent as it stands there.
fn shared<M: Default>(message: &Bytes) -> Response<M> {
    let mut response = Response::new(M::default());
    response.extensions_mut().insert(Shared(message.clone()));
    response
}

#[tonic::async_trait]
impl CatalogueService for CatalogueServer {
    async fn list_items(
        &self,
        request: Request<pb::ListItemsRequest>,
    ) -> Result<Response<pb::ListItemsResponse>, Status> {
        let prefix = request.into_inner().prefix;
        if prefix.is_empty() {
            return Ok(shared(&self.items));
        }
        Ok(Response::new(catalogue::encode_items(&self.catalogue, &prefix)))
    }

    async fn list_bundles(
        &self,
        _: Request<pb::ListBundlesRequest>,
    ) -> Result<Response<pb::ListBundlesResponse>, Status> {
        Ok(shared(&self.bundles))
    }
}
