//! One CSV file, read whole and indexed by person; or why it is not.
//!
//! A line with too few or too many fields is torn. If its subject is beyond doubt
//! it costs that person alone; otherwise the whole file is refused, since nobody
//! can say whose line it is. So is a file whose last line is torn, for it is still
//! being written, and one with a cell of several lines: a stray quote would
//! swallow people.

use std::ops::Range;

use csv::{ByteRecord, ReaderBuilder, StringRecord};

/// A file's records.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    delimiter: u8,
    header: Vec<String>,
    /// The field of each selected column; empty if any is missing.
    places: Vec<usize>,
    /// Sorted by person.
    entries: Vec<Entry>,
    /// Lines that were torn, for the log.
    pub torn: usize,
}

#[derive(Debug)]
struct Entry {
    person: Box<str>,
    record: Range<usize>,
    torn: bool,
}

/// One line of a person.
pub(super) enum Line {
    /// Its fields.
    Whole(StringRecord),
    /// Not as many as there are columns, or no text.
    Torn,
}

impl Table {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Why the file is refused; holds no cell.
    pub fn read(bytes: Vec<u8>, delimiter: u8, selected: &[Box<str>]) -> Result<Self, String> {
        let start = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .from_reader(bytes.get(start..).unwrap_or_default());
        let header = reader.headers().map_err(|_| "its first line is no text".to_owned())?;
        let header: Vec<String> = header.iter().map(str::to_owned).collect();
        if header.iter().all(String::is_empty) {
            return Err("it has no first line with the columns' names".to_owned());
        }
        let place = |wanted: &str| {
            let mut found = header.iter().enumerate().filter(|(_, name)| *name == wanted);
            match (found.next(), found.next()) {
                (Some((at, _)), None) => Some(at),
                _ => None,
            }
        };
        let places: Option<Vec<usize>> = selected.iter().map(|column| place(column)).collect();
        let places = places.unwrap_or_default();
        let mut table = Self { bytes, delimiter, header, places, entries: Vec::new(), torn: 0 };
        if let Some(subject) = table.places.first().copied() {
            let mut reader = ReaderBuilder::new()
                .delimiter(delimiter)
                .flexible(true)
                .from_reader(table.bytes.get(start..).unwrap_or_default());
            let (entries, torn) = entries(&mut reader, start, subject, table.header.len())?;
            (table.entries, table.torn) = (entries, torn);
            let ended = table.bytes.last().is_none_or(|byte| matches!(byte, b'\n' | b'\r'));
            let last = table.entries.iter().max_by_key(|entry| entry.record.start);
            if !ended && last.is_some_and(|entry| entry.torn) {
                return Err("its last line is torn: it is still being written".to_owned());
            }
            table.entries.sort_by(|one, other| one.person.cmp(&other.person));
        }
        Ok(table)
    }

    /// The names of its columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The field of each selected column, unless one is missing or there twice.
    pub fn places(&self) -> Option<&[usize]> {
        (!self.places.is_empty()).then_some(&self.places)
    }

    /// A person's lines.
    pub fn lines(&self, person: &str) -> impl Iterator<Item = Line> {
        let from = self.entries.partition_point(|entry| &*entry.person < person);
        let entries = self.entries.get(from..).unwrap_or_default();
        let entries = entries.iter().take_while(move |entry| &*entry.person == person);
        entries.map(|entry| self.line(entry))
    }

    /// Lines of anybody, `most` at most, from all over the file.
    pub fn some(&self, most: usize) -> impl Iterator<Item = Line> {
        let step = self.entries.len().div_ceil(most.max(1)).max(1);
        self.entries.iter().step_by(step).map(|entry| self.line(entry))
    }

    fn line(&self, entry: &Entry) -> Line {
        let bytes = self.bytes.get(entry.record.clone()).unwrap_or_default();
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(bytes);
        let mut record = StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(true) if !entry.torn => Line::Whole(record),
            _ => Line::Torn,
        }
    }
}

