//! placeholder
#![allow(missing_docs, reason = "placeholder")]
#[derive(Debug, Clone, serde::Deserialize)]
pub struct CountersConfig {
    pub url: String,
}
