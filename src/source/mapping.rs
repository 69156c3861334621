//! From a mapping as written to one that can be run, or to the list of
//! everything that is wrong with it.
//!
//! Held against the catalogue alone; whether the database has the tables and
//! columns is found by asking it (`Holdings::check`).

mod items;
mod steps;

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::convert::Days;
use super::http::reading::Told;
use super::http::request::Request;
use super::place::Place;
use super::query::{Ask, Layout, Query};
use crate::config::mapping::{HttpEntry, OF_FILE, QueryEntry, SUBJECTS, SourceEntry, SubjectType};
use crate::domain::catalogue::{AgencyId, Catalogue, Finding, Source};
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::lines::line_at;
use crate::domain::zone::Zone;

/// A mapping that fits the catalogue.
#[derive(Debug)]
pub struct Mapping {
    pub(super) queries: Vec<Query>,
    pub(super) limits: Limits,
    pub(super) place: Place,
    /// The zone in which the source's moments become days.
    pub(super) zone: Option<Zone>,
    items: ItemSet,
}

/// What bounds the asking, whatever kind of source it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at most.
    pub pool: usize,
    /// The longest that one statement may run.
    pub statement_timeout: Duration,
    /// People in one statement at most.
    pub max_batch: usize,
}

/// What a mapping is compiled from.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The file, for the lines in findings.
    pub file: Source<'a>,
    /// The folder at which a relative path starts.
    pub folder: &'a Path,
    /// Its `[source]`.
    pub source: &'a SourceEntry,
    /// Its `[[query]]` entries.
    pub queries: &'a [Spanned<QueryEntry>],
}

impl Mapping {
    /// Holds a mapping against the catalogue.
    ///
    /// # Errors
    /// Everything that is wrong, not just the first, in order of lines.
    pub fn compile(
        agency: &AgencyId,
        catalogue: &Catalogue,
        written: Written<'_>,
    ) -> Result<Self, Vec<Finding>> {
        let mut compiler = Compiler {
            catalogue,
            agency,
            owned: catalogue.owned_by(agency),
            file: written.file,
            findings: Vec::new(),
            kind: Kind::Sql,
            http: written.source.http.as_ref().map(Spanned::get_ref),
            mapped: HashMap::new(),
            zone: written.source.zone().cloned(),
            folder: written.folder,
        };
        compiler.kind = Kind::of(written.source);
        let (place, limits) = compiler.source(written.source, written.folder);
        let queries = compiler.queries(written.queries);
        let Some(place) = place.filter(|_| compiler.findings.is_empty()) else {
            compiler.findings.sort_by_key(|finding| finding.line);
            return Err(compiler.findings);
        };
        let items = queries.iter().fold(ItemSet::EMPTY, |all, query| all.or(&query.items));
        Ok(Self { queries, limits, place, zone: compiler.zone, items })
    }

    /// The items that are mapped.
    pub const fn items(&self) -> ItemSet {
        self.items
    }
}

/// Which kind of source a mapping has, as far as its queries differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sql,
    Csv,
    Http,
    Grpc,
}

impl Kind {
    fn of(source: &SourceEntry) -> Self {
        match (&source.csv, &source.http, &source.grpc) {
            (Some(_), _, _) => Self::Csv,
            (None, Some(_), _) => Self::Http,
            (None, None, Some(_)) => Self::Grpc,
            (None, None, None) => Self::Sql,
        }
    }

    /// The keys of a query that say what is asked.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Sql => &["sql", "subject_type", "wrapped"],
            Self::Csv => &["file"],
            Self::Http => &["path", "body", "rows", "success", "nobody", "paging"],
            Self::Grpc => &[],
        }
    }
}

/// The state of one compilation.
pub(super) struct Compiler<'a> {
    pub catalogue: &'a Catalogue,
    pub agency: &'a AgencyId,
    pub owned: ItemSet,
    pub zone: Option<Zone>,
    /// The folder at which a relative path starts.
    pub folder: &'a Path,
    file: Source<'a>,
    findings: Vec<Finding>,
    kind: Kind,
    /// What holds for each query of a service.
    http: Option<&'a HttpEntry>,
    /// Item to the query that holds it.
    pub mapped: HashMap<ItemNumber, &'a str>,
}

impl<'a> Compiler<'a> {
    pub fn find<T>(&mut self, place: &Spanned<T>, message: String) {
        self.find_at(place.span().start, message);
    }

    fn find_at(&mut self, start: usize, message: String) {
        let line = line_at(self.file.text, start);
        self.findings.push(Finding { file: self.file.name.to_owned(), line, message });
    }

