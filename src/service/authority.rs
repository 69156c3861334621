//! The authority for one request, as both ends judge it: a verified grant and the
//! policy in force. Neither end takes the other's word.
//!
//! It is asked twice: when a request is admitted, and again right before
//! anything is released, since a grant may be revoked, a policy narrowed or a
//! clock run on in between.

use std::sync::Arc;

use tonic::Code;

use super::status_poll::StatusPoll;
use crate::clock;
use crate::config::grants::Grants;
use crate::config::reload::LastGood;
use crate::domain::audit::RuleSet;
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::grant::{
    Context, GrantCache, GrantError, HighWater, Receiver, StatusLists, VerifiedGrant,
};
use crate::domain::item::ItemSet;
use crate::domain::policy::answer::Question;
use crate::domain::policy::engine::Engine;
use crate::domain::policy::{self, Permit};
use crate::wire::refusal::Refusal;

/// What a grant and a request are held against.
#[derive(Debug)]
pub struct Authority {
    catalogue: Arc<Catalogue>,
    grants: Grants,
    statuses: Arc<StatusPoll>,
    policy: Arc<LastGood<Engine>>,
    cache: GrantCache,
    time: Arc<HighWater>,
}

/// A request's authority at one moment.
#[derive(Debug)]
pub struct Authorised {
    /// The grant.
    pub grant: VerifiedGrant,
    /// What it and the policy allow.
    pub permit: Permit,
    /// The policy that allowed it.
    engine: Arc<Engine>,
}

impl Authorised {
    /// The policy that allowed it, for the record.
    pub fn rules(&self) -> Option<RuleSet> {
        RuleSet::new(self.engine.digest().0, Vec::new()).ok()
    }
}

impl Authority {
    /// An authority that believes `grants`' issuers and follows `policy`. It
    /// remembers `cache` checked signatures.
    pub fn new(
        catalogue: Arc<Catalogue>,
        grants: Grants,
        statuses: Arc<StatusPoll>,
        policy: Arc<LastGood<Engine>>,
        cache: usize,
        time: Arc<HighWater>,
    ) -> Self {
        Self { catalogue, grants, statuses, policy, cache: GrantCache::new(cache), time }
    }

    /// Verifies a presentation and decides on the items requested.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` with the grant's or the policy's reason.
    pub async fn admit(
        &self,
        presentation: &[u8],
        receiver: Receiver<'_>,
        requested: &ItemSet,
    ) -> Result<Authorised, Refusal> {
        let statuses = Arc::clone(&self.statuses.lists());
        let context = self.context(receiver, &statuses);
        let grant = self.cache.verify(presentation, &context).map_err(|error| refused(&error))?;
        let engine = self.policy.current();
        let permit = decide(&engine, &grant, requested).await?;
        Ok(Authorised { grant, permit, engine })
    }

    /// Asks once more, right before release.
    ///
    /// # Errors
    /// As [`admit`](Self::admit), and `POLICY_CHANGED` when the policy no longer
    /// allows all that it allowed.
    pub async fn confirm(
        &self,
        authorised: &Authorised,
        receiver: Receiver<'_>,
        requested: &ItemSet,
    ) -> Result<(), Refusal> {
        let statuses = Arc::clone(&self.statuses.lists());
        let context = self.context(receiver, &statuses);
        let signed = authorised.grant.signed();
        let grant = signed.authorise(&context).map_err(|error| refused(&error))?;
        let engine = self.policy.current();
        if Arc::ptr_eq(&engine, &authorised.engine) {
            return Ok(());
        }
        let permit = decide(&engine, &grant, requested).await?;
        let narrowed = authorised.grant.agencies().any(|(agency, _)| {
            !authorised.permit.items_of(agency).is_subset(&permit.items_of(agency))
        });
        if narrowed {
            let message = "the policy was narrowed while the request was under way; ask again";
            return Err(Refusal::new(Code::PermissionDenied, "POLICY_CHANGED", message));
        }
        Ok(())
    }

    /// The time by which grants are judged; it never goes back.
    pub fn now(&self) -> time::OffsetDateTime {
        self.time.observe(clock::utc())
    }

    fn context<'a>(&'a self, receiver: Receiver<'a>, statuses: &'a StatusLists) -> Context<'a> {
        Context {
            receiver,
            now: self.now(),
            pins: &self.grants.pins,
            purposes: &self.grants.purposes,
            catalogue: &self.catalogue,
            statuses,
        }
    }
}

async fn decide(
    engine: &Arc<Engine>,
    grant: &VerifiedGrant,
    requested: &ItemSet,
) -> Result<Permit, Refusal> {
    let mut permitted = Vec::new();
    for (agency, _) in grant.agencies() {
        let question = Question {
            consumer: grant.client(),
            purpose: grant.purpose().as_str(),
            basis: grant.legal_basis(),
            agency,
        };
        let items = match engine.cached(&question) {
            Some(decision) => decision.items,
            None => evaluate(engine.clone(), grant, agency).await?,
        };
        permitted.push((agency, items));
    }
    let permitted = |agency: &AgencyId| {
        let found = permitted.iter().find(|(name, _)| *name == agency);
        found.map_or(ItemSet::EMPTY, |(_, items)| *items)
    };
    policy::decide(grant, requested, permitted)
        .map_err(|denial| Refusal::new(Code::PermissionDenied, denial.reason(), denial.to_string()))
}

/// Evaluates the rules for one agency, off the runtime's threads: it takes
/// milliseconds, and only the first time after a load.
async fn evaluate(
    engine: Arc<Engine>,
    grant: &VerifiedGrant,
    agency: &AgencyId,
) -> Result<ItemSet, Refusal> {
    let (consumer, purpose) = (grant.client().clone(), grant.purpose().clone());
    let (basis, agency) = (grant.legal_basis(), agency.clone());
    let evaluated = tokio::task::spawn_blocking(move || {
        let question =
            Question { consumer: &consumer, purpose: purpose.as_str(), basis, agency: &agency };
        engine.evaluate(&question).items
    });
    evaluated.await.map_err(|_| Refusal::new(Code::Internal, "POLICY_FAILED", "the policy failed"))
}

/// A grant's refusal: the stable word and nothing beside it, so that a forger
/// learns no more than that.
fn refused(error: &GrantError) -> Refusal {
    let message = "the grant is refused; the reason has a page in docs/errors";
    Refusal::new(Code::PermissionDenied, error.reason(), message)
}
