//! A mapping's statement as each database wants it, wrapped so that every row of its
//! answer says which statement and which batch it answers.
//!
//! The mapping's text becomes a subquery, of which only the named columns are read and
//! in a known order. It is joined to one row that always comes, so that the answer about
//! nobody has a row as well; `proof` reads what the wrapping adds. People are bound and
//! never spliced: what is put in the place of `{subjects}` depends on their count alone.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use regex_lite::Regex;

use super::Key;
use super::query::{Ask, Query};
use super::sample::SAMPLED_ROWS;
use crate::config::mapping::{SUBJECTS, SubjectType};

/// Columns that stand before those of the mapping: label, nonce, the row's place, the
/// count of rows, and whether it is a row of the mapping's statement at all.
pub(super) const PROOF_COLUMNS: usize = 5;

/// How a database takes its people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `?, ?, …`; padded to powers of two, so that it sees few statements.
    Sqlite,
    /// The same, with other quotes around names.
    Mysql,
    /// One array.
    Postgres,
}

/// One statement as it is sent.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub text: Arc<str>,
    /// How many people it takes; one where an array is bound.
    pub places: usize,
    /// What its answer proves itself by; the first value bound is then the batch's nonce.
    /// One without it is asked in a session of its own.
    pub mark: Option<Mark>,
}

/// By what an answer is known as that of one statement.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    /// Its query's number and its digest, which stand in it as a literal.
    pub label: Arc<str>,
    /// The name of each column of its answer, which holds the digest too: a driver
    /// reads cells by a description that may come apart from them.
    pub names: Arc<[Box<str>]>,
}

/// One query's statements.
pub(super) struct Texts {
    dialect: Dialect,
    /// They prove whose answer comes.
    pub wrapped: bool,
    /// For 1, 2, 4, 8 … people; one alone where an array is bound.
    by_power: Vec<Statement>,
    /// The mapping's own statement, to learn which columns it has.
    pub whole: Arc<str>,
    /// A sample of its rows, about anybody; takes one person, who plays no part.
    pub sample: Option<Statement>,
    pub selected: Vec<Box<str>>,
    pub subjects: SubjectType,
}

impl Statement {
    /// Wraps a statement that gives these columns. `asker` names it in its literal, and
    /// is a query's number or a word of ours.
    pub fn wrap(
        dialect: Dialect,
        asker: &str,
        columns: &[Box<str>],
        (text, places): (&str, usize),
    ) -> Self {
        let quote = dialect.quote();
        // With a table's name in front, SQLite never takes an unknown column in double
        // quotes for a text.
        let mut inner = String::from("select 1 as present");
        for (at, column) in columns.iter().enumerate() {
            let _ = write!(inner, ", asked.{quote}{column}{quote} as c{at}");
        }
        // On lines of its own, in case the text ends in a comment.
        let _ = write!(inner, " from (\n{text}\n) as asked{}", dialect.fence());
        let digest = tag(asker, &inner);
        let label = format!("{asker}:{digest}");
        let names: Arc<[Box<str>]> =
            (0..PROOF_COLUMNS + columns.len()).map(|at| format!("t{digest}_{at}").into()).collect();
        let (label_as_text, nonce) = match dialect {
            Dialect::Sqlite => (format!("'{label}'"), "?"),
            Dialect::Mysql => (format!("'{label}'"), "cast(? as signed)"),
            Dialect::Postgres => (format!("'{label}'::text"), "$1::bigint"),
        };
        let proof = ["proof.label", "proof.nonce", "row_number() over ()", "count(*) over ()"];
        let proof = proof.map(str::to_owned).into_iter().chain(["answer.present".to_owned()]);
        let answer = (0..columns.len()).map(|at| format!("answer.c{at}"));
        let selected: Vec<String> = proof
            .chain(answer)
            .zip(&*names)
            .map(|(column, name)| format!("{column} as {name}"))
            .collect();
        let text = format!(
            "select {} from (select {label_as_text} as label, {nonce} as nonce) as proof \
             left join ({inner}) as answer on true",
            selected.join(", ")
        );
        Self { text: text.into(), places, mark: Some(Mark { label: label.into(), names }) }
    }
}

