//! Proof that an answer is the one to this statement and this batch.
//!
//! Between an agency and its database stand drivers, poolers and proxies, and some have
//! executed one query's statement as another's. So each row repeats what only this
//! asking knows: the statement's number and digest, which are literals in it, the
//! batch's nonce, which was bound with its people, and which row of how many it is. One
//! row comes even when nobody was found. Whatever lacks any of this is no answer: no
//! value of it is read, and nobody is taken to be without a record.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::cell::Cell;
use super::fault::{Reason, SourceError};
use super::rows::RowSink;
use super::statements::{Mark, PROOF_COLUMNS, Statement};

/// A number that no other asking has.
///
/// # Errors
/// The system gives no randomness.
pub(super) fn nonce() -> Result<i64, SourceError> {
    let mut bytes = [0; 8];
    let failed = |_| SourceError::new(Reason::Down, "the system gives no randomness");
    aws_lc_rs::rand::fill(&mut bytes).map_err(failed)?;
    Ok(i64::from_be_bytes(bytes))
}

/// Takes what a database answers.
pub(super) trait Answer: RowSink {
    /// What is bound first, if anything proves the answer.
    fn nonce(&self) -> Option<i64>;

    /// The names of the columns by which a driver reads the next row.
    fn described(&mut self, names: &mut dyn ExactSizeIterator<Item = &str>);

    /// A row was passed on: the statement cannot be asked again.
    fn given(&self) -> bool;

    /// The whole answer came, or whoever takes it wanted no more.
    ///
    /// # Errors
    /// Why it is none.
    fn finish(&self) -> Result<(), SourceError>;
}

/// Passes on the rows that prove whose answer they are, without their proof.
pub(super) struct Proving<'a> {
    mark: Option<&'a Mark>,
    nonce: i64,
    sink: &'a mut dyn RowSink,
    seen: HashSet<i64>,
    count: Option<i64>,
    fault: Option<&'static str>,
    stopped: bool,
    given: bool,
}

impl<'a> Proving<'a> {
    /// Expects the answer to a statement that was asked with this nonce.
    pub fn new(statement: &'a Statement, nonce: i64, sink: &'a mut dyn RowSink) -> Self {
        let (seen, mark) = (HashSet::new(), statement.mark.as_ref());
        Self { mark, nonce, sink, seen, count: None, fault: None, stopped: false, given: false }
    }

