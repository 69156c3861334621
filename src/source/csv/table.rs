//! One CSV file, read whole and indexed by person; or why it is not.
//!
//! A line with too few or too many fields is torn. If its subject is beyond doubt
//! it costs that person alone; otherwise the whole file is refused, since nobody
//! can say whose line it is. So is a file in which a quote may have swallowed
//! people: one that is not closed, one with more behind it, one whose cell goes
//! over lines that look like rows.

use std::ops::Range;

use csv::{ReaderBuilder, StringRecord};
use encoding_rs::Encoding;

use super::quotes;
use super::refused::Refused;
use super::text;

/// How the files of a folder are written.
#[derive(Debug, Clone)]
pub(in crate::source) struct Form {
    pub delimiter: u8,
    pub encoding: &'static Encoding,
    /// Lines above the header.
    pub skip_lines: usize,
    /// Whether a quoted cell may go over several lines.
    pub line_breaks: bool,
    /// Whether no row at all is an answer.
    pub may_be_empty: bool,
}

/// A file's records.
#[derive(Debug)]
pub(super) struct Table {
    text: String,
    delimiter: u8,
    columns: usize,
    /// How often each selected column stands in the header.
    named: Vec<usize>,
    /// The field of each selected column; empty if any is missing.
    places: Vec<usize>,
    /// Sorted by person.
    entries: Vec<Entry>,
    /// Lines that were torn, for the log.
    pub torn: usize,
    /// Whether the file ends with a line break.
    pub ended: bool,
}

#[derive(Debug)]
struct Entry {
    person: Box<str>,
    record: Range<usize>,
    fit: Fit,
}

/// How much of a line is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Whole,
    /// Its last cell may be cut.
    Open,
    Torn,
}

/// One line of a person.
pub(super) enum Line {
    /// Its fields.
    Whole(StringRecord),
    /// Its fields, of which the last may be cut.
    Open(StringRecord),
    /// Not as many as there are columns.
    Torn,
}

impl Table {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Why the file is refused; holds no cell.
    pub fn read(bytes: Vec<u8>, form: &Form, selected: &[Box<str>]) -> Result<Self, Refused> {
        let text = text::decode(bytes, form.encoding)?;
        let start = text.len() - text::below(&text, form.skip_lines).len();
        let body = text.get(start..).unwrap_or_default();
        quotes::check(body, form.delimiter, form.skip_lines + 1)?;
        let mut reader = reader(body, form.delimiter);
        let mut header = StringRecord::new();
        let readable = reader.read_record(&mut header).is_ok();
        if !readable || header.iter().all(str::is_empty) {
            return Err(Refused::form("it has no first line with the columns' names".to_owned()));
        }
        let count = |wanted: &str| header.iter().filter(|name| *name == wanted).count();
        let named: Vec<usize> = selected.iter().map(|column| count(column)).collect();
        let place = |wanted: &str| header.iter().position(|name| name == wanted);
        let places: Option<Vec<usize>> = match named.iter().all(|count| *count == 1) {
            true => selected.iter().map(|column| place(column)).collect(),
            false => None,
        };
        let places = places.unwrap_or_default();
        let ended = body.ends_with(['\n', '\r']);
        let mut entries = Vec::new();
        if let Some(subject) = places.first() {
            let lines =
                Lines { body, start, form, subject: *subject, columns: header.len(), ended };
            entries = lines.entries(&mut reader)?;
            entries.sort_by(|one, other| one.person.cmp(&other.person));
            if entries.is_empty() && !form.may_be_empty {
                return Err(Refused::torn(
                    "it has a header and no rows: if that says that nobody is known, state \
                     `may_be_empty = true`"
                        .to_owned(),
                ));
            }
        }
        let torn = entries.iter().filter(|entry| entry.fit == Fit::Torn).count();
        let (delimiter, columns) = (form.delimiter, header.len());
        Ok(Self { delimiter, columns, named, places, entries, torn, ended, text })
    }

    /// How often each selected column stands in the header, and how many cells that
    /// has.
    pub fn named(&self) -> (&[usize], usize) {
        (&self.named, self.columns)
    }

    /// The field of each selected column, unless one is missing or there twice.
    pub fn places(&self) -> Option<&[usize]> {
        (!self.places.is_empty()).then_some(&self.places)
    }

    /// The field at the end of each line.
    pub const fn last(&self) -> usize {
        self.columns.saturating_sub(1)
    }

