//! What a configuration file says, key by key, each under the names around it and with
//! its line: `link.trust[bank.city.example].roles`. Order, layout and comments leave no
//! trace in it. What a key means is the business of [`super::keys`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, FileKind, Row, ValueForm};
use crate::domain::span::in_days;

/// What is said under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key as the table of keys has it, without names.
    pub pattern: String,
    /// The names around it, innermost first.
    pub names: Vec<String>,
    /// What is compared. A secret may stand in it, so it is never shown.
    pub value: String,
    /// What is shown.
    pub shown: String,
    /// The line, from 1.
    pub line: usize,
    /// The file.
    pub file: String,
}

impl Setting {
    /// The key's row.
    pub fn row(&self, kind: FileKind) -> Option<&'static Row> {
        keys::row(kind, &self.pattern)
    }
}

/// A file as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What kind of file.
    pub kind: FileKind,
    /// Whose it is: `gateway`, an agency, an issuer; the file's name for others.
    pub house: String,
    /// Its name, from the federation's folder.
    pub file: String,
    /// What it says.
    pub text: String,
    /// The public files that it names, as written there.
    pub public: BTreeMap<String, Seen>,
}

/// What was found of a public file: an anchor, a pin, a revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// SHA-256 of what it holds.
    Digest(String),
    /// It is not there.
    Absent,
    /// It lies outside the federation's folder, so nothing is known of it.
    Outside,
}

/// Settings by key.
pub type Settings = BTreeMap<String, Setting>;

/// Reads a text into its settings; one that is no TOML has none, and was refused before.
pub fn read(text: &Text) -> Settings {
    let Ok(table) = DeTable::parse(&text.text) else { return Settings::new() };
    let starts = std::iter::once(0)
        .chain(
            text.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1),
        )
        .collect();
    // Each domain of the catalogue has a name of its own.
    let prefix = match (text.kind, table.get_ref().get("domain").map(Spanned::get_ref)) {
        (FileKind::Catalogue, Some(DeValue::String(domain))) => format!("{domain}:"),
        _ => String::new(),
    };
    let mut reader = Reader { text, starts, prefix, settings: Settings::new() };
    reader.table(&At::default(), table.get_ref());
    reader.settings
}

/// The public files that a text names, as written there.
pub fn public_files(text: &Text) -> BTreeSet<String> {
    let settings = read(text);
    let named = settings
        .values()
        .filter(|setting| setting.row(text.kind).is_some_and(|row| row.form == ValueForm::Public));
    named.flat_map(|setting| setting.value.lines().map(str::to_owned)).collect()
}

/// Where the reader stands.
#[derive(Clone, Default)]
struct At {
    pattern: String,
    key: String,
    names: Vec<String>,
}

impl At {
    fn child(&self, key: &str) -> Self {
        let pattern = match self.pattern.is_empty() {
            true => key.to_owned(),
            false => format!("{}.{key}", self.pattern),
        };
        let dot = if self.key.is_empty() { "" } else { "." };
        Self { pattern, key: format!("{}{dot}{key}", self.key), names: self.names.clone() }
    }

    /// An entry of a list, or of a table of names.
    fn entry(&self, pattern: &str, name: &str) -> Self {
        let mut names = vec![name.to_owned()];
        names.extend(self.names.iter().cloned());
        Self { pattern: pattern.to_owned(), key: format!("{}[{name}]", self.key), names }
    }
}

