//! From a source's rows to each person's values: whose row it is, whether there
//! is one, what of it may be said today.
//!
//! Shared by every kind of source. A row of a person who was not asked about
//! makes the whole result suspect, since nobody can then say whose the other
//! rows are: none of it is passed on. `batch` then asks about fewer at once.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use time::Date;

use super::Key;
use super::cell::{Cell, Unfit};
use super::column::Column;
use super::convert;
use super::fault::Reason;
use super::horizon;
use super::query::Query;
use crate::domain::item::{ItemNumber, ItemSet};
use crate::domain::section::Absence;
use crate::domain::sensitive::Sensitive;
use crate::domain::value::Value;

/// Rows that a statement may give for each person, before it is cut off.
pub(super) const MAX_ROWS_EACH: usize = 4;

/// Takes rows as a source finds them.
pub trait RowSink: Send {
    /// Takes one row: a cell for each selected column, in that order. `Break`
    /// says that no more are wanted.
    fn row(&mut self, cells: &[Cell<'_>]) -> ControlFlow<()>;
}

/// What was wrong with whole rows of one query, counted.
#[derive(Debug, Default)]
pub(super) struct RowCounts {
    /// Rows of a person who was not asked about.
    pub foreign: AtomicU64,
    /// People with two rows or more.
    pub duplicate: AtomicU64,
    /// Rows whose as-of date, end, dispute or statement cannot be read.
    pub unusable: AtomicU64,
}

/// What one query holds about one person.
#[derive(Debug, Clone)]
pub(super) enum PersonsRow {
    /// No row.
    Nothing,
    /// Rows of which no value can be passed on.
    Unusable,
    /// One row.
    Row(Arc<Row>),
}

/// One person's row, read.
#[derive(Debug)]
pub(super) struct Row {
    pub as_of: Date,
    pub disputed: bool,
    pub statement: Option<Sensitive<Box<str>>>,
    /// Of the items asked for, ascending by number.
    pub values: Vec<(ItemNumber, Result<Sensitive<Value>, Absence>)>,
}

/// Collects the rows of one statement.
pub(super) struct Rows<'a> {
    query: &'a Query,
    counts: &'a RowCounts,
    today: Date,
    /// For each person asked about, the items that are wanted.
    wanted: &'a [ItemSet],
    /// What each person's rows are known by, to the person's place.
    index: HashMap<Box<str>, usize>,
    found: Vec<PersonsRow>,
    seen: usize,
    broken: Option<Reason>,
}

impl<'a> Rows<'a> {
    pub fn new(
        query: &'a Query,
        counts: &'a RowCounts,
        today: Date,
        people: &[Key],
        wanted: &'a [ItemSet],
    ) -> Self {
        let known_by = |(at, key): (usize, &Key)| (query.subject.key(key.expose()), at);
        let index = people.iter().enumerate().map(known_by).collect();
        let found = vec![PersonsRow::Nothing; people.len()];
        Self { query, counts, today, wanted, index, found, seen: 0, broken: None }
    }

    /// What was found for each person, in the order asked.
    pub fn finish(self) -> Result<Vec<PersonsRow>, Reason> {
        match self.broken {
            None => Ok(self.found),
            Some(reason) => Err(reason),
        }
    }

    fn break_off(&mut self, why: &'static str) -> ControlFlow<()> {
        log(&self.counts.foreign, &self.query.name, why, None);
        self.broken = Some(Reason::Invalid);
        ControlFlow::Break(())
    }

    /// Whose row it is, compared byte for byte in the catalogue's form.
    fn person(&self, cell: Option<&Cell<'_>>) -> Option<usize> {
        self.index.get(&*self.query.subject.of_cell(*cell?)?).copied()
    }

