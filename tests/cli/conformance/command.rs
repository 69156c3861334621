//! The command line of the kit: its list, its formats, its exit codes.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::Value;

use super::kit::script;
use crate::kit::process::binary;

fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        binary().arg("conformance").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn listed(arguments: &[&str]) -> Vec<Value> {
    let (code, out, _) = run(&[&["--list", "--format", "json"], arguments].concat());
    assert_eq!(code, 0);
    let list: Value = serde_json::from_str(&out).unwrap();
    list["checks"].as_array().unwrap().clone()
}

#[test]
fn the_list_has_every_check_once_and_the_document_too() {
    let all = listed(&[]);
    assert!(all.len() >= 40, "{} checks", all.len());
    let numbers: BTreeSet<u64> = all.iter().map(|c| c["number"].as_u64().unwrap()).collect();
    let titles: BTreeSet<&str> = all.iter().map(|c| c["title"].as_str().unwrap()).collect();
    assert_eq!((numbers.len(), titles.len()), (all.len(), all.len()), "one stands twice");
    assert!(listed(&["--level", "source"]).iter().all(|check| check["level"] == "source"));

    let (code, table, _) = run(&["--list"]);
    let document = std::fs::read_to_string(script("docs/conformance.md")).unwrap();
    assert_eq!(code, 0);
    for check in &all {
        let (number, title) = (check["number"].to_string(), check["title"].as_str().unwrap());
        assert!(table.contains(&number) && table.contains(title), "{number}");
        let row = format!("| {number} | {title} |");
        assert!(document.contains(&row), "docs/conformance.md has no row {row}");
    }
    let rows = document.lines().filter(|line| {
        let number = line.strip_prefix("| ").and_then(|rest| rest.get(..3));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    });
    assert_eq!(rows.count(), all.len(), "docs/conformance.md has a check that there is not");
}

#[test]
fn nothing_there_is_a_finding_and_a_bad_plan_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.toml");
    let socket = format!("unix:{}", folder.path().join("nothing.sock").display());
    let path = plan.to_str().unwrap();
    let at = |format| run(&[&socket, "--level", "source", "--plan", path, "--format", format]);
    let good = "[source]\nknown = ['900000000000000011', '900000000000000027']\n\
                unknown = '900000000000000035'\n";
    std::fs::write(&plan, good).unwrap();

    let (code, table, _) = at("table");
    assert_eq!(code, 3, "{table}");
    assert!(table.contains("101    FAILED") && table.contains("see check 101"), "{table}");
    let (code, xml, _) = at("junit");
    assert_eq!(code, 3);
    assert!(xml.starts_with("<?xml") && xml.contains("failures=\"1\""), "{xml}");
    let (_, json, _) = at("json");
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["failed"], &report["level"]), (&1.into(), &"source".into()));
    for text in [table, xml, json] {
        assert!(!text.contains("90000000000"), "a person's number: {text}");
    }

    for (written, said) in [
        ("[source]\nknown = ['1']\nunknown = '2'\n", "`known` under [source] needs 2"),
        ("", "has no [source]"),
        ("[source]\nknow = []\n", "`source.know` is no key: did you mean `known`?"),
    ] {
        std::fs::write(&plan, written).unwrap();
        let (code, _, error) = at("table");
        assert_eq!(code, 1, "{written}");
        assert!(error.contains(said), "{error}");
    }
    let away = run(&["192.0.2.1:7", "--level", "source", "--plan", path]);
    assert_eq!(run(&[]).0, 2);
    assert_eq!(away.0, 1);
    std::fs::write(&plan, good).unwrap();
    let away = run(&["192.0.2.1:7", "--level", "source", "--plan", path]);
    assert!(away.2.contains("not a loopback address"), "{}", away.2);
}
