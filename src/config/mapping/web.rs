//! `[source.http]`: a service of the agency that answers with JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::answer::{NobodyEntry, SuccessEntry};
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
    /// A file with a token, which nobody else may read.
    pub token_file: Option<PathBuf>,
    /// Or the environment's variable that holds it.
    pub token_env: Option<String>,
    /// The header in which the token goes out as it is; without it `Authorization`,
    /// after `Bearer`.
    pub token_header: Option<String>,
    /// Further headers of each request.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderEntry>,
    /// Where a token is had with a client id and its secret.
    pub oauth2: Option<Oauth2Entry>,
    /// What an answer says that is one; for queries that state nothing else.
    pub success: Option<SuccessEntry>,
    /// How the service says that it knows nobody; for queries that state nothing
    /// else.
    pub nobody: Option<NobodyEntry>,
    /// Where an answer names its next page: `link`, a JSONPath, or `none`; for
    /// queries that state nothing else.
    pub paging: Option<String>,
    /// Pages of one answer at most.
    #[serde(default = "default_max_pages")]
    pub max_pages: usize,
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

const fn default_max_pages() -> usize {
    20
}

/// One header's value: a text, or where a secret is.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a text, or a table with `file` or `env`, and `prefix` and `base64` if need be"
)]
pub enum HeaderEntry {
    /// As it is. No secret.
    Text(String),
    /// From a file or the environment.
    Secret(SecretHeader),
}

/// A header's value that nobody may see.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretHeader {
    /// A file with the secret, which nobody else may read.
    pub file: Option<PathBuf>,
    /// Or the environment's variable that holds it.
    pub env: Option<String>,
    /// What stands before the secret, such as `Basic ` or `ApiKey `.
    #[serde(default)]
    pub prefix: String,
    /// Whether the secret goes out in Base64, as `Basic` has `account:password`.
    #[serde(default)]
    pub base64: bool,
}

/// `[source.http.oauth2]`: client credentials (RFC 6749, section 4.4).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth2Entry {
    /// The token endpoint, `https`; `http` is for this machine alone.
    pub token_url: BaseUrl,
    /// Our id there.
    pub client_id: String,
    /// A file with our secret there, which nobody else may read.
    pub secret_file: Option<PathBuf>,
    /// Or the environment's variable that holds it.
    pub secret_env: Option<String>,
    /// What the token is to be good for.
    pub scope: Option<String>,
    /// How id and secret go out.
    #[serde(default)]
    pub auth: ClientAuth,
    /// The authorities of the token endpoint; without it those of the service.
    pub ca: Option<PathBuf>,
}

/// How a client shows itself at a token endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// In the header `Authorization`.
    #[default]
    Basic,
    /// In the form.
    Body,
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
