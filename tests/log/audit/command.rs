//! The commands and their exit codes.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tributary::cli::audit::{AuditArgs, run};

use super::support::{closed_log, verifying_key};
use crate::kit::files::copy;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    audit: AuditArgs,
}

fn audit(args: &[&str]) -> Option<ExitCode> {
    let args = std::iter::once("audit").chain(args.iter().copied());
    run(Cli::try_parse_from(args).unwrap().audit).ok()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// One tag in 64 begins with a hyphen, and so may a request's id.
#[test]
fn what_begins_with_a_hyphen_is_no_option() {
    let tag = format!("-J{}", "A".repeat(41));
    let (log, key) = ("log", "key");
    for args in [
        vec!["search", log, "--key", key, "--tag", &tag, "--request", "-1"],
        vec!["subject", log, "--key", key, "--tag", &tag],
        vec!["review", "list", "--log-key", key, "--request", "-1", "--federation", "f"],
        vec!["review", "subject", "--log-key", key, "--federation", "f", "--tag", &tag],
    ] {
        let args = std::iter::once("audit").chain(args.iter().copied());
        if let Err(error) = Cli::try_parse_from(args) {
            panic!("{error}");
        }
    }
}

#[test]
fn exit_codes_tell_sound_tampered_incomplete_and_error() {
    let dir = tempfile::tempdir().unwrap();
    let receipts = closed_log(dir.path(), 30);
    let key = verifying_key().to_string();
    let log = text(dir.path());
    let verify = || audit(&["verify", log, "--key", &key, "--json"]);
    assert_eq!(verify(), Some(ExitCode::SUCCESS));
    assert_eq!(audit(&["verify", "/nowhere", "--key", &key]), None);
    assert_eq!(audit(&["verify", log, "--key", "nothing"]), None);

    let elsewhere = tempfile::tempdir().unwrap();
    let receipt = elsewhere.path().join("receipt.json");
    let proof = elsewhere.path().join("a.tlog-proof");
    let mut file = receipts[7].file(None);
    std::fs::write(&receipt, serde_json::to_string(&file).unwrap()).unwrap();
    let check = || audit(&["check-receipt", text(&receipt), "--key", &key, "--log", log]);
    assert_eq!(check(), Some(ExitCode::SUCCESS));
    let (receipt_path, out) = (text(&receipt), text(&proof));
    let made = audit(&["prove", log, "--key", &key, "--receipt", receipt_path, "--out", out]);
    assert_eq!(made, Some(ExitCode::SUCCESS));
    assert_eq!(audit(&["check-proof", out, "--key", &key]), Some(ExitCode::SUCCESS));
    file.first_index += 1;
    std::fs::write(&receipt, serde_json::to_string(&file).unwrap()).unwrap();
    assert_eq!(check(), Some(ExitCode::from(2)));

    let found = audit(&["search", log, "--key", &key, "--request", "request-7", "--json"]);
    assert_eq!(found, Some(ExitCode::SUCCESS));
    let tag = "07".repeat(32);
    assert_eq!(audit(&["subject", log, "--key", &key, "--tag", &tag]), Some(ExitCode::SUCCESS));
    assert_eq!(audit(&["export", log, "--key", &key]), Some(ExitCode::SUCCESS));
    assert_eq!(audit(&["reconcile", log, log, "--key", &key]), Some(ExitCode::SUCCESS));

    let size = super::independent::open_note(
        &std::fs::read_to_string(dir.path().join("checkpoint")).unwrap(),
        super::support::origin().as_str(),
        &super::support::public(),
    )
    .0;
    let tile = dir.path().join(format!("tile/0/000.p/{size}"));
    let bytes = std::fs::read(&tile).unwrap();
    std::fs::remove_file(&tile).unwrap();
    assert_eq!(verify(), Some(ExitCode::from(3)));
    std::fs::write(&tile, vec![0; bytes.len()]).unwrap();
    assert_eq!(verify(), Some(ExitCode::from(2)));
}

#[test]
fn a_new_key_is_told_as_json_and_signs_a_log() {
    let dir = tempfile::tempdir().unwrap();
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(["audit", "keygen", "--json", "--origin", "gateway.city.example/2026", "--out"])
        .arg(dir.path().join("log"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let told: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(told["origin"], "gateway.city.example/2026");
    let public = std::fs::read_to_string(told["public"].as_str().unwrap()).unwrap();
    assert_eq!(Some(public.trim()), told["key"].as_str());
    let seed = std::fs::read_to_string(told["private"].as_str().unwrap()).unwrap();
    let seed = tributary::domain::grant::base64::decode(seed.trim()).unwrap();
    let key = tributary::domain::audit::SigningKey::from_seed(seed[..].try_into().unwrap());
    let origin = "gateway.city.example/2026".parse().unwrap();
    let key = key.unwrap().verifying_key(&origin).unwrap();
    assert_eq!(Some(&*key.to_string()), told["key"].as_str());
}

#[test]
fn a_log_is_mirrored_once_and_a_mirror_of_more_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let [log, older, mirror] = ["log", "older", "mirror"].map(|name| dir.path().join(name));
    closed_log(&log, 30);
    copy(&log, &older);
    closed_log(&log, 60);
    let key = verifying_key().to_string();
    let copy = |from: &Path| audit(&["mirror", text(from), "--key", &key, "--to", text(&mirror)]);
    assert_eq!(copy(&log), None, "the folder is not there");
    std::fs::create_dir(&mirror).unwrap();
    assert_eq!(copy(&log), Some(ExitCode::SUCCESS));
    assert_eq!(audit(&["verify", text(&mirror), "--key", &key]), Some(ExitCode::SUCCESS));
    assert_eq!(copy(&older), Some(ExitCode::from(2)));
    assert_eq!(copy(&log), Some(ExitCode::SUCCESS));
    // Only a process that goes on keeping a mirror notes where.
    assert!(!log.join("mirrored").exists());
}

/// Of several logs the one is found that has what is to be proved.
#[test]
fn a_receipt_and_an_entry_are_found_in_the_log_of_several_that_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = ["logs/old", "logs/new"].map(|name| dir.path().join(name));
    let receipts = closed_log(&old, 30);
    let other = super::support::closed_log_of("other.city.example/2027", &new, 40);
    let keys = [verifying_key(), other.1].map(|key| key.to_string());
    let logs = dir.path().join("logs");
    let run = |args: &[&str]| {
        let keys = keys.iter().flat_map(|key| ["--key", key]);
        audit(&args.iter().copied().chain(keys).collect::<Vec<_>>())
    };
    for receipt in [&receipts[7], &other.0[33]] {
        let file = dir.path().join("receipt.json");
        std::fs::write(&file, serde_json::to_string(&receipt.file(None)).unwrap()).unwrap();
        let (file, out) = (text(&file), dir.path().join("a.tlog-proof"));
        assert_eq!(run(&["check-receipt", file]), Some(ExitCode::SUCCESS));
        let of_two = run(&["check-receipt", file, "--log", text(&old), "--log", text(&new)]);
        assert_eq!(of_two, Some(ExitCode::SUCCESS));
        let of_folder = run(&["check-receipt", file, "--log", text(&logs)]);
        assert_eq!(of_folder, Some(ExitCode::SUCCESS));
        let proved = run(&["prove", text(&logs), "--receipt", file, "--out", text(&out)]);
        assert_eq!(proved, Some(ExitCode::SUCCESS));
        // The entry by itself, of which the log is not known.
        let proof = std::fs::read_to_string(&out).unwrap();
        let proof = tributary::domain::audit::TlogProof::parse(&proof).unwrap();
        let entry = dir.path().join("entry");
        std::fs::write(&entry, &proof.entry).unwrap();
        let index = proof.index.to_string();
        let held = ["prove", text(&logs), "--index", &index, "--entry", text(&entry)];
        assert_eq!(run(&[&held[..], &["--out", text(&out)]].concat()), Some(ExitCode::SUCCESS));
        std::fs::write(&entry, b"nothing").unwrap();
        assert_eq!(run(&held), Some(ExitCode::from(2)), "no log has it");
    }
    assert_eq!(run(&["prove", text(&logs), "--index", "3"]), None, "of which log?");
    assert_eq!(run(&["index", text(&logs)]), Some(ExitCode::SUCCESS));
    for log in [&old, &new] {
        assert!(log.with_extension("index").exists());
    }
    let named = dir.path().join("one.index");
    assert_eq!(run(&["index", text(&logs), "--index", text(&named)]), None);
}
