//! The shapes of catalogue files as they are written, before any check.

use serde::Deserialize;
use toml::Spanned;

use super::{Sensitivity, Survivorship, Title};

/// One domain's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DomainFile {
    pub domain: String,
    pub title: Title,
    #[serde(default)]
    pub category: Vec<CategoryEntry>,
    #[serde(default)]
    pub item: Vec<Spanned<ItemEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CategoryEntry {
    pub id: String,
    pub title: Title,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemEntry {
    pub id: String,
    pub number: u32,
    pub title: Title,
    #[serde(rename = "type")]
    pub kind: String,
    pub unit: Option<String>,
    pub range: Option<(toml::Value, toml::Value)>,
    pub owners: Vec<String>,
    pub sensitivity: Sensitivity,
    pub adverse_months: Option<u16>,
    pub survivorship: Option<Survivorship>,
    pub meaning: String,
    pub codes: Option<Vec<CodeEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeEntry {
    pub code: String,
    pub en: String,
    pub zh: String,
}

/// `reserved.toml`: what must never be used again.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReservedFile {
    #[serde(default)]
    pub numbers: Vec<u32>,
    #[serde(default)]
    pub ids: Vec<String>,
}

/// `bundles.toml`: named sets.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BundlesFile {
    #[serde(default)]
    pub bundle: Vec<Spanned<BundleEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BundleEntry {
    pub id: String,
    pub title: Title,
    pub meaning: String,
    pub items: Vec<String>,
}
