//! What a load refuses, and how it says so.

use tributary::domain::policy::engine::Engine;
use tributary::domain::policy::vocabulary::Vocabulary;

use super::support::{SMALL, consumer, for_each_question, load, load_files, sound, vocabulary};

/// A text and what its first finding must say, place included.
const REFUSED: [(&str, &[&str]); 26] = [
    (
        "\n@id(\"a\")\npermit (principal, action, resource == Item::\"lending.card.opn_count\");",
        &[
            "gateway.cedar:3: rule `a`: `Item::\"lending.card.opn_count\"` is not in the catalogue",
            "did you mean `Item::\"lending.card.open_count\"`?",
        ],
    ),
    (
        "@id(\"a\")\npermit (principal, action, resource in Category::\"lending.cards\");",
        &["gateway.cedar:2: rule `a`", "did you mean `Category::\"lending.card\"`?"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource in Domain::\"helth\");",
        &["`Domain::\"helth\"` is not in the catalogue", "use one of: education, lending, traffic"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource in Category::\"lending\");",
        &["not in the catalogue; write `Domain::\"lending\"`"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource == Item::\"lending.card\");",
        &["not in the catalogue; write `Category::\"lending.card\"`"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource)\nwhen {\n  context.purpose == \
         Purpose::\"credit_profil\" };",
        &[
            "gateway.cedar:3: rule `a`: `Purpose::\"credit_profil\"` is not among the vocabulary's \
             purposes",
            "did you mean `Purpose::\"credit_profile\"`?",
        ],
    ),
    (
        "@id(\"a\") permit (principal, action, resource) when { context.basis == \
         Basis::\"written\" };",
        &["`Basis::\"written\"` is no legal basis", "consent, statute, written_consent"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource) when { context.agency == \
         Agency::\"trafic\" };",
        &["not among the vocabulary's agencies", "did you mean `Agency::\"traffic\"`?"],
    ),
    (
        "@id(\"a\") permit (principal == Consumer::\"spiffe://scoring.city.example/consumer/\
         scoring-servise\", action, resource);",
        &["not among the vocabulary's consumers", "consumer/scoring-service\"`?"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource in Sensitivity::\"secret\");",
        &["`Sensitivity::\"secret\"` is no sensitivity", "conditional, ordinary, prohibited"],
    ),
    (
        "@id(\"a\") permit (principal, action == Action::\"write\", resource);",
        &["`Action::\"write\"` is no action; use one of: read"],
    ),
    (
        "// a comment\npermit (principal, action, resource);",
        &["gateway.cedar:2: the rule has no name; write @id"],
    ),
    ("@id permit (principal, action, resource);", &["the rule has no name"]),
    (
        "@id(\"Ä b\") permit (principal, action, resource);",
        &["is not a name; use at most 100 lower-case letters"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource);\n\n@id(\"a\") forbid (principal, \
         action, resource);",
        &["gateway.cedar:3: @id(\"a\") already names the rule at gateway.cedar:1; rename one"],
    ),
    (
        "@id(\"tributary.conditional\") permit (principal, action, resource);",
        &["is reserved for the rules that ship with the product; rename it"],
    ),
    (
        "@id(\"a\") permit (principal == ?principal, action, resource);",
        &["`?principal` and `?resource` are not supported; name the consumer"],
    ),
    (
        "@id(\"a\")\npermit (principal, action resource);",
        &["gateway.cedar:2: ", "unexpected token"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource) when { context.basis ==",
        &["gateway.cedar:1: ", "unexpected end of input"],
    ),
    ("@id(\"a\") permit (principal, action, resource);;", &["gateway.cedar:1: "]),
    ("hello", &["gateway.cedar:1: "]),
    (
        "@id(\"a\") permit (principal, action, resource)\nwhen { context.purpose == \
         \"credit_profile\" };",
        &["gateway.cedar:2: rule `a`: ", "written as in `context.purpose == Purpose::"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource) when { context.subject == \"x\" };",
        &["rule `a`: ", "attribute `subject`", "not found"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource) when { resource.owner == principal };",
        &["rule `a`: ", "attribute `owner`"],
    ),
    (
        "@id(\"a\") permit (principal is Person, action, resource);",
        &["rule `a`: ", "unrecognized entity type `Person`"],
    ),
    (
        "@id(\"a\") permit (principal, action, resource) when { context.basis == \
         Basis::\"consent\" && context.basis in Basis::\"statute\" && false };",
        &["rule `a`: ", "evaluates to false"],
    ),
];

#[test]
fn a_refusal_names_the_place_the_value_and_the_remedy() {
    for (text, expected) in REFUSED {
        let findings = load(text).expect_err(text);
        let said = findings[0].to_string();
        for part in expected {
            assert!(said.contains(part), "{text}\nsaid: {said}\nbut not: {part}");
        }
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn every_finding_is_reported_at_once() {
    let text = "@id(\"a\") permit (principal, action, resource in Domain::\"x\");\n\
                permit (principal, action, resource);\n\
                @id(\"b\") permit (principal, action, resource) when { context.basis == 1 };\n\
                @id(\"c\") permit (;\n";
    let lines: Vec<usize> = load(text).unwrap_err().iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
}

#[test]
fn a_name_is_unique_across_files() {
    let rule = "@id(\"a\") permit (principal, action, resource);";
    let findings = load_files(&[("one.cedar", rule), ("two.cedar", rule)]).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].file, "two.cedar");
    assert!(findings[0].message.contains("one.cedar:1"), "{}", findings[0]);
}

#[test]
fn only_consumers_may_stand_among_the_consumers() {
    let mut lists = vocabulary();
    lists.consumers.insert(consumer("spiffe://gateway.city.example/gateway/main"));
    let findings = Engine::load(SMALL.clone(), &[], &lists).unwrap_err();
    assert!(findings[0].to_string().starts_with("vocabulary: `spiffe://gateway.city.example"));
}

#[test]
fn an_empty_vocabulary_refuses_every_name_in_it() {
    let lists = Vocabulary::default();
    assert!(Engine::load(SMALL.clone(), &[], &lists).is_ok());
    let text = "@id(\"a\") permit (principal, action, resource) when { context.purpose == \
                Purpose::\"credit_profile\" };";
    let source = tributary::domain::catalogue::Source { name: "gateway.cedar", text };
    let findings = Engine::load(SMALL.clone(), &[source], &lists).unwrap_err();
    assert!(findings[0].message.contains("the list is empty"), "{}", findings[0]);
}

#[test]
fn a_misspelt_key_in_the_vocabulary_is_an_error() {
    assert!(toml::from_str::<Vocabulary>("purposes = []\nconsumers = []").is_ok());
    for text in [
        "purposes = []\nconsumers = []\nagency = []",
        "purposes = [\"Credit Profile\"]\nconsumers = []",
        "purposes = []\nconsumers = [\"scoring\"]",
        "purposes = []",
    ] {
        assert!(toml::from_str::<Vocabulary>(text).is_err(), "{text}");
    }
}

fn when(condition: &str) -> String {
    format!("@id(\"a\") permit (principal, action, resource) when {{ {condition} }};")
}

#[test]
fn deep_and_long_rules_do_no_harm() {
    let nested = |depth: usize, inner: &str| {
        when(&format!("{}{inner}{}", "(".repeat(depth), ")".repeat(depth)))
    };
    for (text, said) in [
        (nested(24, "true"), "the rule has 25 levels of brackets; keep to 24"),
        (nested(20_000, "true"), "20001 levels of brackets"),
        (when(&format!("true{}", "&&true".repeat(5_000))), "5000 operators; keep to 80"),
        (when(&format!("{}true", "if true then true else ".repeat(2_000))), "2000 operators"),
        (when(&" ".repeat(70_000)), "bytes; keep to 65536"),
    ] {
        let findings = load(&text).unwrap_err();
        assert!(findings[0].message.contains(said), "{}", findings[0]);
    }
    // What is just within the limits may load or not; it must not exhaust the
    // stack of a thread of 2 MiB, which is what this test has.
    for (start, link, end) in [
        ("true", "&&true", ""),
        ("true", "||true", ""),
        ("0 < 1", "+1", ""),
        ("0 < 1", "*1", ""),
        ("", "if true then true else ", "true"),
        ("context", ".x", ""),
        ("context", "[\"x\"]", ""),
        ("", "!", "true"),
        ("true == ", "-", "1"),
        ("true", "==true", ""),
    ] {
        let text = nested(23, &format!("{start}{}{end}", link.repeat(80)));
        if let Ok(engine) = load(&text) {
            for_each_question(&vocabulary(), |question| {
                engine.decide(&question);
            });
        }
    }
}

#[test]
fn a_long_list_of_items_is_one_rule() {
    let items = vec!["Item::\"lending.card.open_count\""; 1_800].join(", ");
    let engine = sound(&when(&format!("[{items}].contains(resource)")));
    for_each_question(&vocabulary(), |question| {
        assert_eq!(engine.decide(&question).items.len(), 1);
    });
}

#[test]
fn the_digest_follows_meaning_alone() {
    let (one, two) = (
        "@id(\"a\") permit (principal, action, resource in Domain::\"lending\");",
        "@id(\"b\") forbid (principal, action, resource) when { context.basis == Basis::\"statute\" };",
    );
    let digest = load_files(&[("1.cedar", one), ("2.cedar", two)]).unwrap().digest();
    let same = format!(
        "// Commented.\n{two}\n@id(\"a\") @note(\"x\")\npermit(principal,action,\n  \
         resource in Domain::\"lending\" // here\n);"
    );
    assert_eq!(sound(&same).digest(), digest);
    for other in [
        one.to_owned(),
        format!("{one}{}", two.replace("statute", "consent")),
        format!("{one}{}", two.replace("\"b\"", "\"c\"")),
        format!("{one}{}", two.replace("forbid", "permit")),
    ] {
        assert_ne!(sound(&other).digest(), digest, "{other}");
    }
    let mut lists = vocabulary();
    lists.agencies.pop_last();
    let sources = [one, two].map(|text| tributary::domain::catalogue::Source { name: "x", text });
    assert_ne!(Engine::load(SMALL.clone(), &sources, &lists).unwrap().digest(), digest);
}
