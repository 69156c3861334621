//! A mapping held against its live source, before anybody is asked about: for
//! `agency check`. Every finding has its line.

mod sampled;

use std::sync::Arc;

use super::cell::Unfit;
use super::fault::{Reason, SourceError};
use super::holdings::Holdings;
use super::introspection::{Kind, Plan, Review};
use super::mapping::Written;
use super::sample::ItemSampled;
use crate::config::mapping::{QueryEntry, SubjectType};
use crate::domain::lines::line_at;
use crate::domain::subject::SubjectFormat;
use crate::domain::value::ValueType;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// It works, but not well.
    Warning,
    /// It does not work, or must not be.
    Error,
}

impl Severity {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing found about a line of the mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// How bad it is.
    pub severity: Severity,
    /// The line, from 1.
    pub line: usize,
    /// What it is and what to do. Holds no value.
    pub message: String,
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// In order of lines.
    pub noted: Vec<Noted>,
    /// The source could not be asked, so that most was not looked at.
    pub unreachable: bool,
    /// Each query's name and plan.
    pub plans: Vec<(Arc<str>, Option<Plan>)>,
    /// What became of the cells of a sample, item by item.
    pub sampled: Vec<ItemSampled>,
}

impl Checked {
    /// Whether anything is wrong.
    pub fn has_errors(&self) -> bool {
        self.noted.iter().any(|noted| noted.severity == Severity::Error)
    }
}

/// What is said about the lines of one file.
struct Notes<'a> {
    written: &'a Written<'a>,
    checked: Checked,
    /// The account is not taken, so nothing is asked about people.
    refused: bool,
}

impl Notes<'_> {
    fn add(&mut self, severity: Severity, at: usize, message: impl Into<String>) {
        let line = line_at(self.written.file.text, at);
        self.checked.noted.push(Noted { severity, line, message: message.into() });
    }
}

/// Holds the live source against the mapping from which it was opened, and a sample
/// of its rows against the catalogue and the format of people's numbers, if it is
/// known.
pub async fn check(
    holdings: &Holdings,
    written: &Written<'_>,
    format: Option<&SubjectFormat>,
) -> Checked {
    let mut notes = Notes { written, checked: Checked::default(), refused: false };
    let source = written.source.start();
    match holdings.writable().await {
        Ok(Some(rights)) if written.source.may_write() => {
            notes.add(Severity::Note, source, format!("the account can write: {rights}"));
        }
        Ok(Some(rights)) => {
            notes.refused = true;
            notes.add(Severity::Error, source, SourceError::can_write(&rights).detail);
        }
        Ok(None) => {}
        Err(error) => unasked(&mut notes, source, &error),
    }
    if !notes.checked.unreachable {
        for (place, entry) in written.queries.iter().enumerate() {
            query(holdings, place, entry.get_ref(), format, &mut notes).await;
        }
    }
    notes.checked.noted.sort_by_key(|noted| noted.line);
    notes.checked
}

/// The source gave no answer to a question about itself.
fn unasked(notes: &mut Notes<'_>, at: usize, error: &SourceError) {
    if matches!(error.reason, Reason::Down | Reason::Timeout | Reason::Overloaded) {
        notes.checked.unreachable = true;
    }
    notes.add(Severity::Error, at, error.to_string());
}

async fn query(
    holdings: &Holdings,
    place: usize,
    entry: &QueryEntry,
    format: Option<&SubjectFormat>,
    notes: &mut Notes<'_>,
) {
    let at = entry.start();
    let review = match holdings.review(place).await {
        Ok(review) => review,
        Err(error) => return unasked(notes, at, &error),
    };
    if entry.path.as_ref().is_some_and(|path| path.get_ref().contains("{subject}")) {
        let message = "the person's number stands in the path, which web servers and proxies \
                       write into their logs: ask with `body` where the service lets you";
        notes.add(Severity::Warning, at, message);
    }
    let before = notes.checked.noted.len();
    if review.columns.is_empty() {
        match holdings.missing_columns(place).await {
            Ok(missing) => {
                for error in missing {
                    notes.add(Severity::Error, at, error.to_string());
                }
            }
            Err(error) => return unasked(notes, at, &error),
        }
    } else {
        columns(holdings, place, entry, &review, notes);
    }
    plan(entry, review.plan.as_ref(), notes);
    let name: Arc<str> = entry.name.get_ref().as_str().into();
    notes.checked.plans.push((name, review.plan));
    let errors = notes.checked.noted.iter().skip(before);
    if notes.refused || errors.into_iter().any(|noted| noted.severity == Severity::Error) {
        return;
    }
    match holdings.asked_about_nobody(place).await {
        Ok(None) => {}
        Ok(Some(error)) | Err(error) => return unasked(notes, at, &error),
    }
    sample(holdings, place, entry, format, notes).await;
}

