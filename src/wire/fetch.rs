//! A gateway's request for one agency's section, as the agency reads it.
//!
//! One that is numbered by another catalogue is taken only with the digest of each item's
//! definition, or if that catalogue is known from before, and only for the items that the
//! agency's own catalogue defines alike. The answer to it is in [`super::section`].

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::proto::pb;
use super::refusal::{FieldFault, Refusal};
use super::{grant, profile, request_proof};
use crate::domain::catalogue::{Catalogue, ItemDigest};
use crate::domain::grant::Presented;
use crate::domain::item::ItemSet;
use crate::domain::names::RequestId;
use crate::domain::peer::{Role, SpiffeId};
use crate::domain::reason::Reason;
use crate::domain::request_proof::AgencyProof;

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
    /// Of those, the ones that the gateway's catalogue and ours define alike; never empty.
    pub alike: ItemSet,
    /// Whether the gateway has another catalogue.
    pub foreign: bool,
    /// The consumer's proof, with the ids of the items that are asked for.
    pub proof: Option<(AgencyProof, Vec<Box<str>>)>,
}

/// Reads an encoded `FetchSectionRequest`, which may be by one of the `earlier` catalogues
/// as well. Every wrong field is named, not just the first.
///
/// # Errors
/// `INVALID_ARGUMENT` for what is no such message or has wrong fields,
/// `FAILED_PRECONDITION` for one that is numbered by another catalogue and does not say how
/// that defines each item, or defines them all otherwise.
pub fn decode(
    request: Bytes,
    catalogue: &Catalogue,
    earlier: &[Arc<Catalogue>],
) -> Result<FetchRequest, Refusal> {
    let request = pb::FetchSectionRequest::decode(request)
        .map_err(|_| Refusal::new(Reason::Undecodable, "the request is no FetchSectionRequest"))?;
    let foreign = *request.catalogue_digest != catalogue.digest().0;
    let known = earlier.iter().find(|known| known.digest().0 == *request.catalogue_digest);
    let known = known.filter(|_| foreign && request.item_digests.is_empty());
    let undefined = request.catalogue_digest.len() != 32 || request.item_digests.is_empty();
    if foreign && undefined && known.is_none() {
        let message = "the request is numbered by another catalogue and does not say how that \
                       defines each item; Describe states the right digest";
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
    let alike = match (items, foreign) {
        (Some(items), true) => match known {
            Some(known) => alike(&items, &known.digests_of(&items), catalogue),
            None => alike(&items, &request.item_digests, catalogue),
        },
        (items, _) => items,
    };
    if items.is_some() && alike.is_none() {
        fault("item_digests", "must have 32 bytes for each of the items");
    }
    let grant =
        grant::decode(request.grant).map_err(|wrong| fault(&wrong.field, &wrong.description)).ok();
    let proof = match (&request.proof, items.zip(alike)) {
        (Some(proof), Some((items, alike))) => {
            let numbering = if foreign { known.map(|known| &**known) } else { Some(catalogue) };
            proof_of(proof, (&items, &alike), numbering, catalogue)
                .map_err(|wrong| fault(&wrong.field, &wrong.description))
                .map(Some)
        }
        _ => Ok(None),
    };
    match (request_id, consumer, items.zip(alike), grant.zip(proof.ok())) {
        (Some(_), Some(_), Some((_, alike)), Some(_)) if alike.is_empty() => {
            let message =
                "of the items that are asked for our catalogue defines none as yours does";
            Err(Refusal::new(Reason::CatalogueDiffers, message))
        }
        (Some(request_id), Some(consumer), Some((items, alike)), Some((grant, proof))) => {
            Ok(FetchRequest { request_id, consumer, grant, items, alike, foreign, proof })
        }
        _ => Err(Refusal::bad_request(fields)),
    }
}

/// A proof, with the ids of the items by the catalogue that numbers them. Where that is not
/// known the proof states them, and those of items that both define alike must be ours.
fn proof_of(
    proof: &pb::RequestProof,
    (items, alike): (&ItemSet, &ItemSet),
    numbering: Option<&Catalogue>,
    own: &Catalogue,
) -> Result<(AgencyProof, Vec<Box<str>>), FieldFault> {
    let decoded = request_proof::decode_agency(proof)?;
    let wrong = |field: &str, description: &str| FieldFault {
        field: field.to_owned(),
        description: description.to_owned(),
    };
    let id = |catalogue: &Catalogue, number| Some(catalogue.item(number)?.id.clone());
    let Some(numbering) = numbering else {
        let stated = proof.entry.as_ref().map_or(&[][..], |entry| &entry.items);
        let fits = stated.len() == items.len()
            && items.iter().zip(stated).all(|(number, stated)| {
                let ours = id(own, number).filter(|_| alike.contains(number));
                ours.is_none_or(|ours: Box<str>| *ours == **stated)
            });
        return match fits {
            true => Ok((decoded, stated.iter().map(|id| id.as_str().into()).collect())),
            false => Err(wrong("proof.entry.items", "must be the ids of the items")),
        };
    };
    let ids: Option<Vec<Box<str>>> = items.iter().map(|number| id(numbering, number)).collect();
    let ids = ids.ok_or_else(|| wrong("items", "has a number that the catalogue does not have"))?;
    Ok((decoded, ids))
}

/// The items that a catalogue defines as the digests say; `None` where there is not one for
/// each.
fn alike(items: &ItemSet, digests: &[u8], catalogue: &Catalogue) -> Option<ItemSet> {
    if digests.len() != items.len() * ItemDigest::BYTES {
        return None;
    }
    Some(catalogue.alike(items.iter().zip(digests.chunks(ItemDigest::BYTES))))
}
