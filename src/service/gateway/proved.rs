//! The consumer's proof of its request at the gateway: held against the request, and shared
//! out to the agencies, each of which makes the same checks.

use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::grant::VerifiedGrant;
use crate::domain::item::ItemSet;
use crate::domain::names::RequestId;
use crate::domain::now::Now;
use crate::domain::request_proof::{ConsumerProof, OpenedProof, Proven, VerifiedHeads, Wanted};
use crate::service::judge;
use crate::service::rulebook::Rulebook;
use crate::wire::proto::pb;
use crate::wire::refusal::Refusal;
use crate::wire::request_proof;

/// A proof that holds, with what it says that each agency is asked.
#[derive(Debug)]
pub struct Proved {
    proof: OpenedProof,
    items: Vec<(AgencyId, ItemSet)>,
}

impl Proved {
    /// The proof that a request came with, checked; none where it came without and may.
    ///
    /// # Errors
    /// The proof does not hold, or there is none and one is demanded.
    pub fn of(
        proof: Option<ConsumerProof>,
        request_id: &RequestId,
        grant: &VerifiedGrant,
        (requested, rules): (&ItemSet, &Rulebook),
        by: (Now, &VerifiedHeads),
    ) -> Result<Option<Self>, Refusal> {
        judge::demand(proof.is_some(), rules)?;
        let about = (requested, &**rules.catalogue());
        let check = |proof| Self::check(proof, request_id, grant, about, by);
        proof.map(check).transpose()
    }

    fn check(
        proof: ConsumerProof,
        request_id: &RequestId,
        grant: &VerifiedGrant,
        (requested, catalogue): (&ItemSet, &Catalogue),
        by: (Now, &VerifiedHeads),
    ) -> Result<Self, Refusal> {
        let (mut wanted, mut items) = (Vec::new(), Vec::new());
        for (agency, disclosed) in grant.disclosed() {
            let found =
                disclosed.iter().filter_map(|id| Some((catalogue.find(id)?.number, id.clone())));
            let (numbers, mut ids): (Vec<_>, Vec<_>) =
                found.filter(|(number, _)| requested.contains(*number)).unzip();
            if !ids.is_empty() {
                ids.sort_unstable();
                items.push((agency.clone(), numbers.into_iter().collect()));
                wanted.push(Wanted { agency: agency.clone(), items: ids });
            }
        }
        let request = Proven::under(grant, request_id, grant.audience(), by);
        let opened = proof.open(&request, &wanted);
        Ok(Self { proof: opened.map_err(|fault| judge::unproved(&fault))?, items })
    }

    /// What the consumer asks of an agency.
    pub fn items_of(&self, agency: &AgencyId) -> ItemSet {
        let found = self.items.iter().find(|(known, _)| known == agency);
        found.map_or(ItemSet::EMPTY, |(_, items)| *items)
    }

    /// What an agency is shown.
    pub fn for_agency(&self, agency: &AgencyId) -> Option<pb::RequestProof> {
        self.proof.for_agency(agency).as_ref().map(request_proof::encode_agency)
    }
}
