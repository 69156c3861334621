//! The consumer's proof of its request at the agency: exactly what this gateway asks now was
//! asked by the consumer whom the grant names. The gateway's word counts for nothing.

use crate::domain::grant::VerifiedGrant;
use crate::domain::peer::PeerId;
use crate::domain::request_proof::{ProofFault, Proven, Wanted};
use crate::wire::fetch::FetchRequest;
use crate::wire::refusal::Refusal;

use super::{Agency, Rules};

impl Agency {
    /// Holds a question against the proof that it came with.
    pub(super) fn check_proof(
        &self,
        gateway: &PeerId,
        question: &FetchRequest,
        grant: &VerifiedGrant,
        rules: &Rules,
    ) -> Result<(), Refusal> {
        let checked = match &question.proof {
            None if rules.grants.require_proof => Err(ProofFault::Missing),
            None => Ok(()),
            Some((proof, ids)) => {
                let mut items = ids.clone();
                items.sort_unstable();
                let wanted = Wanted { agency: self.parts.id.clone(), items };
                let now = self.parts.authority.time().now();
                let id = &question.request_id;
                proof.check(&Proven::under(grant, id, gateway.spiffe(), now), &wanted)
            }
        };
        checked.map_err(|fault| Refusal::new(fault.reason(), fault.to_string()))
    }
}
