//! The policy engine: rules are evaluated once for each (consumer, purpose,
//! basis, agency) to a set over the whole catalogue, and a request ANDs that set.
//!
//! The default is to deny. A forbid outweighs every permit. Unlike Cedar, which
//! skips a rule that fails to evaluate, an error here denies the item: a forbid
//! that could not be evaluated might have held.
//!
//! Pure: no IO, no clock. Evaluating is CPU work (see [`Engine::evaluate`]); the
//! caller keeps it off the threads that serve requests. A decision says what the
//! rules open, not what a grant covers or an agency offers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Effect, Entities, EntityUid, PolicyId,
    PolicySet, Request, Response, RestrictedExpression,
};
use parking_lot::Mutex;
use serde_json::Value;

pub use super::answer::{
    Determining, Explanation, PolicyDecision, Question, RuleError, UnknownName, Verdict,
};
use super::answer::{explanation, failing_rule};
use super::cache::{Cache, Key};
use super::classes::Classes;
pub use super::classes::{Likeness, Opening};
use super::digest;
pub use super::digest::PolicyDigest;
use super::finding::PolicyFinding;
use super::operand::nearest;
use super::rules;
pub use super::rules::RulePlace;
use super::schema::{World, uid};
use super::vocabulary::Vocabulary;
use crate::domain::audit::RuleId;
pub use crate::domain::catalogue::Source;
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::peer::{Role, SpiffeId};

/// How many decisions an engine remembers unless told otherwise: at 7 agencies,
/// 3 bases and 10 purposes, those of 19 consumers.
pub const DEFAULT_CACHE: usize = 4096;

/// A loaded policy.
pub struct Engine {
    catalogue: Arc<Catalogue>,
    vocabulary: Vocabulary,
    consumers: HashMap<Box<str>, u16>,
    purposes: HashMap<Box<str>, u16>,
    agencies: HashMap<Box<str>, u16>,
    world: Arc<World>,
    rules: PolicySet,
    /// Every rule's id; its place here is its number.
    names: Vec<Arc<RuleId>>,
    forms: BTreeMap<String, Value>,
    places: BTreeMap<String, RulePlace>,
    classes: Classes,
    texts: Vec<(String, String)>,
    digest: PolicyDigest,
    cache: Cache,
    /// Held while evaluating, so that a burst of equal first questions is
    /// evaluated once.
    evaluating: Mutex<()>,
    /// The answer to whatever is in no list.
    nothing: Arc<PolicyDecision>,
}

