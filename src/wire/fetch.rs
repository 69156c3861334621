//! A gateway's request for one agency's section, as the agency reads it.
//!
//! The answer to it is in [`super::section`].

use bytes::Bytes;
use prost::Message;

use super::proto::pb;
use super::refusal::{FieldFault, Refusal};
use super::{grant, profile};
use crate::domain::catalogue::CatalogueDigest;
use crate::domain::grant::Presented;
use crate::domain::item::ItemSet;
use crate::domain::names::RequestId;
use crate::domain::peer::{Role, SpiffeId};
use crate::domain::reason::Reason;

/// A request that passed every check of form.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// The id that gateway and agencies share for one request.
    pub request_id: RequestId,
    /// For whom the gateway asks.
    pub consumer: SpiffeId,
    /// The grant as it was presented.
    pub grant: Presented<Bytes>,
    /// The items wanted; never empty.
    pub items: ItemSet,
}

/// Reads an encoded `FetchSectionRequest`. Every wrong field is named, not just the first.
///
/// # Errors
/// `INVALID_ARGUMENT` for what is no such message or has wrong fields,
/// `FAILED_PRECONDITION` for one that is numbered by another catalogue.
pub fn decode(request: Bytes, catalogue: &CatalogueDigest) -> Result<FetchRequest, Refusal> {
    let request = pb::FetchSectionRequest::decode(request)
        .map_err(|_| Refusal::new(Reason::Undecodable, "the request is no FetchSectionRequest"))?;
    if *request.catalogue_digest != catalogue.0 {
        let message =
            "the request is numbered by another catalogue; Describe states the right digest";
        return Err(Refusal::new(Reason::WrongCatalogue, message));
    }
    let mut fields = Vec::new();
    let mut fault = |field: &str, description: &str| {
        fields.push(FieldFault { field: field.into(), description: description.into() });
    };
    let request_id = profile::request_id(&request.request_id);
    if request_id.is_none() {
        fault("request_id", profile::REQUEST_ID_FORM);
    }
    let consumer = request.consumer.parse().ok();
    let consumer = consumer.filter(|consumer: &SpiffeId| consumer.role() == Role::Consumer);
    if consumer.is_none() {
        fault("consumer", "is not the SPIFFE id of a consumer");
    }
    let items = ItemSet::from_bytes(&request.items).filter(|items| !items.is_empty());
    if items.is_none() {
        fault("items", "must be a set of 1 to 512 bits with a bit set");
    }
    let grant =
        grant::decode(request.grant).map_err(|wrong| fault(&wrong.field, &wrong.description)).ok();
    match (request_id, consumer, items, grant) {
        (Some(request_id), Some(consumer), Some(items), Some(grant)) => {
            Ok(FetchRequest { request_id, consumer, grant, items })
        }
        _ => Err(Refusal::bad_request(fields)),
    }
}
