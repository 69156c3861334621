//! Proofs by a solver. Where cvc5 is missing the tests that need it say so and pass;
//! those with a solver that hangs, lies or is not there always run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::str::FromStr as _;
use std::time::Duration;

use cedar_policy::{EntityUid, PolicyId, PolicySet, Schema};
use serde_json::Value;
use tributary::app::review::prove::guard::Guard;
use tributary::app::review::prove::question::{Held, Holdings, Prover};
use tributary::app::review::prove::report::{Proof, Unchecked};
use tributary::app::review::prove::side::Side;
use tributary::app::review::prove::solver::Program;
use tributary::app::review::prove::{CONDITIONAL, PROHIBITED, on_large_stack};
use tributary::domain::policy::engine::Engine;
use tributary::domain::policy::schema::schema;

use crate::support::{City, review, stdout};

/// Whether cvc5 is there; says so where it is not.
fn solver_is_there(test: &str) -> bool {
    let found = Command::new("cvc5").arg("--version").stdout(Stdio::null()).status();
    if found.is_err() {
        // Not captured, so that a run without the solver is seen to be one.
        use std::io::Write as _;
        let said = writeln!(std::io::stderr(), "SKIPPED {test}: there is no cvc5");
        said.unwrap();
    }
    found.is_ok()
}

macro_rules! needs_solver {
    ($test:literal) => {
        if !solver_is_there($test) {
            return;
        }
    };
}

fn prove(city: &City, more: &[&str]) -> Output {
    let mut arguments = vec!["prove", city.path().to_str().unwrap(), "--format", "json"];
    arguments.extend(more);
    review(&arguments)
}

fn against(old: &City, new: &City) -> (Option<i32>, Value) {
    told(prove(new, &["--against", old.path().to_str().unwrap()]))
}

fn told(output: Output) -> (Option<i32>, Value) {
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code(), report)
}

/// What came of a statement about a house.
fn finding<'a>(report: &'a Value, house: &str, statement: &str, scope: &str) -> &'a Value {
    let findings = report["statements"].as_array().unwrap();
    let found = findings.iter().find(|finding| {
        finding["house"] == house && finding["statement"] == statement && finding["scope"] == scope
    });
    found.unwrap_or_else(|| panic!("no {statement} of {house} for {scope}: {report}"))
}

fn verdicts(report: &Value) -> Vec<&str> {
    let findings = report["statements"].as_array().unwrap();
    findings.iter().map(|finding| finding["verdict"].as_str().unwrap()).collect()
}

#[test]
fn an_unchanged_policy_is_proven_to_open_nothing() {
    needs_solver!("an_unchanged_policy_is_proven_to_open_nothing");
    let (old, new) = (City::new(), City::new());
    // A text-only edit beside it.
    new.append("policies/gateway.cedar", "// A comment.");
    let (code, report) = against(&old, &new);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["outcome"], "proven");
    assert!(report["solver"]["version"].as_str().unwrap().starts_with(char::is_numeric));
    // The gateway and seven agencies, four statements each.
    assert_eq!(verdicts(&report), vec!["proven"; 32]);
    // Without another side there is nothing to compare.
    let (code, report) = told(prove(&new, &[]));
    assert_eq!((code, verdicts(&report).len()), (Some(0), 16));
}

#[test]
fn an_edit_that_opens_is_disproved_by_a_request_that_the_engine_permits() {
    needs_solver!("an_edit_that_opens_is_disproved_by_a_request_that_the_engine_permits");
    let (old, new) = (City::new(), City::new());
    new.replace(
        "policies/gateway.cedar",
        "|| resource in Category::\"lending.application\" };",
        "};",
    );
    let (code, report) = against(&old, &new);
    assert_eq!(code, Some(3), "{report}");
    assert_eq!(report["outcome"], "disproved");
    let finding = finding(&report, "gateway", "opens_nothing", "this_catalogue");
    assert_eq!(finding["verdict"], "disproved");
    let found = &finding["counterexample"];
    assert_eq!(found["forbidden_before_by"][0], "loan-desk-no-enquiries");
    // Of an agency that holds the item, so that it can happen.
    assert_eq!(found["agency"], "lending");
    let item = found["item"].as_str().unwrap();
    assert!(item.starts_with("lending.application."), "{item}");
    // The engine itself, which the prover does not use.
    let permits = |city: &City| {
        let federation = city.load();
        let engine = &federation.gateway.engine;
        let consumer = tributary::domain::peer::SpiffeId::from_str(text(found, "consumer"));
        let agency = tributary::domain::catalogue::AgencyId::new(text(found, "agency"));
        let basis = tributary::domain::purpose::LegalBasis::ALL
            .into_iter()
            .find(|basis| basis.as_str() == text(found, "basis"));
        let question = tributary::domain::policy::engine::Question {
            consumer: &consumer.unwrap(),
            purpose: text(found, "purpose"),
            basis: basis.unwrap(),
            agency: &agency.unwrap(),
        };
        let number = engine.catalogue().find(item).unwrap().number;
        engine.explain(&question, number).unwrap().allowed()
    };
    assert!(permits(&new) && !permits(&old), "{found}");
    // The other way round it only closes.
    assert_eq!(against(&new, &old).0, Some(0));
}