    fn source(&mut self, source: &SourceEntry, folder: &Path) -> (Option<Place>, Limits) {
        match (&source.sql, &source.csv, &source.http, &source.grpc) {
            (Some(entry), None, None, None) => {
                let sql = entry.get_ref();
                let limits = self.limits(entry, sql.pool, sql.max_batch, sql.statement_timeout);
                (self.place(&sql.url, Place::of_sql(sql, folder)), limits)
            }
            (None, Some(entry), None, None) => {
                let csv = entry.get_ref();
                // What is in memory needs neither connections nor batches.
                let limits = self.limits(entry, 4, 256, csv.statement_timeout);
                (self.place(&csv.folder, Place::of_csv(csv, folder)), limits)
            }
            (None, None, Some(entry), None) => {
                let http = entry.get_ref();
                let limits = self.limits(entry, http.pool, http.max_batch, http.statement_timeout);
                (self.place(&http.url, Place::of_http(http, folder)), limits)
            }
            (None, None, None, Some(entry)) => {
                let grpc = entry.get_ref();
                let limits = self.limits(entry, grpc.pool, grpc.max_batch, grpc.statement_timeout);
                (self.place(&grpc.endpoint, Place::of_grpc(grpc, folder)), limits)
            }
            _ => {
                let message = "state one source: `[source.sql]`, `[source.csv]`, `[source.http]` \
                               or `[source.grpc]`";
                self.find_at(source.start(), message.to_owned());
                (None, Limits { pool: 1, statement_timeout: Duration::from_secs(1), max_batch: 1 })
            }
        }
    }

    fn place<T>(&mut self, at: &Spanned<T>, place: Result<Place, String>) -> Option<Place> {
        place.map_err(|message| self.find(at, message)).ok()
    }

    fn limits<T>(
        &mut self,
        at: &Spanned<T>,
        pool: usize,
        max_batch: usize,
        timeout: Duration,
    ) -> Limits {
        if !(1..=64).contains(&pool) {
            self.find(at, format!("`pool` is {pool}: use 1 to 64 connections"));
        }
        if !(1..=1024).contains(&max_batch) {
            self.find(at, format!("`max_batch` is {max_batch}: use 1 to 1024 people"));
        }
        if timeout < Duration::from_millis(10) || timeout > Duration::from_secs(60) {
            let message = format!("`statement_timeout` is {timeout:?}: use 10ms to 60s");
            self.find(at, message);
        }
        Limits { pool, statement_timeout: timeout, max_batch }
    }

    fn queries(&mut self, entries: &'a [Spanned<QueryEntry>]) -> Vec<Query> {
        let mut names: HashMap<&str, ()> = HashMap::new();
        let mut queries = Vec::with_capacity(entries.len());
        for entry in entries {
            let name = &entry.get_ref().name;
            let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
            let shown = name.get_ref().escape_default();
            if name.get_ref().is_empty() || name.get_ref().chars().count() > 64 {
                self.find(name, format!("query name `{shown}` must have 1 to 64 characters"));
            } else if !name.get_ref().chars().all(word) {
                let message =
                    format!("query name `{shown}`: use letters, digits, '_', '-' and '.' only");
                self.find(name, message);
            } else if names.insert(name.get_ref(), ()).is_some() {
                let message =
                    format!("two queries are named `{shown}`: give each a name of its own");
                self.find(name, message);
            }
            queries.push(self.query(entry));
        }
        queries
    }

    fn query(&mut self, entry: &'a Spanned<QueryEntry>) -> Query {
        let query = entry.get_ref();
        let mut selected = Vec::with_capacity(5 + query.items.len());
        let mut role = |compiler: &mut Self, at: std::ops::Range<usize>, column: &str| {
            compiler.column_name(&Spanned::new(at, ()), column);
            selected.push(column.into());
            selected.len() - 1
        };
        role(self, query.subject.span(), query.subject.get_ref());
        role(self, query.as_of.span(), query.as_of.get_ref());
        let named = |column: &'a Spanned<String>| (column.span(), column.get_ref().as_str());
        let disputed = query.disputed.as_ref();
        let disputed = disputed.map(|entry| (entry.span(), entry.get_ref().column.as_str()));
        let layout = Layout {
            ended: query.ended.as_ref().map(named).map(|(at, name)| role(self, at, name)),
            disputed: disputed.map(|(at, name)| role(self, at, name)),
            statement: query.statement.as_ref().map(named).map(|(at, name)| role(self, at, name)),
            first_item: 0,
        };
        let layout = Layout { first_item: selected.len(), ..layout };
        if query.items.is_empty() {
            let message = format!("query `{}` maps no item: remove it", query.name.get_ref());
            self.find(entry, message);
        }
        let days = Days { form: query.dates, zone: self.zone.clone() };
        let of_file = matches!(self.kind, Kind::Csv) && query.as_of.get_ref() == OF_FILE;
        if query.dates.is_moment() || of_file {
            self.need_zone(&query.as_of, "`as_of`");
        }
        if !(0.0..1.0).contains(&query.subject_others) {
            let others = query.subject_others;
            let message = format!("`subject_others` is {others}: use a share from 0 to below 1");
            self.find(entry, message);
        }
        let subject = steps::compile(self, query);
        let words = query.disputed.as_ref().map(|entry| items::disputed(self, entry));
        let mut columns = items::compile(self, query);
        columns.sort_by_key(|(column, _)| column.number);
        let items = columns.iter().map(|(column, _)| column.number).collect();
        let columns = columns
            .into_iter()
            .map(|(column, name)| {
                selected.push(name.into());
                column
            })
            .collect();
        let ask = self.ask(entry, &selected);
        Query {
            name: query.name.get_ref().as_str().into(),
            ask,
            subject,
            others: query.subject_others,
            days,
            disputed: words.unwrap_or_default(),
            selected,
            layout,
            columns,
            items,
        }
    }