    fn read(&self, cells: &[Cell<'_>], wanted: &ItemSet) -> Result<Row, RowFault<'a>> {
        let Roles { as_of, disputed, statement, ended } = roles(self.query, cells, self.today)?;
        let layout = self.query.layout;
        let items = cells.get(layout.first_item..).unwrap_or_default();
        let mut values = Vec::with_capacity(wanted.len());
        for (column, cell) in self.query.columns.iter().zip(items) {
            if wanted.contains(column.number) {
                values.push((column.number, self.value(column, *cell, ended)));
            }
        }
        Ok(Row { as_of, disputed, statement: statement.map(Sensitive::new), values })
    }

    fn value(
        &self,
        column: &Column,
        cell: Cell<'_>,
        ended: Option<Date>,
    ) -> Result<Sensitive<Value>, Absence> {
        if matches!(cell, Cell::Null) {
            return Err(Absence::NotRecorded);
        }
        if let (Some(months), Some(ended)) = (column.adverse_months, ended)
            && horizon::lapsed(ended, months, self.today)
        {
            return Err(Absence::Lapsed);
        }
        convert::value(cell, &column.form).map(Sensitive::new).map_err(|reason| {
            column.count(&self.query.name, reason);
            Absence::Invalid
        })
    }
}

impl RowSink for Rows<'_> {
    fn row(&mut self, cells: &[Cell<'_>]) -> ControlFlow<()> {
        self.seen += 1;
        if self.seen > self.found.len().saturating_mul(MAX_ROWS_EACH) {
            return self.break_off("more rows than people asked about; the result is discarded");
        }
        let Some(person) = self.person(cells.first()) else {
            return self.break_off("a row of another person; the result is discarded");
        };
        let wanted = self.wanted.get(person).copied().unwrap_or_default();
        let found = match self.found.get(person) {
            Some(PersonsRow::Nothing) => match self.read(cells, &wanted) {
                Ok(row) => PersonsRow::Row(Arc::new(row)),
                Err(fault) => {
                    let why = "a row is unusable, since a cell that it needs cannot be read";
                    log(&self.counts.unusable, &self.query.name, why, Some(fault));
                    PersonsRow::Unusable
                }
            },
            _ => {
                let why = "two rows for one person where one is expected";
                log(&self.counts.duplicate, &self.query.name, why, None);
                PersonsRow::Unusable
            }
        };
        if let Some(place) = self.found.get_mut(person) {
            *place = found;
        }
        ControlFlow::Continue(())
    }
}

/// What a row says of itself.
#[derive(Debug)]
pub(super) struct Roles {
    pub as_of: Date,
    pub disputed: bool,
    pub statement: Option<Box<str>>,
    pub ended: Option<Date>,
}

/// Which cell makes a whole row unusable, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowFault<'a> {
    /// Its key in the mapping.
    pub role: &'static str,
    pub column: &'a str,
    pub reason: Unfit,
}

/// Reads what a row says of itself.
pub(super) fn roles<'a>(
    query: &'a Query,
    cells: &[Cell<'_>],
    today: Date,
) -> Result<Roles, RowFault<'a>> {
    let layout = query.layout;
    let at = |place: usize| cells.get(place).copied().unwrap_or(Cell::Null);
    let fault = |role, place: usize| {
        let column = query.selected.get(place).map(|name| &**name).unwrap_or_default();
        move |reason| RowFault { role, column, reason }
    };
    let as_of = query.days.read(at(1)).map_err(fault("as_of", 1))?;
    // A day's grace for a source whose clock is in another zone.
    if as_of > today.next_day().unwrap_or(today) {
        return Err(fault("as_of", 1)(Unfit::Future));
    }
    let given = |place: Option<usize>| {
        place.map(|place| (place, at(place))).filter(|(_, cell)| !matches!(cell, Cell::Null))
    };
    let disputed = match given(layout.disputed) {
        None => false,
        Some((place, cell)) => query.disputed.read(cell).map_err(fault("disputed", place))?,
    };
    let statement = match given(layout.statement) {
        None => None,
        Some((place, cell)) => convert::statement(cell).map_err(fault("statement", place))?,
    };
    let ended = match given(layout.ended) {
        None => None,
        Some((place, cell)) => Some(query.days.read(cell).map_err(fault("ended", place))?),
    };
    Ok(Roles { as_of, disputed, statement, ended })
}

fn log(counter: &AtomicU64, query: &str, why: &'static str, fault: Option<RowFault<'_>>) {
    let count = counter.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    if count.is_power_of_two() {
        let (role, column) = (fault.map(|fault| fault.role), fault.map(|fault| fault.column));
        let reason = fault.map(|fault| tracing::field::display(fault.reason));
        tracing::warn!(query, role, column, reason, count, "{why}");
    }
}

#[cfg(test)]
mod tests;