impl Engine {
    /// Loads rules, with those that ship with the product in front. No text at
    /// all is a valid policy: it opens nothing.
    ///
    /// # Errors
    /// Every finding, not just the first.
    pub fn load(
        catalogue: Arc<Catalogue>,
        texts: &[Source<'_>],
        vocabulary: &Vocabulary,
    ) -> Result<Self, Vec<PolicyFinding>> {
        Self::build(catalogue, texts, vocabulary, None)
    }

    /// As [`Engine::load`], over the same catalogue as `other`; what both have in
    /// common is made once.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn load_beside(
        other: &Self,
        texts: &[Source<'_>],
        vocabulary: &Vocabulary,
    ) -> Result<Self, Vec<PolicyFinding>> {
        let world = (other.vocabulary == *vocabulary).then(|| Arc::clone(&other.world));
        Self::build(Arc::clone(&other.catalogue), texts, vocabulary, world)
    }

    fn build(
        catalogue: Arc<Catalogue>,
        texts: &[Source<'_>],
        vocabulary: &Vocabulary,
        world: Option<Arc<World>>,
    ) -> Result<Self, Vec<PolicyFinding>> {
        let findings = unfit(vocabulary);
        if !findings.is_empty() {
            return Err(findings);
        }
        let world = match world {
            Some(world) => world,
            None => Arc::new(World::new(&catalogue, vocabulary).map_err(|finding| vec![finding])?),
        };
        let rules = rules::load(&catalogue, vocabulary, &world, texts)?;
        let digest = digest::digest(catalogue.digest(), vocabulary, &rules.forms);
        let names = rules.names()?;
        Ok(Self {
            consumers: places(vocabulary.consumers.iter().map(SpiffeId::as_str)),
            purposes: places(vocabulary.purposes.iter().map(|purpose| purpose.as_str())),
            agencies: places(vocabulary.agencies.iter().map(AgencyId::as_str)),
            vocabulary: vocabulary.clone(),
            texts: texts
                .iter()
                .map(|source| (source.name.to_owned(), source.text.to_owned()))
                .collect(),
            classes: Classes::new(&catalogue, &world, &rules.set),
            world,
            rules: rules.set,
            names,
            forms: rules.forms,
            places: rules.places,
            digest,
            cache: Cache::new(DEFAULT_CACHE),
            evaluating: Mutex::new(()),
            nothing: Arc::default(),
            catalogue,
        })
    }

    /// The same engine, remembering so many decisions (at least one).
    #[must_use]
    pub fn with_cache(mut self, capacity: usize) -> Self {
        self.cache = Cache::new(capacity);
        self
    }

    /// The catalogue that decisions are sets over.
    pub const fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The lists that questions choose from.
    pub const fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Two engines with one digest decide alike.
    pub const fn digest(&self) -> PolicyDigest {
        self.digest
    }

    /// The rules' `@id`s, those that ship with the product included.
    pub fn rule_ids(&self) -> BTreeSet<&str> {
        self.rules.policies().map(|rule| rule.id().as_ref()).collect()
    }

    /// The rules, those that ship with the product included.
    pub const fn rules(&self) -> &PolicySet {
        &self.rules
    }

    /// Whether any rule permits something; without one everything is denied.
    pub fn has_permits(&self) -> bool {
        self.rules.policies().any(|rule| rule.effect() == Effect::Permit)
    }

    /// The items and their groups as rules see them.
    pub fn entities(&self) -> &Entities {
        &self.world.entities
    }

    /// The catalogue's items as rules see them, by number.
    pub fn resources(&self) -> impl Iterator<Item = &EntityUid> {
        self.world.items.iter().map(|(_, item)| item)
    }

    /// Where a rule stands.
    pub fn rule_place(&self, id: &str) -> Option<&RulePlace> {
        self.places.get(id)
    }

    /// Names and texts of the files that the rules were read from, without those that
    /// ship with the product.
    pub fn rule_texts(&self) -> &[(String, String)] {
        &self.texts
    }

    /// Whether both engines have the rule and it says the same in both, whatever
    /// its layout, comments and annotations.
    pub fn same_rule(&self, other: &Self, id: &str) -> bool {
        self.forms.get(id).is_some_and(|form| other.forms.get(id) == Some(form))
    }

    /// Whether a rule of this engine and one of another, which may be called otherwise,
    /// say the same.
    pub fn says_as(&self, id: &str, other: &Self, other_id: &str) -> bool {
        self.forms.get(id).is_some_and(|form| other.forms.get(other_id) == Some(form))
    }

    /// How many decisions are remembered.
    pub fn cached_len(&self) -> usize {
        self.cache.len()
    }

    /// The decision, if it needs no evaluation: it is remembered, or the question
    /// names something unknown and so opens nothing. Takes no lock.
    pub fn cached(&self, question: &Question<'_>) -> Option<Arc<PolicyDecision>> {
        match self.key(question) {
            Some(key) => self.cache.get(&key),
            None => Some(Arc::clone(&self.nothing)),
        }
    }

    /// Evaluates the rules, once for each class of items that they tell apart, and
    /// remembers the decision: up to milliseconds of CPU where rules name many items. One
    /// evaluation runs at a time; who waits for the same one gets its result.
    pub fn evaluate(&self, question: &Question<'_>) -> Arc<PolicyDecision> {
        let Some(key) = self.key(question) else {
            return Arc::clone(&self.nothing);
        };
        let _turn = self.evaluating.lock();
        if let Some(decision) = self.cache.get(&key) {
            return decision;
        }
        let decision = Arc::new(self.every_class(question));
        self.cache.insert(key, &decision);
        decision
    }

    /// [`Engine::cached`], or else [`Engine::evaluate`].
    pub fn decide(&self, question: &Question<'_>) -> Arc<PolicyDecision> {
        self.cached(question).unwrap_or_else(|| self.evaluate(question))
    }

    /// Which rules decide on one item, and how.
    ///
    /// # Errors
    /// The question names something unknown, which [`Engine::decide`] would
    /// deny without asking any rule.
    pub fn explain(
        &self,
        question: &Question<'_>,
        item: ItemNumber,
    ) -> Result<Explanation, UnknownName> {
        self.known(question)?;
        let item = self.catalogue.item(item).ok_or(UnknownName::Item(item))?;
        let response = Asker::new(self, question).and_then(|mut asker| {
            let resource = uid("Item", &item.id).map_err(|finding| finding.message)?;
            asker.ask(&resource)
        });
        Ok(match response {
            Ok(response) => explanation(&response),
            Err(message) => unasked(message),
        })
    }

    /// What the rules say about every item, items with one answer together, in
    /// disjoint sets that make up the catalogue. Asks once for each class of items
    /// that the rules tell apart, and remembers nothing.
    ///
    /// # Errors
    /// As [`Engine::explain`].
    pub fn openings(&self, question: &Question<'_>) -> Result<Vec<Opening>, UnknownName> {
        self.known(question)?;
        let mut openings: Vec<Opening> = Vec::new();
        let mut asker = Asker::new(self, question);
        for (resource, items) in &self.classes.members {
            let answer = match &mut asker {
                Ok(asker) => asker.ask(resource).map(|response| explanation(&response)),
                Err(message) => Err(message.clone()),
            };
            let explanation = answer.unwrap_or_else(unasked);
            match openings.iter_mut().find(|opening| opening.explanation == explanation) {
                Some(opening) => opening.items = opening.items.or(items),
                None => openings.push(Opening { items: *items, explanation }),
            }
        }
        Ok(openings)
    }

    /// The question as far as the rules tell it from others.
    pub fn likeness(&self, question: &Question<'_>) -> Likeness {
        self.classes.likeness(question)
    }

    fn every_class(&self, question: &Question<'_>) -> PolicyDecision {
        let mut decision = PolicyDecision::default();
        let mut determined: BTreeMap<u16, ItemSet> = BTreeMap::new();
        let mut asker = Asker::new(self, question).ok();
        for (resource, items) in &self.classes.members {
            let response = asker.as_mut().and_then(|asker| asker.ask(resource).ok());
            let Some(response) = response else {
                decision.failed = decision.failed.or(items);
                continue;
            };
            let failed = response.diagnostics().errors().next().is_some();
            let denied = response.decision() == CedarDecision::Deny;
            if failed {
                decision.failed = decision.failed.or(items);
            } else if !denied {
                decision.items = decision.items.or(items);
            }
            let errors = response.diagnostics().errors().map(failing_rule);
            // Permits determine nothing where a rule failed.
            let reasons = response.diagnostics().reason().filter(|_| denied || !failed);
            for rule in errors.chain(reasons).filter_map(|rule| self.number(rule)) {
                let determines = determined.entry(rule).or_default();
                *determines = determines.or(items);
            }
        }
        let rules = determined.into_iter().filter_map(|(number, items)| {
            let id = self.names.get(usize::from(number))?;
            Some(Determining { number, id: id.clone(), items })
        });
        decision.rules = rules.collect();
        decision
    }

    fn number(&self, rule: &PolicyId) -> Option<u16> {
        let name: &str = rule.as_ref();
        let found = self.names.binary_search_by(|id| id.as_str().cmp(name)).ok()?;
        u16::try_from(found).ok()
    }

    fn key(&self, question: &Question<'_>) -> Option<Key> {
        Some(Key {
            consumer: *self.consumers.get(question.consumer.as_str())?,
            purpose: *self.purposes.get(question.purpose)?,
            agency: *self.agencies.get(question.agency.as_str())?,
            basis: question.basis,
        })
    }

    /// Says which name is unknown. Looks for the nearest one, which is too dear
    /// for a request's way.
    fn known(&self, question: &Question<'_>) -> Result<(), UnknownName> {
        for (list, places, name) in [
            ("consumers", &self.consumers, question.consumer.as_str()),
            ("purposes", &self.purposes, question.purpose),
            ("agencies", &self.agencies, question.agency.as_str()),
        ] {
            if !places.contains_key(name) {
                return Err(unknown(list, places, name));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut engine = f.debug_struct("Engine");
        engine.field("digest", &self.digest).field("rules", &self.rule_ids());
        engine.field("cached", &self.cached_len()).finish_non_exhaustive()
    }
}

/// Asks Cedar about one item after another.
struct Asker<'a> {
    engine: &'a Engine,
    authorizer: Authorizer,
    principal: EntityUid,
    context: Context,
}

impl<'a> Asker<'a> {
    fn new(engine: &'a Engine, question: &Question<'_>) -> Result<Self, String> {
        let name = |kind, id| uid(kind, id).map_err(|finding| finding.message);
        let value = |kind, id| name(kind, id).map(RestrictedExpression::new_entity_uid);
        let context = Context::from_pairs([
            ("purpose".to_owned(), value("Purpose", question.purpose)?),
            ("basis".to_owned(), value("Basis", question.basis.as_str())?),
            ("agency".to_owned(), value("Agency", question.agency.as_str())?),
        ])
        .map_err(|error| error.to_string())?;
        let principal = name("Consumer", question.consumer.as_str())?;
        Ok(Self { engine, authorizer: Authorizer::new(), principal, context })
    }

    fn ask(&mut self, item: &EntityUid) -> Result<Response, String> {
        let world = &self.engine.world;
        let request = Request::new(
            self.principal.clone(),
            world.action.clone(),
            item.clone(),
            self.context.clone(),
            Some(&world.schema),
        )
        .map_err(|error| error.to_string())?;
        Ok(self.authorizer.is_authorized(&request, &self.engine.rules, &world.entities))
    }
}

/// A question that Cedar did not take denies.
fn unasked(message: String) -> Explanation {
    let errors = vec![RuleError { rule: "request".to_owned(), message }];
    Explanation { verdict: Verdict::Failed, rules: Vec::new(), errors }
}

fn places<'a>(names: impl Iterator<Item = &'a str>) -> HashMap<Box<str>, u16> {
    names.map(Box::from).zip(0..=u16::MAX).collect()
}

fn unknown(list: &'static str, places: &HashMap<Box<str>, u16>, name: &str) -> UnknownName {
    let hint = match nearest(name, places.keys().map(|known| &**known)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    UnknownName::Vocabulary { name: name.escape_default().to_string(), list, hint }
}

/// What no engine can be built from.
fn unfit(vocabulary: &Vocabulary) -> Vec<PolicyFinding> {
    let mut findings: Vec<PolicyFinding> = vocabulary
        .consumers
        .iter()
        .filter(|consumer| consumer.role() != Role::Consumer)
        .map(|consumer| {
            let message =
                format!("`{consumer}` is no consumer: its role must be `consumer`; remove it");
            PolicyFinding::of_file("vocabulary", message)
        })
        .collect();
    for (list, len) in [
        ("consumers", vocabulary.consumers.len()),
        ("purposes", vocabulary.purposes.len()),
        ("agencies", vocabulary.agencies.len()),
    ] {
        if len > usize::from(u16::MAX) {
            let message = format!("{len} {list} are too many; keep to at most {}", u16::MAX);
            findings.push(PolicyFinding::of_file("vocabulary", message));
        }
    }
    findings
}
