//! The command line: answers, tables, JSON and exit codes.

use clap::Parser;
use serde_json::Value;
use tributary::cli::policy::{PolicyArgs, run};

use super::support::{BANK, SCORING, example};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    policy: PolicyArgs,
}

/// Runs against the example city; code 1 and the message for an error, as the
/// binary does.
fn tributary(policies: &str, args: &[&str]) -> (u8, String) {
    let (catalogue, policies) = (example("catalogue"), example(policies));
    let files =
        ["--catalogue", catalogue.to_str().unwrap(), "--policies", policies.to_str().unwrap()];
    let line = ["policy"].iter().chain(args).chain(&files);
    let line = Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
    let mut out = Vec::new();
    match run(&line.policy, &mut out) {
        Ok(code) => (code, String::from_utf8(out).unwrap()),
        Err(error) => (1, format!("{error:#}")),
    }
}

#[test]
fn check_passes_the_city() {
    let (code, out) = tributary("policies", &["check"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("sound: 8 rules, digest "), "{out}");
    let (code, out) = tributary("policies/agencies/traffic.cedar", &["check", "--json"]);
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &out["sound"]), (0, &Value::Bool(true)));
    assert_eq!(out["rules"].as_array().unwrap().len(), 5);
}

#[test]
fn check_lists_findings_and_exits_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.cedar");
    std::fs::write(
        &file,
        "@id(\"a\")\npermit (principal, action, resource in Domain::\"lendin\");",
    )
    .unwrap();
    let vocabulary = example("policies/vocabulary.toml");
    let vocabulary = ["--vocabulary", vocabulary.to_str().unwrap()];
    let bad = file.to_str().unwrap();
    let (code, out) = tributary(bad, &[&["check"], &vocabulary[..]].concat());
    assert_eq!(code, 1);
    assert!(out.contains("bad.cedar:2: rule `a`: `Domain::\"lendin\"` is not in"), "{out}");
    let (code, out) = tributary(bad, &[&["check", "--json"], &vocabulary[..]].concat());
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &out["findings"][0]["line"]), (1, &Value::from(2)));
}

#[test]
fn explain_names_the_rule_and_exits_0_or_3() {
    let ask = |consumer, item, purpose, more: &[&str]| {
        tributary("policies", &[&["explain", consumer, item, purpose], more].concat())
    };
    let clean = "lending.history.clean_months";
    let consent = ["--basis", "consent"];
    let (code, out) = ask(SCORING, clean, "credit_profile", &consent);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("allowed") && out.contains("scoring-credit-profile"), "{out}");
    let worth = "assets.security.market_value";
    let (code, out) = ask(SCORING, worth, "credit_profile", &consent);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("forbidden") && out.contains("tributary.conditional"), "{out}");
    let (code, out) = ask(BANK, clean, "credit_profile", &["--json"]);
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &out["allowed"]), (3, &Value::Bool(false)));
    assert_eq!(out["answers"].as_array().unwrap().len(), 3);
    assert_eq!(out["answers"][0]["verdict"], "not_permitted");
}

#[test]
fn explain_exits_1_for_what_is_unknown() {
    for (consumer, item, purpose, said) in [
        (BANK, "lending.histori.clean_months", "credit_profile", "lending.history.clean_months"),
        (BANK, "lending.history.clean_months", "credit_profil", "did you mean `credit_profile`?"),
        (
            "spiffe://bank.city.example/consumer/loan-desks",
            "lending.history.clean_months",
            "credit_profile",
            "consumer/loan-desk`?",
        ),
    ] {
        let (code, out) = tributary("policies", &["explain", consumer, item, purpose]);
        assert_eq!(code, 1);
        assert!(out.contains(said), "{out}");
    }
}

#[test]
fn who_lists_readers() {
    let (code, out) = tributary("policies", &["who", "lending.history.clean_months"]);
    assert_eq!(code, 0);
    for part in [SCORING, BANK, "loan-desk-business", "scoring-rental-deposit"] {
        assert!(out.contains(part), "{out}");
    }
    let (code, out) = tributary(
        "policies/agencies/education.cedar",
        &["who", "education.performance.grade_average", "--json"],
    );
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, out["readers"].as_array().unwrap().len()), (3, 0));
}

#[test]
fn schema_is_what_rules_are_checked_against() {
    let (code, out) = tributary("policies", &["schema"]);
    assert_eq!(code, 0);
    assert!(cedar_policy::Schema::from_cedarschema_str(&out).is_ok(), "{out}");
    assert!(out.contains("entity Basis enum [\"consent\", \"written_consent\", \"statute\"];"));
}
