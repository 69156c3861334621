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
    /// The character encoding, by its label in the WHATWG Encoding Standard: `gbk`,
    /// `gb18030`, `utf-16`, `latin1`. Without it UTF-8.
    pub encoding: Option<String>,
    /// Lines above the header, such as a title.
    #[serde(default)]
    pub skip_lines: usize,
    /// Cells that mean that nothing is recorded, beside the empty one.
    #[serde(default)]
    pub null: Vec<String>,
    /// Whether a quoted cell may go over several lines (RFC 4180 lets it).
    #[serde(default = "default_line_breaks")]
    pub line_breaks: bool,
    /// Whether a file with a header and no rows says that nobody is known.
    #[serde(default)]
    pub may_be_empty: bool,
    /// The file whose coming says that a delivery is whole, `{file}` being the name
    /// of the query's file; without it a file is judged by its end and size.
    pub done_file: Option<String>,
    /// The share of its rows, in percent, that a new file may lack against the last
    /// good one.
    #[serde(default = "default_max_shrink")]
    pub max_shrink: u8,
    /// How long the last good file may answer after a newer one was refused.
    #[serde(default = "default_freshness", with = "humantime_serde")]
    pub freshness: Duration,
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

const fn default_line_breaks() -> bool {
    true
}

const fn default_max_shrink() -> u8 {
    10
}

const fn default_freshness() -> Duration {
    Duration::from_secs(48 * 60 * 60)
}

const fn default_max_mib() -> u64 {
    256
}