fn text<'a>(found: &'a Value, name: &str) -> &'a str {
    found[name].as_str().unwrap()
}

#[test]
fn what_another_catalogue_would_open_is_told_apart() {
    needs_solver!("what_another_catalogue_would_open_is_told_apart");
    let (old, new) = (City::new(), City::new());
    // Every item of the category by name: the same today, and fewer tomorrow.
    let rule = |condition: &str| {
        format!(
            "@id(\"marks\")\nforbid (principal, action == Action::\"read\", resource)\nwhen {{ \
             {condition} }};\n"
        )
    };
    let catalogue = old.load().catalogue;
    let marks = catalogue.items().iter().filter(|item| item.category() == "education.performance");
    let marks: Vec<String> = marks.map(|item| format!("Item::\"{}\"", item.id)).collect();
    let file = "policies/agencies/education.cedar";
    old.append(file, &rule("resource in Category::\"education.performance\""));
    let listed = rule(&format!("[{}].contains(resource)", marks.join(", ")));
    new.append(file, &listed);
    for city in [&old, &new] {
        city.replace(file, "\"education-no-marks\"", "\"education-nothing\"");
        city.replace(file, "Category::\"education.performance\");", "Domain::\"traffic\");");
    }
    let (code, report) = against(&old, &new);
    let of = |scope| &finding(&report, "education", "opens_nothing", scope)["verdict"];
    assert_eq!(of("this_catalogue"), "proven");
    assert_eq!(of("every_catalogue"), "disproved");
    let found = &finding(&report, "education", "opens_nothing", "every_catalogue");
    assert_eq!(found["counterexample"]["item"], Value::Null);
    assert_eq!(found["counterexample"]["agency"], "education");
    assert_eq!(code, Some(0), "it does not count");
}

#[test]
fn a_name_that_the_other_side_lacks_was_closed_before() {
    needs_solver!("a_name_that_the_other_side_lacks_was_closed_before");
    let (old, new) = (City::new(), City::new());
    old.replace("policies/vocabulary.toml", "\"rental_deposit_waiver\", ", "");
    for folder in ["policies", "policies/agencies"] {
        old.replace_everywhere(folder, "\"rental_deposit_waiver\"", "\"credit_profile\"");
    }
    let (code, report) = against(&old, &new);
    assert_eq!(code, Some(3), "{report}");
    let found = finding(&report, "gateway", "opens_nothing", "this_catalogue");
    assert_eq!(found["counterexample"]["purpose"], "rental_deposit_waiver", "{found}");
}

#[test]
fn what_is_closed_at_an_agency_for_others_alone_opens_nothing() {
    needs_solver!("what_is_closed_at_an_agency_for_others_alone_opens_nothing");
    let (old, new) = (City::new(), City::new());
    // The lending bureau's rules are never asked about another agency.
    new.append(
        "policies/agencies/lending.cedar",
        "@id(\"elsewhere\")\npermit (principal, action == Action::\"read\", resource)\nwhen { \
         context.agency == Agency::\"traffic\" };\n",
    );
    assert_eq!(against(&old, &new).0, Some(0));
}

/// The city's gateway, and what the prover needs of it.
struct Gateway {
    engine: Engine,
    schema: Schema,
    program: Program,
}

impl Gateway {
    fn new() -> Self {
        let engine = City::new().load().gateway.engine;
        let text = schema(engine.catalogue(), engine.vocabulary());
        let (schema, _) = Schema::from_cedarschema_str(&text).unwrap();
        let program = Program { path: "cvc5".into(), limit: Duration::from_secs(60) };
        Self { engine, schema, program }
    }

    fn prover(&self) -> Prover<'_> {
        Prover { schema: &self.schema, program: &self.program, agency: None }
    }

    fn without(&self, rule: &str) -> Side {
        let mut rules: PolicySet = self.engine.rules().clone();
        rules.remove_static(PolicyId::new(rule)).unwrap();
        Side::of(rules)
    }

    fn held(&self) -> Vec<Held> {
        let items = self.engine.resources().cloned();
        items.map(|item| Held { item, owners: Vec::new() }).collect()
    }
}

