//! CSV files as a source: rows from memory, for each person asked about.
//!
//! How a file is kept up to date is `file`'s business, how it is read `table`'s, and
//! whether it takes the place of the last good one `delivery`'s.

mod delivery;
mod file;
mod quotes;
mod refused;
pub(super) mod table;
mod text;
mod version;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use ::csv::StringRecord;
use futures_util::future::BoxFuture;

use self::delivery::Good;
use self::file::File;
use self::table::Line;
use super::cell::{Cell, Unfit};
use super::fault::{Reason, SourceError};
use super::mapping::Mapping;
use super::place::CsvPlace;
use super::sample::SAMPLED_ROWS;
use super::within::within;
use super::{Key, RowSink, Source};

/// The text of a file below so many lines, for whoever looks at a sample.
///
/// # Errors
/// What is wrong with its encoding; holds nothing of it.
pub(super) fn decode(
    bytes: Vec<u8>,
    encoding: &'static encoding_rs::Encoding,
    skip_lines: usize,
) -> Result<String, String> {
    let text = text::decode(bytes, encoding).map_err(|refused| refused.why)?;
    Ok(text::below(&text, skip_lines).to_owned())
}

/// Where `as_of` stands among the columns of a query.
const AS_OF: usize = 1;

/// Files, one for each query.
pub(super) struct Csv {
    files: Vec<Arc<File>>,
    /// Cells that mean that nothing is recorded.
    null: Vec<String>,
}

impl Csv {
    /// Call it within a tokio runtime: the files are watched from now on.
    pub fn new(mapping: &Mapping, place: &CsvPlace) -> Self {
        let files = mapping.queries.iter().map(|query| Arc::new(File::new(query, place)));
        let files: Vec<_> = files.collect();
        file::watch(&files);
        Self { files, null: place.null.clone() }
    }

    fn file(&self, query: usize) -> Result<&Arc<File>, SourceError> {
        let unknown = || SourceError::new(Reason::Schema, "there is no such query");
        self.files.get(query).ok_or_else(unknown)
    }

    /// An empty field is nothing recorded, and so is what the mapping says.
    fn cell<'a>(&self, field: Option<&'a str>) -> Cell<'a> {
        match field {
            None | Some("") => Cell::Null,
            Some(text) if self.null.iter().any(|null| null == text) => Cell::Null,
            Some(text) => Cell::Text(text),
        }
    }

    /// The cells of a line; the one at `open` may be cut. `dated` is the `as_of` of a
    /// file that dates its rows.
    fn cells<'a>(
        &self,
        record: &'a StringRecord,
        places: &[usize],
        open: Option<usize>,
        dated: Option<Cell<'a>>,
    ) -> Vec<Cell<'a>> {
        let cells = places.iter().enumerate().map(|(column, at)| match column {
            _ if Some(*at) == open => Cell::Broken(Unfit::Torn),
            // Whose row it is stands as it is.
            0 => record.get(*at).map_or(Cell::Null, Cell::Text),
            _ => self.cell(record.get(*at)),
        });
        let mut cells: Vec<_> = cells.collect();
        if let Some(dated) = dated {
            cells.insert(AS_OF.min(cells.len()), dated);
        }
        cells
    }

    /// Gives a person's rows.
    fn give(
        &self,
        (good, dated): (&Good, Option<Cell<'_>>),
        places: &[usize],
        person: &str,
        sink: &mut dyn RowSink,
    ) -> ControlFlow<()> {
        let broken = |reason: Unfit| {
            let columns = places.len() + usize::from(dated.is_some());
            let mut cells = vec![Cell::Broken(reason); columns];
            if let Some(subject) = cells.first_mut() {
                *subject = Cell::Text(person);
            }
            cells
        };
        let mut any = false;
        for line in good.table.lines(person) {
            any = true;
            match &line {
                Line::Torn => sink.row(&broken(Unfit::Torn))?,
                Line::Whole(record) | Line::Open(record) => {
                    let open = match line {
                        Line::Open(_) => Some(good.table.last()),
                        _ => None,
                    };
                    sink.row(&self.cells(record, places, open, dated))?;
                }
            }
        }
        if !any && good.in_doubt(person) {
            sink.row(&broken(Unfit::Unconfirmed))?;
        }
        ControlFlow::Continue(())
    }
}

impl Source for Csv {
    fn rows<'a>(
        &'a self,
        query: usize,
        people: &'a [Key],
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<(), SourceError>> {
        within(until, async move {
            let file = self.file(query)?;
            let good = file.good(until).await?;
            let dated = file.dates_rows.then(|| good.version.date());
            let places = good.table.places().unwrap_or_default();
            for person in people {
                if self.give((&good, dated), places, person.expose(), sink).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    fn sample<'a>(
        &'a self,
        query: usize,
        until: Instant,
        sink: &'a mut dyn RowSink,
    ) -> BoxFuture<'a, Result<bool, SourceError>> {
        within(until, async move {
            let file = self.file(query)?;
            let good = file.good(until).await?;
            let dated = file.dates_rows.then(|| good.version.date());
            let places = good.table.places().unwrap_or_default();
            for line in good.table.some(SAMPLED_ROWS) {
                // A torn one is the file's fault, and said elsewhere.
                let Line::Whole(record) = &line else { continue };
                if sink.row(&self.cells(record, places, None, dated)).is_break() {
                    break;
                }
            }
            Ok(true)
        })
    }

    fn missing_columns<'a>(
        &'a self,
        query: usize,
        until: Instant,
    ) -> BoxFuture<'a, Result<Vec<SourceError>, SourceError>> {
        within(until, async move { self.file(query)?.missing_columns(until).await })
    }
}
