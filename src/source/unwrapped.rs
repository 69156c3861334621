//! The answer to a statement that is sent as its mapping has it, in a session of its own:
//! which of its columns are meant is known by their names alone, and nothing in a row
//! says whose answer it is.

use std::ops::ControlFlow;

use super::cell::Cell;
use super::fault::{Reason, SourceError};
use super::proof::Answer;
use super::rows::RowSink;

/// Passes on the columns that are named, in the order of the mapping.
pub(super) struct Named<'a> {
    selected: &'a [Box<str>],
    same: fn(&str, &str) -> bool,
    sink: &'a mut dyn RowSink,
    /// Where each of them stands; `None` until a row is described.
    places: Option<Vec<Option<usize>>>,
    given: bool,
}

impl<'a> Named<'a> {
    pub fn new(
        selected: &'a [Box<str>],
        same: fn(&str, &str) -> bool,
        sink: &'a mut dyn RowSink,
    ) -> Self {
        Self { selected, same, sink, places: None, given: false }
    }
}

impl Answer for Named<'_> {
    fn nonce(&self) -> Option<i64> {
        None
    }

    fn described(&mut self, names: &mut dyn ExactSizeIterator<Item = &str>) {
        if self.places.is_none() {
            let names: Vec<&str> = names.collect();
            let of_that_name = |wanted| names.iter().position(|name| (self.same)(name, wanted));
            self.places = Some(self.selected.iter().map(|wanted| of_that_name(wanted)).collect());
        }
    }

    fn given(&self) -> bool {
        self.given
    }

    fn finish(&self) -> Result<(), SourceError> {
        let places = self.places.iter().flatten().zip(self.selected);
        let missing = places.filter(|(place, _)| place.is_none()).map(|(_, name)| name).next();
        missing.map_or(Ok(()), |name| {
            let detail = format!("its answer has no column `{name}`");
            Err(SourceError::new(Reason::Schema, detail))
        })
    }
}

impl RowSink for Named<'_> {
    fn row(&mut self, cells: &[Cell<'_>]) -> ControlFlow<()> {
        let places = self.places.iter().flatten();
        let row: Option<Vec<Cell<'_>>> =
            places.map(|place| place.and_then(|at| cells.get(at)).copied()).collect();
        let Some(row) = row else { return ControlFlow::Break(()) };
        self.given = true;
        self.sink.row(&row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Taken(Vec<Vec<i64>>);

    impl RowSink for Taken {
        fn row(&mut self, cells: &[Cell<'_>]) -> ControlFlow<()> {
            let number = |cell: &Cell<'_>| match cell {
                Cell::Integer(number) => *number,
                _ => panic!("{cell:?}"),
            };
            self.0.push(cells.iter().map(number).collect());
            ControlFlow::Continue(())
        }
    }

    #[test]
    fn columns_are_taken_by_name_and_a_missing_one_is_no_row() {
        let selected: [Box<str>; 2] = ["who".into(), "level".into()];
        let row = [Cell::Integer(1), Cell::Integer(2), Cell::Integer(3)];
        let mut taken = Taken(Vec::new());
        let mut named = Named::new(&selected, str::eq_ignore_ascii_case, &mut taken);
        named.described(&mut ["level", "other", "WHO"].into_iter());
        assert!(named.row(&row).is_continue() && named.finish().is_ok());
        assert_eq!(taken.0, [[3, 1]]);
        let mut taken = Taken(Vec::new());
        let mut named = Named::new(&selected, |one, other| one == other, &mut taken);
        named.described(&mut ["level", "other", "WHO"].into_iter());
        assert!(named.row(&row).is_break());
        let error = named.finish().unwrap_err();
        assert!(error.reason == Reason::Schema && error.detail.contains("`who`"), "{error}");
        assert!(taken.0.is_empty());
    }
}
