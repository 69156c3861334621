//! How a web service says that its answer is one, and that it knows nobody.

use serde::Deserialize;

/// `success`: what an answer says at some place when it is one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuccessEntry {
    /// The place, a JSONPath.
    pub path: String,
    /// The values that mean well.
    pub values: Vec<serde_json::Value>,
}

/// `nobody`: statuses, or more than that.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a list of statuses, or a table of `statuses`, `path`, `values` and `empty`"
)]
pub enum NobodyEntry {
    /// These statuses alone.
    Statuses(Vec<u16>),
    /// What the answer says.
    Says(NobodySays),
}

/// What an answer says about somebody who is not known. With `statuses` and `path`
/// both must be so; `path` alone is looked for under status 200.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NobodySays {
    /// The statuses.
    #[serde(default)]
    pub statuses: Vec<u16>,
    /// A place in the answer, a JSONPath.
    pub path: Option<String>,
    /// The values there that mean nobody.
    #[serde(default)]
    pub values: Vec<serde_json::Value>,
    /// Whether null, an empty text, list or object there means nobody.
    #[serde(default)]
    pub empty: bool,
}
