//! `[source.csv]`: a folder of CSV files, such as an extract that comes every night.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::domain::zone::Zone;

/// `[source.csv]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvEntry {
    /// The folder at which the files of the queries start; a relative path starts
    /// at the folder of this file.
    pub folder: Spanned<PathBuf>,
    /// The zone in which its moments become days.
    pub zone: Option<Zone>,
    /// What stands between two fields.
    #[serde(default = "default_delimiter")]
    pub delimiter: char,
    /// Size of a file at most, which is kept in memory.
    #[serde(default = "default_max_mib")]
    pub max_mib: u64,
    /// The longest that one question may take.
    #[serde(default = "super::default_statement_timeout", with = "humantime_serde")]
    pub statement_timeout: Duration,
}

const fn default_delimiter() -> char {
    ','
}

const fn default_max_mib() -> u64 {
    256
}
