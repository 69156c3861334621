//! A bounded sample of a query's real rows, read with the conversion that serves:
//! how many fit, how many do not, and why. No cell is kept; of numbers that nobody
//! would be found by, a masked example is.

use std::ops::ControlFlow;

use time::Date;

use super::cell::{Cell, Unfit};
use super::convert;
use super::query::Query;
use super::rows::{RowSink, roles};
use super::subject::masked;

/// Rows of one query that are looked at, at most.
pub(super) const SAMPLED_ROWS: usize = 1000;

/// Masked examples at most, each of another look.
const EXAMPLES: usize = 3;

/// What a sample shows.
#[derive(Debug, Default)]
pub(super) struct QuerySample {
    /// Rows that were looked at.
    pub rows: usize,
    /// Rows that no question would find.
    pub lost: usize,
    /// Of those, why, with a masked example; each look once.
    pub looks: Vec<(SubjectLook, String)>,
    /// Cells that make their whole row unusable: role, column, why, how many.
    pub roles: Vec<(&'static str, Box<str>, Unfit, usize)>,
    /// For each item of the query, in its order.
    pub items: Vec<ItemSampled>,
}

/// What became of one item's cells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemSampled {
    /// The item's id.
    pub id: Box<str>,
    /// Its column.
    pub column: Box<str>,
    /// Cells that are a value.
    pub fit: usize,
    /// Cells with nothing recorded.
    pub empty: usize,
    /// Why the others are no value, and how many.
    pub unfit: Vec<(Unfit, usize)>,
}

/// Why no question finds a row, as far as its subject shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubjectLook {
    Empty,
    Blanks,
    LowerCase,
    PowerOfTen,
    Fraction,
    OtherKind,
    FifteenDigits,
    Short,
    Other,
}

impl SubjectLook {
    fn of(cell: Cell<'_>) -> Self {
        let text = match cell {
            Cell::Text(text) => text.to_owned(),
            Cell::Integer(number) => number.to_string(),
            Cell::Null => return Self::Empty,
            Cell::Real(_) | Cell::Decimal(_) => return Self::Fraction,
            _ => return Self::OtherKind,
        };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.replace(',', ".").parse::<f64>();
        match () {
            () if text.trim().is_empty() => Self::Empty,
            () if text.trim() != text => Self::Blanks,
            () if number.is_ok_and(f64::is_finite) && text.contains(['e', 'E']) => Self::PowerOfTen,
            () if digits && text.len() == 15 => Self::FifteenDigits,
            () if digits && text.len() < 18 => Self::Short,
            () if text.bytes().any(|byte| byte.is_ascii_lowercase()) => Self::LowerCase,
            () => Self::Other,
        }
    }

    /// What it is and what to do.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Empty => "nothing: leave such rows out in the statement",
            Self::Blanks => {
                "a number with blanks around it: state `subject_form = [\"trim\"]`, or remove \
                 them in the statement"
            }
            Self::LowerCase => "small letters: state `subject_form = [\"upper\"]`",
            Self::PowerOfTen => {
                "a power of ten, as Excel writes long numbers: the number's last digits are lost; \
                 export the column anew as text"
            }
            Self::Fraction => {
                "a binary or decimal fraction, in which digits of long numbers are lost: make the \
                 column a text"
            }
            Self::OtherKind => "a value that is no text, such as bytes: convert it to a text",
            Self::FifteenDigits => {
                "a number of fifteen digits, of before 1999: state \
                 `subject_form = [\"digits15to18\"]`"
            }
            Self::Short => {
                "a number that is too short: if zeros in front were lost, state \
                 `subject_form = [{ zero_pad = 18 }]`"
            }
            Self::Other => "no number as the federation writes them",
        }
    }
}

impl QuerySample {
    /// Which rows no question would find, and what to do; `None` when all are found.
    pub fn lost_rows(&self, query: &Query) -> Option<String> {
        if self.lost == 0 {
            return None;
        }
        let looks: Vec<String> = self
            .looks
            .iter()
            .map(|(look, example)| format!("`{example}` ({})", look.remedy()))
            .collect();
        let column = query.selected.first().map(|name| &**name).unwrap_or_default();
        Some(format!(
            "`subject`, column `{column}`: {} of {} sampled rows would be found by no question, \
             as they hold {}; if such rows are of nobody in the federation, leave them out in the \
             statement or state their share, such as `subject_others = 0.05`",
            self.lost,
            self.rows,
            looks.join(", ")
        ))
    }

    /// Which columns hold moments although the source has no zone.
    pub fn without_zone(&self) -> Vec<String> {
        let roles = self.roles.iter().filter(|(_, _, reason, _)| *reason == Unfit::Zone);
        let roles = roles.map(|(role, column, ..)| format!("`{role}`, column `{column}`"));
        let items = self
            .items
            .iter()
            .filter(|item| item.unfit.iter().any(|(reason, _)| *reason == Unfit::Zone));
        let items = items.map(|item| format!("`{}`, column `{}`", item.id, item.column));
        roles.chain(items).map(|what| format!("{what}: {}", Unfit::Zone)).collect()
    }

    /// The share of rows that no question would find.
    #[allow(clippy::cast_precision_loss, reason = "a thousand rows at most")]
    pub fn lost_share(&self) -> f64 {
        if self.rows == 0 { 0.0 } else { self.lost as f64 / self.rows as f64 }
    }
}

/// Takes the sample's rows.
pub(super) struct Sampling<'a> {
    query: &'a Query,
    today: Date,
    /// Whether a text is a number of the federation.
    holds: &'a (dyn Fn(&str) -> bool + Sync),
    sampled: QuerySample,
}

