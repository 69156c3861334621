//! How one item, or `disputed`, is read from its column: a name alone, or a table.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

use crate::domain::dates::DateForm;

/// How one item is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct ItemEntry {
    /// The column.
    pub column: String,
    /// What the column writes, to the catalogue's code; of a boolean, to `true` and
    /// `false`.
    pub codes: Option<BTreeMap<String, String>>,
    /// What the column of a boolean writes for yes.
    #[serde(rename = "true", default)]
    pub yes: Vec<String>,
    /// What it writes for no.
    #[serde(rename = "false", default)]
    pub no: Vec<String>,
    /// The currency of the column's amounts.
    pub currency: Option<String>,
    /// Decimal places by which the column's numbers are shifted: 2 when it holds
    /// hundredths.
    pub scale: Option<u32>,
    /// Decimal places to which its numbers are rounded, halves away from zero.
    #[serde(alias = "round")]
    pub places: Option<u32>,
    /// What stands between its thousands.
    pub thousands: Option<char>,
    /// What stands before its decimal places, if no point.
    pub decimal: Option<char>,
    /// What stands before or behind its amounts, such as `¥`.
    pub symbol: Option<String>,
    /// Its numbers are hundredths that end in `%`.
    #[serde(default)]
    pub percent: bool,
    /// The unit of the column's numbers, which must be the catalogue's.
    pub unit: Option<String>,
    /// How this column writes days, if otherwise than its query.
    pub dates: Option<DateForm>,
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
                Ok(ItemEntry { column: column.to_owned(), ..ItemEntry::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<ItemEntry, A::Error> {
                // The derived reading of the table.
                ItemEntry::deserialize(MapAccessDeserializer::new(table))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use toml::Spanned;

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
