//! `review.toml`: which files a federation has, where they are called otherwise than
//! usual, and who may accept a change of them. Only reviews read it; no house runs by it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// The file as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The gateway's file.
    #[serde(default = "usual_gateway")]
    pub gateway: PathBuf,
    /// The agencies' files; without it all in `agencies`.
    pub agencies: Option<Vec<PathBuf>>,
    /// The issuers' settings; without it each `issuer.toml` in a folder of this one.
    pub issuers: Option<Vec<PathBuf>>,
    /// For how long an acceptance counts at most.
    #[serde(default = "ninety_days", with = "humantime_serde")]
    pub longest_acceptance: Duration,
    /// Who may accept a change. Without any, whoever writes `flows.lock` may.
    #[serde(default)]
    pub acceptor: Vec<AcceptorEntry>,
}

/// One `[[acceptor]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptorEntry {
    /// Who, as acceptances name them.
    pub name: String,
    /// The public key, as `tributary audit keygen` prints it.
    pub key: String,
    /// The addresses under which they write commits: they accept none of their own.
    #[serde(default)]
    pub emails: BTreeSet<String>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            gateway: usual_gateway(),
            agencies: None,
            issuers: None,
            longest_acceptance: ninety_days(),
            acceptor: Vec::new(),
        }
    }
}

fn usual_gateway() -> PathBuf {
    "gateway.toml".into()
}

const fn ninety_days() -> Duration {
    Duration::from_secs(90 * 24 * 60 * 60)
}
