//! A small agency for the tests of this floor.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::mapping::{Mapping, Written};
use crate::config::mapping::{QueryEntry, SourceEntry};
use crate::domain::catalogue::{AgencyId, Catalogue, Finding, Source};

#[derive(Deserialize)]
struct File {
    source: SourceEntry,
    #[serde(default)]
    query: Vec<Spanned<QueryEntry>>,
}

/// The tests' catalogue.
pub fn catalogue() -> Catalogue {
    let text = include_str!("../../tests/source/catalogue.toml");
    Catalogue::parse(&[Source { name: "work.toml", text }]).unwrap()
}

/// Compiles a mapping of agency `employment`.
pub fn compile(text: &str) -> Result<Mapping, Vec<Finding>> {
    let file: File = toml::from_str(text).unwrap();
    let agency = AgencyId::new("employment").unwrap();
    let written = Written {
        file: Source { name: "employment.toml", text },
        folder: Path::new("/nowhere"),
        source: &file.source,
        queries: &file.query,
    };
    Mapping::compile(&agency, &catalogue(), written)
}

/// A query with every item of the agency, and with every role.
pub const WHOLE: &str = r#"
[source.sql]
url = "sqlite:work.db"

[[query]]
name = "job"
sql = "select * from job where person_id in {subjects}"
subject = "person_id"
as_of = "updated_on"
ended = "ended_on"
disputed = "disputed"
statement = "statement_ref"
[query.items]
"work.job.employed" = "employed"
"work.job.sector" = { column = "sector", codes = { G = "public", "2" = "private" } }
"work.job.started_on" = "started_on"
"work.job.pay" = { column = "pay_fen", currency = "CNY", scale = 2 }
"work.job.level" = "level"
"work.job.share" = "share"
"work.job.tenure_months" = "tenure"
"work.default.count" = "defaults"
"#;
