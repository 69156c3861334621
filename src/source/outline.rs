//! The columns of a file or of an answer, for `agency init`: their names, and of
//! what is in them the kind alone.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord};
use encoding_rs::Encoding;
use serde_json::Value;

use super::csv::decode;
use super::schema::ColumnSeen;

/// Rows that are looked at, at most.
const ROWS: usize = 1000;

/// How deep in an answer rows and columns are looked for.
const DEPTH: usize = 4;

/// Why a sample shows no columns. Holds nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The file's text cannot be read.
    #[error("{0}")]
    Text(String),
    /// There is no such encoding.
    #[error("--encoding: there is no such encoding: write gbk, gb18030, utf-16 or latin1")]
    Encoding,
    /// Its first line is a row.
    #[error(
        "the first line does not look like a header (cell {0} is empty, a number or a day): write \
         one above it, or leave lines out with --skip-lines"
    )]
    Header(usize),
    /// The answer is no JSON.
    #[error("the sample is no JSON, from line {0} on")]
    Json(usize),
    /// The answer has no rows.
    #[error("the sample has no list of objects: take an answer about somebody who is known")]
    Rows,
}

/// What a file shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvSeen {
    /// What stands between two cells.
    pub delimiter: char,
    /// The encoding, if it is not UTF-8.
    pub encoding: Option<String>,
    /// Its columns.
    pub columns: Vec<ColumnSeen>,
}

/// What an answer shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonSeen {
    /// Where its rows are; more than one if nobody can say.
    pub rows: Vec<String>,
    /// The columns of the first.
    pub columns: Vec<ColumnSeen>,
    /// Members beside the rows that may say whether all is well.
    pub beside: Vec<String>,
}

/// The columns of a CSV file.
///
/// # Errors
/// Why it shows none.
pub fn of_csv(
    bytes: Vec<u8>,
    delimiter: Option<char>,
    encoding: Option<&str>,
    skip_lines: usize,
) -> Result<CsvSeen, SampleError> {
    let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let label = encoding.or(utf16.then_some("utf-16"));
    let known = Encoding::for_label_no_replacement(label.unwrap_or("utf-8").as_bytes());
    let text = decode(bytes, known.ok_or(SampleError::Encoding)?, skip_lines)
        .map_err(SampleError::Text)?;
    let head = text.lines().next().unwrap_or_default();
    let most =
        [',', ';', '\t', '|'].into_iter().rev().max_by_key(|mark| head.matches(*mark).count());
    let delimiter = delimiter.or(most).unwrap_or(',');
    let mut reader = ReaderBuilder::new()
        .delimiter(u8::try_from(delimiter).unwrap_or(b','))
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut header = StringRecord::new();
    let broken = |_| SampleError::Text("it cannot be read as CSV".to_owned());
    if !reader.read_record(&mut header).map_err(broken)? {
        return Err(SampleError::Header(1));
    }
    if let Some(at) = header.iter().position(|name| !is_name(name)) {
        return Err(SampleError::Header(at + 1));
    }
    let mut kinds = vec![Kinds::default(); header.len()];
    let mut row = StringRecord::new();
    let mut seen = 0;
    while seen < ROWS && reader.read_record(&mut row).map_err(broken)? {
        seen += 1;
        for (kinds, cell) in kinds.iter_mut().zip(row.iter()) {
            kinds.add((!cell.is_empty()).then(|| of_text(cell)));
        }
    }
    let columns = header.iter().zip(&kinds).map(|(name, kinds)| kinds.column(name)).collect();
    Ok(CsvSeen { delimiter, encoding: label.map(str::to_owned), columns })
}

/// The columns of a JSON answer.
///
/// # Errors
/// Why it shows none.
pub fn of_json(bytes: &[u8]) -> Result<JsonSeen, SampleError> {
    let answer: Value =
        serde_json::from_slice(bytes).map_err(|error| SampleError::Json(error.line()))?;
    let mut lists = Vec::new();
    find_lists(&answer, "$", DEPTH, &mut lists);
    let Some((_, rows)) = lists.first() else {
        return Err(SampleError::Rows);
    };
    let mut columns: BTreeMap<String, Kinds> = BTreeMap::new();
    let mut order = Vec::new();
    for row in rows.iter().take(ROWS) {
        let mut cells = Vec::new();
        find_cells(row, "$", DEPTH, &mut cells);
        for (path, kind) in cells {
            if !columns.contains_key(&path) {
                order.push(path.clone());
            }
            columns.entry(path).or_default().add(kind);
        }
    }
    let rows_seen = rows.len().min(ROWS);
    let columns = order.iter().filter_map(|path| {
        let kinds = columns.get(path)?;
        let missing = rows_seen.saturating_sub(kinds.seen);
        Some(Kinds { seen: rows_seen, empty: kinds.empty + missing, ..kinds.clone() }.column(path))
    });
    let beside = match &answer {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| {
                matches!(value, Value::Bool(_) | Value::Number(_) | Value::String(_))
            })
            .map(|(name, _)| member("$", name))
            .collect(),
        _ => Vec::new(),
    };
    let columns = columns.collect();
    let rows = lists.iter().map(|(path, _)| format!("{path}[*]")).collect();
    Ok(JsonSeen { rows, columns, beside })
}

fn find_lists<'a>(
    value: &'a Value,
    path: &str,
    depth: usize,
    found: &mut Vec<(String, &'a Vec<Value>)>,
) {
    match value {
        Value::Array(list) if !list.is_empty() && list.iter().all(Value::is_object) => {
            found.push((path.to_owned(), list));
        }
        Value::Object(members) if depth > 0 => {
            for (name, value) in members {
                find_lists(value, &member(path, name), depth - 1, found);
            }
        }
        _ => {}
    }
}

