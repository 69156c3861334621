//! Why a grant is refused: a sentence for the log, a stable word for the peer.
//!
//! Only [`GrantError::reason`] leaves the process. No variant holds personal
//! data; texts that came with the grant are cut and escaped before they get here.

use std::borrow::Cow;

use super::disclosure::DisclosureFault;
use super::fields::FieldError;
use super::json::JsonError;
use super::key::KeyId;
use super::statuses::StatusFault;
use crate::domain::catalogue::AgencyId;
use crate::domain::peer::SpiffeId;
use crate::domain::reason::Reason;

/// What a pinned issuer may not speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Scope {
    /// Its pin does not list the legal basis.
    #[error("this legal basis")]
    Basis,
    /// Its pin does not list the purpose.
    #[error("this purpose")]
    Purpose,
    /// Its pin does not list an agency that the grant names.
    #[error("an agency that the grant names")]
    Agency,
    /// Its pin does not list the consumer.
    #[error("this consumer")]
    Consumer,
    /// Its pin does not list the status URI.
    #[error("this status URI")]
    StatusUri,
}

/// Which ceiling of its purpose a grant is above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AboveCeiling {
    /// Valid for longer.
    #[error("lifetime")]
    Lifetime,
    /// May be used more often.
    #[error("frequency")]
    Frequency,
    /// Names items beyond the purpose's set.
    #[error("item set")]
    Items,
}

/// Why a grant is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Named by the digest of a presentation that is not remembered.
    #[error("no grant with this digest is remembered; send it whole")]
    Unknown,
    /// Too many bytes or too many disclosures.
    #[error(
        "the grant is too large: at most {} bytes and {} disclosures",
        super::presentation::MAX_BYTES,
        super::presentation::MAX_DISCLOSURES
    )]
    Size,
    /// Not a compact SD-JWT without key binding.
    #[error("the grant has not the form of an SD-JWT: {0}")]
    Form(&'static str),
    /// JSON that is not strict.
    #[error("the grant's {part} cannot be read")]
    Json {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        #[source]
        source: JsonError,
    },
    /// Another `typ`.
    #[error("the token's `typ` is not `{0}`")]
    Type(&'static str),
    /// Another algorithm than the pinned key's.
    #[error("the header's `alg` is not {0}, the algorithm of the pinned key")]
    Algorithm(&'static str),
    /// A critical extension.
    #[error("the header's `crit` names an extension; none is supported")]
    Critical,
    /// A claim that is missing, unknown or malformed.
    #[error("the grant's claims are not as they must be")]
    Claim(#[from] FieldError),
    /// An issuer that is not pinned.
    #[error("`{0}` is no pinned issuer: add it under [[grants.issuer]] if it should be")]
    Issuer(SpiffeId),
    /// A key that is not pinned for the issuer.
    #[error("`{issuer}` has no pinned key `{kid}`: add it to the issuer's keys if it should be")]
    Key {
        /// The issuer.
        issuer: SpiffeId,
        /// The key's name.
        kid: KeyId,
    },
    /// The signature is not the pinned key's.
    #[error("the signature does not hold under the pinned key")]
    Signature,
    /// The list of digests is not as it must be.
    #[error("the list of digests is malformed: {0}")]
    Digests(Cow<'static, str>),
    /// A disclosure that does not belong here.
    #[error("a disclosure is refused")]
    Disclosure(#[from] DisclosureFault),
    /// An agency got other than its own disclosure alone.
    #[error("agency `{0}` takes exactly one disclosure, its own")]
    Agency(AgencyId),
    /// Made out for another gateway.
    #[error("the grant is not made out for gateway `{0}`")]
    Audience(SpiffeId),
    /// Made out for another consumer.
    #[error("the grant is not made out for consumer `{0}`")]
    Client(SpiffeId),
    /// `nbf` or `iat` lies ahead.
    #[error("the grant is not valid yet; compare the clocks")]
    NotYetValid,
    /// `exp` has passed.
    #[error("the grant has expired; obtain a new one")]
    Expired,
    /// The issuer may not speak for this.
    #[error("issuer `{issuer}` may not speak for {scope}")]
    Scope {
        /// The issuer.
        issuer: SpiffeId,
        /// What it may not speak for.
        scope: Scope,
    },
    /// A purpose that the configuration does not list.
    #[error("the purpose `{0}` is not in the configured list")]
    Purpose(String),
    /// Beyond the purpose's ceiling.
    #[error("the grant is above its purpose's ceiling in {0}")]
    Ceiling(AboveCeiling),
    /// An item that the agency does not own in the catalogue.
    #[error("the grant names an item that agency `{0}` does not own in the catalogue")]
    Items(AgencyId),
    /// The status list says no, or says nothing.
    #[error("the grant's status does not allow its use")]
    Status(#[from] StatusFault),
}

impl GrantError {
    /// All that a peer is told.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Unknown => Reason::GrantUnknown,
            Self::Size => Reason::GrantSize,
            Self::Form(_) | Self::Json { .. } => Reason::GrantMalformed,
            Self::Type(_) => Reason::GrantType,
            Self::Algorithm(_) => Reason::GrantAlgorithm,
            Self::Critical => Reason::GrantCritical,
            Self::Claim(_) => Reason::GrantClaims,
            Self::Issuer(_) => Reason::GrantIssuer,
            Self::Key { .. } => Reason::GrantKey,
            Self::Signature => Reason::GrantSignature,
            Self::Digests(_) => Reason::GrantDigests,
            Self::Disclosure(_) => Reason::GrantDisclosure,
            Self::Agency(_) => Reason::GrantAgency,
            Self::Audience(_) => Reason::GrantAudience,
            Self::Client(_) => Reason::GrantClient,
            Self::NotYetValid => Reason::GrantNotYetValid,
            Self::Expired => Reason::GrantExpired,
            Self::Scope { .. } => Reason::GrantIssuerScope,
            Self::Purpose(_) => Reason::GrantPurpose,
            Self::Ceiling(_) => Reason::GrantCeiling,
            Self::Items(_) => Reason::GrantItems,
            Self::Status(fault) => fault.reason(),
        }
    }
}
