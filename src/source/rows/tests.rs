//! Tests of [`super`].

use time::macros::date;

use super::*;
use crate::domain::value::CodeIndex;
use crate::source::mapping::Mapping;
use crate::source::testing::{WHOLE, compile};

const TODAY: Date = date!(2025 - 03 - 01);

fn key(person: &str) -> Key {
    Sensitive::new(person.into())
}

/// A row that fits in every cell.
fn row(person: &str) -> Vec<Cell<'_>> {
    use Cell::{Integer, Null, Text};
    let roles = [Text(person), Text("2025-02-01"), Null, Null, Null];
    let job = [Integer(1), Text("G"), Text("2020-01-01"), Integer(100), Integer(3)];
    let rest = [Cell::Real(0.5), Integer(12), Integer(2)];
    [&roles[..], &job[..], &rest[..]].concat()
}

fn gather(
    mapping: &Mapping,
    people: &[Key],
    rows: &[Vec<Cell<'_>>],
) -> Result<Vec<PersonsRow>, Reason> {
    let query = &mapping.queries[0];
    let (counts, wanted) = (RowCounts::default(), vec![mapping.items(); people.len()]);
    let mut sink = Rows::new(query, &counts, TODAY, people, &wanted);
    for row in rows {
        if sink.row(row).is_break() {
            break;
        }
    }
    sink.finish()
}

fn only(mapping: &Mapping, row: Vec<Cell<'_>>) -> PersonsRow {
    gather(mapping, &[key("p1")], &[row]).unwrap().remove(0)
}

fn values(found: &PersonsRow) -> &Row {
    match found {
        PersonsRow::Row(row) => row,
        other => panic!("no row: {other:?}"),
    }
}

#[test]
fn each_person_gets_the_row_of_that_name() {
    let mapping = compile(WHOLE).unwrap();
    let people = [key("p1"), key("p2"), key("p3")];
    let mut second = row("p3");
    second[6] = Cell::Integer(2);
    let found = gather(&mapping, &people, &[second, row("p1")]).unwrap();
    let sector = |at: usize| values(&found[at]).values[1].1.unwrap().into_exposed();
    assert_eq!(sector(0), Value::Code(CodeIndex(0)));
    assert!(matches!(found[1], PersonsRow::Nothing));
    assert_eq!(sector(2), Value::Code(CodeIndex(1)));
}

#[test]
fn another_persons_row_spoils_the_result() {
    let mapping = compile(WHOLE).unwrap();
    for other in ["p2", "P1", "p1 ", "p", "p1\0", ""] {
        let found = gather(&mapping, &[key("p1")], &[row("p1"), row(other)]);
        assert_eq!(found.err(), Some(Reason::Invalid), "{other:?}");
    }
    let mut nameless = row("p1");
    nameless[0] = Cell::Null;
    assert!(gather(&mapping, &[key("p1")], &[nameless]).is_err());
    assert!(gather(&mapping, &[key("p1")], &[Vec::new()]).is_err());
}

#[test]
fn a_numeric_subject_is_compared_digit_for_digit() {
    let mapping = compile(WHOLE).unwrap();
    let mut numeric = row("17");
    numeric[0] = Cell::Integer(17);
    assert!(gather(&mapping, &[key("17")], std::slice::from_ref(&numeric)).is_ok());
    assert!(gather(&mapping, &[key("017")], &[numeric]).is_err());
}

#[test]
fn two_rows_for_one_person_are_none() {
    let mapping = compile(WHOLE).unwrap();
    let people = [key("p1"), key("p2")];
    let found = gather(&mapping, &people, &[row("p1"), row("p2"), row("p1")]).unwrap();
    assert!(matches!(found[0], PersonsRow::Unusable));
    assert!(matches!(found[1], PersonsRow::Row(_)));
    let flood = vec![row("p1"); 9];
    assert_eq!(gather(&mapping, &people, &flood).err(), Some(Reason::Invalid));
}

#[test]
fn a_row_without_a_readable_day_is_unusable() {
    let mapping = compile(WHOLE).unwrap();
    for (at, cell) in [
        (1, Cell::Null),
        (1, Cell::Text("yesterday")),
        (1, Cell::Text("2025-03-03")),
        (2, Cell::Text("soon")),
        (3, Cell::Text("maybe")),
        (4, Cell::Integer(3)),
    ] {
        let mut row = row("p1");
        row[at] = cell;
        assert!(matches!(only(&mapping, row), PersonsRow::Unusable), "{at} {cell:?}");
    }
    let mut tomorrow = row("p1");
    tomorrow[1] = Cell::Text("2025-03-02 08:00:00");
    assert_eq!(values(&only(&mapping, tomorrow)).as_of, date!(2025 - 03 - 02));
}

#[test]
fn an_adverse_fact_lapses_and_others_stay() {
    let mapping = compile(WHOLE).unwrap();
    for (ended, expected) in [
        (Cell::Null, None),
        (Cell::Text("2024-03-01"), None),
        (Cell::Text("2024-02-29"), Some(Absence::Lapsed)),
    ] {
        let mut row = row("p1");
        (row[2], row[3], row[4]) = (ended, Cell::Integer(1), Cell::Text("S-1"));
        let found = only(&mapping, row);
        let read = values(&found);
        let defaults = read.values.last().unwrap();
        assert_eq!(defaults.1.err(), expected, "{ended:?}");
        assert!(read.values[0].1.is_ok());
        assert!(read.disputed);
        assert_eq!(read.statement.as_ref().map(|text| &**text.expose()), Some("S-1"));
    }
    let mut nothing = row("p1");
    (nothing[2], nothing[12]) = (Cell::Text("2020-01-01"), Cell::Null);
    let found = only(&mapping, nothing);
    assert_eq!(values(&found).values.last().unwrap().1, Err(Absence::NotRecorded));
}

#[test]
fn a_cell_that_does_not_fit_spoils_its_item_alone() {
    let mapping = compile(WHOLE).unwrap();
    let mut odd = row("p1");
    odd[9] = Cell::Text("many");
    let found = only(&mapping, odd);
    let bad: Vec<u16> =
        values(&found).values.iter().filter(|v| v.1.is_err()).map(|v| v.0.get()).collect();
    assert_eq!(bad, [5]);
    assert_eq!(mapping.queries[0].columns[4].unfit.load(Ordering::Relaxed), 1);
}
