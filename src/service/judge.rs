//! The authority for one request, as both ends judge it: a verified grant and the
//! policy in force. Neither end takes the other's word.
//!
//! It is asked when a request is admitted, again before its record is written, and
//! once more when the record is on disk and right before anything is released,
//! since a grant may be revoked, a policy narrowed, an issuer taken out or a clock
//! run on in between.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::clock::Keeper;
use crate::domain::audit::RuleSet;
use crate::domain::catalogue::AgencyId;
use crate::domain::grant::{
    Context, GrantCache, GrantError, Presented, Receiver, StatusLists, VerifiedGrant,
};
use crate::domain::item::ItemSet;
use crate::domain::now::Now;
use crate::domain::policy::answer::{PolicyDecision, Question};
use crate::domain::policy::engine::Engine;
use crate::domain::policy::{self, Permit};
use crate::domain::reason::Reason;
use crate::domain::request_proof::{ProofFault, VerifiedHeads};
use crate::service::rulebook::{InForce, Rulebook};
use crate::service::status_lists::StatusPoll;
use crate::wire::refusal::Refusal;

/// What a grant and a request are held against.
#[derive(Debug)]
pub struct Authority<M = ()> {
    rules: Arc<InForce<M>>,
    statuses: Arc<StatusPoll>,
    cache: GrantCache,
    heads: VerifiedHeads,
    time: Arc<Keeper>,
}

/// What a policy says about the agencies of a grant.
#[derive(Debug)]
pub struct Ruling {
    engine: Arc<Engine>,
    /// In the order of the grant's agencies.
    decisions: Vec<Arc<PolicyDecision>>,
}

impl Ruling {
    /// Asks a policy about every agency of a grant.
    ///
    /// # Errors
    /// `INTERNAL` when evaluating the rules failed.
    pub async fn by(engine: &Arc<Engine>, grant: &VerifiedGrant) -> Result<Self, Refusal> {
        let mut decisions = Vec::new();
        for (agency, _) in grant.agencies() {
            let question = Question {
                consumer: grant.client(),
                purpose: grant.purpose().as_str(),
                basis: grant.legal_basis(),
                agency,
            };
            decisions.push(match engine.cached(&question) {
                Some(decision) => decision,
                None => evaluate(engine.clone(), grant, agency).await?,
            });
        }
        Ok(Self { engine: engine.clone(), decisions })
    }

    /// What grant and policy together allow.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` when they allow nothing of what is requested.
    pub fn permit(&self, grant: &VerifiedGrant, requested: &ItemSet) -> Result<Permit, Refusal> {
        let permitted = |agency: &AgencyId| {
            let mut decisions = grant.agencies().zip(&self.decisions);
            let found = decisions.find(|((name, _), _)| *name == agency);
            found.map_or(ItemSet::EMPTY, |(_, decision)| decision.items)
        };
        policy::decide(grant, requested, permitted)
            .map_err(|denial| Refusal::new(denial.reason(), denial.to_string()))
    }

    /// The policy, and those of its rules that determined whether these items may
    /// be read, from one agency or, without one, from any of the grant's.
    pub fn rules(
        &self,
        grant: &VerifiedGrant,
        agency: Option<&AgencyId>,
        items: &ItemSet,
    ) -> Option<RuleSet> {
        let about = grant.agencies().zip(&self.decisions);
        let about = about.filter(|((name, _), _)| agency.is_none_or(|agency| *name == agency));
        let rules = about.flat_map(|(_, decision)| decision.determining(items));
        RuleSet::new(self.engine.digest().0, rules).ok()
    }
}

impl<M> Authority<M> {
    /// An authority that judges by what is in force. It remembers `cache` checked
    /// signatures.
    pub fn new(
        rules: Arc<InForce<M>>,
        statuses: Arc<StatusPoll>,
        cache: usize,
        time: Arc<Keeper>,
    ) -> Self {
        let (cache, heads) = (GrantCache::new(cache), VerifiedHeads::default());
        Self { rules, statuses, cache, heads, time }
    }

    /// The status lists by which grants are judged.
    pub const fn statuses(&self) -> &Arc<StatusPoll> {
        &self.statuses
    }

    /// What is in force.
    pub const fn rules(&self) -> &Arc<InForce<M>> {
        &self.rules
    }

