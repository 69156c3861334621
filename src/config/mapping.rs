//! An agency's mapping as it is written: where its database is, and which column
//! answers which item.
//!
//! Shapes only. Whether they fit the catalogue is judged by `source`, and whether
//! they fit the database by `source` too, once there is one to ask.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

mod answer;
mod files;
mod item;
mod local;
mod secret;
mod sql;
mod subject;
mod web;

pub use answer::{NobodyEntry, NobodySays, SuccessEntry};
pub use files::CsvEntry;
pub use item::ItemEntry;
pub use local::{EndpointError, GrpcEntry, LocalEndpoint};
pub use secret::{SecretEntry, SecretError};
pub use sql::{RowSecurity, Server, SourceUrl, SqlAddress, SqlEntry, TlsMode, UrlError};
pub use subject::{HashAlgorithm, HashEntry, StepEntry, SubjectType};
pub use web::{BaseUrl, ClientAuth, HeaderEntry, HttpEntry, Oauth2Entry, SecretHeader};

use crate::domain::dates::DateForm;
use crate::domain::zone::Zone;

/// Where the people of a statement or a request belong, as it is written.
pub const SUBJECTS: &str = "{subjects}";

/// What `as_of` of a CSV file says where each row is as old as the file.
pub const OF_FILE: &str = "file";

/// `[source]`: one kind of source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// `[source.sql]`.
    pub sql: Option<Spanned<SqlEntry>>,
    /// `[source.csv]`.
    pub csv: Option<Spanned<CsvEntry>>,
    /// `[source.http]`.
    pub http: Option<Spanned<HttpEntry>>,
    /// `[source.grpc]`.
    pub grpc: Option<Spanned<GrpcEntry>>,
}

impl SourceEntry {
    /// Whether its account may be able to write.
    pub fn may_write(&self) -> bool {
        self.sql.as_ref().is_some_and(|sql| sql.get_ref().account_may_write)
    }

    /// The zone in which its moments become days.
    pub fn zone(&self) -> Option<&Zone> {
        let sql = self.sql.as_ref().and_then(|sql| sql.get_ref().zone.as_ref());
        let csv = self.csv.as_ref().and_then(|csv| csv.get_ref().zone.as_ref());
        let http = self.http.as_ref().and_then(|http| http.get_ref().zone.as_ref());
        let grpc = self.grpc.as_ref().and_then(|grpc| grpc.get_ref().zone.as_ref());
        sql.or(csv).or(http).or(grpc)
    }

    /// Where it begins in its file.
    pub fn start(&self) -> usize {
        let places = [
            self.sql.as_ref().map(|sql| sql.span().start),
            self.csv.as_ref().map(|csv| csv.span().start),
            self.http.as_ref().map(|http| http.span().start),
            self.grpc.as_ref().map(|grpc| grpc.span().start),
        ];
        places.into_iter().flatten().min().unwrap_or_default()
    }
}

const fn wrapped() -> bool {
    true
}

const fn default_pool() -> usize {
    4
}

const fn default_statement_timeout() -> Duration {
    Duration::from_secs(2)
}

const fn default_max_batch() -> usize {
    256
}

/// `[[query]]`: one question that answers many people: a statement, a file, or a
/// request, as the source is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryEntry {
    /// Its name in logs and metrics.
    pub name: Spanned<String>,
    /// The statement, with `{subjects}` where the people belong.
    pub sql: Option<Spanned<String>>,
    /// Whether the statement is asked as a part of one of ours, which proves whose answer
    /// comes. One that cannot be a part is asked on a connection of its own.
    #[serde(default = "wrapped")]
    pub wrapped: bool,
    /// The file in the source's folder.
    pub file: Option<Spanned<PathBuf>>,
    /// The request's path, with `{subject}` where one person belongs.
    pub path: Option<Spanned<String>>,
    /// The request's JSON, with the string `{subjects}` where all belong.
    pub body: Option<Spanned<String>>,
    /// Where the rows are in the answer, a JSONPath.
    pub rows: Option<Spanned<String>>,
    /// What an answer says that is one.
    pub success: Option<SuccessEntry>,
    /// How the service says that it knows nobody.
    pub nobody: Option<NobodyEntry>,
    /// Where an answer names its next page: `link`, a JSONPath, or `none`.
    pub paging: Option<String>,
    /// The column that says whose row it is.
    pub subject: Spanned<String>,
    /// How the subjects are bound.
    #[serde(default)]
    pub subject_type: SubjectType,
    /// The steps from what that column holds to a number as the catalogue has it.
    #[serde(default)]
    pub subject_form: Vec<Spanned<StepEntry>>,
    /// The share of the column's rows that may be of nobody whom the federation knows.
    #[serde(default)]
    pub subject_others: f64,
    /// The column with the day on which the row was true.
    pub as_of: Spanned<String>,
    /// For adverse items: the column with the day on which the fact ended.
    pub ended: Option<Spanned<String>>,
    /// The column that says whether the person disputes the row.
    pub disputed: Option<Spanned<ItemEntry>>,
    /// The column with the reference of the person's own statement.
    pub statement: Option<Spanned<String>>,
    /// How its columns write days.
    #[serde(default)]
    pub dates: DateForm,
    /// Item id to column.
    pub items: BTreeMap<String, Spanned<ItemEntry>>,
}

impl QueryEntry {
    /// Where what it asks stands in its file.
    pub fn start(&self) -> usize {
        let asked = self.sql.as_ref().or(self.path.as_ref()).map(|text| text.span().start);
        let file = self.file.as_ref().map(|file| file.span().start);
        asked.or(file).unwrap_or_else(|| self.name.span().start)
    }
}
