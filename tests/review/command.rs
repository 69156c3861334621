//! `tributary review` as people and pipelines call it.

use std::process::Command;

use crate::support::{City, review, stdout};

const FORBID: &str = "\n@id(\"no-cards\")\nforbid (principal, action == Action::\"read\", resource \
                      in Category::\"lending.card\");\n";

/// Opens enquiries to the loan desk.
fn opens(city: &City) {
    city.replace(
        "policies/gateway.cedar",
        "|| resource in Category::\"lending.application\" };",
        "};",
    );
}

fn diff(old: &City, new: &City, more: &[&str]) -> std::process::Output {
    let lock = new.path().join("flows.lock");
    let mut arguments = vec!["diff", path(old), path(new), "--lock", lock.to_str().unwrap()];
    arguments.extend(more);
    review(&arguments)
}

fn path(city: &City) -> &str {
    city.path().to_str().unwrap()
}

#[test]
fn flows_are_listed_as_a_table_as_json_and_as_csv() {
    let city = City::new();
    let table =
        stdout(&review(&["flows", path(&city), "--purpose", "rental_deposit_waiver", "--items"]));
    assert!(table.contains("consumer/scoring-service\n  for rental_deposit_waiver:"), "{table}");
    assert!(table.contains("clean_months"), "{table}");
    assert!(table.contains("scoring-rental-deposit + lending-rental"), "{table}");
    let json: serde_json::Value =
        serde_json::from_slice(&review(&["flows", path(&city), "--json"]).stdout).unwrap();
    let flows = json["flows"].as_array().unwrap();
    let in_json: usize = flows.iter().map(|flow| flow["items"].as_array().unwrap().len()).sum();
    let csv = stdout(&review(&["flows", path(&city), "--csv"]));
    assert_eq!(csv.lines().count(), in_json + 1);
    assert_eq!(csv.lines().next().unwrap().split(',').count(), 11);
    assert!(csv.lines().all(|line| line.split(',').count() == 11));
    let unknown = review(&["flows", path(&city), "--item", "lending.nothing"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn a_folder_without_a_federation_says_what_it_needs() {
    let empty = tempfile::tempdir().unwrap();
    let output = review(&["flows", empty.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("gateway.toml and agencies/*.toml"), "{said}");
}

#[test]
fn exit_codes_tell_nothing_changed_from_accepted_and_forbidden() {
    let (old, new) = (City::new(), City::new());
    assert_eq!(diff(&old, &new, &[]).status.code(), Some(0));
    new.append("policies/agencies/lending.cedar", FORBID);
    assert_eq!(diff(&old, &new, &[]).status.code(), Some(2));
    assert_eq!(diff(&old, &new, &["--fail-on", "closed"]).status.code(), Some(3));
    let wrong = diff(&old, &new, &["--fail-on", "opend"]);
    assert_eq!(wrong.status.code(), Some(2), "wrong usage");
    new.write("policies/gateway.cedar", "permit (");
    assert_eq!(diff(&old, &new, &[]).status.code(), Some(1));
}

#[test]
fn an_accepted_change_passes_until_its_day_and_no_other_does() {
    let (old, new) = (City::new(), City::new());
    opens(&new);
    let refused = diff(&old, &new, &[]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(stdout(&refused).contains("NOT ACCEPTED"), "{}", stdout(&refused));
    let lock = new.path().join("flows.lock");
    let (lock, who) = (lock.to_str().unwrap(), "J. Doe");
    let accept = |until: &str| {
        review(&[
            "accept",
            path(&old),
            path(&new),
            "--lock",
            lock,
            "--who",
            who,
            "--why",
            "agreed",
            "--until",
            until,
        ])
    };
    assert_eq!(accept("2020-01-01").status.code(), Some(1), "a day that is over");
    assert_eq!(accept("2999-12-31").status.code(), Some(0));
    let passed = diff(&old, &new, &[]);
    assert_eq!(passed.status.code(), Some(2));
    assert!(stdout(&passed).contains("accepted by J. Doe until 2999-12-31: agreed"));
    // Another flow, and the same flow after the day.
    let accepted = new.read("flows.lock");
    new.write("flows.lock", &accepted.replace("2999-12-31", "2020-01-01"));
    assert_eq!(diff(&old, &new, &[]).status.code(), Some(3));
    new.write("flows.lock", &accepted);
    new.replace(
        "policies/gateway.cedar",
        "@id(\"rental-nothing-conditional\")\nforbid",
        "@id(\"rental-nothing-conditional\")\nforbid",
    );
    new.replace("policies/agencies/education.cedar", "education.performance", "education.award");
    assert_eq!(diff(&old, &new, &[]).status.code(), Some(3));
}

#[test]
fn a_lock_that_nobody_signed_is_refused() {
    let (old, new) = (City::new(), City::new());
    new.write("flows.lock", "[[accepted]]\nclass = \"opened\"\nconsumer = \"spiffe://bank.city.example/consumer/loan-desk\"\npurpose = \"credit_profile\"\nagency = \"lending\"\nbases = [\"consent\"]\nitems = [\"lending.card.open_count\"]\nwho = \" \"\nwhy = \"x\"\nuntil = \"2999-01-01\"\n");
    let output = diff(&old, &new, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr).unwrap().contains("`who` and `why` must say something")
    );
}

#[test]
fn sarif_points_at_the_line_and_says_who_accepted() {
    let (old, new) = (City::new(), City::new());
    opens(&new);
    let log: serde_json::Value =
        serde_json::from_slice(&diff(&old, &new, &["--format", "sarif"]).stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for result in results {
        let at = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(run["tool"]["driver"]["rules"][at]["id"], result["ruleId"]);
        assert_eq!(result["level"], "error");
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.ends_with("policies/gateway.cedar"), "{uri}");
        let line = place["region"]["startLine"].as_u64().unwrap() as usize;
        let text = new.read("policies/gateway.cedar");
        assert!(text.lines().nth(line - 1).unwrap().contains("loan-desk-no-enquiries"));
    }
}

#[test]
fn markdown_is_a_table_for_a_merge_request() {
    let (old, new) = (City::new(), City::new());
    opens(&new);
    let text = stdout(&diff(&old, &new, &["--format", "markdown"]));
    assert!(text.contains("| OPENED | lending →"), "{text}");
    assert!(text.contains("loan-desk-no-enquiries"), "{text}");
}

#[test]
fn sides_can_be_git_revisions() {
    let repository = tempfile::tempdir().unwrap();
    let root = repository.path();
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(root)
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    let city = City::new();
    let copy = |message: &str| {
        let to = root.join("deploy/city");
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir_all(root.join("deploy")).unwrap();
        let copied = Command::new("cp").arg("-r").arg(city.path()).arg(&to).status().unwrap();
        assert!(copied.success());
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "-m", message]);
    };
    copy("before");
    opens(&city);
    copy("after");
    let at = root.to_str().unwrap();
    let lock = root.join("flows.lock");
    let run = |old: &str, new: &str, more: &[&str]| {
        let mut arguments =
            vec!["diff", old, new, "--repository", at, "--lock", lock.to_str().unwrap()];
        arguments.extend(more);
        review(&arguments)
    };
    let output = run("HEAD~1", "HEAD", &["--path", "deploy/city", "--format", "sarif"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let log: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let place = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "deploy/city/policies/gateway.cedar");
    assert_eq!(run("main:deploy/city", "HEAD:deploy/city", &[]).status.code(), Some(0));
    assert_eq!(run("main~1:deploy/city", path(&city), &[]).status.code(), Some(3));
    for wrong in ["nowhere", "main:no/such", "--help:x", "main~9:deploy/city"] {
        let output = run(wrong, "main:deploy/city", &[]);
        assert_ne!(output.status.code(), Some(0), "{wrong}");
        assert_ne!(output.status.code(), Some(3), "{wrong}");
    }
    // The repository is as it was.
    let status = Command::new("git").arg("-C").arg(root).args(["status", "--porcelain"]).output();
    assert_eq!(status.unwrap().stdout, b"");
}
