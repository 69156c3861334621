//! What an engine decides, remembers and explains.

use std::sync::Arc;

use tributary::domain::item::ItemNumber;
use tributary::domain::policy::engine::{Question, Verdict};
use tributary::domain::purpose::LegalBasis;

use super::support::{
    BANK, SCORING, agency, consumer, decide, for_each_question, numbers, sound, vocabulary,
};

const EVERYTHING: &str = "@id(\"everything\") permit (principal, action, resource);\n";
const OVERFLOW: &str = "9223372036854775807 + 1 > 0";

fn first() -> ItemNumber {
    ItemNumber::new(0).unwrap()
}

#[test]
fn an_empty_policy_opens_nothing() {
    for text in ["", "// nothing yet\n"] {
        let engine = sound(text);
        for_each_question(&vocabulary(), |question| {
            assert!(engine.decide(&question).items.is_empty());
        });
        let shipped: Vec<&str> = engine.rule_ids().into_iter().collect();
        assert_eq!(shipped, ["tributary.conditional", "tributary.prohibited"]);
    }
}

#[test]
fn items_are_named_alone_by_category_by_domain_and_by_sensitivity() {
    for (resource, expected) in [
        ("resource == Item::\"lending.card.open_count\"", vec![0]),
        ("resource in Category::\"lending.card\"", vec![0, 1]),
        ("resource in Domain::\"lending\"", vec![0, 1, 2, 3]),
        ("resource in Sensitivity::\"conditional\"", vec![3, 5]),
        ("resource", vec![0, 1, 2, 3, 4, 5, 6]),
    ] {
        let engine = sound(&format!("@id(\"a\") permit (principal, action, {resource});"));
        let opened = decide(&engine, BANK, "credit_profile", LegalBasis::WrittenConsent, "lending");
        assert_eq!(numbers(opened), expected, "{resource}");
    }
}

#[test]
fn purpose_basis_and_agency_each_decide() {
    let engine = sound(
        "@id(\"a\") permit (principal, action, resource == Item::\"lending.card.open_count\") \
         when { context.purpose == Purpose::\"credit_profile\" && context.basis == \
         Basis::\"consent\" && context.agency == Agency::\"lending\" };",
    );
    let open = |purpose, basis, at| !decide(&engine, BANK, purpose, basis, at).is_empty();
    assert!(open("credit_profile", LegalBasis::Consent, "lending"));
    assert!(!open("small_business_loan", LegalBasis::Consent, "lending"));
    assert!(!open("credit_profile", LegalBasis::Statute, "lending"));
    assert!(!open("credit_profile", LegalBasis::Consent, "traffic"));
}

#[test]
fn what_is_in_no_list_is_denied_unevaluated_and_unremembered() {
    let engine = sound(EVERYTHING);
    let stranger = "spiffe://elsewhere.example/consumer/scoring-service";
    for (who, purpose, at) in [
        (stranger, "credit_profile", "lending"),
        (BANK, "advertising", "lending"),
        (BANK, "credit_profile", "bureau"),
    ] {
        let (consumer, agency) = (consumer(who), agency(at));
        let basis = LegalBasis::Consent;
        let question = Question { consumer: &consumer, purpose, basis, agency: &agency };
        assert!(engine.cached(&question).unwrap().items.is_empty());
        assert!(engine.evaluate(&question).items.is_empty());
        let error = engine.explain(&question, first()).unwrap_err().to_string();
        assert!(error.contains("is not among the vocabulary's"), "{error}");
    }
    assert_eq!(engine.cached_len(), 0);
}

#[test]
fn an_erring_forbid_denies_where_cedar_would_skip_it() {
    let engine = sound(&format!(
        "{EVERYTHING}@id(\"broken\") forbid (principal, action, resource in Domain::\"lending\") \
         when {{ {OVERFLOW} }};"
    ));
    let (consumer, agency) = (consumer(BANK), agency("lending"));
    let basis = LegalBasis::WrittenConsent;
    let question =
        Question { consumer: &consumer, purpose: "credit_profile", basis, agency: &agency };
    let decision = engine.decide(&question);
    assert_eq!(numbers(decision.items), [4, 5, 6]);
    assert_eq!(numbers(decision.failed), [0, 1, 2, 3]);
    let explained = engine.explain(&question, first()).unwrap();
    assert_eq!(explained.verdict, Verdict::Failed);
    assert_eq!(explained.rules, [""; 0]);
    assert_eq!(explained.errors[0].rule, "broken");
    assert!(explained.errors[0].message.contains("overflow"), "{:?}", explained.errors);
}

#[test]
fn an_erring_permit_denies_even_beside_a_sound_one() {
    let engine = sound(&format!(
        "{EVERYTHING}@id(\"broken\") permit (principal, action, resource) when {{ {OVERFLOW} }};"
    ));
    assert!(decide(&engine, BANK, "credit_profile", LegalBasis::Consent, "lending").is_empty());
}

