//! The demo as its user sees it.

use std::process::Stdio;

use serde_json::Value;

use crate::kit::process::binary;

fn statuses(stage: &Value) -> Vec<&str> {
    stage["sections"].as_array().unwrap().iter().map(|s| s["status"].as_str().unwrap()).collect()
}

#[test]
fn it_shows_a_profile_a_partial_one_and_a_refusal() {
    let output = binary()
        .args(["demo", "--json", "--people", "60", "--deadline", "60s"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stages = shown["stages"].as_array().unwrap();
    assert_eq!(stages.len(), 3);
    assert_eq!(statuses(&stages[0]), ["OK"; 7]);
    let partial = statuses(&stages[1]);
    assert_eq!(partial.iter().filter(|status| **status == "OK").count(), 6);
    assert_eq!(partial.iter().filter(|status| **status == "UNAVAILABLE").count(), 1);
    assert_eq!(statuses(&stages[2]), ["OK"; 7]);
    assert!(stages[0]["conflict_count"].as_u64().unwrap() >= 1);
    assert!(stages[1]["item_count"].as_u64() < stages[0]["item_count"].as_u64());
    assert_eq!(stages[2]["item_count"], stages[0]["item_count"]);
    // What is gone is not waited for until the deadline.
    assert!(stages[1]["elapsed_ms"].as_f64().unwrap() < 60_000.0);
    let audit = &shown["audit"];
    assert_eq!(audit["origin"], "gateway.city.example/2026");
    assert_eq!(audit["records"], 7);
    assert_eq!(audit["proven"], true);
    assert_eq!(audit["untouched"]["verdict"], "sound");
    assert_eq!(audit["changed"]["verdict"], "tampered");
    let faults = audit["changed"]["faults"].as_array().unwrap();
    let record = format!("entry {}", audit["first_index"]);
    let named = |fault: &Value| fault["what"].as_str().unwrap().contains(&record);
    assert!(faults.iter().any(named), "{faults:?}");
    assert_eq!(shown["revocation"]["reason"], "GRANT_REVOKED");
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine"), "").unwrap();
    let output = binary().args(["demo", "--dir"]).arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not empty"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
