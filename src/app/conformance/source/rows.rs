//! Checks of the rows themselves: width, order, kinds, and that they stay.

use super::{SourceBench, question, refused, sorted, subject, text};
use crate::app::conformance::{Verdict, ensure, skipped};
use crate::wire::proto::pb;
use crate::wire::proto::pb::source_cell::Kind;

/// Longest text that an agency looks at, in bytes.
const MAX_TEXT: usize = 4096;

pub(super) async fn width(bench: &SourceBench) -> Verdict {
    for (query, rows) in bench.known_rows().await? {
        for (at, row) in rows.iter().enumerate() {
            ensure(
                row.cells.len() == query.columns.len(),
                format!(
                    "query `{}`, row {}: {} cells for {} columns",
                    query.name.escape_default(),
                    at + 1,
                    row.cells.len(),
                    query.columns.len()
                ),
            )?;
        }
    }
    Ok(())
}

pub(super) async fn order(bench: &SourceBench) -> Verdict {
    let mut seen = false;
    for (query, rows) in bench.known_rows().await? {
        seen |= query.columns.len() > 2 && !rows.is_empty();
        // The subject stays first, since it says whose row it is.
        let mut reversed = question(query, &bench.known());
        if let Some((_, rest)) = reversed.columns.split_first_mut() {
            rest.reverse();
        }
        let found = bench.fetch(reversed).await.map_err(|status| refused(query, &status))?;
        let back: Vec<_> = found
            .into_iter()
            .map(|mut row| {
                if let Some((_, rest)) = row.cells.split_first_mut() {
                    rest.reverse();
                }
                row
            })
            .collect();
        ensure(
            sorted(back) == sorted(rows),
            format!("query `{}` does not follow the order", query.name.escape_default()),
        )?;
    }
    if seen { Ok(()) } else { skipped("no query with two columns beside the subject has a row") }
}

pub(super) async fn kinds(bench: &SourceBench) -> Verdict {
    let mut announced = false;
    for (query, rows) in bench.known_rows().await? {
        for row in &rows {
            for (column, cell) in query.columns.iter().zip(&row.cells) {
                announced |= column.kind() != pb::ColumnKind::Unspecified;
                let (query, name) = (query.name.escape_default(), column.name.escape_default());
                let fits = fits(column.kind(), cell.kind.as_ref());
                ensure(fits, format!("query `{query}`, column `{name}`: a cell of another kind"))?;
            }
        }
    }
    if announced { Ok(()) } else { skipped("no column's kind is announced") }
}

fn fits(kind: pb::ColumnKind, cell: Option<&Kind>) -> bool {
    use pb::ColumnKind as Announced;
    match (kind, cell) {
        (Announced::Unspecified, _) | (_, None) => true,
        (Announced::Boolean, Some(Kind::Boolean(_)))
        | (Announced::Integer, Some(Kind::Integer(_)))
        // A database without a type of its own gives 2 for 2.0.
        | (Announced::Real, Some(Kind::Real(_) | Kind::Integer(_)))
        | (Announced::Text | Announced::Date, Some(Kind::Text(_))) => true,
        _ => false,
    }
}

/// Holds each cell against a rule; `wrong` says what breaks it.
async fn each_cell(
    bench: &SourceBench,
    wrong: &str,
    holds: impl Fn(&pb::SourceColumn, &pb::SourceCell) -> bool,
) -> Verdict {
    for (query, rows) in bench.known_rows().await? {
        for row in &rows {
            for (column, cell) in query.columns.iter().zip(&row.cells) {
                let (query, name) = (query.name.escape_default(), column.name.escape_default());
                let why = format!("query `{query}`, column `{name}`: {wrong}");
                ensure(holds(column, cell), why)?;
            }
        }
    }
    Ok(())
}

pub(super) async fn finite(bench: &SourceBench) -> Verdict {
    each_cell(bench, "a number that is not finite", |_, cell| match cell.kind {
        Some(Kind::Real(number)) => number.is_finite(),
        _ => true,
    })
    .await
}

pub(super) async fn texts(bench: &SourceBench) -> Verdict {
    let wrong = "a text of more than 4096 bytes or with a control character";
    each_cell(bench, wrong, |_, cell| {
        text(cell).is_none_or(|text| text.len() <= MAX_TEXT && !text.chars().any(char::is_control))
    })
    .await
}

pub(super) async fn dates(bench: &SourceBench) -> Verdict {
    let described = bench.described().await?;
    let date = |column: &pb::SourceColumn| column.kind() == pb::ColumnKind::Date;
    if !described.queries.iter().flat_map(|query| &query.columns).any(date) {
        return skipped("no column is announced as a date");
    }
    each_cell(bench, "a text that is no date of the calendar", |column, cell| {
        !date(column) || text(cell).is_none_or(is_date)
    })
    .await
}

fn is_date(text: &str) -> bool {
    crate::domain::grant::parse_date(text).is_some_and(|date| date.year() > 0)
}

pub(super) async fn stable(bench: &SourceBench) -> Verdict {
    for (query, rows) in bench.known_rows().await? {
        let again = bench.rows(query, &bench.known()).await?;
        ensure(
            sorted(rows) == sorted(again),
            format!("query `{}` answers otherwise the second time", query.name.escape_default()),
        )?;
    }
    Ok(())
}

pub(super) async fn subset(bench: &SourceBench) -> Verdict {
    for (query, rows) in bench.known_rows().await? {
        let Some(at) = query.columns.len().checked_sub(1).filter(|at| *at > 0) else { continue };
        let mut narrow = question(query, &bench.known());
        narrow.columns = [0, at].iter().filter_map(|at| narrow.columns.get(*at).cloned()).collect();
        let found = bench.fetch(narrow).await.map_err(|status| refused(query, &status))?;
        let expected = rows.iter().map(|row| pb::SourceRow {
            cells: [0, at].iter().filter_map(|at| row.cells.get(*at).cloned()).collect(),
        });
        let name = query.name.escape_default();
        ensure(
            found.iter().all(|row| row.cells.len() == 2),
            format!("query `{name}` gives cells that were not asked for"),
        )?;
        ensure(
            sorted(found) == sorted(expected.collect()),
            format!("query `{name}` gives another value when a column is asked for alone"),
        )?;
    }
    Ok(())
}

/// The subjects of rows, for comparing who was answered.
pub(super) fn subjects(rows: &[pb::SourceRow]) -> Vec<&str> {
    rows.iter().filter_map(subject).collect()
}
