//! JSON, read strictly: what signs and what is signed must mean one thing only.
//!
//! Refuses duplicate keys, fractions, deep nesting and crowded objects, all of
//! which `serde_json` alone would take. A document of another party's format, which may
//! grow, is read for the members that are known, and these as strictly. Knows nothing of
//! grants.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Deepest nesting of lists and objects.
pub const MAX_DEPTH: usize = 6;

/// Most members that one object may have. Keeps the search for duplicates short.
pub const MAX_MEMBERS: usize = 48;

/// Most entries of one list: a whole catalogue fits.
pub const MAX_ENTRIES: usize = 512;

/// Why bytes are not strict JSON. The text names the place, never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not strict JSON ({0}): use whole numbers, each key once, and little nesting")]
pub struct JsonError(String);

/// A strict JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits 64 bits with sign.
    Integer(i64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object in the order of its text, each key once.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value that takes up all the bytes.
    ///
    /// # Errors
    /// [`JsonError`] at the first thing that is not strict.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        Self::read(bytes, None)
    }

    /// As [`Json::parse`], without the members of objects that are not among `known`,
    /// whatever they hold.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parse_known(bytes: &[u8], known: &'static [&'static str]) -> Result<Self, JsonError> {
        Self::read(bytes, Some(known))
    }

    fn read(bytes: &[u8], known: Option<&'static [&'static str]>) -> Result<Self, JsonError> {
        let fault = |error: serde_json::Error| JsonError(error.to_string());
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Node { depth: 0, known }.deserialize(&mut reader).map_err(fault)?;
        reader.end().map_err(fault)?;
        Ok(value)
    }
}

/// One value at a depth.
struct Node {
    depth: usize,
    /// The members that are read, where not all are.
    known: Option<&'static [&'static str]>,
}

impl Node {
    fn inner<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom("nested too deeply"));
        }
        Ok(Self { depth: self.depth + 1, known: self.known })
    }
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a strict JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Json, E> {
        i64::try_from(value).map(Json::Integer).map_err(|_| E::custom("a number is too large"))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Json, E> {
        Err(E::custom("a number is not whole"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element_seed(self.inner()?)? {
            if entries.len() == MAX_ENTRIES {
                return Err(A::Error::custom("a list is too long"));
            }
            entries.push(entry);
        }
        Ok(Json::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some(key) = object.next_key::<String>()? {
            if self.known.is_some_and(|known| !known.contains(&key.as_str())) {
                object.next_value::<IgnoredAny>()?;
                continue;
            }
            if members.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom("a key stands twice"));
            }
            if members.len() == MAX_MEMBERS {
                return Err(A::Error::custom("an object has too many members"));
            }
            members.push((key, object.next_value_seed(self.inner()?)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ambiguous_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            "1.0",
            "1e3",
            "9223372036854775808",
            "[[[[[[[0]]]]]]]",
            "{} {}",
            "{}x",
            "",
            "\"\\ud800\"",
            "{\"a\":NaN}",
        ] {
            assert!(Json::parse(text.as_bytes()).is_err(), "{text} was accepted");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
        let crowded: Vec<String> = (0..=MAX_MEMBERS).map(|n| format!("\"{n}\":0")).collect();
        assert!(Json::parse(format!("{{{}}}", crowded.join(",")).as_bytes()).is_err());
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_the_rest_as_strict() {
        let known = &["a", "b"];
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        let crowd: Vec<String> = (0..999).map(|n| format!("\"n{n}\":1.5")).collect();
        let text = format!(
            r#"{{"x":1.5,"a":{{"y":1e300,"b":1}},"z":{deep},"x":{{"q":1,"q":2}},{}}}"#,
            crowd.join(",")
        );
        let inner = Json::Object(vec![("b".to_owned(), Json::Integer(1))]);
        let read = Json::parse_known(text.as_bytes(), known).unwrap();
        assert_eq!(read, Json::Object(vec![("a".to_owned(), inner)]));
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"a":{"b":1.5}}"#,
            r#"{"x":1"#,
            r#"{"x":nonsense}"#,
            r#"{"x":1}{}"#,
        ] {
            assert!(Json::parse_known(text.as_bytes(), known).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn ordinary_values_are_read() {
        let value = Json::parse(br#" {"a":[-1,true,null],"b":"\u00e9"} "#).unwrap();
        let list = Json::List(vec![Json::Integer(-1), Json::Bool(true), Json::Null]);
        let members = vec![("a".to_owned(), list), ("b".to_owned(), Json::Text("é".to_owned()))];
        assert_eq!(value, Json::Object(members));
    }
}