    /// Verifies what was presented, by the rulebook of its request. What is refused from here
    /// on gets a record of its own; what is refused here is only counted.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` with the grant's reason; `FAILED_PRECONDITION` for a digest
    /// of no grant that is remembered.
    pub fn verify(
        &self,
        presented: Presented<&[u8]>,
        receiver: Receiver<'_>,
        rules: &Rulebook<M>,
    ) -> Result<VerifiedGrant, Refusal> {
        let statuses = Arc::clone(&self.statuses.lists());
        let context = self.context(receiver, rules, &statuses);
        self.cache.verify(presented, &context).map_err(|error| refused(&error))
    }

    /// Asks once more, right before release, and by what is in force then. What the catalogue
    /// has no more by then is decided by the one under which the request began: nothing
    /// forbids it, and the next request does not get it. `proved` says whether the consumer's
    /// own proof was checked: since then one may be demanded.
    ///
    /// # Errors
    /// As [`verify`](Self::verify), `PROOF_MISSING`, and `POLICY_CHANGED` when the policy no
    /// longer allows all that it allowed.
    pub async fn confirm(
        &self,
        grant: &VerifiedGrant,
        permit: &Permit,
        ruling: &Ruling,
        receiver: Receiver<'_>,
        proved: bool,
    ) -> Result<(), Refusal> {
        let (rules, statuses) = (self.rules.now(), Arc::clone(&self.statuses.lists()));
        demand(proved, &rules)?;
        grant
            .still_holds(&self.context(receiver, &rules, &statuses))
            .map_err(|error| refused(&error))?;
        if Arc::ptr_eq(&rules.engine, &ruling.engine) {
            return Ok(());
        }
        let (now, known) = (Ruling::by(&rules.engine, grant).await?, rules.catalogue().numbers());
        let narrowed = grant
            .agencies()
            .zip(&now.decisions)
            .any(|((agency, _), now)| !permit.items_of(agency).and(&known).is_subset(&now.items));
        if narrowed {
            let message = "the policy was narrowed while the request was under way; ask again";
            return Err(Refusal::new(Reason::PolicyChanged, message));
        }
        Ok(())
    }

    /// The time by which grants expire and uses are counted: the later of the clocks.
    pub fn now(&self) -> OffsetDateTime {
        self.time.now().latest
    }

    /// By what proofs of request are checked: the present, and the signed heads that are known
    /// to hold.
    pub fn proving(&self) -> (Now, &VerifiedHeads) {
        (self.time.now(), &self.heads)
    }

    /// Who keeps that time.
    pub const fn time(&self) -> &Arc<Keeper> {
        &self.time
    }

    fn context<'a>(
        &self,
        receiver: Receiver<'a>,
        rules: &'a Rulebook<M>,
        statuses: &'a StatusLists,
    ) -> Context<'a> {
        Context {
            receiver,
            now: self.time.now(),
            pins: &rules.grants.pins,
            purposes: &rules.grants.purposes,
            catalogue: rules.catalogue(),
            statuses,
        }
    }
}

/// Evaluates the rules for one agency, off the runtime's threads: it takes
/// milliseconds, and only the first time after a load.
async fn evaluate(
    engine: Arc<Engine>,
    grant: &VerifiedGrant,
    agency: &AgencyId,
) -> Result<Arc<PolicyDecision>, Refusal> {
    let (consumer, purpose) = (grant.client().clone(), grant.purpose().clone());
    let (basis, agency) = (grant.legal_basis(), agency.clone());
    let evaluated = tokio::task::spawn_blocking(move || {
        let question =
            Question { consumer: &consumer, purpose: purpose.as_str(), basis, agency: &agency };
        engine.evaluate(&question)
    });
    evaluated.await.map_err(|_| Refusal::new(Reason::PolicyFailed, "the policy failed"))
}

/// Holds it against these rules that a request was proved, or was not.
///
/// # Errors
/// `PROOF_MISSING`.
pub fn demand<M>(proved: bool, rules: &Rulebook<M>) -> Result<(), Refusal> {
    match rules.grants.require_proof && !proved {
        true => Err(unproved(&ProofFault::Missing)),
        false => Ok(()),
    }
}

/// The refusal of a proof of request.
pub fn unproved(fault: &ProofFault) -> Refusal {
    Refusal::new(fault.reason(), fault.to_string())
}

/// A grant's refusal: what the reason means and nothing beside it, so that a forger
/// learns no more than that.
fn refused(error: &GrantError) -> Refusal {
    let reason = error.reason();
    Refusal::new(reason, reason.meaning().trim_end_matches('.'))
}