#[test]
fn an_explanation_names_the_rules_that_decided() {
    let engine = sound(&format!(
        "{EVERYTHING}@id(\"also\") permit (principal, action, resource in Domain::\"lending\");\n\
         @id(\"no-traffic\") forbid (principal, action, resource in Domain::\"traffic\");"
    ));
    let consumer = consumer(SCORING);
    let explain = |basis, number| {
        let agency = agency("lending");
        let question =
            Question { consumer: &consumer, purpose: "credit_profile", basis, agency: &agency };
        let item = ItemNumber::new(number).unwrap();
        let answer = engine.explain(&question, item).unwrap();
        (answer.verdict, answer.rules.join(" "))
    };
    let told = |verdict, rules: &str| (verdict, rules.to_owned());
    assert_eq!(explain(LegalBasis::Consent, 0), told(Verdict::Allowed, "also everything"));
    assert_eq!(explain(LegalBasis::Consent, 3), told(Verdict::Forbidden, "tributary.conditional"));
    assert_eq!(explain(LegalBasis::WrittenConsent, 3), told(Verdict::Allowed, "also everything"));
    assert_eq!(explain(LegalBasis::Consent, 6), told(Verdict::Forbidden, "no-traffic"));
    let empty = sound("");
    let agency = agency("lending");
    let basis = LegalBasis::Consent;
    let question =
        Question { consumer: &consumer, purpose: "credit_profile", basis, agency: &agency };
    let answer = empty.explain(&question, first()).unwrap();
    assert_eq!((answer.verdict, answer.rules.len()), (Verdict::NotPermitted, 0));
    assert!(engine.explain(&question, ItemNumber::new(400).unwrap()).is_err());
}

#[test]
fn a_decision_is_evaluated_once() {
    let engine = sound(EVERYTHING);
    let (consumer, agency) = (consumer(BANK), agency("lending"));
    let basis = LegalBasis::Consent;
    let question =
        Question { consumer: &consumer, purpose: "credit_profile", basis, agency: &agency };
    assert!(engine.cached(&question).is_none());
    let first = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| engine.decide(&question))).collect();
        let decisions: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(decisions.iter().all(|decision| Arc::ptr_eq(decision, &decisions[0])));
        Arc::clone(&decisions[0])
    });
    assert!(Arc::ptr_eq(&engine.cached(&question).unwrap(), &first));
    assert!(Arc::ptr_eq(&engine.evaluate(&question), &first));
}

#[test]
fn the_cache_is_bounded_and_forgets_the_oldest() {
    let engine = sound(EVERYTHING).with_cache(4);
    let mut asked = 0;
    for_each_question(&vocabulary(), |question| {
        engine.decide(&question);
        asked += 1;
        assert_eq!(engine.cached_len(), asked.min(4));
        assert!(engine.cached(&question).is_some());
    });
    assert_eq!(asked, 54);
    let mut remembered = Vec::new();
    for_each_question(&vocabulary(), |question| {
        remembered.push(engine.cached(&question).is_some());
    });
    assert!(remembered[..50].iter().all(|kept| !kept));
    assert!(remembered[50..].iter().all(|kept| *kept));
}

#[test]
fn the_rules_of_a_decision_are_those_that_explain_each_item() {
    let engine = sound(&format!(
        "{EVERYTHING}
         @id(\"cards\") permit (principal, action, resource in Category::\"lending.card\");
         @id(\"no-traffic\") forbid (principal, action, resource in Domain::\"traffic\");
         @id(\"broken\") forbid (principal, action, resource in Domain::\"education\")
         when {{ {OVERFLOW} }};"
    ));
    let names: Vec<&str> = engine.rule_ids().into_iter().collect();
    let mut seen = std::collections::BTreeSet::new();
    for_each_question(&vocabulary(), |question| {
        let decision = engine.decide(&question);
        for item in (0..7).filter_map(ItemNumber::new) {
            let one = [item].into_iter().collect();
            let rules: Vec<String> = decision
                .determining(&one)
                .map(|(number, id)| {
                    assert_eq!(names[usize::from(number)], id.as_str());
                    id.to_string()
                })
                .collect();
            let explained = engine.explain(&question, item).unwrap();
            let failed = explained.errors.into_iter().map(|error| error.rule);
            let mut expected: Vec<String> = explained.rules.into_iter().chain(failed).collect();
            expected.sort();
            assert_eq!(rules, expected, "{item:?}");
            seen.extend(rules);
        }
    });
    // Each of them, and the shipped one on conditional items, decided somewhere.
    let determining = ["broken", "cards", "everything", "no-traffic", "tributary.conditional"];
    assert!(seen.iter().map(String::as_str).eq(determining), "{seen:?}");
}
