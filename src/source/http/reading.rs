//! What an answer is: rows, all of them or a page, nobody, or nothing that can be
//! believed. Nothing is sent here.

use reqwest::header::{CONTENT_RANGE, HeaderMap, LINK};
use serde_json::Value;
use serde_json_path::JsonPath;

use super::rows_path::{RowsPath, json_path};
use crate::config::mapping::{HttpEntry, NobodyEntry, NobodySays, QueryEntry, SuccessEntry};
use crate::source::fault::{Reason, SourceError};

/// How a query's answers are read.
#[derive(Debug, Clone)]
pub(in crate::source) struct Reading {
    rows: RowsPath,
    success: Option<Success>,
    nobody: Nobody,
    paging: Paging,
}

/// What a query says of its answers.
#[derive(Debug, Clone, Copy)]
pub(in crate::source) struct Told<'a> {
    pub rows: &'a str,
    pub success: Option<&'a SuccessEntry>,
    pub nobody: Option<&'a NobodyEntry>,
    pub paging: Option<&'a str>,
}

impl<'a> Told<'a> {
    /// What a query says; what it does not say, its source says.
    pub fn of(query: &'a QueryEntry, http: Option<&'a HttpEntry>) -> Self {
        Self {
            rows: query.rows.as_ref().map_or("$[*]", |rows| rows.get_ref()),
            success: query.success.as_ref().or(http.and_then(|http| http.success.as_ref())),
            nobody: query.nobody.as_ref().or(http.and_then(|http| http.nobody.as_ref())),
            paging: query.paging.as_deref().or(http.and_then(|http| http.paging.as_deref())),
        }
    }
}

#[derive(Debug, Clone)]
struct Success {
    path: JsonPath,
    written: String,
    values: Vec<Value>,
}

#[derive(Debug, Clone, Default)]
struct Nobody {
    statuses: Vec<u16>,
    path: Option<JsonPath>,
    values: Vec<Value>,
    empty: bool,
}

/// Where an answer names its next page.
#[derive(Debug, Clone)]
enum Paging {
    /// Nothing is stated: an answer that names one is not believed.
    Unstated,
    /// The answer is whole, whatever it says.
    Whole,
    /// In the header `Link` (RFC 8288).
    Link,
    /// In the answer.
    Path(JsonPath),
}

/// One page.
#[derive(Debug)]
pub(in crate::source) struct AnswerPage {
    pub rows: Vec<Value>,
    /// Where the next one is, as the answer says.
    pub next: Option<String>,
}

impl Reading {
    /// From what a query says.
    ///
    /// # Errors
    /// What is wrong.
    pub fn new(told: Told<'_>) -> Result<Self, String> {
        let success = told.success.map(|entry| {
            if entry.values.is_empty() {
                return Err("`success` names no value that means well: state `values`".to_owned());
            }
            let (path, written) = (json_path(&entry.path)?, entry.path.clone());
            Ok(Success { path, written, values: entry.values.clone() })
        });
        let nobody = match told.nobody {
            None => Nobody::default(),
            Some(NobodyEntry::Statuses(statuses)) => {
                Nobody::new(&NobodySays { statuses: statuses.clone(), ..NobodySays::default() })?
            }
            Some(NobodyEntry::Says(says)) => Nobody::new(says)?,
        };
        let paging = match told.paging {
            None => Paging::Unstated,
            Some("none") => Paging::Whole,
            Some("link") => Paging::Link,
            Some(path) if path.starts_with('$') => Paging::Path(json_path(path)?),
            Some(other) => {
                return Err(format!(
                    "`paging` is `{}`: write `link`, a JSONPath such as `$.next`, or `none`",
                    other.escape_default()
                ));
            }
        };
        Ok(Self { rows: RowsPath::new(told.rows)?, success: success.transpose()?, nobody, paging })
    }

    /// Whether a status and an answer say that nobody is known. No content says so by
    /// itself where one person is asked about.
    pub fn nobody(&self, status: u16, answer: Option<&Value>, one: bool) -> bool {
        let nobody = &self.nobody;
        if status == 204 && one {
            return true;
        }
        let stated = match nobody.path {
            Some(_) if nobody.statuses.is_empty() => status == 200,
            _ => nobody.statuses.contains(&status),
        };
        stated && nobody.path.as_ref().is_none_or(|path| answer.is_some_and(|a| nobody.at(path, a)))
    }

    /// Whether an answer with this status may say in its body that nobody is known.
    pub fn reads_body_of(&self, status: u16) -> bool {
        self.nobody.path.is_some() && self.nobody.statuses.contains(&status)
    }

