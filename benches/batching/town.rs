//! A register of synthetic people in a database, and a mapping of it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor};
use toml::Spanned;
use tributary::config::mapping::{QueryEntry, SourceEntry};
use tributary::domain::catalogue::{AgencyId, Catalogue, Source};
use tributary::source::{Holdings, Mapping, Written};

/// People in the register.
const PEOPLE: usize = 100_000;

/// Items that each of them has.
pub const ITEMS: usize = 7;

const ON_POSTGRES: &str = "
drop table if exists job;
create table job (person_id text primary key, employed boolean, sector text, started_on date,
  pay_fen bigint, level integer, share numeric, tenure integer, updated_on date);
insert into job select 'p' || n, n % 2 = 0, 'G', date '2020-01-01', n, n % 20, 0.5, n % 600,
  date '2025-01-01' from generate_series(0, 99999) n;
vacuum analyze job";

const ON_SQLITE: &str = "
create table job (person_id text primary key, employed integer, sector text, started_on text,
  pay_fen integer, level integer, share real, tenure integer, updated_on text) without rowid;
with recursive c(n) as (select 0 union all select n + 1 from c where n < 99999)
insert into job select 'p' || n, n % 2 = 0, 'G', '2020-01-01', n, n % 20, 0.5, n % 600,
  '2025-01-01' from c;
analyze";

const QUERY: &str = r#"
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

#[derive(Deserialize)]
struct File {
    source: SourceEntry,
    query: Vec<Spanned<QueryEntry>>,
}

/// The number of a person, for any number.
pub fn person(number: usize) -> String {
    format!("p{}", number % PEOPLE)
}

pub struct Town {
    url: String,
    folder: tempfile::TempDir,
}

impl Town {
    pub async fn postgres(server: &str) -> anyhow::Result<Self> {
        let options: PgConnectOptions = server.parse()?;
        let mut owner = options.disable_statement_logging().connect().await?;
        for statement in ON_POSTGRES.split(";\n") {
            owner.execute(statement).await?;
        }
        Ok(Self { url: server.to_owned(), folder: tempfile::tempdir()? })
    }

    pub fn sqlite() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        rusqlite::Connection::open(folder.path().join("work.db"))?.execute_batch(ON_SQLITE)?;
        Ok(Self { url: "sqlite:work.db".to_owned(), folder })
    }

    /// The register behind an agency's source. The bound of the pool is the
    /// default one.
    pub fn holdings(&self, max_batch: usize) -> anyhow::Result<Holdings> {
        let mut text = format!("[source.sql]\nurl = \"{}\"\nmax_batch = {max_batch}\n", self.url);
        if self.url.starts_with("postgres:") {
            text.push_str("tls = \"off\"\naccount_may_write = true\n");
        }
        text.push_str(QUERY);
        let file: File = toml::from_str(&text)?;
        let catalogue = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/source/catalogue.toml");
        let catalogue = catalogue_at(&catalogue)?;
        let written = Written {
            file: Source { name: "batching", text: &text },
            folder: self.folder.path(),
            source: &file.source,
            queries: &file.query,
        };
        let agency = AgencyId::new("employment").context("no agency")?;
        let mapping = Mapping::compile(&agency, &catalogue, written)
            .map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
        Ok(Holdings::open(mapping))
    }
}

fn catalogue_at(file: &PathBuf) -> anyhow::Result<Catalogue> {
    let text = std::fs::read_to_string(file)?;
    Catalogue::parse(&[Source { name: "work.toml", text: &text }])
        .map_err(|findings| anyhow::anyhow!("{findings:?}"))
}
