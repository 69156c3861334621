//! What a query holds about one person, cell by cell, for `agency check --subject`.
//! Read with the conversion that serves; the values go to whoever asked, and nowhere
//! else.

use std::ops::ControlFlow;

use time::Date;

use super::cell::Cell;
use super::convert;
use super::horizon;
use super::query::Query;
use super::rows::{RowSink, roles};
use crate::domain::item::ItemNumber;
use crate::domain::sensitive::Sensitive;
use crate::domain::value::Value;

/// One item of a person, or why there is none.
#[derive(Debug, Clone)]
pub struct ItemShown {
    /// The query that holds it.
    pub query: Box<str>,
    /// The item.
    pub number: ItemNumber,
    /// Its column.
    pub column: Box<str>,
    /// The value, or why there is none.
    pub outcome: Result<Sensitive<Value>, Box<str>>,
    /// The day on which its row was true.
    pub as_of: Option<Date>,
    /// Whether serving would say that the value is invalid.
    pub invalid: bool,
}

/// Takes the rows of one person.
pub(super) struct Showing<'a> {
    query: &'a Query,
    today: Date,
    key: Box<str>,
    rows: usize,
    foreign: bool,
    shown: Vec<ItemShown>,
}

impl<'a> Showing<'a> {
    pub fn new(query: &'a Query, today: Date, person: &str) -> Self {
        let key = query.subject.key(person);
        Self { query, today, key, rows: 0, foreign: false, shown: Vec::new() }
    }

    /// Each item of the query.
    pub fn finish(self) -> Vec<ItemShown> {
        if self.foreign {
            let why = "the source gave a row of somebody else: nothing of its answer is believed";
            return self.none(why, true);
        }
        match self.rows {
            0 => self.none("no row of this person", false),
            1 => self.shown,
            _ => self.none("two rows for one person where one is expected", true),
        }
    }

    /// The same for each item, when the source did not answer.
    pub fn failed(self, why: &str) -> Vec<ItemShown> {
        self.none(why, true)
    }

    fn none(&self, why: &str, invalid: bool) -> Vec<ItemShown> {
        self.each(|_| (Err(why.into()), invalid), None)
    }

    fn each(
        &self,
        outcome: impl Fn(usize) -> (Result<Sensitive<Value>, Box<str>>, bool),
        as_of: Option<Date>,
    ) -> Vec<ItemShown> {
        let names = self.query.selected.iter().skip(self.query.layout.first_item);
        let columns = self.query.columns.iter().zip(names).enumerate();
        columns
            .map(|(at, (column, name))| {
                let (outcome, invalid) = outcome(at);
                let (query, number) = ((&*self.query.name).into(), column.number);
                ItemShown { query, number, column: name.clone(), outcome, as_of, invalid }
            })
            .collect()
    }
}

impl RowSink for Showing<'_> {
    fn row(&mut self, cells: &[Cell<'_>]) -> ControlFlow<()> {
        self.rows += 1;
        let subject = cells.first().copied().unwrap_or(Cell::Null);
        if self.query.subject.of_cell(subject).as_deref() != Some(&*self.key) {
            self.foreign = true;
            return ControlFlow::Break(());
        }
        self.shown = match roles(self.query, cells, self.today) {
            Err(fault) => {
                let why = format!("`{}`, column `{}`: {}", fault.role, fault.column, fault.reason);
                self.none(&why, true)
            }
            Ok(roles) => {
                let items = cells.get(self.query.layout.first_item..).unwrap_or_default();
                let outcome = |at: usize| {
                    let (Some(column), Some(cell)) = (self.query.columns.get(at), items.get(at))
                    else {
                        return (Err("the row lacks this cell".into()), true);
                    };
                    if matches!(cell, Cell::Null) {
                        return (Err("not recorded (NULL)".into()), false);
                    }
                    if let (Some(months), Some(ended)) = (column.adverse_months, roles.ended)
                        && horizon::lapsed(ended, months, self.today)
                    {
                        return (Err("lapsed: the fact ended too long ago".into()), false);
                    }
                    match convert::value(*cell, &column.form) {
                        Ok(value) => (Ok(Sensitive::new(value)), false),
                        Err(reason) => (Err(reason.to_string().into()), true),
                    }
                };
                self.each(outcome, Some(roles.as_of))
            }
        };
        ControlFlow::Continue(())
    }
}