impl<'a> Sampling<'a> {
    pub fn new(query: &'a Query, today: Date, holds: &'a (dyn Fn(&str) -> bool + Sync)) -> Self {
        let names = query.selected.iter().skip(query.layout.first_item);
        let items = query.columns.iter().zip(names).map(|(column, name)| ItemSampled {
            id: column.id.clone(),
            column: name.clone(),
            ..ItemSampled::default()
        });
        let sampled = QuerySample { items: items.collect(), ..QuerySample::default() };
        Self { query, today, holds, sampled }
    }

    pub fn finish(self) -> QuerySample {
        self.sampled
    }

    fn subject(&mut self, cell: Cell<'_>) {
        if self.query.subject.is_found(cell, &self.holds) {
            return;
        }
        self.sampled.lost += 1;
        let look = SubjectLook::of(cell);
        let looks = &mut self.sampled.looks;
        if looks.len() < EXAMPLES && looks.iter().all(|(known, _)| *known != look) {
            looks.push((look, masked(cell)));
        }
    }

    fn roles(&mut self, cells: &[Cell<'_>]) {
        let Err(fault) = roles(self.query, cells, self.today) else { return };
        let known = self.sampled.roles.iter_mut().find(|(role, column, reason, _)| {
            *role == fault.role && **column == *fault.column && *reason == fault.reason
        });
        match known {
            Some((.., count)) => *count += 1,
            None => self.sampled.roles.push((fault.role, fault.column.into(), fault.reason, 1)),
        }
    }
}

impl RowSink for Sampling<'_> {
    fn row(&mut self, cells: &[Cell<'_>]) -> ControlFlow<()> {
        self.sampled.rows += 1;
        self.subject(cells.first().copied().unwrap_or(Cell::Null));
        self.roles(cells);
        let cells = cells.get(self.query.layout.first_item..).unwrap_or_default();
        for ((column, item), cell) in
            self.query.columns.iter().zip(&mut self.sampled.items).zip(cells)
        {
            if matches!(cell, Cell::Null) {
                item.empty += 1;
                continue;
            }
            match convert::value(*cell, &column.form) {
                Ok(_) => item.fit += 1,
                Err(reason) => match item.unfit.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, count)) => *count += 1,
                    None => item.unfit.push((reason, 1)),
                },
            }
        }
        // Whoever gives them bounds them.
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;
    use crate::source::testing::{WHOLE, compile};

    #[test]
    fn a_sample_counts_what_fits_and_says_why_the_rest_does_not() {
        let mapping = compile(WHOLE).unwrap();
        let holds = |number: &str| number.len() == 4;
        let mut sampling = Sampling::new(&mapping.queries[0], date!(2025 - 03 - 01), &holds);
        let row = |subject, as_of, level| {
            let mut cells = vec![Cell::Null; 13];
            (cells[0], cells[1], cells[9]) = (subject, as_of, level);
            cells
        };
        let day = Cell::Text("2025-01-01");
        for cells in [
            row(Cell::Text("0017"), day, Cell::Text("7")),
            row(Cell::Text("0018 "), day, Cell::Text("7.5")),
            row(Cell::Text("0019"), Cell::Null, Cell::Text("7.5")),
            row(Cell::Other, Cell::Null, Cell::Null),
        ] {
            assert!(sampling.row(&cells).is_continue());
        }
        let sampled = sampling.finish();
        assert_eq!((sampled.rows, sampled.lost, sampled.lost_share()), (4, 2, 0.5));
        let looks: Vec<SubjectLook> = sampled.looks.iter().map(|(look, _)| *look).collect();
        assert_eq!(looks, [SubjectLook::Blanks, SubjectLook::OtherKind]);
        assert_eq!(sampled.roles, [("as_of", "updated_on".into(), Unfit::Empty, 2)]);
        let level = sampled.items.iter().find(|item| &*item.id == "work.job.level").unwrap();
        assert_eq!((level.fit, level.empty, &*level.column), (1, 1, "level"));
        assert_eq!(level.unfit, [(Unfit::Fraction, 2)]);
        let message = sampled.lost_rows(&mapping.queries[0]).unwrap();
        assert!(message.contains("2 of 4") && message.contains("`person_id`"), "{message}");
        assert!(!message.contains("0018"), "{message}");
    }

    #[test]
    fn each_look_has_its_remedy() {
        for (cell, look) in [
            (Cell::Text("9.90000196105190E+17"), SubjectLook::PowerOfTen),
            (Cell::Text("9,9E+17"), SubjectLook::PowerOfTen),
            (Cell::Text("99000019940906000x"), SubjectLook::LowerCase),
            (Cell::Text("990000610519001"), SubjectLook::FifteenDigits),
            (Cell::Text("17"), SubjectLook::Short),
            (Cell::Integer(17), SubjectLook::Short),
            (Cell::Text("\u{3000}"), SubjectLook::Empty),
            (Cell::Null, SubjectLook::Empty),
            (Cell::Real(9.9e17), SubjectLook::Fraction),
            (Cell::Other, SubjectLook::OtherKind),
            (Cell::Text("990000196105190012\t"), SubjectLook::Blanks),
            (Cell::Text("passport C01X00T47"), SubjectLook::Other),
        ] {
            let seen = SubjectLook::of(cell);
            let plain = look == SubjectLook::Other && seen == SubjectLook::LowerCase;
            assert!(seen == look || plain, "{cell:?}: {seen:?}");
        }
    }
}
