//! What an engine is asked and what it answers.

use std::sync::Arc;

use cedar_policy::{AuthorizationError, Decision as CedarDecision, PolicyId, Response};

use crate::domain::audit::RuleId;
use crate::domain::catalogue::AgencyId;
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::peer::SpiffeId;
use crate::domain::purpose::LegalBasis;

/// What a decision depends on, and all that it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// Who would read.
    pub consumer: &'a SpiffeId,
    /// Code of the purpose.
    pub purpose: &'a str,
    /// On what legal ground.
    pub basis: LegalBasis,
    /// From which agency.
    pub agency: &'a AgencyId,
}

/// What the rules open to a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyDecision {
    /// The items that may be read.
    pub items: ItemSet,
    /// The items that are denied because a rule failed to evaluate: worth an
    /// alarm. Never in `items`.
    pub failed: ItemSet,
    /// The rules that determined it, in ascending order of number.
    pub rules: Box<[Determining]>,
}

/// A rule that determined part of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Determining {
    /// Its place in the policy, by order of id.
    pub number: u16,
    /// Its `@id`.
    pub id: Arc<RuleId>,
    /// What it determined: for a permit the items that it opened, for a forbid
    /// those that it closed, for a rule that failed those that it failed for.
    pub items: ItemSet,
}

impl PolicyDecision {
    /// The rules that determined whether these items may be read.
    pub fn determining(&self, items: &ItemSet) -> impl Iterator<Item = (u16, Arc<RuleId>)> {
        let rules = self.rules.iter().filter(|rule| !rule.items.and(items).is_empty());
        rules.map(|rule| (rule.number, rule.id.clone()))
    }
}

/// Why an item may or may not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The outcome.
    pub verdict: Verdict,
    /// The `@id`s of the rules that decided, in order of name: the permits of an
    /// allowed item, the forbids of a forbidden one.
    pub rules: Vec<String>,
    /// The rules that failed to evaluate.
    pub errors: Vec<RuleError>,
}

impl Explanation {
    /// Whether the item may be read.
    pub const fn allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allowed)
    }
}

/// The outcome for one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A permit opens it and no forbid closes it.
    Allowed,
    /// A forbid closes it.
    Forbidden,
    /// No permit opens it.
    NotPermitted,
    /// A rule failed to evaluate, which denies.
    Failed,
}

impl Verdict {
    /// The stable word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Forbidden => "forbidden",
            Self::NotPermitted => "not_permitted",
            Self::Failed => "failed",
        }
    }
}

/// A rule that failed to evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The rule's `@id`.
    pub rule: String,
    /// What went wrong.
    pub message: String,
}

/// A question names something that the vocabulary or the catalogue does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownName {
    /// No such consumer, purpose or agency in the vocabulary.
    #[error("`{name}` is not among the vocabulary's {list}{hint}")]
    Vocabulary {
        /// What was asked for.
        name: String,
        /// Which list does not have it.
        list: &'static str,
        /// What was probably meant, as the end of the sentence.
        hint: String,
    },
    /// No item has this number.
    #[error("item number {0} is not in the catalogue")]
    Item(ItemNumber),
}

/// Cedar's response about one item in our terms: an error denies.
pub(super) fn explanation(response: &Response) -> Explanation {
    let mut rules: Vec<String> =
        response.diagnostics().reason().map(|rule| rule.to_string()).collect();
    rules.sort();
    let mut errors: Vec<RuleError> = response.diagnostics().errors().map(rule_error).collect();
    errors.sort_by(|a, b| a.rule.cmp(&b.rule));
    let verdict = match response.decision() {
        CedarDecision::Deny if !rules.is_empty() => Verdict::Forbidden,
        _ if !errors.is_empty() => Verdict::Failed,
        CedarDecision::Allow => Verdict::Allowed,
        CedarDecision::Deny => Verdict::NotPermitted,
    };
    if verdict == Verdict::Failed {
        // The permits that would have opened it decided nothing.
        rules.clear();
    }
    Explanation { verdict, rules, errors }
}

fn rule_error(error: &AuthorizationError) -> RuleError {
    match error {
        AuthorizationError::PolicyEvaluationError(error) => {
            RuleError { rule: error.policy_id().to_string(), message: error.inner().to_string() }
        }
    }
}

/// The rule that could not be evaluated.
pub(super) fn failing_rule(error: &AuthorizationError) -> &PolicyId {
    match error {
        AuthorizationError::PolicyEvaluationError(error) => error.policy_id(),
    }
}
