//! Standard output that nobody takes: a reader that has left is no error, a full disk is
//! one, for short answers and for long ones.

use std::fs::File;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_tributary");

fn commands() -> Vec<Vec<&'static str>> {
    let rules = "examples/city/policies/gateway.cedar";
    vec![
        vec!["catalogue", "list", "--dir", "examples/city/catalogue"],
        vec!["catalogue", "check", "--dir", "examples/city/catalogue"],
        vec![
            "policy",
            "check",
            "--catalogue",
            "examples/city/catalogue",
            "--policies",
            rules,
            "--effects",
        ],
        vec!["review", "flows", "examples/city"],
        vec!["explain"],
        vec!["explain", "GRANT_EXPIRED"],
        vec!["conformance", "--list"],
    ]
}

#[test]
fn a_reader_that_has_left_is_no_error() {
    for arguments in commands() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(BINARY);
        let command = command.args(&arguments).stdout(writer).stderr(Stdio::piped());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    for arguments in commands() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output =
            Command::new(BINARY).args(&arguments).stdout(full).stderr(Stdio::piped()).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("tributary: ") && !said.contains("panic"), "{said}");
    }
}
