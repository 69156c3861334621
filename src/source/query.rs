//! One query of a mapping, compiled: what is asked, which columns come, and how its rows are
//! read. How it is compiled is the business of [`super::mapping`], and how it is put that of
//! each kind of source.

use std::path::PathBuf;
use std::sync::Arc;

use super::column::Column;
use super::convert::{Days, Words};
use super::http::request::Request;
use super::subject::SubjectForm;
use crate::config::mapping::SubjectType;
use crate::domain::item::ItemSet;

/// One compiled query.
#[derive(Debug)]
pub(super) struct Query {
    pub name: Arc<str>,
    pub(super) ask: Ask,
    /// How its subject column holds people's numbers.
    pub(super) subject: SubjectForm,
    /// The share of its rows that may be of nobody whom the federation knows.
    pub(super) others: f64,
    /// How as-of and ended days are written.
    pub(super) days: Days,
    /// How it writes whether a row is disputed.
    pub(super) disputed: Words,
    /// The columns to read, in the order in which a source gives them: subject,
    /// as-of, then those of `layout`, then the items.
    pub(super) selected: Vec<Box<str>>,
    pub(super) layout: Layout,
    /// Ascending by number.
    pub(super) columns: Vec<Column>,
    pub(super) items: ItemSet,
}

/// What a query asks of its kind of source.
#[derive(Debug)]
pub(super) enum Ask {
    /// A statement.
    Sql {
        /// As written, with its one `{subjects}`.
        text: Box<str>,
        /// As what the people are bound.
        subjects: SubjectType,
        /// It becomes a part of a statement that proves whose answer comes.
        wrapped: bool,
    },
    /// A file, from the source's folder on.
    File(PathBuf),
    /// A request.
    Request(Box<Request>),
    /// The query's own name.
    Name,
}

/// Where in a row the cells stand that are no item; subject and as-of are first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layout {
    pub ended: Option<usize>,
    pub disputed: Option<usize>,
    pub statement: Option<usize>,
    pub first_item: usize,
}
