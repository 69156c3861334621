//! A TOML text into its shape, past every fault: what does not fit is noted and
//! replaced by a value that stands in for it, so that the rest is read as well.
//!
//! The shapes derive serde's `Deserialize` as for any other format. It stops at the
//! first fault, so the text is read again after each, until the shape is whole. What
//! was read with a fault is never used, only judged further.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde_spanned::de::{SpannedDeserializer, is_spanned};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::{Faults, child, element, wholes};
use crate::domain::lines::line_at;

/// Texts of the kinds that configuration has. One of them fits where a text belongs.
const STAND_INS: &[&str] = &[
    "stand-in",
    "standin",
    "1s",
    "127.0.0.1:1",
    "spiffe://stand-in.example/agency/stand-in",
    "stand-in.example",
    "[0-9]{8}",
    "https://stand-in.example/",
];

/// Times that a text is read, so that a file of nothing but faults ends too.
const MAX_READS: usize = 2000;

/// Reads a text into its shape. `None`: a fault leaves nothing to go on with.
pub(super) fn read<T: DeserializeOwned>(text: &str, faults: &mut Faults) -> Option<T> {
    let table = parse(text, faults);
    fit(table, faults)
}

/// A text's table, as far as it is one; each of its keys is known to `faults`.
pub(super) fn parse<'a>(text: &'a str, faults: &mut Faults) -> Spanned<DeTable<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let start = error.span().map_or(0, |span| span.start);
        faults.syntax(line_at(text, start), error.message());
    }
    faults.locate(text, table.get_ref());
    table
}

/// A table into its shape.
pub(super) fn fit<T: DeserializeOwned>(
    table: Spanned<DeTable<'_>>,
    faults: &mut Faults,
) -> Option<T> {
    let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    let mut replaced = BTreeMap::new();
    for _ in 0..MAX_READS {
        let node = Node { replaced: &replaced, value: Some(&root), path: String::new(), try_at: 0 };
        let misfit = match T::deserialize(node) {
            Ok(read) => return Some(read),
            Err(misfit) => misfit,
        };
        let path = misfit.path.unwrap_or_default();
        let (key, message, next) = match misfit.kind {
            Kind::Missing(field) => (child(&path, field), "is missing: add it".to_owned(), Some(0)),
            Kind::Unknown(message) => (path, message, None),
            Kind::Value(message) => (path, message, Some(0)),
        };
        if key.is_empty() {
            faults.syntax(1, &message);
            return None;
        }
        let known =
            std::iter::once(&*key).chain(wholes(&key)).any(|key| replaced.contains_key(key));
        if !known {
            faults.add(&key, message);
        }
        match replaced.get_mut(&key) {
            None => _ = replaced.insert(key, next),
            Some(Some(tried)) if *tried + 1 < STAND_INS.len() => *tried += 1,
            Some(_) => return None,
        }
    }
    None
}

/// By which stand-in a key's value is replaced; by none, where a key is passed over.
type Replaced = BTreeMap<String, Option<usize>>;

/// A value of the text, or what stands in for it.
struct Node<'a> {
    replaced: &'a Replaced,
    value: Option<&'a Spanned<DeValue<'a>>>,
    path: String,
    /// The stand-in to begin with, since earlier ones do not fit.
    try_at: usize,
}

impl<'a> Node<'a> {
    fn inner(&self, path: String, value: Option<&'a Spanned<DeValue<'a>>>) -> Self {
        let replaced = self.replaced.get(&path).copied().flatten();
        let value = if replaced.is_some() { None } else { value };
        let try_at = self.try_at + replaced.unwrap_or_default();
        Self { replaced: self.replaced, value, path, try_at }
    }

