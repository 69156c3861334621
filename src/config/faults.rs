//! Everything that is wrong with a configuration file, gathered before the file is
//! refused: file, line, key, and what to do.
//!
//! One fault for one key: a value that stands in for a bad one is never judged again.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Display;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::finding::{Finding, Findings, causes};

/// Most faults that are told of one file.
const MAX_FAULTS: usize = 200;

/// The faults of one file so far.
#[derive(Debug, Clone)]
pub struct Faults {
    file: String,
    lines: BTreeMap<String, usize>,
    keys: BTreeSet<String>,
    /// Keys that stand in another file, and what they are called there.
    elsewhere: BTreeMap<String, Elsewhere>,
    /// Lines that are no TOML, so that nothing else is said of them.
    garbled: BTreeSet<(String, usize)>,
    found: Vec<Finding>,
    doubts: Vec<Finding>,
}

/// Where a key stands that belongs to the configuration and not to its main file.
#[derive(Debug, Clone)]
struct Elsewhere {
    file: String,
    key: String,
}

impl Faults {
    /// None yet, of the file at this path.
    pub fn new(path: &Path) -> Self {
        Self {
            file: path.display().to_string(),
            lines: BTreeMap::new(),
            keys: BTreeSet::new(),
            elsewhere: BTreeMap::new(),
            garbled: BTreeSet::new(),
            found: Vec::new(),
            doubts: Vec::new(),
        }
    }

    /// Learns on which line each key is.
    pub(super) fn locate(&mut self, text: &str, table: &DeTable<'_>) {
        self.table(&ends(text), "", table);
    }

    /// Learns where a value of another file is, which the configuration has as `key`.
    pub(super) fn locate_elsewhere(
        &mut self,
        (file, text): (&Path, &str),
        [key, there]: [&str; 2],
        value: &Spanned<DeValue<'_>>,
    ) {
        let there = Elsewhere { file: file.display().to_string(), key: there.to_owned() };
        self.elsewhere.insert(key.to_owned(), there);
        self.value(&ends(text), key.to_owned(), value.span().start, value);
    }

    fn table(&mut self, ends: &[usize], path: &str, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            let path = child(path, key.get_ref());
            self.value(ends, path, key.span().start, value);
        }
    }

    fn value(&mut self, ends: &[usize], path: String, start: usize, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(ends, &path, table),
            DeValue::Array(array) => {
                for (at, value) in array.iter().enumerate() {
                    self.value(ends, element(&path, at), value.span().start, value);
                }
            }
            _ => {}
        }
        self.lines.insert(path, ends.partition_point(|end| *end < start) + 1);
    }

    /// Notes what is wrong with a key, such as `grants.issuer[0].keys`. A key has one
    /// fault, and so has what it is part of.
    pub fn add(&mut self, key: &str, message: impl Display) {
        if !self.touches(key) {
            self.keys.insert(key.to_owned());
            let (file, shown) = self.home(key);
            let at = self.lines.get(key).map(|line| (file.clone(), *line));
            if at.is_some_and(|at| self.garbled.contains(&at)) {
                return;
            }
            let line = self.line_of(key);
            self.push(Finding { file, line, message: format!("`{shown}` {message}") });
        }
    }

    /// Notes what is wrong with another file, in a line of it.
    pub(super) fn add_elsewhere(&mut self, file: &Path, line: usize, message: impl Display) {
        let file = file.display().to_string();
        if !self.garbled.contains(&(file.clone(), line)) {
            self.push(Finding { file, line, message: message.to_string() });
        }
    }

    /// Whether a key stands in the files.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.lines.contains_key(key)
    }

    /// The file in which a key stands, and what it is called there.
    fn home(&self, key: &str) -> (String, String) {
        let mut around = std::iter::once(key).chain(wholes(key));
        let found = around.find_map(|whole| Some((whole, self.elsewhere.get(whole)?)));
        match found {
            None => (self.file.clone(), key.to_owned()),
            Some((whole, there)) => {
                let rest = key.get(whole.len()..).unwrap_or_default();
                (there.file.clone(), format!("{}{rest}", there.key))
            }
        }
    }

    /// The file and the line of a key, for who names it in a message.
    pub(super) fn place(&self, key: &str) -> String {
        format!("{}:{}", self.home(key).0, self.line_of(key))
    }

    /// Notes what is allowed and hardly meant: whoever reads the file is told, and starts.
    pub fn doubt(&mut self, key: &str, message: impl Display) {
        let ((file, shown), line) = (self.home(key), self.line_of(key));
        self.doubts.push(Finding { file, line, message: format!("`{shown}` {message}") });
    }

    /// What is allowed and hardly meant.
    pub fn doubts(&self) -> &[Finding] {
        &self.doubts
    }

    /// Notes why a key's value cannot be used, unless it can.
    pub fn take<T, E: Error>(&mut self, key: &str, used: Result<T, E>) -> Option<T> {
        used.map_err(|error| self.add(key, format!("is refused: {}", causes(&error)))).ok()
    }

    /// Notes a fault of the text itself.
    pub(super) fn syntax(&mut self, line: usize, message: &str) {
        self.garbled.insert((self.file.clone(), line));
        self.push(Finding { file: self.file.clone(), line, message: message.to_owned() });
    }

    /// Notes a fault of another file's text.
    pub(super) fn syntax_elsewhere(&mut self, file: &Path, line: usize, message: &str) {
        let file = file.display().to_string();
        self.garbled.insert((file.clone(), line));
        self.push(Finding { file, line, message: message.to_owned() });
    }

    /// Notes what is wrong with files that this one names.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }

    fn push(&mut self, finding: Finding) {
        if self.found.len() < MAX_FAULTS {
            self.found.push(finding);
        }
    }

    /// Whether a fault is known of a key, of what it is part of or of a part of it.
    pub fn touches(&self, key: &str) -> bool {
        let parts = self.keys.range(key.to_owned()..).take_while(|known| known.starts_with(key));
        let part =
            |known: &String| known.len() == key.len() || known[key.len()..].starts_with(['.', '[']);
        parts.into_iter().any(part) || wholes(key).any(|whole| self.keys.contains(whole))
    }

    /// The line of a key, or of the nearest table that it belongs to.
    fn line_of(&self, key: &str) -> usize {
        let known = std::iter::once(key).chain(wholes(key)).find_map(|key| self.lines.get(key));
        known.copied().unwrap_or(1)
    }

    /// How many faults there are.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// What was read, unless something is wrong.
    ///
    /// # Errors
    /// Every fault.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Findings> {
        match read {
            Some(read) if self.found.is_empty() => Ok(read),
            _ => Err(self.refuse()),
        }
    }

    /// Every fault, in order of file and line.
    pub fn refuse(mut self) -> Findings {
        self.found.sort();
        Findings(self.found)
    }
}

fn ends(text: &str) -> Vec<usize> {
    text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect()
}

/// The key of an entry of a table.
pub(super) fn child(path: &str, key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let key = match key.bytes().all(bare) && !key.is_empty() {
        true => key.to_owned(),
        false => format!("{key:?}"),
    };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// The key of an element of an array.
pub(super) fn element(path: &str, at: usize) -> String {
    format!("{path}[{at}]")
}

/// What a key is part of, from the inside out.
pub(super) fn wholes(key: &str) -> impl Iterator<Item = &str> {
    key.rmatch_indices(['.', '[']).map(|(at, _)| &key[..at])
}