    /// Lines of which at least a part is believed.
    pub fn rows(&self) -> usize {
        self.entries.len() - self.torn
    }

    /// Everybody who has a line, each once.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        let mut last: Option<&str> = None;
        self.entries.iter().map(|entry| &*entry.person).filter(move |person| {
            let new = last != Some(*person);
            last = Some(person);
            new
        })
    }

    /// Whether a person has a line.
    pub fn has(&self, person: &str) -> bool {
        self.entries.binary_search_by(|entry| (*entry.person).cmp(person)).is_ok()
    }

    /// Whether this is an earlier file with more at its end.
    pub fn continues(&self, earlier: &Self) -> bool {
        self.text.starts_with(&earlier.text)
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
        let text = self.text.get(entry.record.clone()).unwrap_or_default();
        let mut record = StringRecord::new();
        match (reader(text, self.delimiter).read_record(&mut record), entry.fit) {
            (Ok(true), Fit::Whole) => Line::Whole(record),
            (Ok(true), Fit::Open) => Line::Open(record),
            _ => Line::Torn,
        }
    }
}

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes())
}

/// What the lines under a header are judged by.
struct Lines<'a> {
    body: &'a str,
    /// Where the body begins in its file.
    start: usize,
    form: &'a Form,
    subject: usize,
    columns: usize,
    ended: bool,
}

impl Lines<'_> {
    fn entries(&self, reader: &mut csv::Reader<&[u8]>) -> Result<Vec<Entry>, Refused> {
        let place = |position: &csv::Position| usize::try_from(position.byte()).unwrap_or_default();
        let mut found = Vec::new();
        let mut record = StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return Err(Refused::form("it cannot be read as CSV".to_owned())),
            }
            let begun = record.position().map_or(0, place);
            let line = record.position().map_or(0, csv::Position::line);
            let line = usize::try_from(line).unwrap_or_default() + self.form.skip_lines;
            let range = begun..place(reader.position());
            let whole = record.len() == self.columns;
            self.several_lines(&record, self.body.get(range.clone()).unwrap_or_default(), line)?;
            // A field at the end of a torn line may itself be cut.
            let certain = whole || self.subject + 1 < record.len();
            let Some(person) = record.get(self.subject).filter(|_| certain) else {
                let why = format!("line {line} is torn, and nobody can say whose it is");
                return Err(Refused::torn(why));
            };
            let fit = if whole { Fit::Whole } else { Fit::Torn };
            let record = self.start + range.start..self.start + range.end;
            found.push(Entry { person: person.into(), record, fit });
        }
        match found.last_mut() {
            Some(last) if !self.ended => match last.fit {
                Fit::Whole if self.subject + 1 < self.columns => last.fit = Fit::Open,
                _ => {
                    let why = "its last line is torn: it is still being written";
                    return Err(Refused::torn(why.to_owned()));
                }
            },
            _ => {}
        }
        Ok(found)
    }

    /// A cell of several lines is legal, unless a stray quote may have made it of
    /// several rows.
    fn several_lines(&self, record: &StringRecord, raw: &str, line: usize) -> Result<(), Refused> {
        if !record.iter().any(|field| field.contains(['\n', '\r'])) {
            return Ok(());
        }
        let refused = |what: &str| {
            Err(Refused::form(format!("a cell in line {line} goes over several lines{what}")))
        };
        if !self.form.line_breaks {
            return refused(", as after a stray quote: mend it, or state `line_breaks = true`");
        }
        if record.len() != self.columns {
            return refused(", and its row has not as many cells as the header: a stray quote?");
        }
        let person = record.get(self.subject).unwrap_or_default();
        let like = shape(person);
        let row_like = raw.trim().lines().skip(1).any(|line| {
            let cell = line.split(char::from(self.form.delimiter)).nth(self.subject);
            cell.is_some_and(|cell| shape(cell.trim_matches('"')) == like)
        });
        match row_like && !person.is_empty() {
            true => refused(", one of which looks like a row of its own: a stray quote?"),
            false => Ok(()),
        }
    }
}

/// What a text is made of.
fn shape(text: &str) -> String {
    let kind = |c: char| match c {
        c if c.is_ascii_digit() => '9',
        c if c.is_alphabetic() => 'a',
        c => c,
    };
    text.chars().map(kind).collect()
}

#[cfg(test)]
mod tests;
