//! Declared flows are exactly what Cedar allows, asked about every item alone.

use std::collections::BTreeSet;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use proptest::prelude::*;
use tributary::domain::flows::federation::Federation;
use tributary::domain::flows::open::flows;
use tributary::domain::item::ItemSet;
use tributary::domain::policy::engine::{Engine, Question};
use tributary::domain::purpose::LegalBasis;

use crate::support::{City, SCORING};

type Triple = (String, String, String, String, String);

const BUILT_IN: &str = "
forbid (principal, action, resource in Sensitivity::\"conditional\")
unless { context.basis == Basis::\"written_consent\" };";

/// Cedar alone: the rules as they are written, entities made here.
struct Cedar {
    rules: PolicySet,
    entities: Entities,
}

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_str(&format!("{kind}::{id:?}")).unwrap()
}

impl Cedar {
    fn new(federation: &Federation, rules: &str) -> Self {
        let mut entities = Vec::new();
        let mut groups = BTreeSet::new();
        for item in federation.catalogue.items() {
            let (domain, category) =
                (uid("Domain", item.domain()), uid("Category", item.category()));
            if groups.insert(item.domain()) {
                entities.push(Entity::new_no_attrs(domain.clone(), Default::default()));
            }
            if groups.insert(item.category()) {
                entities.push(Entity::new_no_attrs(category.clone(), [domain].into()));
            }
            let sensitivity = uid("Sensitivity", item.sensitivity.as_str());
            entities
                .push(Entity::new_no_attrs(uid("Item", &item.id), [category, sensitivity].into()));
        }
        Self {
            rules: PolicySet::from_str(&format!("{rules}{BUILT_IN}")).unwrap(),
            entities: Entities::from_entities(entities, None).unwrap(),
        }
    }

    fn allows(&self, question: &Question<'_>, item: &str) -> bool {
        let value = |kind, id| RestrictedExpression::new_entity_uid(uid(kind, id));
        let context = Context::from_pairs([
            ("purpose".to_owned(), value("Purpose", question.purpose)),
            ("basis".to_owned(), value("Basis", question.basis.as_str())),
            ("agency".to_owned(), value("Agency", question.agency.as_str())),
        ]);
        let request = Request::new(
            uid("Consumer", question.consumer.as_str()),
            uid("Action", "read"),
            uid("Item", item),
            context.unwrap(),
            None,
        );
        let answer =
            Authorizer::new().is_authorized(&request.unwrap(), &self.rules, &self.entities);
        answer.decision() == Decision::Allow
    }
}

#[test]
fn the_citys_flows_are_what_cedar_allows_item_by_item() {
    let city = City::new();
    let federation = city.load();
    let gateway = Cedar::new(&federation, &city.read("policies/gateway.cedar"));
    let names = federation.gateway.engine.vocabulary();
    let mut expected: BTreeSet<Triple> = BTreeSet::new();
    let mut asked = 0;
    for agency in &federation.agencies {
        let rules = city.read(&format!("policies/agencies/{}.cedar", agency.id));
        let own = Cedar::new(&federation, &rules);
        let mapping = city.read(&format!("agencies/{}.toml", agency.id));
        for item in federation.catalogue.items() {
            let held = item.owners.contains(&agency.id);
            let mapped = mapping.contains(&format!("\n\"{}\" = ", item.id));
            for consumer in &names.consumers {
                for purpose in &names.purposes {
                    for basis in LegalBasis::ALL {
                        asked += 1;
                        let purpose = purpose.as_str();
                        let question = Question { consumer, purpose, basis, agency: &agency.id };
                        if held
                            && mapped
                            && gateway.allows(&question, &item.id)
                            && own.allows(&question, &item.id)
                        {
                            expected.insert((
                                consumer.to_string(),
                                purpose.to_owned(),
                                agency.id.to_string(),
                                basis.to_string(),
                                item.id.to_string(),
                            ));
                        }
                    }
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    for flow in flows(&federation) {
        for item in flow.items.iter() {
            let item = federation.catalogue.item(item).unwrap();
            assert_eq!(item.sensitivity, flow.sensitivity);
            let triple = (
                flow.consumer.to_string(),
                flow.purpose.to_string(),
                flow.agency.to_string(),
                flow.basis.to_string(),
                item.id.to_string(),
            );
            assert!(found.insert(triple), "{} stands in two flows", item.id);
        }
    }
    assert!(asked > 50_000 && expected.len() > 500, "{asked} {}", expected.len());
    let missing: Vec<_> = expected.difference(&found).take(5).collect();
    let surplus: Vec<_> = found.difference(&expected).take(5).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:?}, surplus {surplus:?}");
}

#[test]
fn each_flow_names_the_rules_that_open_it() {
    let federation = City::new().load();
    let enrolment = federation.catalogue.find("social_security.enrolment.status").unwrap().number;
    let flows = flows(&federation);
    let flow = flows
        .iter()
        .find(|flow| {
            flow.consumer.as_str() == SCORING
                && flow.purpose.as_str() == "rental_deposit_waiver"
                && flow.items.contains(enrolment)
        })
        .unwrap();
    assert_eq!(flow.rules.gateway, ["scoring-rental-deposit"]);
    assert_eq!(flow.rules.agency.as_deref().unwrap(), ["social-security-rental"]);
    assert_eq!(flow.condition.max_lifetime.unwrap().whole_days(), 30);
    assert!(flow.condition.grantable());
    // The statute is open to the policy, but nobody may write such a grant.
    let statute: Vec<_> = flows.iter().filter(|flow| flow.basis == LegalBasis::Statute).collect();
    assert!(!statute.is_empty() && statute.iter().all(|flow| !flow.condition.grantable()));
}

#[test]
fn without_an_agencys_file_its_flows_are_an_upper_bound() {
    let city = City::new();
    let known = items_of(&city.load(), "education");
    std::fs::remove_file(city.path().join("agencies/education.toml")).unwrap();
    let federation = city.load();
    let bound = items_of(&federation, "education");
    assert!(known.is_subset(&bound) && known != bound);
    let flows = flows(&federation);
    let flow = flows.iter().find(|flow| flow.agency.as_str() == "education").unwrap();
    assert_eq!(flow.rules.agency, None);
}

fn items_of(federation: &Federation, agency: &str) -> ItemSet {
    let flows = flows(federation);
    let of = flows.iter().filter(|flow| flow.agency.as_str() == agency);
    of.fold(ItemSet::EMPTY, |all, flow| all.or(&flow.items))
}

/// A rule over the city's names, of every form that tells items apart.
fn rule() -> impl Strategy<Value = String> {
    let scope = prop::sample::select(vec![
        "resource",
        "resource == Item::\"lending.history.clean_months\"",
        "resource in Category::\"lending.history\"",
        "resource in Domain::\"employment\"",
        "resource in Sensitivity::\"conditional\"",
    ]);
    let condition = prop::sample::select(vec![
        "true",
        "context.purpose == Purpose::\"credit_profile\"",
        "context.basis != Basis::\"statute\"",
        "context.agency == Agency::\"lending\"",
        "[Item::\"education.award.competition_count\", Item::\"lending.card.open_count\"].contains(resource)",
        "resource in [Category::\"lending.card\", Domain::\"traffic\"]",
        "resource is Item && principal == Consumer::\"spiffe://bank.city.example/consumer/loan-desk\"",
        "9223372036854775807 + 1 == 0 || resource in Category::\"lending.card\"",
    ]);
    let effect = prop::sample::select(vec!["permit", "permit", "forbid"]);
    let clause = prop::sample::select(vec!["when", "unless"]);
    (effect, scope, clause, condition).prop_map(|(effect, scope, clause, condition)| {
        format!(
            "{effect} (principal, action == Action::\"read\", {scope}) {clause} {{ {condition} }};"
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Items that no rule tells apart are asked about once; nobody may notice.
    #[test]
    fn classes_of_items_answer_as_each_item_does(rules in prop::collection::vec(rule(), 1..7)) {
        let federation = &*FEDERATION;
        let text: Vec<String> =
            rules.iter().enumerate().map(|(at, rule)| format!("@id(\"r{at}\") {rule}")).collect();
        let text = text.join("\n");
        let source = tributary::domain::catalogue::Source { name: "x.cedar", text: &text };
        let names = federation.gateway.engine.vocabulary();
        let loaded = Engine::load(federation.catalogue.clone(), &[source], names);
        // Some combinations can never apply, which a load refuses.
        prop_assume!(loaded.is_ok());
        let engine = loaded.unwrap();
        for (consumer, agency) in names.consumers.iter().zip(&names.agencies) {
            for basis in [LegalBasis::Consent, LegalBasis::WrittenConsent] {
                let question = Question { consumer, purpose: "credit_profile", basis, agency };
                let openings = engine.openings(&question).unwrap();
                let decision = engine.decide(&question);
                let mut covered = ItemSet::EMPTY;
                for opening in &openings {
                    prop_assert!(covered.and(&opening.items).is_empty());
                    covered = covered.or(&opening.items);
                }
                prop_assert_eq!(covered.len(), federation.catalogue.items().len());
                for item in federation.catalogue.items().iter().step_by(3) {
                    let alone = engine.explain(&question, item.number).unwrap();
                    let opening =
                        openings.iter().find(|opening| opening.items.contains(item.number));
                    prop_assert_eq!(&opening.unwrap().explanation, &alone, "{}", item.id);
                    let opened = decision.items.contains(item.number);
                    prop_assert_eq!(opened, alone.allowed(), "{}", item.id);
                }
            }
        }
    }
}

static FEDERATION: std::sync::LazyLock<Federation> =
    std::sync::LazyLock::new(|| City::new().load());
