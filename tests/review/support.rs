//! The example city in a folder of its own, to be edited.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::kit::files::copy;
use crate::kit::process::binary;

pub const SCORING: &str = "spiffe://scoring.city.example/consumer/scoring-service";
pub const BANK: &str = "spiffe://bank.city.example/consumer/loan-desk";

/// The folders that a review reads.
const PARTS: [&str; 3] = ["agencies", "catalogue", "policies"];

/// A copy of the city's configuration, the gateway's in one file as the demo has it.
pub struct City(tempfile::TempDir);

impl City {
    pub fn new() -> Self {
        let city = Self(tempfile::tempdir().unwrap());
        let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/city");
        city.write("gateway.toml", include_str!("../../src/app/demo/gateway.toml"));
        for part in PARTS {
            copy(&from.join(part), &city.path().join(part));
        }
        city
    }

    /// The same with a file for each party of the gateway, as `examples/city` has them.
    pub fn by_parties() -> Self {
        let city = Self::new();
        let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/city");
        std::fs::copy(from.join("gateway.toml"), city.path().join("gateway.toml")).unwrap();
        for part in ["agencies.d", "consumers.d", "issuers.d", "reviewers.d"] {
            copy(&from.join(part), &city.path().join(part));
        }
        city
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path().join(file)).unwrap()
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).unwrap();
    }

    /// Replaces the first place of a text that must be there.
    pub fn replace(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} has no `{from}`");
        self.write(file, &text.replacen(from, to, 1));
    }

    /// Replaces in every file of a kind; some place must be there.
    pub fn replace_everywhere(&self, folder: &str, from: &str, to: &str) {
        let mut found = false;
        for entry in std::fs::read_dir(self.path().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let text = std::fs::read_to_string(&path).unwrap();
                found |= text.contains(from);
                std::fs::write(&path, text.replace(from, to)).unwrap();
            }
        }
        assert!(found, "no file of {folder} has `{from}`");
    }

    pub fn append(&self, file: &str, more: &str) {
        self.write(file, &format!("{}\n{more}", self.read(file)));
    }

    pub fn load(&self) -> tributary::domain::flows::federation::Federation {
        tributary::app::review::load(self.path()).unwrap_or_else(|error| panic!("{error:?}"))
    }
}

/// Runs `tributary review`.
pub fn review(arguments: &[&str]) -> Output {
    binary().arg("review").args(arguments).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}
