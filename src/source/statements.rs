//! A mapping's statement as each database wants it.
//!
//! The mapping's text becomes a subquery, of which only the named columns are
//! read and in a known order. People are bound and never spliced: what is put in
//! the place of `{subjects}` depends on their count alone.

use std::sync::Arc;

use super::Key;
use super::mapping::{Ask, Query, SUBJECTS};
use crate::config::mapping::SubjectType;

/// How a database takes its people.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dialect {
    /// `?, ?, …`; padded to powers of two, so that it sees few statements.
    Sqlite,
    /// The same, with other quotes around names.
    Mysql,
    /// One array.
    Postgres,
}

/// One query's statements.
pub(super) struct Texts {
    /// For 1, 2, 4, 8 … people; one alone where an array is bound.
    by_power: Vec<Arc<str>>,
    /// The mapping's own statement, to learn which columns it has.
    pub whole: Arc<str>,
    pub selected: Vec<Box<str>>,
    pub subjects: SubjectType,
}

impl Texts {
    pub fn new(query: &Query, max_batch: usize, dialect: Dialect) -> Self {
        let (text, subjects) = match &query.ask {
            Ask::Sql { text, subjects } => (&**text, *subjects),
            // A mapping is compiled for one kind of source.
            Ask::File(_) | Ask::Request(_) | Ask::Name => ("", SubjectType::Text),
        };
        let quote = match dialect {
            Dialect::Mysql => '`',
            Dialect::Sqlite | Dialect::Postgres => '"',
        };
        // With a table's name in front, SQLite never takes an unknown column in
        // double quotes for a text.
        let columns: Vec<String> =
            query.selected.iter().map(|column| format!("asked.{quote}{column}{quote}")).collect();
        let columns = columns.join(", ");
        let wrapped = |columns: &str, people: usize| -> Arc<str> {
            // On lines of its own, in case the text ends in a comment.
            let places = dialect.places(people, subjects);
            let text = text.replacen(SUBJECTS, &places, 1);
            format!("select {columns} from (\n{text}\n) as asked").into()
        };
        let powers = match dialect {
            Dialect::Postgres => 0,
            _ => max_batch.next_power_of_two().trailing_zeros(),
        };
        Self {
            by_power: (0..=powers).map(|power| wrapped(&columns, 1 << power)).collect(),
            whole: wrapped("*", 1),
            selected: query.selected.clone(),
            subjects,
        }
    }

    /// How many different statements there are.
    pub fn len(&self) -> usize {
        self.by_power.len()
    }

    /// The statement of the one array.
    pub fn array(&self) -> Option<&Arc<str>> {
        self.by_power.first()
    }

    /// The statement for so many people, and its number of places.
    pub fn padded(&self, people: usize) -> Option<(&Arc<str>, usize)> {
        let power = people.next_power_of_two().trailing_zeros();
        let text = self.by_power.get(usize::try_from(power).ok()?)?;
        Some((text, 1 << power))
    }

    /// Names each selected column that is not among these.
    pub fn missing(&self, names: &[&str], same: fn(&str, &str) -> bool) -> Vec<String> {
        self.selected
            .iter()
            .filter(|wanted| !names.iter().any(|name| same(name, wanted)))
            .map(|wanted| {
                format!(
                    "its answer has no column `{wanted}`, only {}: \
                     correct the mapping or the statement",
                    names.join(", ")
                )
            })
            .collect()
    }
}

impl Dialect {
    fn places(self, people: usize, subjects: SubjectType) -> String {
        let places: Vec<String> = match (self, subjects) {
            (Self::Postgres, SubjectType::Text) => vec!["select unnest($1::text[])".into()],
            (Self::Postgres, SubjectType::Integer) => vec!["select unnest($1::bigint[])".into()],
            (Self::Sqlite | Self::Mysql, _) => vec!["?".into(); people],
        };
        format!("({})", places.join(","))
    }
}

/// The people as whole numbers. Whoever's number is none, or is written
/// otherwise than a database would write it back, is nobody there.
pub(super) fn numbers(people: &[Key]) -> Vec<i64> {
    let canonical = |key: &Key| {
        let number: i64 = key.expose().parse().ok()?;
        (number.to_string() == **key.expose()).then_some(number)
    };
    people.iter().filter_map(canonical).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::sensitive::Sensitive;
    use crate::source::testing::{WHOLE, compile};

    fn texts(dialect: Dialect) -> Texts {
        Texts::new(&compile(WHOLE).unwrap().queries[0], 5, dialect)
    }

    #[test]
    fn statements_are_bound_padded_and_name_their_columns() {
        let sqlite = texts(Dialect::Sqlite);
        assert_eq!(sqlite.len(), 4, "1, 2, 4 and 8 people");
        let (one, _) = sqlite.padded(1).unwrap();
        assert!(one.starts_with("select asked.\"person_id\", asked.\"updated_on\", "));
        assert!(one.contains("where person_id in (?)\n"));
        let (four, places) = sqlite.padded(3).unwrap();
        assert!(four.contains("where person_id in (?,?,?,?)\n") && places == 4);
        let mysql = texts(Dialect::Mysql);
        assert!(mysql.padded(1).unwrap().0.starts_with("select asked.`person_id`, "));
        assert!(mysql.padded(2).unwrap().0.contains("where person_id in (?,?)\n"));
        assert!(mysql.padded(9).is_none());
        let array = texts(Dialect::Postgres);
        assert_eq!(array.len(), 1);
        let text = array.array().unwrap();
        assert!(text.contains("where person_id in (select unnest($1::text[]))\n"), "{text}");
    }

    #[test]
    fn only_a_number_as_it_is_written_is_one() {
        let people: Vec<Key> = ["17", "017", "+1", " 2", "-3", "x", "9223372036854775808"]
            .map(|person| Sensitive::new(person.into()))
            .into();
        assert_eq!(numbers(&people), [17, -3]);
    }

    /// A statement less its quoted names.
    fn bare(text: &str, quote: char) -> String {
        text.split(quote).step_by(2).collect()
    }

    proptest! {
        /// Whatever a mapping calls its columns, a statement is refused or stays
        /// what it is outside of the quotes.
        #[test]
        fn a_columns_name_never_leaves_its_quotes(
            name in proptest::collection::vec(
                prop_oneof![
                    Just("\"".to_owned()), Just("`".to_owned()), Just("'".to_owned()),
                    Just("\\".to_owned()), Just("; drop table job; --".to_owned()),
                    Just("{subjects}".to_owned()), Just("]".to_owned()), "\\PC{1,8}",
                ],
                1..5,
            )
        ) {
            let name = name.concat();
            let quoted = toml::Value::from(name.as_str()).to_string();
            let mapping = compile(&WHOLE.replace("= \"level\"", &format!("= {quoted}")));
            let Ok(mapping) = mapping else { return Ok(()) };
            for (dialect, quote) in
                [(Dialect::Sqlite, '"'), (Dialect::Mysql, '`'), (Dialect::Postgres, '"')]
            {
                let hostile = Texts::new(&mapping.queries[0], 5, dialect);
                let plain = texts(dialect);
                for (hostile, plain) in hostile.by_power.iter().zip(&plain.by_power) {
                    prop_assert_eq!(bare(hostile, quote), bare(plain, quote));
                }
                prop_assert_eq!(&hostile.whole, &plain.whole);
            }
        }
    }
}