    /// Reads an answer with status 200.
    ///
    /// # Errors
    /// What came cannot be believed; holds nothing of it.
    pub fn page(
        &self,
        answer: &Value,
        headers: &HeaderMap,
        rows_before: usize,
    ) -> Result<AnswerPage, SourceError> {
        let invalid = |detail: &str| Err(SourceError::new(Reason::Invalid, detail));
        if let Some(success) = &self.success {
            let found = success.path.query(answer).all();
            let well = |found: &&Value| success.values.iter().any(|value| same(value, found));
            if found.len() != 1 || !found.iter().all(well) {
                let path = success.written.escape_default();
                return invalid(&format!(
                    "the service says that it failed: `{path}` is none of the values of `success`"
                ));
            }
        }
        let Some(rows) = self.rows.rows(answer) else {
            return invalid(
                "`rows` leads nowhere in the answer, so that it says nothing of anybody: an error, \
                 or another form than the mapping's; `success` and `nobody` tell answers apart",
            );
        };
        let next = match &self.paging {
            Paging::Whole | Paging::Unstated => None,
            Paging::Link => next_link(headers),
            Paging::Path(path) => match path.query(answer).at_most_one() {
                Ok(None | Some(Value::Null)) => None,
                Ok(Some(Value::String(text))) if text.is_empty() => None,
                Ok(Some(Value::String(text))) => Some(text.clone()),
                _ => return invalid("`paging` leads to something that is no address of a page"),
            },
        };
        if next.is_none() && !matches!(self.paging, Paging::Whole) {
            let around = self.rows.around(answer);
            let more = around.iter().any(|value| says_more(value, rows_before + rows.len()));
            if more || next_link(headers).is_some() || headers.contains_key(CONTENT_RANGE) {
                return invalid(
                    "the answer says that it is not all there is: state where its next page is, \
                     as in `paging = \"$.next\"`, or `paging = \"none\"` if it is whole",
                );
            }
        }
        Ok(AnswerPage { rows: rows.into_iter().cloned().collect(), next })
    }
}

impl Nobody {
    fn new(says: &NobodySays) -> Result<Self, String> {
        if let Some(status) =
            says.statuses.iter().find(|code| !matches!(code, 200..=299 | 400..=499))
        {
            return Err(format!(
                "`nobody` has status {status}: use one from 200 to 299 or 400 to 499"
            ));
        }
        let other = |status: &u16| matches!(status, 200 | 401 | 403 | 408 | 429);
        if says.path.is_none() && says.statuses.iter().any(other) {
            return Err(
                "`nobody` has a status that says something else: 200, 401, 403, 408 and 429 \
                        mean nobody only together with a `path`"
                    .to_owned(),
            );
        }
        if says.path.is_none() && (says.empty || !says.values.is_empty()) {
            return Err(
                "`nobody` has `values` or `empty` and no `path`: where are they?".to_owned()
            );
        }
        if says.path.is_some() && !says.empty && says.values.is_empty() {
            return Err("`nobody` has a `path`: state the `values` there that mean nobody, or \
                        `empty = true`"
                .to_owned());
        }
        if says.path.is_none() && says.statuses.is_empty() {
            return Err(
                "`nobody` says nothing: name statuses, such as `[404]`, or a `path`".to_owned()
            );
        }
        Ok(Self {
            statuses: says.statuses.clone(),
            path: says.path.as_deref().map(json_path).transpose()?,
            values: says.values.clone(),
            empty: says.empty,
        })
    }

    fn at(&self, path: &JsonPath, answer: &Value) -> bool {
        let Ok(Some(found)) = path.query(answer).at_most_one() else {
            return false;
        };
        let empty = match found {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        (self.empty && empty) || self.values.iter().any(|value| same(value, found))
    }
}

/// Whether two values are one; 0 and 0.0 are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (one.as_f64().is_some() && one.as_f64() == other.as_f64())
        }
        _ => one == other,
    }
}

/// The address of the next page in a `Link` header.
fn next_link(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(",").map(str::trim)).find_map(|link| {
        let (address, parameters) = link.strip_prefix('<')?.split_once('>')?;
        let next = parameters.split(';').map(str::trim).any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && value.split(' ').any(|word| word.eq_ignore_ascii_case("next"))
        });
        next.then(|| address.to_owned())
    })
}

/// Whether an object around the rows says that there are more than these.
fn says_more(value: &Value, rows: usize) -> bool {
    let Value::Object(members) = value else {
        return false;
    };
    members.iter().any(|(name, value)| {
        let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = name.to_ascii_lowercase();
        let counted = |than: usize| {
            value.as_u64().is_some_and(|count| usize::try_from(count).is_ok_and(|n| n > than))
        };
        match &*name {
            "next" | "nextpage" | "nexturl" | "nexturi" | "nextlink" | "nexthref"
            | "odatanextlink" | "nextcursor" | "nextpagetoken" | "nexttoken" | "continuation"
            | "continuationtoken" | "nextoffset" => match value {
                Value::Null | Value::Bool(false) => false,
                Value::String(text) => !text.is_empty(),
                Value::Number(_) => counted(0),
                Value::Bool(true) | Value::Array(_) | Value::Object(_) => true,
            },
            "hasmore" | "hasnext" | "hasnextpage" | "more" | "truncated" | "istruncated"
            | "incomplete" | "partial" => *value == Value::Bool(true),
            "last" | "islast" | "lastpage" | "islastpage" | "complete" => {
                *value == Value::Bool(false)
            }
            "total" | "totalcount" | "totalelements" | "totalresults" | "totalrecords"
            | "totalrows" => counted(rows),
            "totalpages" | "pagecount" => counted(1),
            "links" | "paging" | "pagination" | "page" | "pageinfo" | "meta" | "metadata" => {
                says_more(value, rows)
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests;