    fn stand_in(&self) -> &'static str {
        STAND_INS.get(self.try_at % STAND_INS.len()).copied().unwrap_or_default()
    }

    /// The entries of a table, with those of `fields` that something stands in for.
    fn entries(&self, table: Option<&'a DeTable<'a>>, fields: &[&'static str]) -> Entries<'a> {
        let mut entries = Vec::new();
        for (key, value) in table.iter().flat_map(|table| table.iter()) {
            let path = child(&self.path, key.get_ref());
            if self.replaced.get(&path) != Some(&None) {
                entries.push((key.get_ref().to_string(), self.inner(path, Some(value))));
            }
        }
        for field in fields {
            let absent = table.is_none_or(|table| !table.contains_key(*field));
            let path = child(&self.path, field);
            if absent && self.replaced.contains_key(&path) {
                entries.push(((*field).to_owned(), self.inner(path, None)));
            }
        }
        Entries { left: entries.into_iter(), value: None }
    }

    fn elements(&self, array: &'a [Spanned<DeValue<'a>>]) -> Elements<'a> {
        let inner = |(at, value)| self.inner(element(&self.path, at), Some(value));
        Elements(array.iter().enumerate().map(inner).collect::<Vec<_>>().into_iter())
    }
}

/// Calls a visitor with a value of the text, or with what stands in for it.
macro_rules! or_stand_in {
    ($($method:ident => |$node:ident, $visitor:ident| $stand_in:expr,)*) => {$(
        fn $method<V: Visitor<'de>>(self, $visitor: V) -> Result<V::Value, Misfit> {
            if self.value.is_some() {
                return self.deserialize_any($visitor);
            }
            let $node = self;
            $stand_in
        }
    )*};
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let Some(value) = self.value else { return visitor.visit_str(self.stand_in()) };
        match value.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Boolean(value) => visitor.visit_bool(*value),
            DeValue::Datetime(value) => visitor.visit_string(value.to_string()),
            DeValue::Array(array) => visitor.visit_seq(self.elements(array)),
            DeValue::Table(table) => visitor.visit_map(self.entries(Some(table), &[])),
            DeValue::Float(float) => match float.as_str().parse() {
                Ok(value) => visitor.visit_f64(value),
                Err(_) => Err(Misfit::value("is no number")),
            },
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(value) => visitor.visit_i64(value),
                    Err(_) => Err(Misfit::value("is too large a number")),
                }
            }
        }
    }

    or_stand_in! {
        deserialize_bool => |_node, visitor| visitor.visit_bool(false),
        deserialize_i8 => |_node, visitor| visitor.visit_i64(1),
        deserialize_i16 => |_node, visitor| visitor.visit_i64(1),
        deserialize_i32 => |_node, visitor| visitor.visit_i64(1),
        deserialize_i64 => |_node, visitor| visitor.visit_i64(1),
        deserialize_u8 => |_node, visitor| visitor.visit_i64(1),
        deserialize_u16 => |_node, visitor| visitor.visit_i64(1),
        deserialize_u32 => |_node, visitor| visitor.visit_i64(1),
        deserialize_u64 => |_node, visitor| visitor.visit_i64(1),
        deserialize_f32 => |_node, visitor| visitor.visit_f64(1.0),
        deserialize_f64 => |_node, visitor| visitor.visit_f64(1.0),
        deserialize_seq => |node, visitor| visitor.visit_seq(node.elements(&[])),
        deserialize_map => |node, visitor| visitor.visit_map(node.entries(None, &[])),
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.value.is_some() { visitor.visit_some(self) } else { visitor.visit_none() }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if is_spanned(name) {
            let span = self.value.map_or(0..0, Spanned::span);
            return visitor.visit_map(SpannedDeserializer::new(self, span));
        }
        match self.value.map(Spanned::get_ref) {
            None => visitor.visit_map(self.entries(None, fields)),
            Some(DeValue::Table(table)) => visitor.visit_map(self.entries(Some(table), fields)),
            Some(other) => {
                let keys = fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>();
                let (found, keys) = (other.type_str(), keys.join(", "));
                Err(Misfit::value(format!("must be a table with {keys}, not a {found}")))
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let Some(value) = self.value else {
            let first = variants.first().copied().unwrap_or_default();
            return visitor.visit_enum(IntoDeserializer::<Misfit>::into_deserializer(first));
        };
        match value.get_ref() {
            DeValue::String(text) => {
                visitor.visit_enum(IntoDeserializer::<Misfit>::into_deserializer(&**text))
            }
            DeValue::Table(table) if table.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(self.entries(Some(table), &[])))
            }
            other => Err(Misfit::value(format!(
                "must be one of {}, not a {}",
                listed(variants),
                other.type_str()
            ))),
        }
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct identifier
        ignored_any
    }
}

