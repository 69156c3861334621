//! The rules that ship with the product hold against every other rule, and an
//! engine's set is what Cedar says item by item.

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, Schema,
};
use proptest::prelude::*;
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::domain::policy::engine::Question;
use tributary::domain::policy::schema::schema;
use tributary::domain::purpose::LegalBasis;

use super::support::{BANK, ITEMS, SCORING, SMALL, for_each_question, sound, vocabulary};

fn resource() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("resource".to_owned()),
        Just("resource is Item".to_owned()),
        proptest::sample::select(&ITEMS[..])
            .prop_map(|(id, _)| format!("resource == Item::\"{id}\"")),
        proptest::sample::select(&ITEMS[..])
            .prop_map(|(id, _)| format!("resource in Item::\"{id}\"")),
        proptest::sample::select(vec!["lending.card", "lending.debt", "education.award"])
            .prop_map(|id| format!("resource in Category::\"{id}\"")),
        proptest::sample::select(vec!["lending", "education", "traffic"])
            .prop_map(|id| format!("resource in Domain::\"{id}\"")),
        proptest::sample::select(vec!["ordinary", "conditional"])
            .prop_map(|id| format!("resource in Sensitivity::\"{id}\"")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        Just("true".to_owned()),
        proptest::sample::select(vec!["credit_profile", "small_business_loan"])
            .prop_map(|id| format!("context.purpose == Purpose::\"{id}\"")),
        proptest::sample::select(LegalBasis::ALL.to_vec())
            .prop_map(|basis| format!("context.basis == Basis::\"{basis}\"")),
        proptest::sample::select(vec!["lending", "education", "traffic"])
            .prop_map(|id| format!("context.agency != Agency::\"{id}\"")),
        resource()
            .prop_filter("a condition", |text| text.contains(' '))
            .prop_map(|text| format!("({text})")),
        // Fails wherever it is evaluated.
        Just("9223372036854775807 + 1 > 0".to_owned()),
    ];
    atom.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

/// Rules that Cedar may call impossible are left out by loading each one alone.
fn rules(effects: &'static [&'static str]) -> impl Strategy<Value = String> {
    let principal = proptest::sample::select(vec![
        "principal".to_owned(),
        "principal is Consumer".to_owned(),
        format!("principal == Consumer::\"{SCORING}\""),
        format!("principal == Consumer::\"{BANK}\""),
    ]);
    let when = proptest::sample::select(vec!["when", "unless"]);
    let rule = (proptest::sample::select(effects), principal, resource(), when, condition())
        .prop_map(|(effect, principal, resource, when, condition)| {
            format!("{effect} ({principal}, action, {resource}) {when} {{ {condition} }};\n")
        });
    proptest::collection::vec(rule, 0..6).prop_map(|rules| {
        rules
            .iter()
            .enumerate()
            .map(|(at, rule)| format!("@id(\"rule-{at}\") {rule}"))
            .filter(|rule| super::support::load(rule).is_ok())
            .collect()
    })
}

fn conditional() -> ItemSet {
    let numbers = ITEMS.iter().zip(0u32..).filter(|((_, kind), _)| *kind == "conditional");
    numbers.filter_map(|(_, number)| ItemNumber::new(number)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_permit_opens_a_conditional_item_without_written_consent(text in rules(&["permit"])) {
        let everything = "@id(\"everything\") permit (principal, action, resource);";
        let engine = sound(&format!("{text}{everything}"));
        for_each_question(&vocabulary(), |question| {
            let opened = engine.decide(&question).items.and(&conditional());
            if question.basis != LegalBasis::WrittenConsent {
                assert!(opened.is_empty(), "{question:?} opened {opened:?} by\n{text}");
            }
        });
    }

    #[test]
    fn the_set_is_what_cedar_says_item_by_item(text in rules(&["permit", "permit", "forbid"])) {
        let engine = sound(&text);
        let oracle = Oracle::new(&text);
        for_each_question(&vocabulary(), |question| {
            let decision = engine.decide(&question);
            assert_eq!(decision.items, oracle.items(&question), "{question:?}\n{text}");
            assert!(decision.items.and(&decision.failed).is_empty());
            for item in SMALL.items() {
                let explained = engine.explain(&question, item.number).unwrap();
                assert_eq!(explained.allowed(), decision.items.contains(item.number));
            }
        });
    }
}

/// Cedar itself, fed from JSON and asked once for each item.
struct Oracle {
    rules: PolicySet,
    entities: Entities,
    schema: Schema,
}

impl Oracle {
    fn new(text: &str) -> Self {
        let built_in = include_str!("../../../src/domain/policy/built_in.cedar");
        let rules = format!("{built_in}{text}").parse().unwrap();
        let (schema, _) = Schema::from_cedarschema_str(&schema(&SMALL, &vocabulary())).unwrap();
        let mut entities = Vec::new();
        for (id, sensitivity) in ITEMS {
            let (category, _) = id.rsplit_once('.').unwrap();
            let (domain, _) = category.split_once('.').unwrap();
            let entity = |kind: &str, id: &str, parents: &[(&str, &str)]| {
                let parents: Vec<_> = parents
                    .iter()
                    .map(|(kind, id)| serde_json::json!({ "type": kind, "id": id }))
                    .collect();
                serde_json::json!({
                    "uid": { "type": kind, "id": id }, "attrs": {}, "parents": parents,
                })
            };
            let parents = [("Category", category), ("Sensitivity", sensitivity)];
            entities.push(entity("Item", id, &parents));
            entities.push(entity("Category", category, &[("Domain", domain)]));
            entities.push(entity("Domain", domain, &[]));
        }
        entities.sort_by_key(ToString::to_string);
        entities.dedup();
        let entities = Entities::from_json_value(entities.into(), Some(&schema)).unwrap();
        Self { rules, entities, schema }
    }

    fn items(&self, question: &Question<'_>) -> ItemSet {
        let uid =
            |kind: &str, id: &str| -> EntityUid { format!("{kind}::{id:?}").parse().unwrap() };
        let action = uid("Action", "read");
        let value =
            |kind: &str, id: &str| serde_json::json!({ "__entity": { "type": kind, "id": id } });
        let context = serde_json::json!({
            "purpose": value("Purpose", question.purpose),
            "basis": value("Basis", question.basis.as_str()),
            "agency": value("Agency", question.agency.as_str()),
        });
        let context = Context::from_json_value(context, Some((&self.schema, &action))).unwrap();
        let allowed = |id: &str| {
            let principal = uid("Consumer", question.consumer.as_str());
            let request = Request::new(
                principal,
                action.clone(),
                uid("Item", id),
                context.clone(),
                Some(&self.schema),
            );
            let response =
                Authorizer::new().is_authorized(&request.unwrap(), &self.rules, &self.entities);
            response.decision() == Decision::Allow
                && response.diagnostics().errors().next().is_none()
        };
        let items = ITEMS.iter().zip(0u32..).filter(|((id, _), _)| allowed(id));
        items.filter_map(|(_, number)| ItemNumber::new(number)).collect()
    }
}
