//! A town's employment register in a temporary SQLite file, and a mapping of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use tributary::clock;
use tributary::config::mapping::{QueryEntry, SourceEntry};
use tributary::domain::catalogue::{AgencyId, Catalogue, Finding, Source};
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::domain::section::{Absence, HeldItem};
use tributary::domain::subject::{Subject, SubjectFormat};
use tributary::source::{Held, Holdings, Mapping, Written};

use crate::kit::sqlite_file;

const SCHEMA: &str = "
create table job (person_id text not null primary key, employed, sector, started_on, pay_fen,
  level, share, tenure, updated_on text);
create table defaults (person_id text not null, defaults, ended_on, disputed, statement_ref,
  updated_on text);
create table amounts (asked_id text not null, person_id text, amount_fen, ended_on, updated_on text);
";

const SOURCE: &str = r#"
[source.sql]
url = "sqlite:work.db"
statement_timeout = "60s"
"#;

const JOB: &str = r#"
[[query]]
name = "job"
sql = "select * from job where person_id in {subjects}"
subject = "person_id"
as_of = "updated_on"
[query.items]
"work.job.employed" = "employed"
"work.job.sector" = { column = "sector", codes = { G = "public", P = "private" } }
"work.job.started_on" = "started_on"
"work.job.pay" = { column = "pay_fen", currency = "CNY", scale = 2 }
"work.job.level" = "level"
"work.job.share" = "share"
"work.job.tenure_months" = "tenure"
"#;

/// Adverse items; the amounts' statement answers with whatever name a row has.
const ADVERSE: &str = r#"
[[query]]
name = "defaults"
sql = "select * from defaults where person_id in {subjects} -- open and closed ones"
subject = "person_id"
as_of = "updated_on"
ended = "ended_on"
disputed = "disputed"
statement = "statement_ref"
[query.items]
"work.default.count" = "defaults"

[[query]]
name = "amounts"
sql = "select * from amounts where asked_id in {subjects};"
subject = "person_id"
as_of = "updated_on"
ended = "ended_on"
[query.items]
"work.default.amount" = { column = "amount_fen", currency = "CNY", scale = 2 }
"#;

/// A query that ends at once and one that takes minutes.
pub const SLOW: &str = r#"
[[query]]
name = "job"
sql = "select * from job where person_id in {subjects}"
subject = "person_id"
as_of = "updated_on"
[query.items]
"work.job.level" = "level"

[[query]]
name = "slow"
sql = """
with recursive c(n) as (select 1 union all select n + 1 from c where n < 4000000000)
select person_id, updated_on, null as ended_on, (select max(n) from c) as n
from job where person_id in {subjects}"""
subject = "person_id"
as_of = "updated_on"
ended = "ended_on"
[query.items]
"work.default.count" = "n"
"#;

/// One query for one item.
pub fn level_from(sql: &str) -> String {
    format!(
        "[[query]]\nname = 'level'\nsql = '''{sql}'''\nsubject = 'person_id'\n\
         as_of = 'updated_on'\n[query.items]\n'work.job.level' = 'level'\n"
    )
}

#[derive(Deserialize)]
struct File {
    source: SourceEntry,
    query: Vec<Spanned<QueryEntry>>,
}

pub struct Town {
    folder: tempfile::TempDir,
}

impl Town {
    pub async fn new() -> Self {
        let town = Self { folder: tempfile::tempdir().unwrap() };
        town.run(SCHEMA);
        town
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("work.db")
    }

    fn run(&self, sql: &str) {
        sqlite_file::run(&self.database(), sql);
    }

    /// Adds a row of SQL expressions.
    pub async fn job(&self, person: &str, cells: &[(&str, &str)]) {
        let columns: Vec<_> = cells.iter().map(|(column, _)| *column).collect();
        let values: Vec<_> = cells.iter().map(|(_, value)| *value).collect();
        self.run(&format!(
            "insert into job (person_id, updated_on, {}) values ('{person}', '2025-01-15', {})",
            columns.join(", "),
            values.join(", ")
        ));
    }

    pub async fn default(&self, person: &str, ended: &str, disputed: &str, statement: &str) {
        self.run(&format!(
            "insert into defaults values ('{person}', 2, {ended}, {disputed}, {statement}, '2025-01-15')"
        ));
    }

    /// A row that is found by one name and carries another.
    pub async fn amount(&self, asked: &str, person: &str) {
        self.run(&format!(
            "insert into amounts values ('{asked}', '{person}', 100, null, '2025-01-15')"
        ));
    }

    pub fn holdings(&self) -> Holdings {
        self.holdings_with(&format!("{JOB}{ADVERSE}"))
    }

    pub fn holdings_with(&self, queries: &str) -> Holdings {
        self.holdings_for("60s", queries)
    }

    /// Of statements that end at this time.
    pub fn holdings_for(&self, time: &str, queries: &str) -> Holdings {
        let text = format!("{}{queries}", SOURCE.replace("60s", time));
        Holdings::open(mapping(&text, self.folder.path()))
    }

    /// Keeps everybody else from the file until it is dropped.
    pub fn lock(&self) -> rusqlite::Connection {
        let connection = rusqlite::Connection::open(self.database()).unwrap();
        connection.execute_batch("begin exclusive").unwrap();
        connection
    }

    pub async fn fetch(&self, holdings: &Holdings, person: &str) -> Held {
        self.fetch_items(holdings, person, &[1, 2, 3, 4, 5, 6, 70, 71, 72, 73]).await
    }

    pub async fn fetch_items(&self, holdings: &Holdings, person: &str, items: &[u32]) -> Held {
        let items: ItemSet = items.iter().map(|number| item(*number)).collect();
        holdings.fetch(&subject(person), &items, clock::now() + Duration::from_secs(60)).await
    }
}

pub fn mapping(text: &str, folder: &Path) -> Mapping {
    try_mapping(text, folder).unwrap()
}

pub fn try_mapping(text: &str, folder: &Path) -> Result<Mapping, Vec<Finding>> {
    let file: File = toml::from_str(text).unwrap();
    let catalogue = include_str!("catalogue.toml");
    let catalogue = Catalogue::parse(&[Source { name: "work.toml", text: catalogue }]).unwrap();
    let written = Written {
        file: Source { name: "employment.toml", text },
        folder,
        source: &file.source,
        queries: &file.query,
    };
    Mapping::compile(&AgencyId::new("employment").unwrap(), &catalogue, written)
}

pub fn item(number: u32) -> ItemNumber {
    ItemNumber::new(number).unwrap()
}

/// A subject of a format that lets everything through.
pub fn subject(person: &str) -> Subject {
    SubjectFormat::new(".+", None).unwrap().parse(person).unwrap()
}

/// The parts of an answer.
pub fn held(answer: Held) -> (Vec<HeldItem>, Vec<(ItemNumber, Absence)>) {
    match answer {
        Held::Answered { items, missing } => (items, missing),
        other => panic!("no answer: {other:?}"),
    }
}

/// Missing items by their plain number.
pub fn numbers(missing: &[(ItemNumber, Absence)]) -> Vec<(u32, Absence)> {
    missing.iter().map(|(number, absence)| (u32::from(number.get()), *absence)).collect()
}
