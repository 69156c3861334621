//! `agency init`: a starting mapping, written from a live schema.
//!
//! It says what the database says and no more. What a column means is for its
//! administrator to state, so each such place reads TODO, which `agency check`
//! refuses, and stands beside what is known about it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::config::catalogue::{self, CatalogueError};
use crate::config::mapping::{SqlAddress, SqlEntry, UrlError};
use crate::domain::catalogue::{AgencyId, Catalogue, Item};
use crate::source::{self, ColumnSeen, SchemaError, TableSeen};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct StartingRequest {
    /// The database's address.
    pub from: String,
    /// The file with its password.
    pub password_file: Option<PathBuf>,
    /// Authorities of its certificate.
    pub ca: Option<PathBuf>,
    /// Tables to write queries for; all when empty.
    pub tables: Vec<String>,
    /// The column with people's numbers.
    pub subject: Option<String>,
    /// The column with the day.
    pub as_of: Option<String>,
    /// The agency's id, and the catalogue's folder.
    pub agency: Option<(String, PathBuf)>,
}

/// No mapping can be begun. Never holds the address.
#[derive(Debug, thiserror::Error)]
pub enum StartingError {
    /// The address cannot be used.
    #[error("--from: {0}")]
    Address(#[from] UrlError),
    /// The password stands in the address.
    #[error(
        "--from: the address holds a password, which the mapping would then hold as well: \
         put it into a file of mode 0600 and name that with --password-file"
    )]
    Password,
    /// The schema cannot be read.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// There is no such table.
    #[error("--table: there is no table `{0}` that the account can read; there are {1}")]
    Table(String, String),
    /// No table has the stated column.
    #[error("{0}: no table has a column `{1}`")]
    Column(&'static str, String),
    /// The catalogue cannot be loaded.
    #[error("--catalogue: it cannot be loaded")]
    Catalogue(#[from] CatalogueError),
    /// The agency is none.
    #[error("--id: `{0}` is no agency of the catalogue")]
    Agency(String),
}

/// Reads the schema and writes the mapping's text; relative paths start at `folder`.
///
/// # Errors
/// Why it cannot be begun.
pub async fn write(request: &StartingRequest, folder: &Path) -> Result<String, StartingError> {
    let (_, rest) = request.from.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.rsplit_once('@').is_some_and(|(account, _)| account.contains(':')) {
        return Err(StartingError::Password);
    }
    let mut entry = SqlEntry::new(request.from.clone());
    entry.password_file.clone_from(&request.password_file);
    entry.ca.clone_from(&request.ca);
    let address = entry.address(folder)?;
    let agency = match &request.agency {
        None => None,
        Some((id, folder)) => {
            let unknown = || StartingError::Agency(id.clone());
            let catalogue = catalogue::load(folder)?;
            let id = AgencyId::new(id).ok_or_else(unknown)?;
            if catalogue.owned_by(&id).is_empty() {
                return Err(unknown());
            }
            Some((id, catalogue))
        }
    };
    let mut tables = source::tables(&address).await?;
    for wanted in &request.tables {
        if !tables.iter().any(|table| table.name == *wanted) {
            let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            return Err(StartingError::Table(wanted.clone(), names.join(", ")));
        }
    }
    tables.retain(|table| request.tables.is_empty() || request.tables.contains(&table.name));
    for (option, column) in [("--subject", &request.subject), ("--as-of", &request.as_of)] {
        let has = |name: &String| {
            tables.iter().any(|table| table.columns.iter().any(|column| column.name == *name))
        };
        if let Some(column) = column.as_ref().filter(|column| !has(column)) {
            return Err(StartingError::Column(option, column.clone()));
        }
    }
    let password_file = request.password_file.as_ref().map(|file| file.display().to_string());
    let starting = Starting {
        url: &request.from,
        password_file: password_file.as_deref(),
        backticks: matches!(address, SqlAddress::Mysql(_)),
        tables: &tables,
        subject: request.subject.as_deref(),
        as_of: request.as_of.as_deref(),
        agency: agency.as_ref().map(|(id, catalogue)| (id, catalogue)),
    };
    Ok(starting.text())
}

/// What a starting mapping is written from.
#[derive(Debug)]
struct Starting<'a> {
    /// The address without its secret, as the mapping is to have it.
    pub url: &'a str,
    /// The password's file, as it was given.
    pub password_file: Option<&'a str>,
    /// Whether identifiers stand in backticks.
    pub backticks: bool,
    /// The tables to write queries for.
    pub tables: &'a [TableSeen],
    /// The column that the administrator says holds people's numbers.
    pub subject: Option<&'a str>,
    /// The column that the administrator says holds the day.
    pub as_of: Option<&'a str>,
    /// The agency and the catalogue in which its items are, if stated.
    pub agency: Option<(&'a AgencyId, &'a Catalogue)>,
}

