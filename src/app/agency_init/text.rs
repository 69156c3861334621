//! The text of a starting mapping.

use std::fmt::Write as _;

use crate::domain::catalogue::{AgencyId, Catalogue, Item};
use crate::source::ColumnSeen;

/// What a starting mapping is written from.
#[derive(Debug)]
pub(super) struct Starting<'a> {
    pub source: SourceText,
    /// The column that the administrator says holds people's numbers.
    pub subject: Option<&'a str>,
    /// The column that the administrator says holds the day.
    pub as_of: Option<&'a str>,
    /// The agency and the catalogue in which its items are, if stated.
    pub agency: Option<(&'a AgencyId, &'a Catalogue)>,
    /// The catalogue's folder as the file is to have it.
    pub catalogue: Option<&'a str>,
}

/// Where the records are.
#[derive(Debug)]
pub(super) struct SourceText {
    /// `sql`, `csv` or `http`.
    pub kind: &'static str,
    /// Its keys and their texts, without a secret.
    pub keys: Vec<(&'static str, String)>,
    /// Whether it wants a secret that was not named.
    pub asks_password: bool,
    pub queries: Vec<StartingQuery>,
    /// Members of an answer that may say whether all is well.
    pub beside: Vec<String>,
}

/// One table, file or question.
#[derive(Debug)]
pub(super) struct StartingQuery {
    pub name: String,
    pub asked: Asked,
    pub columns: Vec<ColumnSeen>,
}

/// What is asked.
#[derive(Debug)]
pub(super) enum Asked {
    /// A table, with the mark that stands around names.
    Sql { schema: Option<String>, table: String, rows: Option<i64>, mark: char },
    /// A file.
    File { name: String, skip_lines: usize },
    /// A path, and where the rows may be in the answer.
    Request { path: String, rows: Vec<String> },
}

impl StartingQuery {
    /// Whether it has a column.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }
}

const TODO: &str = "TODO";

impl Starting<'_> {
    /// The mapping's text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let (from, no_row) = match self.source.kind {
            "sql" => ("the database's schema", "No row was read and nothing"),
            "csv" => ("a CSV file", "No cell stands here, and nothing"),
            _ => ("an answer of the service", "No value stands here, and nothing"),
        };
        writeln!(
            out,
            "# A starting mapping, written from {from}. {no_row}\n\
             # was guessed: each {TODO} is for you to state. Then run\n\
             #   tributary agency check -c FILE\n"
        )?;
        let id = self.agency.map_or(TODO, |(id, _)| id.as_str());
        writeln!(out, "id = {}   # the agency's name in the catalogue", quoted(id))?;
        match self.catalogue {
            Some(folder) => writeln!(out, "catalogue = {}", quoted(folder))?,
            None => writeln!(out, "catalogue = \"../catalogue\"   # {TODO}: its folder")?,
        }
        writeln!(out, "\n[source.{}]", self.source.kind)?;
        for (key, text) in &self.source.keys {
            writeln!(out, "{key} = {}", quoted(text))?;
        }
        self.more_keys(out)?;
        writeln!(
            out,
            "# zone = \"Asia/Shanghai\"   # {TODO} if a column holds moments: where they were"
        )?;
        for query in &self.source.queries {
            self.query(out, query)?;
        }
        if self.source.queries.is_empty() {
            writeln!(out, "\n# The account can read no table.")?;
        }
        if let Some((id, catalogue)) = self.agency {
            items(out, id, catalogue)?;
        }
        Ok(())
    }

    /// Keys that the administrator may want.
    fn more_keys(&self, out: &mut String) -> std::fmt::Result {
        match self.source.kind {
            "sql" if self.source.asks_password => writeln!(
                out,
                "# password_file = \"db.password\"   # mode 0600; or password_env = \"NAME\""
            ),
            "csv" => {
                let skipped = self.source.queries.iter().find_map(|query| match query.asked {
                    Asked::File { skip_lines, .. } if skip_lines > 0 => Some(skip_lines),
                    _ => None,
                });
                if let Some(lines) = skipped {
                    writeln!(out, "skip_lines = {lines}")?;
                }
                writeln!(
                    out,
                    "# null = [\"NULL\", \"-\"]         # cells that mean: not recorded\n\
                     # done_file = \"{{file}}.done\"   # comes when a delivery is whole"
                )
            }
            "http" => {
                writeln!(
                    out,
                    "# ca = \"authority.pem\"        # {TODO}: who signed the service's certificate\n\
                     # token_file = \"token\"         # mode 0600; or token_env = \"NAME\"\n\
                     # token_header = \"X-API-Key\"   # without it: Authorization: Bearer\n\
                     # nobody = [404]                # {TODO}: how it says that it knows nobody"
                )?;
                for path in &self.source.beside {
                    writeln!(
                        out,
                        "# success = {{ path = {}, values = [{TODO}] }}   # if it says that all is well",
                        quoted(path)
                    )?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn query(&self, out: &mut String, query: &StartingQuery) -> std::fmt::Result {
        let subject = self.subject.filter(|name| query.has(name));
        let as_of = self.as_of.filter(|name| query.has(name));
        let name = quoted(&query.name);
        match &query.asked {
            Asked::Sql { schema, table, rows, mark } => {
                let rows = rows.map_or(String::new(), |rows| format!(", about {rows} rows"));
                writeln!(out, "\n# Table {}{rows}\n[[query]]\nname = {name}", plain(table))?;
                let statement = statement(query, (schema.as_deref(), table), *mark, subject);
                let control = |c: char| c.is_control() && c != '\n';
                match statement.contains("'''") || statement.contains(control) {
                    // What cannot stand between these marks.
                    true => writeln!(out, "sql = {}", quoted(&statement))?,
                    false => writeln!(out, "sql = '''\n{statement}'''")?,
                }
            }
            Asked::File { name: file, .. } => {
                writeln!(out, "\n[[query]]\nname = {name}\nfile = {}", quoted(file))?;
            }
            Asked::Request { path, rows } => {
                writeln!(out, "\n[[query]]\nname = {name}\npath = {}", quoted(path))?;
                if !path.contains("{subject}") {
                    writeln!(
                        out,
                        "# {TODO}: {{subject}} in the path, or body = '{{\"ids\": \"{{subjects}}\"}}'"
                    )?;
                }
                for (at, rows) in rows.iter().enumerate() {
                    let mark = if at == 0 { "" } else { "# or: " };
                    writeln!(out, "{mark}rows = {}", quoted(rows))?;
                }
            }
        }
        let noted = |column: Option<&str>, what: &str| match column {
            Some(_) => String::new(),
            None => format!("   # {what}"),
        };
        let note = noted(subject, "the column with the person's number");
        writeln!(out, "subject = {}{note}", quoted(subject.unwrap_or(TODO)))?;
        let kind = query.columns.iter().find(|column| Some(&*column.name) == subject);
        if let (Asked::Sql { .. }, Some(column)) = (&query.asked, kind)
            && is_integer(&column.type_name)
        {
            writeln!(out, "subject_type = \"integer\"   # it is {}", plain(&column.type_name))?;
        }
        let note = noted(as_of, "the column with the day on which the row was true");
        writeln!(out, "as_of = {}{note}", quoted(as_of.unwrap_or(TODO)))?;
        writeln!(
            out,
            "# ended = \"{TODO}\"       # adverse facts: the day on which the fact ended\n\
             # disputed = \"{TODO}\"    # whether the person disputes the row\n\
             # statement = \"{TODO}\"   # the reference of the person's own statement\n\
             [query.items]"
        )?;
        let other =
            |column: &&ColumnSeen| Some(&*column.name) != subject && Some(&*column.name) != as_of;
        for column in query.columns.iter().filter(other) {
            writeln!(out, "# \"{TODO}\" = {}   # {}", quoted(&column.name), known(column))?;
        }
        Ok(())
    }
}

fn statement(
    query: &StartingQuery,
    (schema, table): (Option<&str>, &str),
    mark: char,
    subject: Option<&str>,
) -> String {
    let quote =
        |name: &str| format!("{mark}{}{mark}", name.replace(mark, &format!("{mark}{mark}")));
    let columns: Vec<String> = query.columns.iter().map(|column| quote(&column.name)).collect();
    let from = match schema {
        Some(schema) => format!("{}.{}", quote(schema), quote(table)),
        None => quote(table),
    };
    let place = subject.map_or(TODO.to_owned(), quote);
    format!("select {}\nfrom {from}\nwhere {place} in {{subjects}}", columns.join(", "))
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
            let name = name.to_owned();
            let schema = Some(name.clone());
            for (kind, asked) in [
                (
                    "sql",
                    Asked::Sql {
                        schema: schema.clone(),
                        table: name.clone(),
                        rows: Some(3),
                        mark: '"',
                    },
                ),
                ("sql", Asked::Sql { schema, table: name.clone(), rows: None, mark: '`' }),
                ("csv", Asked::File { name: name.clone(), skip_lines: 2 }),
                (
                    "http",
                    Asked::Request { path: name.clone(), rows: vec![name.clone(), "$".into()] },
                ),
            ] {
                let columns = vec![column.clone()];
                let source = SourceText {
                    kind,
                    keys: vec![("url", name.clone())],
                    asks_password: true,
                    queries: vec![StartingQuery { name: "q".to_owned(), asked, columns }],
                    beside: vec![name.clone()],
                };
                let catalogue = Some(name.as_str());
                let starting =
                    Starting { source, subject: None, as_of: None, agency: None, catalogue };
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
