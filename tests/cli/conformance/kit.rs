//! Runs the kit as anybody would: the binary, with a plan, its findings as JSON.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::kit::process::binary;

/// What the kit found.
#[derive(Debug)]
pub struct Findings {
    /// Its exit code.
    pub code: i32,
    report: Value,
}

impl Findings {
    /// The numbers of the checks with this outcome.
    pub fn of(&self, outcome: &str) -> Vec<u64> {
        let checks = self.report["checks"].as_array().unwrap().iter();
        let these = checks.filter(|check| check["outcome"] == outcome);
        these.map(|check| check["number"].as_u64().unwrap()).collect()
    }

    pub fn failed(&self) -> Vec<u64> {
        self.of("FAILED")
    }

    /// Why a check did not pass.
    pub fn why(&self, number: u64) -> String {
        let mut checks = self.report["checks"].as_array().unwrap().iter();
        let check = checks.find(|check| check["number"] == number).unwrap();
        check["why"].as_str().unwrap().to_owned()
    }
}

/// Checks a server at a level with a plan.
pub fn check_at(endpoint: &str, level: &str, plan: &Path) -> Findings {
    let output = binary()
        .args(["conformance", endpoint, "--level", level, "--format", "json", "--plan"])
        .arg(plan)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    Findings { code: output.status.code().unwrap(), report }
}

/// The numbers of a level's checks.
pub fn checks(level: &str) -> Vec<u64> {
    let output =
        binary().args(["conformance", "--list", "--format", "json", "--level", level]).output();
    let listed: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let listed = listed["checks"].as_array().unwrap().iter();
    listed.map(|check| check["number"].as_u64().unwrap()).collect()
}

/// A Python with grpcio; `None`, visibly, without one.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("TRIBUTARY_PYTHON");
    if python.is_none() {
        let text = "SKIP: set TRIBUTARY_PYTHON to a Python with examples/python/requirements.txt";
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    // Relative to where the tests were started, which is the package's folder.
    python.map(PathBuf::from)
}

pub fn script(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
