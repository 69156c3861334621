//! `[source.http]`: a service of the agency that answers with JSON.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::domain::zone::Zone;

/// `[source.http]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpEntry {
    /// `https://host:port`, before the paths of the queries. `http` is for this
    /// machine alone.
    pub url: Spanned<BaseUrl>,
    /// The zone in which its moments become days.
    pub zone: Option<Zone>,
    /// A file with a bearer token, which nobody else may read.
    pub token_file: Option<PathBuf>,
    /// Or the environment's variable that holds it.
    pub token_env: Option<String>,
    /// The authorities that may have signed the service's certificate, in PEM.
    pub ca: Option<PathBuf>,
    /// Our certificate, in PEM.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Size of one answer at most.
    #[serde(default = "default_max_mib")]
    pub max_mib: u64,
    /// Requests under way at most.
    #[serde(default = "super::default_pool")]
    pub pool: usize,
    /// The longest that one question may take.
    #[serde(default = "super::default_statement_timeout", with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// People in one request at most.
    #[serde(default = "super::default_max_batch")]
    pub max_batch: usize,
}

const fn default_max_mib() -> u64 {
    8
}

/// A service's address. Somebody may have put a password into it, so it is not
/// printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The address as written.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