    /// What is not proven.
    fn proven(&self) -> Result<(), &'static str> {
        match (self.fault, self.stopped, self.count) {
            (Some(fault), ..) => Err(fault),
            (None, true, _) => Ok(()),
            (None, false, None) => Err("it has no row, and one always comes"),
            (None, false, Some(count)) => {
                let all = i64::try_from(self.seen.len()) == Ok(count);
                if all { Ok(()) } else { Err("it lacks rows that the database counted") }
            }
        }
    }

    fn prove(&mut self, proof: &[Cell<'_>]) -> Result<bool, &'static str> {
        let &[
            Cell::Text(label),
            Cell::Integer(nonce),
            Cell::Integer(place),
            Cell::Integer(count),
            present,
        ] = proof
        else {
            return Err("it has no proof of the statement that it answers");
        };
        if self.mark.is_none_or(|mark| label != &*mark.label) {
            return Err("it answers another statement");
        }
        if nonce != self.nonce {
            return Err("it answers the same statement about other people");
        }
        if *self.count.get_or_insert(count) != count || !(1..=count).contains(&place) {
            return Err("its rows were counted differently");
        }
        if !self.seen.insert(place) {
            return Err("it has a row twice");
        }
        match present {
            Cell::Integer(1) => Ok(true),
            Cell::Null if count == 1 => Ok(false),
            _ => Err("it says of a row both that it is there and that it is not"),
        }
    }
}

impl RowSink for Proving<'_> {
    fn row(&mut self, cells: &[Cell<'_>]) -> ControlFlow<()> {
        if self.fault.is_some() {
            return ControlFlow::Break(());
        }
        let (proof, cells) = cells.split_at_checked(PROOF_COLUMNS).unwrap_or_default();
        match self.prove(proof) {
            Ok(false) => ControlFlow::Continue(()),
            Ok(true) => {
                self.given = true;
                let next = self.sink.row(cells);
                self.stopped = next.is_break();
                next
            }
            Err(fault) => {
                self.fault = Some(fault);
                ControlFlow::Break(())
            }
        }
    }
}

impl Answer for Proving<'_> {
    fn nonce(&self) -> Option<i64> {
        Some(self.nonce)
    }

    fn described(&mut self, names: &mut dyn ExactSizeIterator<Item = &str>) {
        let ours = self.mark.map(|mark| &*mark.names).unwrap_or_default();
        let as_many = names.len() == ours.len();
        if !as_many || !names.zip(ours).all(|(name, ours)| name == &**ours) {
            self.fault = Some("its columns are those of another statement");
        }
    }

    fn given(&self) -> bool {
        self.given
    }

    fn finish(&self) -> Result<(), SourceError> {
        self.proven().map_err(|why| {
            let detail = format!(
                "the answer is not believed: {why}. Something between here and the database, \
                 such as a pooler or a proxy, mixes answers up"
            );
            SourceError::new(Reason::Invalid, detail).of_all()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::statements::Dialect;

    struct Taken(Vec<i64>);

    impl RowSink for Taken {
        fn row(&mut self, cells: &[Cell<'_>]) -> ControlFlow<()> {
            match cells {
                [Cell::Integer(number)] => self.0.push(*number),
                _ => panic!("another width: {cells:?}"),
            }
            ControlFlow::Continue(())
        }
    }

    fn statement(asker: &str) -> Statement {
        Statement::wrap(Dialect::Sqlite, asker, &["n".into()], ("select n from t", 1))
    }

    /// A row's place, how many there are, and what is in it.
    type Row = (i64, i64, Option<i64>);

    /// The rows of an answer.
    fn answer(rows: &[i64]) -> Vec<Row> {
        let count = i64::try_from(rows.len()).unwrap();
        match rows {
            [] => vec![(1, 1, None)],
            _ => (1..).zip(rows).map(|(place, row)| (place, count, Some(*row))).collect(),
        }
    }

    fn taken(
        asked: (&Statement, i64),
        rows: &[(&Statement, i64, Row)],
    ) -> Result<Vec<i64>, &'static str> {
        let mut taken = Taken(Vec::new());
        let mut proving = Proving::new(asked.0, asked.1, &mut taken);
        for (statement, nonce, (place, count, row)) in rows {
            let cell = row.map_or(Cell::Null, Cell::Integer);
            let present = row.map_or(Cell::Null, |_| Cell::Integer(1));
            let proof = [Cell::Integer(*nonce), Cell::Integer(*place), Cell::Integer(*count)];
            let [nonce, place, count] = proof;
            let label = &statement.mark.as_ref().unwrap().label;
            let cells = [Cell::Text(label), nonce, place, count, present, cell];
            if proving.row(&cells).is_break() {
                break;
            }
        }
        proving.proven().map(|()| taken.0)
    }

    #[test]
    fn an_answer_is_taken_and_no_answer_is_not_nobody() {
        let ours = statement("0");
        let whole = |rows: &[i64]| -> Vec<_> {
            answer(rows).into_iter().map(|row| (&ours, 7, row)).collect()
        };
        assert_eq!(taken((&ours, 7), &whole(&[11, 22])), Ok(vec![11, 22]));
        assert_eq!(taken((&ours, 7), &whole(&[])), Ok(vec![]));
        assert!(taken((&ours, 7), &[]).is_err(), "not even the row that always comes");
    }

    #[test]
    fn cells_are_not_read_by_another_statements_description() {
        let (ours, other) = (statement("0"), statement("1"));
        let mut taken = Taken(Vec::new());
        let mut proving = Proving::new(&ours, 7, &mut taken);
        let (mark, others) = (ours.mark.as_ref().unwrap(), other.mark.as_ref().unwrap());
        proving.described(&mut others.names.iter().map(|name| &**name));
        let row = [Cell::Text(&mark.label), Cell::Integer(7), Cell::Integer(1), Cell::Integer(1)];
        let row: Vec<_> = row.into_iter().chain([Cell::Integer(1), Cell::Integer(5)]).collect();
        assert!(proving.row(&row).is_break() && proving.finish().is_err());
        assert!(taken.0.is_empty());
    }

    proptest! {
        /// Whatever becomes of two answers on their way, one is taken whole or not at all.
        #[test]
        fn an_answer_is_taken_whole_or_not_at_all(
            ours in proptest::collection::vec(0i64..9, 0..4),
            others in proptest::collection::vec(0i64..9, 0..4),
            same_statement: bool,
            picked in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..6),
        ) {
            let (mine, other) = (statement("0"), statement("1"));
            let other = if same_statement { &mine } else { &other };
            let own: Vec<_> = answer(&ours).into_iter().map(|row| (&mine, 7, row)).collect();
            let foreign: Vec<_> = answer(&others).into_iter().map(|row| (other, 8, row)).collect();
            let rows: Vec<_> = picked
                .iter()
                .map(|(own_one, at)| *at.get(if *own_one { &own } else { &foreign }))
                .collect();
            if let Ok(mut taken) = taken((&mine, 7), &rows) {
                let mut whole = ours.clone();
                taken.sort_unstable();
                whole.sort_unstable();
                prop_assert_eq!(taken, whole);
            }
        }
    }
}