/// Looks at real rows with the conversion that serves.
async fn sample(
    holdings: &Holdings,
    place: usize,
    entry: &QueryEntry,
    format: Option<&SubjectFormat>,
    notes: &mut Notes<'_>,
) {
    let at = entry.start();
    match holdings.sample(place, format).await {
        Ok(Some(sampled)) => {
            if sampled.rows == 0 {
                let message = "there are no rows to look at: check again once there are";
                notes.add(Severity::Note, at, message);
            }
            if let Some(query) = holdings.query(place) {
                sampled::findings(entry, query, sampled, notes);
            }
        }
        Ok(None) => {
            let message = "rows cannot be looked at without asking about somebody: see how a test \
                           person is read, `agency check --subject NUMBER`";
            notes.add(Severity::Note, at, message);
        }
        // What serves is slow at worst.
        Err(error) if error.reason == Reason::Timeout => {
            let message = "a sample of the rows took too long, and was not looked at";
            notes.add(Severity::Warning, at, message);
        }
        Err(error) => unasked(notes, at, &error),
    }
}

/// Each named column: whether it is there, and whether its kind can be read.
fn columns(
    holdings: &Holdings,
    place: usize,
    entry: &QueryEntry,
    review: &Review,
    notes: &mut Notes<'_>,
) {
    let kind_of = |wanted: &str| {
        let exact = review.columns.iter().find(|(name, _)| name == wanted);
        let near = || review.columns.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        exact.or_else(near).map(|(_, kind)| *kind)
    };
    let names: Vec<&str> = review.columns.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    let missing = |wanted: &str| {
        format!(
            "the statement's answer has no column `{wanted}`, only {names}: \
             correct the name, or select it"
        )
    };
    let roles = [
        ("subject", Some((entry.subject.span(), entry.subject.get_ref()))),
        ("as_of", Some((entry.as_of.span(), entry.as_of.get_ref()))),
        ("ended", entry.ended.as_ref().map(|column| (column.span(), column.get_ref()))),
        ("disputed", entry.disputed.as_ref().map(|it| (it.span(), &it.get_ref().column))),
        ("statement", entry.statement.as_ref().map(|column| (column.span(), column.get_ref()))),
    ];
    for (role, column) in roles {
        let Some((at, column)) = column else { continue };
        let at = at.start;
        match kind_of(column) {
            None => notes.add(Severity::Error, at, missing(column)),
            Some(Kind::Moment) if notes.written.source.zone().is_none() => {
                let message = format!("`{role}`, column `{column}`: {}", Unfit::Zone);
                notes.add(Severity::Error, at, message);
            }
            Some(kind) => {
                if let Some(remedy) = unfit(role, kind, entry) {
                    let kind = kind.name();
                    let message = format!("`{role}` names `{column}`, which is {kind}: {remedy}");
                    notes.add(Severity::Error, at, message);
                }
            }
        }
    }
    for (id, item) in &entry.items {
        let (at, column) = (item.span().start, &item.get_ref().column);
        let Some(kind) = kind_of(column) else {
            notes.add(Severity::Error, at, missing(column));
            continue;
        };
        let Some(value_type) = holdings.value_type(place, id) else { continue };
        if kind == Kind::Moment
            && *value_type == ValueType::Date
            && notes.written.source.zone().is_none()
        {
            notes.add(Severity::Error, at, format!("`{id}`, column `{column}`: {}", Unfit::Zone));
        } else if !kind.may_hold(value_type) {
            let message = format!(
                "`{id}` is of type {}, but its column `{column}` is {}: name another column, \
                 or convert it in the statement",
                value_type.name(),
                kind.name()
            );
            notes.add(Severity::Error, at, message);
        }
    }
}

/// Why a column of this kind cannot play a role; `None` when it can.
fn unfit(role: &str, kind: Kind, entry: &QueryEntry) -> Option<&'static str> {
    let counted = entry.dates.is_counted();
    match (role, kind) {
        (_, Kind::Unknown) => None,
        ("subject", Kind::Integer) if entry.subject_type == SubjectType::Text => {
            Some("state `subject_type = \"integer\"`")
        }
        ("subject", Kind::Text) if entry.subject_type == SubjectType::Integer => {
            Some("remove `subject_type`")
        }
        ("subject", Kind::Text | Kind::Integer) => None,
        ("subject", _) => Some("a person's number is a text or a whole number"),
        ("as_of" | "ended", Kind::Date | Kind::Moment | Kind::Text) => None,
        ("as_of" | "ended", Kind::Integer) if counted => None,
        ("as_of" | "ended", Kind::Integer) => {
            Some("state in which form, such as `dates = \"unix\"`")
        }
        ("as_of" | "ended", _) => Some("name a column with a day"),
        ("disputed", Kind::Boolean | Kind::Integer | Kind::Text) => None,
        ("disputed", _) => Some("name a column that says yes or no"),
        (_, Kind::Text) => None,
        _ => Some("name a column with a text"),
    }
}

fn plan(entry: &QueryEntry, plan: Option<&Plan>, notes: &mut Notes<'_>) {
    let Some(plan) = plan else { return };
    let estimate = match (plan.cost, plan.rows) {
        (Some(cost), _) => format!(" (the plan's cost is {cost:.1})"),
        (None, Some(rows)) => format!(" (the plan looks at {rows:.0} rows)"),
        (None, None) => String::new(),
    };
    for table in &plan.whole {
        let message = format!(
            "each statement reads the whole of `{table}`{estimate}: make an index on the column \
             that {{subjects}} is compared with"
        );
        notes.add(Severity::Warning, entry.start(), message);
    }
    if plan.whole.is_empty() && !estimate.is_empty() {
        let name = entry.name.get_ref();
        notes.add(Severity::Note, entry.start(), format!("`{name}` uses an index{estimate}"));
    }
}