impl IntoDeserializer<'_, Misfit> for Node<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Elements of an array.
struct Elements<'a>(std::vec::IntoIter<Node<'a>>);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        self.0.next().map(|node| within(node, seed)).transpose()
    }
}

/// Entries of a table.
struct Entries<'a> {
    left: std::vec::IntoIter<(String, Node<'a>)>,
    value: Option<Node<'a>>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        let Some((key, node)) = self.left.next() else { return Ok(None) };
        let path = node.path.clone();
        self.value = Some(node);
        let key: StringDeserializer<Misfit> = key.into_deserializer();
        seed.deserialize(key).map(Some).map_err(|misfit| misfit.at(&path))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        match self.value.take() {
            Some(node) => within(node, seed),
            None => Err(Misfit::value("has no value")),
        }
    }
}

fn within<'de, S: DeserializeSeed<'de>>(node: Node<'_>, seed: S) -> Result<S::Value, Misfit> {
    let path = node.path.clone();
    seed.deserialize(node).map_err(|misfit| misfit.at(&path))
}

/// What does not fit, and at which key.
#[derive(Debug)]
struct Misfit {
    path: Option<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Missing(&'static str),
    Unknown(String),
    Value(String),
}

impl Misfit {
    fn value(message: impl Into<String>) -> Self {
        Self { path: None, kind: Kind::Value(message.into()) }
    }

    /// The innermost key is kept.
    fn at(mut self, path: &str) -> Self {
        self.path.get_or_insert_with(|| path.to_owned());
        self
    }
}

impl de::Error for Misfit {
    fn custom<T: Display>(message: T) -> Self {
        let message = message.to_string();
        match message.contains("socket address") {
            true => Self::value("must be an address and a port, such as \"0.0.0.0:7100\""),
            false => Self::value(format!("is refused: {message}")),
        }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::value(format!("must be {}, not {found}", plain(&expected.to_string())))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        let (near, known) = (nearest(found, expected), listed(expected));
        Self::value(format!("must be one of {known}, not `{}`{near}", found.escape_debug()))
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        let message = match nearest(found, expected) {
            near if near.is_empty() => format!("is no key: use one of {}", listed(expected)),
            near => format!("is no key{near}"),
        };
        Self { path: None, kind: Kind::Unknown(message) }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: None, kind: Kind::Missing(field) }
    }
}

