//! One side of a comparison: a house's rules over the names that both sides know,
//! and their answer to a request as the engine gives it.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer, Decision, Entities, EntityUid, Policy, PolicyId, PolicySet, Request,
};

use crate::domain::policy::engine::Engine;
use crate::domain::policy::vocabulary::Vocabulary;

/// Stands for the engine's refusal of names that its vocabulary lacks. No rule can
/// be called so.
pub(super) const UNLISTED: &str = "NOT IN THE VOCABULARY";

/// What Cedar does not take though we wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Cedar refuses what was written for it, which is an error in Tributary: {0}")]
pub struct Broken(String);

/// The rules of a house.
#[derive(Debug, Clone)]
pub struct Side {
    rules: PolicySet,
}

/// What a side says to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideAnswer {
    /// Whether it permits. As in the engine, a rule that fails denies.
    pub permits: bool,
    /// The ids of the rules that decided.
    pub rules: Vec<String>,
}

impl Side {
    /// A house's rules, over names of which it may know a part.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn new(engine: &Engine, all: &Vocabulary) -> Result<Self, Broken> {
        let mut rules = engine.rules().clone();
        if let Some(condition) = unlisted(engine.vocabulary(), all) {
            let text = format!("forbid (principal, action, resource) when {{ {condition} }};");
            rules.add(policy(UNLISTED, &text)?).map_err(broken)?;
        }
        Ok(Self { rules })
    }

    /// Any rules, such as a house's without one of them.
    pub const fn of(rules: PolicySet) -> Self {
        Self { rules }
    }

    /// The rules.
    pub const fn rules(&self) -> &PolicySet {
        &self.rules
    }

    /// The rules, and that nothing is permitted outside this condition.
    pub(super) fn within(&self, condition: &str) -> Result<PolicySet, Broken> {
        let mut rules = self.rules.clone();
        let text = format!("forbid (principal, action, resource) unless {{ {condition} }};");
        rules.add(policy("WITHIN", &text)?).map_err(broken)?;
        Ok(rules)
    }

    /// Every name that the rules have.
    pub fn names(&self) -> BTreeSet<EntityUid> {
        self.rules.policies().flat_map(Policy::entity_literals).collect()
    }

    /// The answer to a request, by Cedar's authorizer.
    pub fn answer(&self, request: &Request, entities: &Entities) -> SideAnswer {
        let response = Authorizer::new().is_authorized(request, &self.rules, entities);
        let diagnostics = response.diagnostics();
        let failed = diagnostics.errors().next().is_some();
        let mut rules: Vec<String> = diagnostics.reason().map(ToString::to_string).collect();
        rules.sort();
        SideAnswer { permits: response.decision() == Decision::Allow && !failed, rules }
    }
}

/// The request whose names a vocabulary lacks, if there can be one.
fn unlisted(own: &Vocabulary, all: &Vocabulary) -> Option<String> {
    if own.consumers.is_empty() || own.purposes.is_empty() || own.agencies.is_empty() {
        return Some("true".to_owned());
    }
    let consumers = all.consumers.difference(&own.consumers);
    let purposes = all.purposes.difference(&own.purposes);
    let agencies = all.agencies.difference(&own.agencies);
    // None of the names needs escaping: each has passed a narrow alphabet.
    let parts: Vec<String> = consumers
        .map(|id| format!("principal == Consumer::\"{id}\""))
        .chain(purposes.map(|code| format!("context.purpose == Purpose::\"{code}\"")))
        .chain(agencies.map(|id| format!("context.agency == Agency::\"{id}\"")))
        .collect();
    (!parts.is_empty()).then(|| parts.join(" || "))
}

/// A policy set that permits exactly what fulfils a condition.
pub(super) fn permit_when(condition: &str) -> Result<PolicySet, Broken> {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    PolicySet::from_policies([policy("WHEN", &text)?]).map_err(broken)
}

fn policy(id: &str, text: &str) -> Result<Policy, Broken> {
    Policy::parse(Some(PolicyId::new(id)), text).map_err(broken)
}

pub(super) fn broken(error: impl std::fmt::Display) -> Broken {
    Broken(error.to_string())
}
