//! Why a proof of request is refused: a sentence for people and a stable word for programs.

use crate::domain::grant::fields::FieldError;
use crate::domain::reason::Reason;

/// Why a proof is refused. Holds nothing of what was proved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// There is none, and this receiver wants one.
    #[error("the request has no proof, and this receiver answers none without")]
    Missing,
    /// It is no compact JWS of bounded size with the right type.
    #[error(
        "`proof.jws` is no compact JWS of type {} and at most {} bytes",
        super::TOKEN_TYPE,
        super::MAX_TOKEN_BYTES
    )]
    Token,
    /// A claim is missing, unknown or malformed.
    #[error("a claim of `proof.jws` is not as it must be: {0}")]
    Claim(#[from] FieldError),
    /// It is not signed with the key that the grant names.
    #[error("`proof.jws` is not signed with the key that the grant's `cnf` names")]
    Signature,
    /// It is made out for another gateway.
    #[error("`aud` of `proof.jws` is not the gateway that asks")]
    Audience,
    /// It is made for a later time.
    #[error("`iat` of `proof.jws` lies ahead; compare the clocks")]
    NotYetValid,
    /// Its time is over.
    #[error("`exp` of `proof.jws` has passed; make a new proof")]
    Expired,
    /// The request is not in the signed tree.
    #[error("`proof.path` does not lead from this request under this grant to the signed root")]
    Leaf,
    /// Something else is asked of the agency than what was signed.
    #[error("`proof.entry` does not say that exactly these items are asked of this agency")]
    Entry,
    /// Under the same leaf other items were asked of this agency.
    #[error("the leaf of `proof` was shown before with other items; make a new proof")]
    Replayed,
    /// A request under a grant that asks nobody anything.
    #[error("the grant opens none of the items at any agency, so there is nothing to prove")]
    Nothing,
    /// A tree that cannot be made.
    #[error("the tree of the proof cannot be made")]
    Tree,
}

impl ProofFault {
    /// What the peer is told.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Missing => Reason::ProofMissing,
            Self::Expired => Reason::ProofExpired,
            Self::Replayed => Reason::ProofReplayed,
            _ => Reason::ProofInvalid,
        }
    }
}