const TODO: &str = "TODO";

impl Starting<'_> {
    /// The mapping's text.
    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "# A starting mapping, written from the database's schema. No row was read and\n\
             # nothing was guessed: each {TODO} is for you to state. Then run\n\
             #   tributary agency check -c FILE\n"
        )?;
        let id = self.agency.map_or(TODO, |(id, _)| id.as_str());
        writeln!(out, "id = {}   # the agency's name in the catalogue", quoted(id))?;
        writeln!(out, "catalogue = \"../catalogue\"   # TODO: its folder\n\n[source.sql]")?;
        writeln!(out, "url = {}", quoted(self.url))?;
        match self.password_file {
            Some(file) => writeln!(out, "password_file = {}", quoted(file))?,
            None if self.url.starts_with("sqlite:") => {}
            None => writeln!(
                out,
                "# password_file = \"db.password\"   # mode 0600; or password_env = \"NAME\""
            )?,
        }
        writeln!(
            out,
            "# zone = \"Asia/Shanghai\"   # TODO if a column holds moments: where they were"
        )?;
        for table in self.tables {
            self.table(out, table)?;
        }
        if self.tables.is_empty() {
            writeln!(out, "\n# The account can read no table.")?;
        }
        if let Some((id, catalogue)) = self.agency {
            items(out, id, catalogue)?;
        }
        Ok(())
    }

    fn table(&self, out: &mut String, table: &TableSeen) -> std::fmt::Result {
        let rows = table.rows.map_or(String::new(), |rows| format!(", about {rows} rows"));
        writeln!(out, "\n# Table {}{rows}", plain(&table.name))?;
        let has = |wanted: &&str| table.columns.iter().any(|column| column.name == **wanted);
        let (subject, as_of) = (self.subject.filter(has), self.as_of.filter(has));
        let quote = |name: &str| match self.backticks {
            true => format!("`{}`", name.replace('`', "``")),
            false => format!("\"{}\"", name.replace('"', "\"\"")),
        };
        let columns: Vec<String> = table.columns.iter().map(|column| quote(&column.name)).collect();
        let from = match &table.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&table.name)),
            None => quote(&table.name),
        };
        let place = subject.map_or(TODO.to_owned(), quote);
        writeln!(out, "[[query]]\nname = {}", quoted(&word(&table.name)))?;
        let statement =
            format!("select {}\nfrom {from}\nwhere {place} in {{subjects}}", columns.join(", "));
        let control = |c: char| c.is_control() && c != '\n';
        match statement.contains("'''") || statement.contains(control) {
            // What cannot stand between these marks.
            true => writeln!(out, "sql = {}", quoted(&statement))?,
            false => writeln!(out, "sql = '''\n{statement}'''")?,
        }
        writeln!(
            out,
            "subject = {}{}",
            quoted(subject.unwrap_or(TODO)),
            match subject {
                Some(_) => "",
                None => "   # the column with the person's number",
            }
        )?;
        if let Some(column) = table.columns.iter().find(|column| Some(&*column.name) == subject)
            && is_integer(&column.type_name)
        {
            writeln!(out, "subject_type = \"integer\"   # it is {}", plain(&column.type_name))?;
        }
        writeln!(
            out,
            "as_of = {}{}",
            quoted(as_of.unwrap_or(TODO)),
            match as_of {
                Some(_) => "",
                None => "   # the column with the day on which the row was true",
            }
        )?;
        writeln!(
            out,
            "# ended = \"{TODO}\"       # adverse facts: the day on which the fact ended"
        )?;
        writeln!(out, "# disputed = \"{TODO}\"    # whether the person disputes the row")?;
        writeln!(out, "# statement = \"{TODO}\"   # the reference of the person's own statement")?;
        writeln!(out, "[query.items]")?;
        for column in table
            .columns
            .iter()
            .filter(|column| Some(&*column.name) != subject && Some(&*column.name) != as_of)
        {
            writeln!(out, "# \"{TODO}\" = {}   # {}", quoted(&column.name), known(column))?;
        }
        Ok(())
    }
}

