//! The catalogue service: what the items mean, and the signed files that say it. It holds
//! nothing about people.

pub mod published;

use std::sync::Arc;

use self::published::Published;
use arc_swap::ArcSwap;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tonic::{Request, Response, Status};

use crate::domain::catalogue::Catalogue;
use crate::domain::reason::Reason;
use crate::link::unread::SharedBytes;
use crate::service::rulebook::InForce;
use crate::wire::catalogue;
use crate::wire::proto::pb;
use crate::wire::proto::pb::catalogue_service_server::CatalogueService;
use crate::wire::refusal::Refusal;

/// Serves the catalogue in force.
#[derive(Debug, Clone)]
pub struct CatalogueServer {
    rules: Arc<InForce>,
    encoded: Arc<ArcSwap<Encoded>>,
    published: Arc<Published>,
}

/// The whole of a catalogue, encoded once for everybody.
#[derive(Debug)]
struct Encoded {
    catalogue: Arc<Catalogue>,
    items: Bytes,
    bundles: Bytes,
}

impl Encoded {
    fn new(catalogue: &Arc<Catalogue>) -> Arc<Self> {
        Arc::new(Self {
            catalogue: catalogue.clone(),
            items: framed(&catalogue::encode_items(catalogue, "")),
            bundles: framed(&catalogue::encode_bundles(catalogue)),
        })
    }
}

impl CatalogueServer {
    /// Serves the catalogue of this rulebook, and what of it is signed.
    pub fn new(rules: Arc<InForce>, published: Arc<Published>) -> Self {
        let encoded = Encoded::new(rules.now().catalogue());
        Self { rules, encoded: Arc::new(ArcSwap::new(encoded)), published }
    }

    fn encoded(&self) -> Arc<Encoded> {
        let (rules, encoded) = (self.rules.now(), self.encoded.load_full());
        if Arc::ptr_eq(rules.catalogue(), &encoded.catalogue) {
            return encoded;
        }
        let encoded = Encoded::new(rules.catalogue());
        self.encoded.store(encoded.clone());
        encoded
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
    response.extensions_mut().insert(SharedBytes(message.clone()));
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
            return Ok(shared(&self.encoded().items));
        }
        Ok(Response::new(catalogue::encode_items(self.rules.now().catalogue(), &prefix)))
    }

    async fn list_bundles(
        &self,
        _: Request<pb::ListBundlesRequest>,
    ) -> Result<Response<pb::ListBundlesResponse>, Status> {
        Ok(shared(&self.encoded().bundles))
    }

    async fn get_catalogue_note(
        &self,
        _: Request<pb::GetCatalogueNoteRequest>,
    ) -> Result<Response<pb::GetCatalogueNoteResponse>, Status> {
        let signed = self.published.now();
        let note = signed.as_ref().map(|signed| signed.note().to_owned()).ok_or_else(|| {
            let message = "the catalogue in force has no signed note here";
            Refusal::new(Reason::CatalogueNotSigned, message).into_status("")
        })?;
        Ok(Response::new(pb::GetCatalogueNoteResponse { note }))
    }

    async fn get_catalogue_file(
        &self,
        request: Request<pb::GetCatalogueFileRequest>,
    ) -> Result<Response<pb::GetCatalogueFileResponse>, Status> {
        let signed = self.published.now();
        let wanted = request.into_inner().sha256;
        let content = signed.as_ref().and_then(|signed| signed.file(&wanted)).ok_or_else(|| {
            let message = "no file of the catalogue in force has this digest, or it is not signed";
            Refusal::new(Reason::CatalogueNotSigned, message).into_status("")
        })?;
        Ok(Response::new(pb::GetCatalogueFileResponse { content }))
    }
}