    /// Refuses what can only hold moments, unless the source says in which zone they
    /// become days.
    pub fn need_zone<T>(&mut self, at: &Spanned<T>, what: &str) {
        if self.zone.is_none() {
            let message = format!(
                "{what} is a moment, whose day depends on the place: state the source's zone, \
                 such as `zone = \"Asia/Shanghai\"`"
            );
            self.find(at, message);
        }
    }

    /// What a query asks, if it asks what its source can answer.
    fn ask(&mut self, entry: &Spanned<QueryEntry>, selected: &[Box<str>]) -> Ask {
        let query = entry.get_ref();
        let keys = self.kind.keys();
        let stated = [
            ("sql", query.sql.is_some()),
            ("subject_type", query.subject_type != SubjectType::Text),
            ("wrapped", !query.wrapped),
            ("file", query.file.is_some()),
            ("path", query.path.is_some()),
            ("body", query.body.is_some()),
            ("rows", query.rows.is_some()),
            ("success", query.success.is_some()),
            ("nobody", query.nobody.is_some()),
            ("paging", query.paging.is_some()),
        ];
        for (key, _) in stated.into_iter().filter(|(key, stated)| *stated && !keys.contains(key)) {
            let name = query.name.get_ref().escape_default();
            let message =
                format!("query `{name}`: `{key}` is for another kind of source: remove it");
            self.find(entry, message);
        }
        let nothing = Ask::File(PathBuf::new());
        match (self.kind, &query.sql, &query.file, &query.path) {
            (Kind::Sql, Some(sql), _, _) => {
                let (text, subjects) = (self.statement(sql), query.subject_type);
                Ask::Sql { text, subjects, wrapped: query.wrapped }
            }
            (Kind::Csv, _, Some(file), _) => {
                let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
                if file.get_ref().as_os_str().is_empty() || !file.get_ref().components().all(plain)
                {
                    let message = "`file` is a file in the source's folder, without `..`";
                    self.find(file, message.to_owned());
                }
                Ask::File(file.get_ref().clone())
            }
            (Kind::Grpc, ..) => Ask::Name,
            (Kind::Http, _, _, Some(path)) => {
                let body = query.body.as_ref().map(|body| body.get_ref().as_str());
                let told = Told::of(query, self.http);
                match Request::new(path.get_ref(), body, told, selected) {
                    Ok(request) => Ask::Request(Box::new(request)),
                    Err(message) => {
                        self.find(path, message);
                        nothing
                    }
                }
            }
            _ => {
                let name = query.name.get_ref().escape_default();
                let key = keys.first().copied().unwrap_or_default();
                self.find(entry, format!("query `{name}` asks nothing: state `{key}`"));
                nothing
            }
        }
    }

    fn statement(&mut self, sql: &Spanned<String>) -> Box<str> {
        let text = sql.get_ref().trim().trim_end_matches(';').trim_end();
        match text.matches(SUBJECTS).count() {
            1 => {}
            0 => self.find(
                sql,
                format!(
                    "a query that is not bounded by subject is refused: \
                     write `where person in {SUBJECTS}`, with the name of your column"
                ),
            ),
            count => self.find(
                sql,
                format!(
                    "`{SUBJECTS}` stands {count} times: write it once, \
                     in a `with` clause if several tables need it"
                ),
            ),
        }
        if text.contains(['\0', '?']) {
            let message = format!(
                "the statement has a `?` or a NUL: people are bound by `{SUBJECTS}` alone, remove it"
            );
            self.find(sql, message);
        }
        if has_parameter(text) {
            let message = "the statement has a parameter of its own, such as `$1`: people are \
                           bound by `{subjects}` alone, remove it";
            self.find(sql, message.to_owned());
        }
        text.into()
    }

    pub fn column_name<T>(&mut self, place: &Spanned<T>, name: &str) {
        // A JSONPath is judged where it is read.
        let path = self.kind == Kind::Http && name.starts_with('$');
        let quotable = |c: char| !c.is_control() && (path || !matches!(c, '"' | '`' | '[' | ']'));
        if name.is_empty() || name.len() > 128 || !name.chars().all(quotable) {
            let message = format!(
                "`{}` is not a column's name: use 1 to 128 characters without quotes, \
                 and `as name` in the statement for an expression",
                name.escape_default()
            );
            self.find(place, message);
        }
    }
}

/// Whether a `$` begins a number, as PostgreSQL's parameters do, and not within a word.
fn has_parameter(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    let mut before = b' ';
    text.bytes().zip(text.bytes().skip(1)).any(|(byte, next)| {
        let begins = byte == b'$' && next.is_ascii_digit() && !word(before);
        before = byte;
        begins
    })
}

#[cfg(test)]
mod tests;
