//! One lane: what may go from one agency to one consumer for one purpose on one
//! legal basis, and everything that decides on it. [`Answers`] asks each engine
//! once for all questions that its rules do not tell apart.

use std::collections::HashMap;
use std::sync::Arc;

use super::federation::{Agency, Ceiling, Federation};
use crate::domain::catalogue::AgencyId;
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::peer::SpiffeId;
use crate::domain::policy::answer::Question;
use crate::domain::policy::engine::{Engine, Explanation, Likeness, Opening};
use crate::domain::purpose::{LegalBasis, PurposeCode};

/// One engine's answer; `None` where its vocabulary lacks a name of the question.
pub(super) type Answer = Option<Arc<[Opening]>>;

/// A lane's question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub consumer: &'a SpiffeId,
    pub purpose: &'a PurposeCode,
    pub basis: LegalBasis,
    pub agency: &'a AgencyId,
}

impl<'a> Asked<'a> {
    fn question(&self) -> Question<'a> {
        Question {
            consumer: self.consumer,
            purpose: self.purpose.as_str(),
            basis: self.basis,
            agency: self.agency,
        }
    }
}

/// What decides on a lane.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    /// Whether the gateway asks the agency at all.
    pub routed: bool,
    /// The agency's kill switch.
    pub enabled: bool,
    /// The items that the catalogue says it owns.
    pub owned: ItemSet,
    /// The items that its mapping answers; all, where that is not known.
    pub mapped: ItemSet,
    /// The gateway's rules.
    pub gateway: Answer,
    /// The agency's; `None` where they are not known.
    pub agency: Option<Answer>,
    /// What the gateway lets grants do.
    pub gateway_ceiling: Arc<Ceiling>,
    /// What the agency lets grants do, where that is known.
    pub agency_ceiling: Option<Arc<Ceiling>>,
}

impl Lane {
    /// The items that the policy opens: both houses', held and routed.
    pub fn open(&self) -> ItemSet {
        if !self.routed || !self.enabled {
            return ItemSet::EMPTY;
        }
        let held = self.owned.and(&self.mapped).and(&allowed(&self.gateway));
        self.agency.as_ref().map_or(held, |agency| held.and(&allowed(agency)))
    }

    /// The items for which an issuer that both houses pin may write a grant.
    pub fn grantable(&self) -> ItemSet {
        let items = self.gateway_ceiling.items;
        match &self.agency_ceiling {
            None => items,
            Some(_) if self.issuers().is_empty() => ItemSet::EMPTY,
            Some(agency) => items.and(&agency.items),
        }
    }

    /// The issuers that both houses pin for this.
    pub fn issuers(&self) -> Vec<SpiffeId> {
        let mut issuers = self.gateway_ceiling.issuers.clone();
        if let Some(agency) = &self.agency_ceiling {
            issuers.retain(|issuer| agency.issuers.contains(issuer));
        }
        issuers
    }
}

/// The items that an answer opens.
pub(super) fn allowed(answer: &Answer) -> ItemSet {
    let openings = answer.iter().flat_map(|answer| answer.iter());
    openings
        .filter(|opening| opening.explanation.allowed())
        .fold(ItemSet::EMPTY, |all, opening| all.or(&opening.items))
}

/// What an answer says about one item.
pub(super) fn about(answer: &Answer, item: ItemNumber) -> Option<&Explanation> {
    let opening = answer.as_ref()?.iter().find(|opening| opening.items.contains(item))?;
    Some(&opening.explanation)
}

/// Asks the engines of a federation, each likeness once.
pub(super) struct Answers<'a> {
    federation: &'a Federation,
    gateway: HashMap<Likeness, Answer>,
    agencies: HashMap<AgencyId, HashMap<Likeness, Answer>>,
}

impl<'a> Answers<'a> {
    pub fn new(federation: &'a Federation) -> Self {
        Self { federation, gateway: HashMap::new(), agencies: HashMap::new() }
    }

    pub fn lane(&mut self, asked: Asked<'_>) -> Lane {
        let federation = self.federation;
        let found = federation.agency(asked.agency);
        let own = found.and_then(|agency: &Agency| agency.own.as_ref());
        let gateway = ask(&federation.gateway.engine, &mut self.gateway, asked);
        let agency = own.map(|own| {
            let known = self.agencies.entry(asked.agency.clone()).or_default();
            ask(&own.house.engine, known, asked)
        });
        let Asked { consumer, purpose, basis, agency: id } = asked;
        Lane {
            routed: found.is_some(),
            enabled: own.is_none_or(|own| own.enabled),
            owned: federation.catalogue.owned_by(id),
            mapped: own.map_or_else(|| federation.catalogue.owned_by(id), |own| own.mapped),
            gateway,
            agency,
            gateway_ceiling: Arc::new(federation.gateway.ceiling(consumer, purpose, basis, id)),
            agency_ceiling: own
                .map(|own| Arc::new(own.house.ceiling(consumer, purpose, basis, id))),
        }
    }
}

fn ask(engine: &Engine, known: &mut HashMap<Likeness, Answer>, asked: Asked<'_>) -> Answer {
    let question = asked.question();
    // Who is in no vocabulary would share a likeness with those that no rule names.
    let names = engine.vocabulary();
    if !names.consumers.contains(asked.consumer)
        || !names.purposes.contains(asked.purpose)
        || !names.agencies.contains(asked.agency)
    {
        return None;
    }
    let answer = known.entry(engine.likeness(&question));
    answer.or_insert_with(|| engine.openings(&question).ok().map(Into::into)).clone()
}
