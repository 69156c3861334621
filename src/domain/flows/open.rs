//! Declared flows: gateway's rules ∩ agency's rules ∩ what the agency offers, for
//! every consumer, purpose and legal basis of the vocabulary.
//!
//! A flow here is a set of items that share everything else, so that a federation
//! of a million triples stays small. Whether an issuer may write a grant for it is
//! said beside it, and takes nothing away: the policy alone declares.

use std::sync::Arc;

use time::Duration;

use super::federation::Federation;
use super::lanes::{Answers, Asked, Lane};
use crate::domain::catalogue::{AgencyId, Sensitivity};
use crate::domain::grant::Frequency;
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;
use crate::domain::policy::engine::Opening;
use crate::domain::purpose::{LegalBasis, PurposeCode};

/// Items that flow alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// From whom.
    pub agency: AgencyId,
    /// To whom.
    pub consumer: SpiffeId,
    /// For what.
    pub purpose: PurposeCode,
    /// On what ground.
    pub basis: LegalBasis,
    /// The items; never none.
    pub items: ItemSet,
    /// How freely all of them may be asked for.
    pub sensitivity: Sensitivity,
    /// The rules that open them.
    pub rules: Arc<OpenedBy>,
    /// What else must hold.
    pub condition: Arc<Condition>,
}

/// The rules that open a flow, by `@id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedBy {
    /// The gateway's.
    pub gateway: Vec<String>,
    /// The agency's; `None` where its configuration is not at hand.
    pub agency: Option<Vec<String>>,
}

/// What must hold beside the rules: a grant, by whom, and how far it may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The issuers that gateway and agency both pin for this. With none, no grant
    /// can open the flow as things stand.
    pub issuers: Vec<SpiffeId>,
    /// The longest life of a grant: the shorter of both houses'.
    pub max_lifetime: Option<Duration>,
    /// The most frequent use, as the gateway and then the agency say it; once where
    /// they agree.
    pub max_frequency: Vec<Frequency>,
}

impl Condition {
    /// Whether a grant for it can be written at all.
    pub const fn grantable(&self) -> bool {
        !self.issuers.is_empty()
    }

    fn of(lane: &Lane) -> Self {
        let ceilings = [Some(&lane.gateway_ceiling), lane.agency_ceiling.as_ref()];
        let most = || ceilings.into_iter().flatten().filter_map(|ceiling| ceiling.most);
        let mut max_frequency: Vec<Frequency> = most().map(|(_, frequency)| frequency).collect();
        max_frequency.dedup();
        Self {
            issuers: lane.issuers(),
            max_lifetime: most().map(|(lifetime, _)| lifetime).min(),
            max_frequency,
        }
    }
}

/// Computes the flows, in order of consumer, purpose, agency, basis.
pub fn flows(federation: &Federation) -> Vec<Flow> {
    let mut flows = Vec::new();
    each_flow(federation, &mut |flow| flows.push(flow));
    flows
}

/// As [`flows`], one at a time.
pub fn each_flow(federation: &Federation, found: &mut dyn FnMut(Flow)) {
    let names = federation.gateway.engine.vocabulary();
    let mut answers = Answers::new(federation);
    let sensitivities = federation.by_sensitivity();
    for consumer in &names.consumers {
        for purpose in &names.purposes {
            for agency in federation.agencies.iter().map(|agency| &agency.id) {
                for basis in LegalBasis::ALL {
                    let asked = Asked { consumer, purpose, basis, agency };
                    let lane = answers.lane(asked);
                    let open = lane.open();
                    if !open.is_empty() {
                        split(asked, &lane, open, &sensitivities, found);
                    }
                }
            }
        }
    }
}

/// Cuts a lane's items into those that have rules, sensitivity and condition in
/// common.
fn split(
    asked: Asked<'_>,
    lane: &Lane,
    open: ItemSet,
    sensitivities: &[ItemSet; 2],
    found: &mut dyn FnMut(Flow),
) {
    let granted = lane.grantable();
    let condition = Arc::new(Condition::of(lane));
    let barred = Arc::new(Condition { issuers: Vec::new(), ..Condition::clone(&condition) });
    let parts = [(open.and(&granted), condition), (open.without(&granted), barred)];
    for (items, rules) in by_rules(lane) {
        let rules = Arc::new(rules);
        for (part, condition) in &parts {
            let kinds = [Sensitivity::Ordinary, Sensitivity::Conditional];
            for (kind, sensitivity) in sensitivities.iter().zip(kinds) {
                let items = items.and(part).and(kind);
                if !items.is_empty() {
                    found(Flow {
                        agency: asked.agency.clone(),
                        consumer: asked.consumer.clone(),
                        purpose: asked.purpose.clone(),
                        basis: asked.basis,
                        items,
                        sensitivity,
                        rules: Arc::clone(&rules),
                        condition: Arc::clone(condition),
                    });
                }
            }
        }
    }
}

fn by_rules(lane: &Lane) -> Vec<(ItemSet, OpenedBy)> {
    let permits = |opening: &&Opening| opening.explanation.allowed();
    let gateway = lane.gateway.iter().flat_map(|answer| answer.iter()).filter(permits);
    let mut parts = Vec::new();
    for first in gateway {
        let rules = first.explanation.rules.clone();
        match &lane.agency {
            None => parts.push((first.items, OpenedBy { gateway: rules, agency: None })),
            Some(answer) => {
                for second in answer.iter().flat_map(|answer| answer.iter()).filter(permits) {
                    let items = first.items.and(&second.items);
                    if !items.is_empty() {
                        let agency = Some(second.explanation.rules.clone());
                        parts.push((items, OpenedBy { gateway: rules.clone(), agency }));
                    }
                }
            }
        }
    }
    parts
}