#[test]
fn all_items_of_the_catalogue_by_name_are_no_burden() {
    needs_solver!("all_items_of_the_catalogue_by_name_are_no_burden");
    let gateway = Gateway::new();
    let items: Vec<EntityUid> = gateway.engine.resources().cloned().collect();
    assert_eq!(items.len(), 493);
    let side = |items: &[EntityUid]| {
        let names: Vec<String> = items.iter().map(ToString::to_string).collect();
        let condition = format!(
            "context.purpose == Purpose::\"credit_profile\" && resource in [{}]",
            names.join(", ")
        );
        let rule = format!("permit (principal, action, resource) when {{ {condition} }};");
        Side::of(PolicySet::from_str(&rule).unwrap())
    };
    let (all, but_one) = (side(&items), side(&items[..492]));
    let guard = Guard::new(&items, gateway.engine.entities(), &all.names()).unwrap();
    let held = gateway.held();
    let ask = |old: &Side, new: &Side| {
        let holdings = Holdings { items: &held, entities: gateway.engine.entities() };
        let prover = gateway.prover();
        let ask = async { prover.opens_nothing_here(old, new, &guard, holdings).await };
        on_large_stack(ask).unwrap()
    };
    let found = disproved(ask(&but_one, &all));
    assert_eq!(found.item.as_deref(), Some(items[492].id().unescaped()));
    assert_eq!(ask(&all, &but_one), Proof::Proven);
}