/// The items that could be answered, for copying.
fn items(out: &mut String, id: &AgencyId, catalogue: &Catalogue) -> std::fmt::Result {
    writeln!(out, "\n# The items that `{id}` owns in the catalogue:")?;
    let owned = catalogue.owned_by(id);
    for item in catalogue.items().iter().filter(|item| owned.contains(item.number)) {
        writeln!(out, "#   \"{}\"   # {}", item.id, wanted(item))?;
    }
    Ok(())
}

fn wanted(item: &Item) -> String {
    let mut text = item.value_type.name().to_owned();
    if !item.unit.is_empty() {
        let _ = write!(text, " in {}", item.unit);
    }
    if !item.codes.is_empty() {
        let codes: Vec<&str> = item.codes.iter().map(|code| &*code.code).collect();
        let _ = write!(text, ": {}", codes.join(", "));
    }
    if item.adverse_months.is_some() {
        text.push_str("; adverse, its query needs `ended`");
    }
    text
}

fn known(column: &ColumnSeen) -> String {
    let mut text = plain(&column.type_name);
    if column.nullable {
        text.push_str(", may be NULL");
    }
    match (column.primary, column.indexed) {
        (true, _) => text.push_str(", in the primary key"),
        (false, true) => text.push_str(", indexed"),
        _ => {}
    }
    text
}

fn is_integer(type_name: &str) -> bool {
    let lower = type_name.to_ascii_lowercase();
    lower.starts_with("bigint")
        || lower.starts_with("int")
        || lower.starts_with("smallint")
        || lower.starts_with("mediumint")
}

/// A TOML string on one line, whatever is in the name: it may stand in a comment.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A name inside a comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A query's name out of a table's.
fn word(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let word: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).take(64).collect();
    if word.is_empty() { TODO.to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_schema_names_its_things_the_text_is_toml() {
        for name in [
            "jobs",
            "o'clock",
            "a\"b",
            "'''",
            "line\nbreak",
            "tab\t",
            "\u{1}\u{7f}",
            "a\\b",
            "人员",
            "`x`",
            "",
        ] {
            let column = ColumnSeen {
                name: name.to_owned(),
                type_name: format!("varchar{name}"),
                nullable: true,
                primary: false,
                indexed: false,
            };
            let table = TableSeen {
                schema: Some(name.to_owned()),
                name: name.to_owned(),
                columns: vec![column],
                rows: Some(3),
            };
            for backticks in [false, true] {
                let starting = Starting {
                    url: "postgres://reader@db/hr",
                    password_file: None,
                    backticks,
                    tables: std::slice::from_ref(&table),
                    subject: None,
                    as_of: None,
                    agency: None,
                };
                let text = starting.text();
                let parsed: toml::Table = toml::from_str(&text).unwrap_or_else(|error| {
                    panic!("{name:?}: {error}\n{text}");
                });
                assert_eq!(parsed["id"].as_str(), Some(TODO));
                let query = &parsed["query"][0];
                assert_eq!(query["subject"].as_str(), Some(TODO), "nothing is guessed");
                assert!(query["items"].as_table().unwrap().is_empty());
            }
        }
    }
}
