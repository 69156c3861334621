//! An agency's mapping as it is written: where its database is, and which column
//! answers which item.
//!
//! Shapes only. Whether they fit the catalogue is judged by `source`, and whether
//! they fit the database by `source` too, once there is one to ask.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use toml::Spanned;

/// `[source]`: one kind of source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceEntry {
    /// `[source.sql]`.
    pub sql: Spanned<SqlEntry>,
}

/// `[source.sql]`: a database that is asked with SQL.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlEntry {
    /// Where it is; a relative path starts at the folder of this file.
    pub url: Spanned<SourceUrl>,
    /// Connections at most.
    #[serde(default = "default_pool")]
    pub pool: usize,
    /// The longest that one statement may run.
    #[serde(default = "default_statement_timeout", with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// People in one statement at most.
    #[serde(default = "default_max_batch")]
    pub max_batch: usize,
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

/// `[[query]]`: one statement that answers many people.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryEntry {
    /// Its name in logs and metrics.
    pub name: Spanned<String>,
    /// The statement, with `{subjects}` where the people belong.
    pub sql: Spanned<String>,
    /// The column that says whose row it is.
    pub subject: Spanned<String>,
    /// The column with the day on which the row was true.
    pub as_of: Spanned<String>,
    /// For adverse items: the column with the day on which the fact ended.
    pub ended: Option<Spanned<String>>,
    /// The column that says whether the person disputes the row.
    pub disputed: Option<Spanned<String>>,
    /// The column with the reference of the person's own statement.
    pub statement: Option<Spanned<String>>,
    /// Item id to column.
    pub items: BTreeMap<String, Spanned<ItemEntry>>,
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemTable {
    column: String,
    codes: Option<BTreeMap<String, String>>,
    currency: Option<String>,
    scale: Option<u32>,
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
                Ok(ItemEntry { column, codes: None, currency: None, scale: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<ItemEntry, A::Error> {
                let ItemTable { column, codes, currency, scale } =
                    ItemTable::deserialize(MapAccessDeserializer::new(table))?;
                Ok(ItemEntry { column, codes, currency, scale })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Where a database is. It may hold a password, so it prints its scheme alone.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SourceUrl(String);

/// Why a database's address is refused. Never holds the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another kind of database.
    #[error("`{0}:` is not a kind of database that can be asked yet: use `sqlite:` and a file")]
    Scheme(String),
    /// No file, or one in memory.
    #[error("the address names no file: write `sqlite:folder/file.db`")]
    File,
    /// Something after a question mark.
    #[error(
        "the address has parameters after `?`: remove them, the connection is always read-only"
    )]
    Parameters,
}

impl SourceUrl {
    /// An address as written.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    fn scheme(&self) -> &str {
        let (scheme, _) = self.0.split_once(':').unwrap_or_default();
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        // Without a scheme, what stands before a colon may well be a password.
        if scheme.len() <= 12 && scheme.bytes().all(word) { scheme } else { "" }
    }

    /// The file of an SQLite database; a relative path starts at `folder`.
    ///
    /// # Errors
    /// What is wrong, without the address.
    pub fn sqlite_file(&self, folder: &Path) -> Result<PathBuf, UrlError> {
        let Some(path) = self.0.strip_prefix("sqlite:") else {
            return Err(UrlError::Scheme(self.scheme().to_owned()));
        };
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.contains('?') {
            return Err(UrlError::Parameters);
        }
        if path.is_empty() || path == ":memory:" || path.contains('\0') {
            return Err(UrlError::File);
        }
        Ok(folder.join(path))
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[redacted]", self.scheme())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_its_scheme_alone() {
        let url = SourceUrl::new("postgres://reader:hunter2@db/hr");
        assert_eq!(format!("{url:?}"), "postgres:[redacted]");
        assert_eq!(format!("{:?}", SourceUrl::new("Hunter2:db")), ":[redacted]");
        let refused = url.sqlite_file(Path::new(".")).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
        assert!(refused.to_string().contains("`postgres:`"), "{refused}");
    }

    #[test]
    fn a_relative_file_starts_at_the_mappings_folder() {
        let file = |url: &str| SourceUrl::new(url).sqlite_file(Path::new("/etc/tributary"));
        assert_eq!(file("sqlite:../data/x.db"), Ok("/etc/tributary/../data/x.db".into()));
        assert_eq!(file("sqlite://data/x.db"), Ok("/etc/tributary/data/x.db".into()));
        assert_eq!(file("sqlite:/var/x.db"), Ok("/var/x.db".into()));
        assert_eq!(file("sqlite:"), Err(UrlError::File));
        assert_eq!(file("sqlite::memory:"), Err(UrlError::File));
        assert_eq!(file("sqlite:x.db?mode=rwc"), Err(UrlError::Parameters));
    }

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
