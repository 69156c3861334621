//! The two forms of a proof: as a consumer gives it to a gateway, and as a gateway hands each
//! agency its share. Both ends make the same checks.

use super::entries::{AgencyEntries, EntryProof, Wanted};
use super::fault::ProofFault;
use super::heads::VerifiedHeads;
use super::leaf::{RequestLeaf, SignedLeaf};
use crate::domain::audit::Hash;
use crate::domain::catalogue::AgencyId;
use crate::domain::grant::{JwsKey, VerifiedGrant};
use crate::domain::names::RequestId;
use crate::domain::now::Now;
use crate::domain::peer::SpiffeId;

/// As a consumer gives it to a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerProof {
    /// Where the request stands under the signature.
    pub leaf: SignedLeaf,
    /// From which salts and decoys come.
    pub seed: [u8; 32],
}

/// As an agency gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgencyProof {
    /// Where the request stands under the signature.
    pub leaf: SignedLeaf,
    /// What the agency is asked.
    pub entry: EntryProof,
}

/// What a proof is held against.
#[derive(Debug, Clone, Copy)]
pub struct Proven<'a> {
    /// The request's id.
    pub request_id: &'a RequestId,
    /// The key that the grant names.
    pub key: &'a JwsKey,
    /// SHA-256 of the grant's signed part.
    pub grant: [u8; 32],
    /// The gateway that is asked, or that asks.
    pub gateway: &'a SpiffeId,
    /// The present.
    pub now: Now,
    /// What is known to be signed.
    pub heads: &'a VerifiedHeads,
}

impl<'a> Proven<'a> {
    /// Of a request under this grant.
    pub fn under(
        grant: &'a VerifiedGrant,
        request_id: &'a RequestId,
        gateway: &'a SpiffeId,
        (now, heads): (Now, &'a VerifiedHeads),
    ) -> Self {
        let (key, grant) = (grant.proof_key(), grant.signed_digest());
        Self { request_id, key, grant, gateway, now, heads }
    }

    /// The leaf that stands under the consumer's signature.
    fn holds(&self, signed: &SignedLeaf, entries: (u64, Hash)) -> Result<Hash, ProofFault> {
        let head = self.heads.verify(&signed.token, self.key)?;
        head.check(self.gateway, self.now)?;
        let (request_id, grant, nonce) = (self.request_id, self.grant, signed.nonce);
        let leaf = RequestLeaf { request_id, grant, nonce, entries }.hash();
        signed.check(&head, leaf)?;
        Ok(leaf)
    }
}

/// A consumer's proof that a gateway has checked, to be shared out.
#[derive(Debug)]
pub struct OpenedProof {
    leaf: SignedLeaf,
    entries: AgencyEntries,
}

impl ConsumerProof {
    /// Holds it against the request that it came with.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn open(self, request: &Proven<'_>, wanted: &[Wanted]) -> Result<OpenedProof, ProofFault> {
        let entries = AgencyEntries::of(&self.seed, wanted)?;
        request.holds(&self.leaf, entries.stated())?;
        Ok(OpenedProof { leaf: self.leaf, entries })
    }
}

impl OpenedProof {
    /// What an agency is shown; none where the consumer asks it nothing.
    pub fn for_agency(&self, agency: &AgencyId) -> Option<AgencyProof> {
        let entry = self.entries.proof_for(agency)?;
        Some(AgencyProof { leaf: self.leaf.clone(), entry })
    }
}

impl AgencyProof {
    /// Holds it against what this gateway asks of this agency, and gives the request's leaf.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check(&self, request: &Proven<'_>, wanted: &Wanted) -> Result<Hash, ProofFault> {
        let leaf = request.holds(&self.leaf, (self.entry.size, self.entry.root))?;
        self.entry.check(wanted)?;
        Ok(leaf)
    }
}