fn entries(
    reader: &mut csv::Reader<&[u8]>,
    start: usize,
    subject: usize,
    columns: usize,
) -> Result<(Vec<Entry>, usize), String> {
    let (mut found, mut torn) = (Vec::new(), 0);
    let mut record = ByteRecord::new();
    let place = |position: &csv::Position| usize::try_from(position.byte()).unwrap_or(usize::MAX);
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok((found, torn)),
            Err(error) => return Err(format!("it cannot be read as CSV: {}", kind(&error))),
        }
        let begun = record.position().map_or(start, |position| start + place(position));
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().any(|field| field.iter().any(|byte| matches!(byte, b'\n' | b'\r'))) {
            return Err(format!(
                "a cell that begins in line {line} goes over several lines, \
                 as after a stray quote"
            ));
        }
        let whole = record.len() == columns
            && record.iter().all(|field| std::str::from_utf8(field).is_ok());
        // A field at the end of a torn line may itself be cut.
        let certain = whole || subject + 1 < record.len();
        let person = record.get(subject).and_then(|field| std::str::from_utf8(field).ok());
        let Some(person) = person.filter(|_| certain) else {
            return Err(format!("line {line} is torn, and nobody can say whose it is"));
        };
        torn += usize::from(!whole);
        let record = begun..start + place(reader.position());
        found.push(Entry { person: person.into(), record, torn: !whole });
    }
}

/// An error of the reader without what it read.
fn kind(error: &csv::Error) -> &'static str {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "it is no UTF-8",
        csv::ErrorKind::Io(_) => "it ended early",
        _ => "its lines do not fit together",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Table, String> {
        let selected: Vec<Box<str>> = vec!["id".into(), "on".into(), "level".into()];
        Table::read(text.as_bytes().to_vec(), b',', &selected)
    }

    fn lines(table: &Table, person: &str) -> Vec<Option<Vec<String>>> {
        let fields = |line| match line {
            Line::Whole(record) => Some(record.iter().map(str::to_owned).collect()),
            Line::Torn => None,
        };
        table.lines(person).map(fields).collect()
    }

    #[test]
    fn a_person_is_found_by_the_whole_number() {
        let table =
            read("\u{feff}id,on,level\nb,2025-01-01,\"7\"\r\n\na,2025-01-02,\"x,\"\"y\"\nb,3,\n");
        let table = table.unwrap();
        assert_eq!(table.places(), Some(&[0, 1, 2][..]));
        let row = |cells: [&str; 3]| Some(cells.map(str::to_owned).to_vec());
        assert_eq!(lines(&table, "a"), [row(["a", "2025-01-02", "x,\"y"])]);
        assert_eq!(lines(&table, "b"), [row(["b", "2025-01-01", "7"]), row(["b", "3", ""])]);
        for nobody in ["", "A", "a ", "ab", "id"] {
            assert!(lines(&table, nobody).is_empty(), "{nobody}");
        }
    }

    #[test]
    fn a_torn_line_costs_its_person_or_the_file() {
        let table = read("id,on,level\na,2025-01-01\nb,2025-01-01,7\nc,1,2,3\n").unwrap();
        assert_eq!((lines(&table, "a"), lines(&table, "c")), (vec![None], vec![None]));
        assert!(lines(&table, "b")[0].is_some());
        assert_eq!(table.torn, 2);
        let refused = |text| read(text).unwrap_err();
        assert!(refused("id,on,level\na,2025-01-01,7\nb,2025-").contains("still being written"));
        assert!(refused("id,on,level\na\nb,2025-01-01,7\n").contains("line 2 is torn"));
        assert!(refused("id,on,level\na,2025-01-01,\"7\nb,2025-01-01,7\n").contains("line 2"));
        assert!(refused("").contains("no first line"));
        // Whole, though without an end of line.
        assert!(read("id,on,level\na,2025-01-01,7").is_ok());
    }

    #[test]
    fn a_column_that_is_missing_or_there_twice_is_no_place() {
        assert_eq!(read("id,on\n").unwrap().places(), None);
        assert_eq!(read("id,on,level,level\n").unwrap().places(), None);
        assert_eq!(read("id,on\n").unwrap().header(), ["id", "on"]);
    }

    #[test]
    fn whatever_the_bytes_are_nothing_panics() {
        proptest::proptest!(|(bytes: Vec<u8>)| {
            let mut text = b"id,on,level\n".to_vec();
            text.extend(bytes);
            let selected: Vec<Box<str>> = vec!["id".into(), "on".into(), "level".into()];
            if let Ok(table) = Table::read(text, b',', &selected) {
                assert!(table.lines("x").count() < 1000);
            }
        });
    }
}