/// 64 bits of the digest of what is asked.
fn tag(asker: &str, inner: &str) -> String {
    let text = format!("tributary statement\n{asker}\n{inner}");
    let mut tag = String::with_capacity(16);
    for byte in digest(&SHA256, text.as_bytes()).as_ref().iter().take(8) {
        let _ = write!(tag, "{byte:02x}");
    }
    tag
}

impl Texts {
    pub fn new(number: usize, query: &Query, max_batch: usize, dialect: Dialect) -> Self {
        let (text, subjects, is_wrapped) = match &query.ask {
            Ask::Sql { text, subjects, wrapped } => (&**text, *subjects, *wrapped),
            // A mapping is compiled for one kind of source.
            Ask::File(_) | Ask::Request(_) | Ask::Name => ("", SubjectType::Text, true),
        };
        let asked = |people: usize| {
            let places = dialect.places(people, subjects, is_wrapped);
            text.replacen(SUBJECTS, &places, 1)
        };
        let powers = match dialect {
            Dialect::Postgres => 0,
            _ => max_batch.next_power_of_two().trailing_zeros(),
        };
        let number = number.to_string();
        let wrapped = |power: u32| {
            let places = 1 << power;
            if !is_wrapped {
                return Statement { text: asked(places).into(), places, mark: None };
            }
            Statement::wrap(dialect, &number, &query.selected, (&asked(places), places))
        };
        let one = asked(1);
        let whole = match dialect {
            _ if !is_wrapped => one,
            // Run, not prepared, so that it leaves nothing in a session: it gives one row.
            Dialect::Postgres => format!(
                "select $1::bigint, asked.* from (select 1) as one \
                 left join (select * from (\n{one}\n) as asked offset 0) as asked on true limit 1"
            ),
            _ => format!("select * from (\n{one}\n) as asked"),
        };
        Self {
            dialect,
            wrapped: is_wrapped,
            by_power: (0..=powers).map(wrapped).collect(),
            whole: whole.into(),
            sample: sample(text, dialect, subjects)
                .filter(|_| is_wrapped)
                .map(|text| Statement::wrap(dialect, "sample", &query.selected, (&text, 1))),
            selected: query.selected.clone(),
            subjects,
        }
    }

    /// How many different statements there are.
    pub fn len(&self) -> usize {
        self.by_power.len()
    }

    /// The statement for so many people.
    pub fn statement(&self, people: usize) -> Option<&Statement> {
        let power = match self.dialect {
            Dialect::Postgres => 0,
            _ => people.next_power_of_two().trailing_zeros(),
        };
        self.by_power.get(usize::try_from(power).ok()?)
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

/// The mapping's statement about anybody with a number, a bounded part of its rows.
/// `None` where the people are compared in a way that cannot be turned.
fn sample(text: &str, dialect: Dialect, subjects: SubjectType) -> Option<String> {
    static BOUND: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)(\bnot\s+)?(\bin|=\s*any)\s*\{subjects\}").ok());
    let found = BOUND.as_ref()?.captures(text)?;
    if found.get(1).is_some() {
        return None;
    }
    let whole = found.get(0)?;
    let (before, after) = (text.get(..whole.start())?, text.get(whole.end()..)?);
    let person = match (dialect, subjects) {
        (Dialect::Postgres, SubjectType::Text) => "$2::text[]",
        (Dialect::Postgres, SubjectType::Integer) => "$2::bigint[]",
        (Dialect::Sqlite | Dialect::Mysql, _) => "?",
    };
    Some(format!(
        "select * from (\n{before} is not null{after}\n) as sampled \
         where {person} is not null limit {SAMPLED_ROWS}"
    ))
}

impl Dialect {
    const fn quote(self) -> char {
        match self {
            Self::Mysql => '`',
            Self::Sqlite | Self::Postgres => '"',
        }
    }

    /// Keeps what the statement computes to the rows that it finds. PostgreSQL would
    /// compute it for every row that it reads, since it is joined.
    const fn fence(self) -> &'static str {
        match self {
            Self::Postgres => " offset 0",
            Self::Sqlite | Self::Mysql => "",
        }
    }