struct Reader<'a> {
    text: &'a Text,
    starts: Vec<usize>,
    prefix: String,
    settings: Settings,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn table(&mut self, at: &At, table: &DeTable<'_>) {
        for (key, value) in table {
            let line = self.line(key.span().start);
            let name = key.get_ref();
            let inner = if keys::named(&at.pattern) {
                at.entry(&format!("{}.*", at.pattern), name)
            } else {
                let child = at.child(name);
                let known = keys::renamed(self.text.kind, &child.pattern);
                if known == child.pattern {
                    child
                } else {
                    at.child(known.rsplit('.').next().unwrap_or(known))
                }
            };
            self.value(&inner, value, line);
        }
    }

    fn value(&mut self, at: &At, value: &Spanned<DeValue<'_>>, line: usize) {
        let row = keys::row(self.text.kind, &at.pattern);
        let is_entry = row.is_some_and(|row| row.form == ValueForm::Entry);
        if is_entry {
            self.note(at, String::new(), String::new(), line);
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(at, table),
            DeValue::Array(array) if keys::identity(self.text.kind, &at.pattern).is_some() => {
                self.list(at, array);
            }
            // A column's name alone.
            DeValue::String(_) if is_entry => {
                let column = at.child("column");
                self.value(&column, value, line);
            }
            DeValue::String(_) if at.pattern == "query[].disputed" => {
                let column = at.child("column");
                self.value(&column, value, line);
            }
            leaf => {
                let form = row.map_or(ValueForm::Plain, |row| row.form);
                let (value, shown) = compared(form, leaf);
                self.note(at, value, shown, line);
            }
        }
    }

    /// A list whose entries have names: they come in any order.
    fn list(&mut self, at: &At, array: &[Spanned<DeValue<'_>>]) {
        let by = keys::identity(self.text.kind, &at.pattern).unwrap_or_default();
        let pattern = format!("{}[]", at.pattern);
        let mut seen = BTreeSet::new();
        for element in array {
            let line = self.line(element.span().start);
            let DeValue::Table(table) = element.get_ref() else { continue };
            let name = table.get(by).map(|value| scalar(value.get_ref())).unwrap_or_default();
            let mut entry = at.entry(&pattern, &name);
            if !seen.insert(name.clone()) {
                entry = at.entry(&pattern, &format!("{name}#{}", seen.len()));
            }
            self.note(&entry, String::new(), String::new(), line);
            self.table(&entry, table);
        }
    }

    fn note(&mut self, at: &At, value: String, shown: String, line: usize) {
        let (pattern, names) = (at.pattern.clone(), at.names.clone());
        let file = self.text.file.clone();
        let setting = Setting { pattern, names, value, shown, line, file };
        let key = match at.names.is_empty() {
            true => format!("{}{}", self.prefix, at.key),
            false => at.key.clone(),
        };
        self.settings.insert(key, setting);
    }
}

/// What is compared of a value, and what is shown of it.
fn compared(form: ValueForm, value: &DeValue<'_>) -> (String, String) {
    let plain = |text: String| (text.clone(), text);
    match form {
        ValueForm::Set => {
            let set: BTreeSet<String> = elements(value).into_iter().collect();
            plain(set.into_iter().collect::<Vec<_>>().join(", "))
        }
        ValueForm::List => plain(elements(value).join(", ")),
        ValueForm::Public => {
            let files: BTreeSet<String> = elements(value).into_iter().collect();
            let files: Vec<String> = files.into_iter().collect();
            (files.join("\n"), files.join(", "))
        }
        ValueForm::Span => plain(span(&scalar(value))),
        ValueForm::Text => plain(layout_free(&scalar(value))),
        ValueForm::Address => {
            let address = scalar(value);
            let shown = without_password(&address);
            (address, shown)
        }
        ValueForm::Hidden => (scalar(value), "a value that is not shown".to_owned()),
        ValueForm::Plain | ValueForm::Followed | ValueForm::Entry => plain(scalar(value)),
    }
}

fn elements(value: &DeValue<'_>) -> Vec<String> {
    match value {
        DeValue::Array(array) => array.iter().map(|element| scalar(element.get_ref())).collect(),
        one => vec![scalar(one)],
    }
}