fn find_cells(
    value: &Value,
    path: &str,
    depth: usize,
    found: &mut Vec<(String, Option<&'static str>)>,
) {
    let kind = match value {
        Value::Null => None,
        Value::Bool(_) => Some("yes or no"),
        Value::Number(number) if number.is_f64() => Some("numbers"),
        Value::Number(_) => Some("whole numbers"),
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(of_text(text)),
        Value::Array(_) => return,
        Value::Object(members) => {
            if depth > 0 {
                for (name, value) in members {
                    find_cells(value, &member(path, name), depth - 1, found);
                }
            }
            return;
        }
    };
    // A member of the row itself goes by its name.
    let plain = path.strip_prefix("$.").filter(|name| !name.contains(['.', '[']));
    found.push((plain.unwrap_or(path).to_owned(), kind));
}

/// The path of a member.
fn member(path: &str, name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    let begins = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
    match begins && name.chars().all(plain) {
        true => format!("{path}.{name}"),
        false => format!("{path}['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")),
    }
}

/// The kinds of what is in one column.
#[derive(Debug, Clone, Default)]
struct Kinds {
    seen: usize,
    empty: usize,
    kinds: Vec<&'static str>,
}

impl Kinds {
    fn add(&mut self, kind: Option<&'static str>) {
        self.seen += 1;
        match kind {
            None => self.empty += 1,
            Some(kind) if !self.kinds.contains(&kind) => self.kinds.push(kind),
            Some(_) => {}
        }
    }

    fn column(&self, name: &str) -> ColumnSeen {
        let kinds = match &self.kinds[..] {
            [] => "nothing in the sample".to_owned(),
            kinds => kinds.join(" and "),
        };
        ColumnSeen {
            name: name.to_owned(),
            type_name: format!("{kinds} in {} rows", self.seen),
            nullable: self.empty > 0,
            primary: false,
            indexed: false,
        }
    }
}

/// What a text looks like.
fn of_text(text: &str) -> &'static str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let split = unsigned.split_once('.');
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    match text {
        _ if digits(unsigned) && unsigned.len() > 1 && unsigned.starts_with('0') => "digits",
        _ if digits(unsigned) && unsigned.len() > 15 => "digits",
        _ if digits(unsigned) => "whole numbers",
        _ if parts.len() == 3 && parts.iter().all(|part| digits(part)) => "days",
        _ if split.is_some_and(|(whole, rest)| digits(whole) && digits(rest)) => "numbers",
        _ => "texts",
    }
}

/// Whether a header's cell may be a column's name and no value.
fn is_name(cell: &str) -> bool {
    !cell.trim().is_empty()
        && of_text(cell) == "texts"
        && cell.chars().filter(char::is_ascii_digit).count() < 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(columns: &[ColumnSeen]) -> Vec<String> {
        columns.iter().map(|c| format!("{}: {} {}", c.name, c.type_name, c.nullable)).collect()
    }

    #[test]
    fn a_file_shows_names_and_kinds_and_no_cell() {
        let file = "person_no;read_on;level;note\n990000196105190012;2024-01-02;7;canary\n\
                    990000196105190013;2024-01-03;7.5;\n";
        let seen = of_csv(file.as_bytes().to_vec(), None, None, 0).unwrap();
        assert_eq!((seen.delimiter, seen.encoding), (';', None));
        assert_eq!(
            kinds(&seen.columns),
            [
                "person_no: digits in 2 rows false",
                "read_on: days in 2 rows false",
                "level: whole numbers and numbers in 2 rows false",
                "note: texts in 2 rows true",
            ]
        );
        let titled = of_csv(format!("title\n{file}").into_bytes(), None, None, 1).unwrap();
        assert_eq!(titled.columns.len(), 4);
    }

    #[test]
    fn a_file_without_a_header_shows_nothing() {
        for text in
            ["990000196105190012,2024-01-02,7\n", "a,,c\n", "a,2024-01-02\n", "a,0012\n", ""]
        {
            let refused = of_csv(text.as_bytes().to_vec(), None, None, 0).unwrap_err();
            assert!(matches!(refused, SampleError::Header(_)), "{text}: {refused}");
            assert!(!refused.to_string().contains("990000"), "{refused}");
        }
        let gbk = of_csv(b"\xd1\xa7\xc0\xfa,n\nx,1\n".to_vec(), None, None, 0).unwrap_err();
        assert!(gbk.to_string().contains("not in UTF-8"), "{gbk}");
        let gbk = of_csv(b"\xd1\xa7\xc0\xfa,n\nx,1\n".to_vec(), None, Some("gbk"), 0).unwrap();
        assert_eq!(gbk.columns[0].name, "学历");
    }

    #[test]
    fn an_answer_shows_where_its_rows_are() {
        let answer = r#"{"code": 0, "msg": "ok", "data": {"list": [
            {"id": "990000196105190012", "n": 7, "deep": {"x y": true}}, {"id": "b", "more": null}
        ]}}"#;
        let seen = of_json(answer.as_bytes()).unwrap();
        assert_eq!(seen.rows, ["$.data.list[*]"]);
        assert_eq!(seen.beside, ["$.code", "$.msg"]);
        let mut kinds = kinds(&seen.columns);
        kinds.sort();
        assert_eq!(
            kinds,
            [
                "$.deep['x y']: yes or no in 2 rows true",
                "id: digits and texts in 2 rows false",
                "more: nothing in the sample in 2 rows true",
                "n: whole numbers in 2 rows true",
            ]
        );
        assert_eq!(of_json(b"{\"data\": []}").unwrap_err(), SampleError::Rows);
        assert_eq!(of_json(b"{").unwrap_err(), SampleError::Json(1));
    }
}
