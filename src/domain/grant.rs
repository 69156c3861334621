//! Grants: the authority for one person's data, signed by an issuer that both
//! ends pin (SD-JWT, RFC 9901).
//!
//! A presentation becomes a [`SignedGrant`] when its signature and digests hold,
//! which may be cached, and a [`VerifiedGrant`] when everything that can change
//! holds too, which is checked on every use. Gateway and agency run the same
//! checks independently. A receiver that remembers a grant may be given its digest
//! instead.
//!
//! Pure: keys and time are arguments. Issuing, sealing and signing need
//! randomness and live in `issuer`. Counting uses needs a durable store and is
//! the agency's. A consumer's proof of its request is [`super::request_proof`]'s.

pub mod base64;
mod cache;
mod claims;
mod disclosure;
mod edition;
mod error;
pub mod fields;
pub mod json;
pub mod jwk;
mod jws;
mod key;
mod part;
mod pins;
mod presentation;
mod presented;
mod purpose;
mod shown;
mod signed;
pub mod status_list;
mod statuses;
pub mod subject;
mod verified;

use std::sync::Arc;

pub use cache::GrantCache;
pub use claims::{Claims, DIGEST_COUNTS, StatusRef, TYPE, is_status_uri};
pub use disclosure::{
    AgencyDisclosure, Disclosure, DisclosureFault, GATEWAY_CLAIM, Period, digest, parse_date,
};
pub use error::{AboveCeiling, GrantError, Scope};
pub use jws::Jws;
pub use key::{Algorithm, JwsKey, KeyId, SealingKey};
pub use part::Part;
pub use pins::{IssuerPin, IssuerPins, Keys, PinError};
pub use presentation::{MAX_BYTES, MAX_DISCLOSURES, Presentation, PresentationDigest};
pub use presented::Presented;
pub use purpose::{Frequency, LegalBasis, Per, Purpose, PurposeCode, PurposeTable};
pub use shown::Shown;
pub use signed::{Contents, SignedGrant};
pub use status_list::{StatusList, StatusListError};
pub use statuses::{DEFAULT_MAX_AGE, StatusFault, StatusLists};
pub use subject::{OpeningKeys, SealError, SealedSubject};
pub use verified::{Context, LEEWAY, Receiver, VerifiedGrant};

/// Verifies a presentation from the beginning, without a cache.
///
/// # Errors
/// As [`SignedGrant::check`] and [`SignedGrant::authorise`].
pub fn verify(presentation: &[u8], context: &Context<'_>) -> Result<VerifiedGrant, GrantError> {
    Arc::new(SignedGrant::check(presentation, context.pins)?).authorise(context)
}