impl Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Misfit {}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn nearest(found: &str, known: &[&'static str]) -> String {
    let by_distance = |word: &&&str| strsim::damerau_levenshtein(found, word);
    let close = |word: &&&str| by_distance(word) <= found.chars().count().div_ceil(3);
    let near = known.iter().filter(close).min_by_key(by_distance);
    near.map(|word| format!(": did you mean `{word}`?")).unwrap_or_default()
}

/// What serde expects, in an operator's words.
fn plain(expected: &str) -> &str {
    match expected {
        "a duration" => "a duration with its unit, such as \"500ms\", \"60s\" or \"24h\"",
        "path string" => "a path in quotes",
        "socket address" => "an address and a port, such as \"0.0.0.0:7100\"",
        "a string" => "a text in quotes",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "usize" | "u64" | "u32" => "a whole number, 0 or more",
        "a nonzero usize" | "a nonzero u32" | "a nonzero u64" => "a whole number, 1 or more",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::agency::AgencyConfig;
    use crate::config::file::judge_toml;
    use crate::config::gateway::GatewayConfig;
    use crate::config::mapping::QueryEntry;

    fn told<T: serde::de::DeserializeOwned>(text: &str) -> Vec<String> {
        let (read, faults) = judge_toml::<T>(Path::new("x.toml"), text);
        assert!(read.is_some(), "nothing to go on with: {faults:?}");
        faults.refuse().to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_empty_file_lacks_every_key() {
        let missing = |keys: &[&str]| -> Vec<String> {
            keys.iter().map(|key| format!("x.toml:1: `{key}` is missing: add it")).collect()
        };
        let gateway = ["audit", "catalogue", "grants", "link", "listen", "policy"];
        assert_eq!(told::<GatewayConfig>(""), missing(&gateway));
        let agency = [
            "audit",
            "catalogue",
            "counters",
            "grants",
            "id",
            "link",
            "listen",
            "policy",
            "query",
            "source",
            "subject",
            "title",
        ];
        assert_eq!(told::<AgencyConfig>(""), missing(&agency));
        assert_eq!(told::<QueryEntry>(""), missing(&["as_of", "items", "name", "subject"]));
    }

    #[test]
    fn everything_is_told_at_once() {
        let text = "listen = 'localhost'\ncatalogue = 3\ncolour = 'red'\nid = 'Bad Id'\n\
            enabled = 'yes'\n[link]\ncertificate = 'a'\n[[link.trust]]\nroles = ['agencyy']\n\
            domain = 'x.example'\nanchor = 'a'\n[limits]\nmax_deadline = 60\n\
            max_total = -1\nmax_stream_age = '20'\nmax_inflight = 3\n[grants]\nmax_age = '5 parsecs'\n\
            [[grants.issuer]]\nkeys = [{ kid = 'k' }]\n[subject]\npattern = '('\n";
        let told = told::<AgencyConfig>(text);
        for expected in [
            "1: `audit` is missing: add it",
            "1: `listen` must be an address and a port, such as \"0.0.0.0:7100\"",
            "2: `catalogue` must be a path in quotes, not integer `3`",
            "3: `colour` is no key: use one of `id`, `title`",
            "4: `id` is refused: `Bad Id` is not an agency's name",
            "5: `enabled` must be true or false, not string \"yes\"",
            "6: `link.key` is missing: add it",
            "8: `link.trust[0].anchors` is missing: add it",
            "9: `link.trust[0].roles[0]` must be one of `gateway`, `agency`",
            "11: `link.trust[0].anchor` is no key: did you mean `anchors`?",
            "13: `limits.max_deadline` must be a duration with its unit, such as \"500ms\"",
            "14: `limits.max_total` must be a whole number, 0 or more, not integer `-1`",
            "15: `limits.max_stream_age` must be a duration with its unit",
            "16: `limits.max_inflight` is no key: did you mean `max_in_flight`?",
            "18: `grants.max_age` must be a duration with its unit",
            "19: `grants.issuer[0].id` is missing: add it",
            "20: `grants.issuer[0].keys[0].file` is missing: add it",
            "21: `subject` is refused: pattern `(`",
        ] {
            let expected = format!("x.toml:{expected}");
            assert!(told.iter().any(|line| line.starts_with(&expected)), "{expected}: {told:#?}");
        }
    }

    #[test]
    fn a_text_that_is_no_toml_is_told_with_its_lines() {
        let (read, faults) = judge_toml::<AgencyConfig>(
            Path::new("x.toml"),
            "listen = localhost\ncolour = 'red'\n[grants]\nmax_age = 60s\n",
        );
        assert!(read.is_some());
        let told = faults.refuse().to_string();
        assert_eq!(told.matches("must be quoted").count(), 2, "{told}");
        assert!(told.contains("x.toml:2: `colour` is no key"), "{told}");
        assert!(!told.contains("`listen` must") && !told.contains("max_age"), "{told}");
    }
}