    fn places(self, people: usize, subjects: SubjectType, wrapped: bool) -> String {
        let kind = match subjects {
            SubjectType::Text => "text",
            SubjectType::Integer => "bigint",
        };
        match self {
            // The first value bound is the nonce, if there is one.
            Self::Postgres => format!("(select unnest(${}::{kind}[]))", 1 + u8::from(wrapped)),
            Self::Sqlite | Self::Mysql => format!("({})", vec!["?"; people].join(",")),
        }
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
        Texts::new(0, &compile(WHOLE).unwrap().queries[0], 5, dialect)
    }

    #[test]
    fn statements_are_bound_padded_and_name_their_columns() {
        let sqlite = texts(Dialect::Sqlite);
        assert_eq!(sqlite.len(), 4, "1, 2, 4 and 8 people");
        let one = &sqlite.statement(1).unwrap().text;
        assert!(one.contains("asked.\"person_id\" as c0, asked.\"updated_on\" as c1, "), "{one}");
        assert!(one.contains("where person_id in (?)\n"));
        let four = sqlite.statement(3).unwrap();
        assert!(four.text.contains("where person_id in (?,?,?,?)\n") && four.places == 4);
        let mysql = texts(Dialect::Mysql);
        assert!(mysql.statement(1).unwrap().text.contains("asked.`person_id` as c0, "));
        assert!(mysql.statement(2).unwrap().text.contains("where person_id in (?,?)\n"));
        assert!(mysql.statement(9).is_none());
        let array = texts(Dialect::Postgres);
        assert_eq!(array.len(), 1);
        let text = &array.statement(200).unwrap().text;
        assert!(text.contains("where person_id in (select unnest($2::text[]))\n"), "{text}");
    }

    #[test]
    fn a_statement_holds_its_number_and_its_digest_and_no_other_has_them() {
        let mapping = compile(WHOLE).unwrap();
        let other = compile(&WHOLE.replace("from job", "from jobs")).unwrap();
        let mut labels = std::collections::BTreeSet::new();
        for (number, mapping) in [(0, &mapping), (1, &mapping), (0, &other)] {
            for dialect in [Dialect::Sqlite, Dialect::Mysql, Dialect::Postgres] {
                let texts = Texts::new(number, &mapping.queries[0], 5, dialect);
                for statement in &texts.by_power {
                    let Mark { label, names } = statement.mark.as_ref().unwrap();
                    let literal = format!("'{label}'");
                    assert!(statement.text.contains(&literal), "{}", statement.text);
                    assert!(label.starts_with(&format!("{number}:")));
                    let (_, digest) = label.split_once(':').unwrap();
                    assert!(names.iter().all(|name| name.contains(digest)));
                    labels.insert(Arc::clone(label));
                }
            }
        }
        assert_eq!(labels.len(), 3 * (4 + 4 + 1), "each statement has one of its own");
    }

    #[test]
    fn a_sample_is_of_the_same_statement_about_anybody() {
        let text = |sql: &str| sample(sql, Dialect::Sqlite, SubjectType::Text);
        let turned = text("select a from t where p.a IN {subjects} and b > 1 -- all").unwrap();
        assert!(turned.contains("\nselect a from t where p.a  is not null and b > 1 -- all\n"));
        assert!(turned.ends_with("where ? is not null limit 1000"), "{turned}");
        assert!(
            text("select a from t where a = any{subjects}").unwrap().contains("a  is not null")
        );
        for odd in ["select a from t where a not in {subjects}", "select a from f({subjects})"] {
            assert_eq!(text(odd), None, "{odd}");
        }
    }

    #[test]
    fn only_a_number_as_it_is_written_is_one() {
        let people: Vec<Key> = ["17", "017", "+1", " 2", "-3", "x", "9223372036854775808"]
            .map(|person| Sensitive::new(person.into()))
            .into();
        assert_eq!(numbers(&people), [17, -3]);
    }

    /// A statement less its quoted names, and with one digest for all.
    fn bare(statement: &Statement, quote: char) -> String {
        let (_, digest) = statement.mark.as_ref().unwrap().label.split_once(':').unwrap();
        statement.text.replace(digest, "digest").split(quote).step_by(2).collect()
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
                let hostile = Texts::new(0, &mapping.queries[0], 5, dialect);
                let plain = texts(dialect);
                for (hostile, plain) in hostile.by_power.iter().zip(&plain.by_power) {
                    prop_assert_eq!(bare(hostile, quote), bare(plain, quote));
                }
                prop_assert_eq!(&hostile.whole, &plain.whole);
            }
        }
    }
}