/// A value as one text, the same however it was written.
fn scalar(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or_else(|_| integer.as_str().to_owned(), |value| value.to_string()),
        DeValue::Float(float) => float
            .as_str()
            .parse::<f64>()
            .map_or_else(|_| float.as_str().to_owned(), |value| value.to_string()),
        DeValue::Array(array) => {
            let elements = array.iter().map(|element| scalar(element.get_ref()));
            format!("[{}]", elements.collect::<Vec<_>>().join(", "))
        }
        DeValue::Table(table) => {
            let fields: BTreeMap<&str, String> = table
                .iter()
                .map(|(key, value)| (&**key.get_ref(), scalar(value.get_ref())))
                .collect();
            let fields = fields.iter().map(|(key, value)| format!("{key} = {value}"));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A time as its seconds, so that `60s` and `1m` are the same.
fn span(text: &str) -> String {
    match humantime::parse_duration(text) {
        Ok(span) => in_days(span),
        Err(_) => text.to_owned(),
    }
}

/// A default in the form in which values are compared.
pub fn default_of(row: &Row) -> String {
    if row.form == ValueForm::Span { span(row.default) } else { row.default.to_owned() }
}

/// How long a time is, if it is one.
pub fn span_of(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// A statement without its layout. One with quotes or comments keeps it, since there
/// layout may be meant.
fn layout_free(text: &str) -> String {
    if text.contains(['\'', '"', '`', '$']) || text.contains("--") || text.contains("/*") {
        return text.trim().to_owned();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An address without what stands between its account's name and the host.
fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        // `sqlite:file` has none; anything else that has no scheme may be one.
        return match address.strip_prefix("sqlite:") {
            Some(_) => address.to_owned(),
            None => "an address that is not shown".to_owned(),
        };
    };
    let (rest, parameters) = match rest.split_once('?') {
        Some((rest, _)) => (rest, "?…"),
        None => (rest, ""),
    };
    let shown = match rest.rsplit_once('@') {
        Some((account, host)) => {
            let account = account.split(':').next().unwrap_or_default();
            format!("{account}@{host}")
        }
        None => rest.to_owned(),
    };
    format!("{scheme}://{shown}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: FileKind, text: &str) -> Text {
        let (house, file) = ("gateway".to_owned(), "gateway.toml".to_owned());
        Text { kind, house, file, text: text.to_owned(), public: BTreeMap::new() }
    }

    #[test]
    fn keys_stand_under_their_names_whatever_their_order() {
        let written = "[[link.trust]]\ndomain = 'a.example'\nroles = ['agency', 'consumer']\n\
                       [[link.trust]]\ndomain = 'b.example'\nroles = ['gateway']\n";
        let other = "link.trust = [{ roles = ['gateway'], domain = 'b.example' },\n\
                     { domain = 'a.example', roles = ['consumer', 'agency'] }] # x\n";
        let values = |written| -> BTreeMap<String, String> {
            let read = read(&text(FileKind::Gateway, written));
            read.into_iter().map(|(key, setting)| (key, setting.value)).collect()
        };
        assert_eq!(values(written), values(other));
        let read = read(&text(FileKind::Gateway, written));
        let roles = &read["link.trust[a.example].roles"];
        assert_eq!((&*roles.value, roles.line), ("agency, consumer", 3));
        assert_eq!(read["link.trust[b.example]"].line, 4);
        assert_eq!(roles.pattern, "link.trust[].roles");
    }

    #[test]
    fn a_password_is_compared_and_never_shown() {
        let read = read(&text(
            FileKind::Agency,
            "[source.sql]\nurl = 'postgres://reader:hunter2@db:5432/hr?host=/run'\n",
        ));
        let url = &read["source.sql.url"];
        assert_eq!(url.shown, "postgres://reader@db:5432/hr?…");
        assert!(url.value.contains("hunter2"));
        for hidden in ["postgres://r:p@ss@db/hr", "hunter2:db"] {
            assert!(
                !without_password(hidden).contains("ss@")
                    && !without_password(hidden).contains("hunter2")
            );
        }
    }

    #[test]
    fn times_and_names_of_old_are_the_same_as_those_of_now() {
        let value =
            |written: &str, key: &str| read(&text(FileKind::Gateway, written))[key].value.clone();
        assert_eq!(value("[grants]\nmax_age = '1m'", "grants.max_age"), "1m");
        assert_eq!(value("[grants]\nmax_age = '60s'", "grants.max_age"), "1m");
        let agency = |rest: &str| format!("[[agency]]\nid = 'x'\n{rest}");
        let key = "agency[x].endpoints";
        assert_eq!(
            value(&agency("endpoint = 'h:1'"), key),
            value(&agency("endpoints = ['h:1']"), key)
        );
    }
}
