//! An agency's mapping as it is written: where its database is, and which column
//! answers which item.
//!
//! Shapes only. Whether they fit the catalogue is judged by `source`, and whether
//! they fit the database by `source` too, once there is one to ask.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use toml::Spanned;

mod files;
mod local;
mod secret;
mod sql;
mod web;

pub use files::CsvEntry;
pub use local::{EndpointError, GrpcEntry, LocalEndpoint};
pub use secret::{SecretEntry, SecretError};
pub use sql::{Server, SourceUrl, SqlAddress, SqlEntry, TlsMode, UrlError};
pub use web::{BaseUrl, HttpEntry};

use crate::domain::dates::DateForm;

/// `[source]`: one kind of source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// `[source.sql]`.
    pub sql: Option<Spanned<SqlEntry>>,
    /// `[source.csv]`.
    pub csv: Option<Spanned<CsvEntry>>,
    /// `[source.http]`.
    pub http: Option<Spanned<HttpEntry>>,
    /// `[source.grpc]`.
    pub grpc: Option<Spanned<GrpcEntry>>,
}

impl SourceEntry {
    /// Whether its account may be able to write.
    pub fn may_write(&self) -> bool {
        self.sql.as_ref().is_some_and(|sql| sql.get_ref().account_may_write)
    }

    /// Where it begins in its file.
    pub fn start(&self) -> usize {
        let places = [
            self.sql.as_ref().map(|sql| sql.span().start),
            self.csv.as_ref().map(|csv| csv.span().start),
            self.http.as_ref().map(|http| http.span().start),
            self.grpc.as_ref().map(|grpc| grpc.span().start),
        ];
        places.into_iter().flatten().min().unwrap_or_default()
    }
}

const fn default_pool() -> usize {
    4
}

const fn default_statement_timeout() -> Duration {
    Duration::from_secs(2)
}

const fn default_max_batch() -> usize {
    256
}

/// `[[query]]`: one question that answers many people: a statement, a file, or a
/// request, as the source is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryEntry {
    /// Its name in logs and metrics.
    pub name: Spanned<String>,
    /// The statement, with `{subjects}` where the people belong.
    pub sql: Option<Spanned<String>>,
    /// The file in the source's folder.
    pub file: Option<Spanned<PathBuf>>,
    /// The request's path, with `{subject}` where one person belongs.
    pub path: Option<Spanned<String>>,
    /// The request's JSON, with the string `{subjects}` where all belong.
    pub body: Option<Spanned<String>>,
    /// Where the rows are in the answer, a JSONPath.
    pub rows: Option<Spanned<String>>,
    /// The column that says whose row it is.
    pub subject: Spanned<String>,
    /// How the subjects are bound.
    #[serde(default)]
    pub subject_type: SubjectType,
    /// The column with the day on which the row was true.
    pub as_of: Spanned<String>,
    /// For adverse items: the column with the day on which the fact ended.
    pub ended: Option<Spanned<String>>,
    /// The column that says whether the person disputes the row.
    pub disputed: Option<Spanned<String>>,
    /// The column with the reference of the person's own statement.
    pub statement: Option<Spanned<String>>,
    /// How its columns write days.
    #[serde(default)]
    pub dates: DateForm,
    /// Item id to column.
    pub items: BTreeMap<String, Spanned<ItemEntry>>,
}

impl QueryEntry {
    /// Where what it asks stands in its file.
    pub fn start(&self) -> usize {
        let asked = self.sql.as_ref().or(self.path.as_ref()).map(|text| text.span().start);
        let file = self.file.as_ref().map(|file| file.span().start);
        asked.or(file).unwrap_or_else(|| self.name.span().start)
    }
}

/// As what the people's numbers are bound. What the column is decides: a database
/// that compares a text with a number either refuses or finds others as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectType {
    /// Texts.
    #[default]
    Text,
    /// Whole numbers. Nobody is found whose number is none.
    Integer,
}

/// How one item is read: a column's name alone, or a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemEntry {
    /// The column.
    pub column: String,
    /// What the column writes, to the catalogue's code.
    pub codes: Option<BTreeMap<String, String>>,
    /// The currency of the column's amounts.
    pub currency: Option<String>,
    /// Decimal places by which the column's numbers are shifted: 2 when it holds
    /// hundredths.
    pub scale: Option<u32>,
    /// The unit of the column's numbers, which must be the catalogue's.
    pub unit: Option<String>,
    /// How this column writes days, if otherwise than its query.
    pub dates: Option<DateForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemTable {
    column: String,
    codes: Option<BTreeMap<String, String>>,
    currency: Option<String>,
    scale: Option<u32>,
    unit: Option<String>,
    dates: Option<DateForm>,
}

impl<'de> Deserialize<'de> for ItemEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not `untagged`: that would lose which field of the table is wrong.
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ItemEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column's name, or a table with `column` (item ids stand in quotes)")
            }

            fn visit_str<E: de::Error>(self, column: &str) -> Result<ItemEntry, E> {
                let column = column.to_owned();
                Ok(ItemEntry {
                    column,
                    codes: None,
                    currency: None,
                    scale: None,
                    unit: None,
                    dates: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<ItemEntry, A::Error> {
                let ItemTable { column, codes, currency, scale, unit, dates } =
                    ItemTable::deserialize(MapAccessDeserializer::new(table))?;
                Ok(ItemEntry { column, codes, currency, scale, unit, dates })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_a_name_or_a_table() {
        #[derive(Debug, Deserialize)]
        struct File {
            items: BTreeMap<String, Spanned<ItemEntry>>,
        }
        let text = "[items]\n'a.b.c' = 'x'\n'a.b.d' = { column = 'y', scale = 2 }\n";
        let file: File = toml::from_str(text).unwrap();
        assert_eq!(file.items["a.b.c"].get_ref().column, "x");
        assert_eq!(file.items["a.b.d"].get_ref().scale, Some(2));
        let typo = toml::from_str::<File>("[items]\n'a.b.c' = { column = 'y', curency = 'CNY' }\n");
        assert!(typo.unwrap_err().to_string().contains("unknown field `curency`"));
        let number = toml::from_str::<File>("[items]\n'a.b.c' = 3\n");
        assert!(number.unwrap_err().to_string().contains("a column's name"));
    }
}