fn disproved(verdict: Proof) -> tributary::app::review::prove::report::Counterexample {
    match verdict {
        Proof::Disproved(found) => *found,
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn without_the_product_s_own_rules_prohibited_and_conditional_items_are_open() {
    needs_solver!("without_the_product_s_own_rules_prohibited_and_conditional_items_are_open");
    let gateway = Gateway::new();
    let ask = |rule: &'static str, condition: &'static str| {
        let side = gateway.without(rule);
        let prover = gateway.prover();
        on_large_stack(async move { prover.never(&side, condition).await }).unwrap()
    };
    let found = disproved(ask("tributary.prohibited", PROHIBITED));
    assert!(found.groups.contains(&"Sensitivity::\"prohibited\"".to_owned()), "{found:?}");
    assert!(!found.permitted_by.is_empty());
    let found = disproved(ask("tributary.conditional", CONDITIONAL));
    assert!(found.groups.contains(&"Sensitivity::\"conditional\"".to_owned()), "{found:?}");
    assert_ne!(found.basis, "written_consent");
    // Each rule stands for its own statement.
    assert_eq!(ask("tributary.conditional", PROHIBITED), Proof::Proven);
    assert_eq!(ask("tributary.prohibited", CONDITIONAL), Proof::Proven);
}

#[test]
fn a_condition_that_nothing_fulfils_is_no_proof() {
    needs_solver!("a_condition_that_nothing_fulfils_is_no_proof");
    let gateway = Gateway::new();
    let side = Side::of(gateway.engine.rules().clone());
    let (held, prover) = (gateway.held(), gateway.prover());
    let here = |guard: &str, items: &[Held]| {
        let guard = Guard::of(guard.to_owned()).unwrap();
        let holdings = Holdings { items, entities: gateway.engine.entities() };
        let ask = async { prover.opens_nothing_here(&side, &side, &guard, holdings).await };
        on_large_stack(ask).unwrap()
    };
    let vacuous = |verdict: Proof| {
        assert!(matches!(verdict, Proof::NotChecked(Unchecked::Vacuous(_))), "{verdict:?}");
    };
    assert_eq!(here("true", &held), Proof::Proven);
    vacuous(here("resource in Domain::\"tax\" && !(resource in Domain::\"tax\")", &held));
    vacuous(here("true", &[]));
    // Something fulfils it, and not all of the catalogue's items.
    let verdict = here("resource in Domain::\"tax\"", &held);
    assert!(matches!(verdict, Proof::NotChecked(Unchecked::Unsupported(_))), "{verdict:?}");
    let never = "resource in Sensitivity::\"prohibited\" && false";
    vacuous(on_large_stack(async { prover.never(&side, never).await }).unwrap());
}

#[test]
fn a_rule_before_that_can_fail_leaves_it_open_what_was_closed() {
    needs_solver!("a_rule_before_that_can_fail_leaves_it_open_what_was_closed");
    let (old, new) = (City::new(), City::new());
    let failing = "@id(\"overflows\")\npermit (principal, action == Action::\"read\", resource)\n\
                   when { context.purpose == Purpose::\"credit_profile\" && 9223372036854775807 + \
                   1 > 0 };\n";
    old.append("policies/gateway.cedar", failing);
    let (code, report) = against(&old, &new);
    let found = finding(&report, "gateway", "opens_nothing", "this_catalogue");
    assert_eq!(found["reason"], "can_fail", "{found}");
    assert!(found["detail"].as_str().unwrap().contains("`overflows`"));
    assert_eq!(code, Some(4));
}

#[test]
fn every_item_fulfils_the_guard_and_no_other_membership_does() {
    let gateway = Gateway::new();
    let items: Vec<EntityUid> = gateway.engine.resources().cloned().collect();
    let entities = gateway.engine.entities();
    // Rules that name every group there is.
    let groups = items.iter().flat_map(|item| entities.ancestors(item).unwrap());
    let names = groups.cloned().collect();
    let guard = Guard::new(&items, entities, &names).unwrap();
    assert!(items.iter().all(|item| guard.holds_for(item, entities)));
    // An item in no group, as the catalogue has none.
    let stranger = EntityUid::from_str("Item::\"nobody.nothing.none\"").unwrap();
    assert!(!guard.holds_for(&stranger, entities));
}

/// A program that stands in for the solver.
fn fake(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("solver");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Answers for its version as cvc5 would, and then does something else.
fn lying(folder: &Path, script: &str) -> PathBuf {
    let version = "[ \"$1\" = --version ] && echo 'This is cvc5 version 9.9.9' && exit";
    fake(folder, &format!("{version}\n{script}"))
}

#[test]
fn what_a_solver_does_not_answer_is_not_checked() {
    let city = City::new();
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("exec sleep 1000", "timeout"),
        ("cat > /dev/null; echo unknown", "unknown"),
        ("cat > /dev/null; echo 'I am unsat'", "solver_failed"),
        ("cat > /dev/null; echo '(error \"no\")'", "solver_failed"),
        ("cat > /dev/null", "solver_failed"),
        ("kill -9 $$", "solver_failed"),
        ("echo unsat; kill -9 $$", "solver_failed"),
        ("exec cat /dev/zero", "solver_failed"),
        // A model that is none, and one that the authorizer contradicts.
        ("cat > /dev/null; printf 'sat\\nnonsense\\n'", "unsupported"),
        ("cat > /dev/null; echo sat", "unsupported"),
    ];
    for (script, reason) in cases {
        let solver = lying(folder.path(), script);
        let limit = if reason == "timeout" { "200ms" } else { "20s" };
        let solver = solver.to_str().unwrap();
        let (code, report) = told(prove(&city, &["--solver", solver, "--timeout", limit]));
        assert_eq!(code, Some(4), "{script}: {report}");
        assert_eq!(report["outcome"], "not_checked");
        for found in report["statements"].as_array().unwrap() {
            assert_eq!(found["verdict"], "not_checked", "{script}");
            assert_eq!(found["reason"], reason, "{script}: {found}");
        }
    }
}

#[test]
fn a_solver_that_is_missing_or_another_program_is_said_with_the_remedy() {
    let city = City::new();
    let at = city.path().to_str().unwrap();
    let output = review(&["prove", at, "--solver", "/nowhere/cvc5"]);
    assert_eq!(output.status.code(), Some(4));
    let said = stdout(&output);
    assert!(said.contains("NOT CHECKED: there is no `/nowhere/cvc5`"), "{said}");
    assert!(said.contains("apt-get install cvc5"), "{said}");
    assert!(said.contains("0 proven, 0 disproved, 16 not checked"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let solver = fake(folder.path(), "echo Z3 version 4.8.12");
    let (code, report) = told(prove(&city, &["--solver", solver.to_str().unwrap()]));
    assert_eq!((code, &report["solver"]["version"]), (Some(4), &Value::Null));
    let timeout = review(&["prove", at, "--timeout", "2h"]);
    assert_eq!(timeout.status.code(), Some(2), "every wait has an end");
}

#[test]
fn who_stops_the_proof_stops_the_solver() {
    let city = City::new();
    let folder = tempfile::tempdir().unwrap();
    let (started, at) = (folder.path().join("pid"), city.path().to_str().unwrap());
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", started.display());
    let solver = lying(folder.path(), &script);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(["review", "prove", at, "--timeout", "1h", "--solver", solver.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = tributary::clock::now() + Duration::from_secs(60);
    let wait = |done: &dyn Fn() -> bool| {
        while !done() {
            assert!(tributary::clock::now() < until, "in vain");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait(&|| started.exists());
    let pid = std::fs::read_to_string(&started).unwrap();
    let process = PathBuf::from("/proc").join(pid.trim());
    assert!(process.exists());
    let stopped = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    // Ended; a process that nobody has waited for yet has no command line.
    wait(&|| std::fs::read(process.join("cmdline")).map_or(true, |line| line.is_empty()));
}
