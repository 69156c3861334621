//! Acceptance by a second person: a signed note over the digests of changes, bound to
//! both sides of a comparison and to a last day. Whose key counts is said by the side
//! *before* the change, so that no change names its own acceptor; whoever wrote a commit
//! of the change is none either.

use std::collections::BTreeSet;
use std::fmt;

use time::Date;

use super::acceptors::Acceptors;
use super::change::Change;
use super::digest::digest;
use super::federation::Federation;
use super::lock::day;
use crate::domain::audit::{NoteError, Origin, SigningKey, VerifyingKey};
use crate::domain::catalogue::Catalogue;

const HEADER: &str = "tributary/acceptance/v1";

/// Most changes of one note.
const MOST_CHANGES: usize = 10_000;

/// Who wrote a change, as far as its commits say it.
#[derive(Debug, Clone, Default)]
pub struct Authors {
    /// The addresses, in lower case.
    pub emails: BTreeSet<String>,
    /// Ed25519 keys that signed commits.
    pub keys: BTreeSet<[u8; 32]>,
}

/// What an acceptance says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Digest of the side before.
    pub base: String,
    /// Digest of the side after.
    pub head: String,
    /// Digests of the changes.
    pub changes: BTreeSet<String>,
    /// The day on which it was made.
    pub made: Date,
    /// The last day on which it counts.
    pub until: Date,
    /// Who accepted.
    pub who: String,
    /// Why.
    pub why: String,
}

/// Why an acceptance is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not as `review accept` writes it.
    #[error("it is no acceptance as `tributary review accept` writes it")]
    Form,
    /// Signed by nobody who may.
    #[error("`{0}` is no acceptor by the review.toml of the side before the change")]
    NotNamed(String),
    /// The signature is wrong.
    #[error(
        "it is not signed with the key that review.toml has for `{0}`: it was forged or changed"
    )]
    Forged(String),
    /// It is over.
    #[error("it ended on {0}")]
    Outlived(Date),
    /// It was made for too long, or from a day to come.
    #[error("it counts for {days} days, and at most {most} may be")]
    TooLong {
        /// As it says.
        days: i64,
        /// As review.toml says.
        most: i64,
    },
    /// It is of a day to come.
    #[error("it says that it was made on {0}, which is to come")]
    ToCome(Date),
    /// It is of another comparison.
    #[error("it is for another {0} than the one that is compared")]
    OtherSide(&'static str),
    /// Made by who wrote the change.
    #[error("`{0}` wrote a commit of this change, and nobody accepts their own")]
    Author(String),
    /// There is no signature where one is needed.
    #[error("it is not signed, and review.toml names who may accept: use `review accept --key`")]
    Unsigned,
}

impl Statement {
    /// The text that is signed.
    pub fn text(&self) -> String {
        let mut text = format!("{HEADER}\nbase {}\nhead {}\n", self.base, self.head);
        for change in &self.changes {
            text.push_str(&format!("change {change}\n"));
        }
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        text.push_str(&format!("made {}\nuntil {}\n", self.made, self.until));
        text.push_str(&format!("who {}\nwhy {}\n", line(&self.who), line(&self.why)));
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name).map(str::to_owned);
        field(HEADER).filter(String::is_empty)?;
        let (base, head) = (field("base ")?, field("head ")?);
        let mut changes = BTreeSet::new();
        let made = loop {
            let line = lines.next()?;
            match line.strip_prefix("change ") {
                Some(change) if changes.len() < MOST_CHANGES => changes.insert(change.to_owned()),
                Some(_) => return None,
                None => break line.strip_prefix("made ")?.to_owned(),
            };
        };
        let mut field = |name: &str| lines.next()?.strip_prefix(name).map(str::to_owned);
        let (until, who, why) = (field("until ")?, field("who ")?, field("why ")?);
        let (made, until) = (day(&made)?, day(&until)?);
        let statement = Self { base, head, changes, made, until, who, why };
        (statement.text() == text).then_some(statement)
    }

    /// Signs it under an acceptor's name.
    ///
    /// # Errors
    /// [`NoteError`] for a name that a note cannot have.
    pub fn sign(&self, name: &Origin, key: &SigningKey) -> Result<String, NoteError> {
        key.sign_text(name, &self.text())
    }
}

/// What an acceptance is held against.
#[derive(Debug)]
pub struct Expected<'a> {
    /// Who may, by the side before.
    pub acceptors: &'a Acceptors,
    /// Who wrote the change.
    pub authors: &'a Authors,
    /// Digest of the side before.
    pub base: &'a str,
    /// Digest of the side after.
    pub head: &'a str,
    /// The day.
    pub today: Date,
}

impl Expected<'_> {
    /// Judges a signed note.
    ///
    /// # Errors
    /// Why it accepts nothing.
    pub fn judge(&self, note: &str) -> Result<Statement, Refusal> {
        let signers = VerifyingKey::signers(note).ok_or(Refusal::Form)?;
        let all = &self.acceptors.all;
        let named =
            all.iter().find(|one| signers.iter().any(|name| name == one.key.origin().as_str()));
        let Some(acceptor) = named else {
            return Err(Refusal::NotNamed(signers.join(", ")));
        };
        let name = || acceptor.name.clone();
        let text = acceptor.key.verify_text(note).map_err(|_| Refusal::Forged(name()))?;
        let statement = Statement::parse(&text).ok_or(Refusal::Form)?;
        let own = acceptor.emails.iter().any(|email| self.authors.emails.contains(email))
            || self.authors.keys.contains(acceptor.key.public());
        if own {
            return Err(Refusal::Author(name()));
        }
        for (side, said, is) in
            [("base", &*statement.base, self.base), ("head", &*statement.head, self.head)]
        {
            if said != is {
                return Err(Refusal::OtherSide(side));
            }
        }
        if statement.made > self.today {
            return Err(Refusal::ToCome(statement.made));
        }
        let days = (statement.until - statement.made).whole_days();
        let most = self.acceptors.longest.whole_days();
        if days > most {
            return Err(Refusal::TooLong { days, most });
        }
        if statement.until < self.today {
            return Err(Refusal::Outlived(statement.until));
        }
        Ok(statement)
    }
}

/// SHA-256 of a flow's change: all of it, so that no other has the same.
pub fn digest_of(change: &Change, catalogues: [&Catalogue; 2]) -> String {
    let mut items: Vec<String> = Vec::new();
    for number in change.items.iter() {
        let item = catalogues.iter().find_map(|catalogue| catalogue.item(number));
        items.push(item.map_or_else(|| number.to_string(), |item| item.id.to_string()));
    }
    let bases: Vec<&str> = change.bases.iter().map(|basis| basis.as_str()).collect();
    digest([
        "flow",
        change.class.as_str(),
        change.consumer.as_str(),
        change.purpose.as_str(),
        change.agency.as_str(),
        &bases.join(","),
        &items.join(","),
        &change.detail,
    ])
}

/// SHA-256 of everything that decides in a federation: files, rules, pinned keys.
pub fn digest_of_all(federation: &Federation) -> String {
    let mut parts: Vec<String> = Vec::new();
    for text in &federation.files {
        parts.extend([text.kind.as_str().to_owned(), text.house.clone(), text.text.clone()]);
        parts.push(format!("{:?}", text.public));
    }
    parts.push(federation.gateway.engine.digest().to_string());
    for agency in &federation.agencies {
        let own = agency.own.as_ref().map(|own| own.house.engine.digest().to_string());
        parts.extend([agency.id.to_string(), own.unwrap_or_default()]);
    }
    digest(parts.iter().map(String::as_str))
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} until {}: {}", self.who, self.until, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::super::acceptors::Acceptor;
    use super::*;
    use time::Duration;

    fn key(seed: u8, name: &str) -> (SigningKey, Origin, VerifyingKey) {
        let (key, name): (_, Origin) =
            (SigningKey::from_seed(&[seed; 32]).unwrap(), name.parse().unwrap());
        let public = key.verifying_key(&name).unwrap();
        (key, name, public)
    }

    fn statement(base: &str) -> Statement {
        Statement {
            base: base.to_owned(),
            head: "bb".to_owned(),
            changes: ["c1".to_owned()].into(),
            made: day("2026-11-01").unwrap(),
            until: day("2026-12-31").unwrap(),
            who: "board".to_owned(),
            why: "minutes of\nNovember".to_owned(),
        }
    }

    #[test]
    fn row_73_an_acceptance_counts_only_from_a_second_person_for_this_change_and_its_time() {
        let (signing, name, public) = key(1, "board");
        let emails = BTreeSet::from(["board@city.example".to_owned()]);
        let acceptor = Acceptor { name: "board".to_owned(), key: public.clone(), emails };
        let acceptors = Acceptors { longest: Duration::days(90), all: vec![acceptor] };
        let nobody = Authors::default();
        let today = day("2026-11-30").unwrap();
        let expected =
            Expected { acceptors: &acceptors, authors: &nobody, base: "aa", head: "bb", today };
        let note = statement("aa").sign(&name, &signing).unwrap();
        let valid = expected.judge(&note).unwrap();
        assert_eq!(valid.why, "minutes of November");
        assert!(valid.changes.contains("c1") && !valid.changes.contains("c2"));

        // Somebody else's key under the acceptor's name, and a text changed after signing.
        let (other, ..) = key(2, "board");
        let forged = statement("aa").sign(&name, &other).unwrap();
        assert_eq!(expected.judge(&forged), Err(Refusal::Forged("board".to_owned())));
        let changed = note.replace("change c1", "change c2");
        assert_eq!(expected.judge(&changed), Err(Refusal::Forged("board".to_owned())));
        // A key that nobody named.
        let (stranger, strange, _) = key(3, "stranger");
        let note = statement("aa").sign(&strange, &stranger).unwrap();
        assert_eq!(expected.judge(&note), Err(Refusal::NotNamed("stranger".to_owned())));
        // Of another comparison.
        let note = statement("cc").sign(&name, &signing).unwrap();
        assert_eq!(expected.judge(&note), Err(Refusal::OtherSide("base")));
        // Over, too long, to come.
        let signed = |change: fn(&mut Statement)| {
            let mut statement = statement("aa");
            change(&mut statement);
            statement.sign(&name, &signing).unwrap()
        };
        let over = signed(|statement| statement.until = day("2026-11-29").unwrap());
        assert!(matches!(expected.judge(&over), Err(Refusal::Outlived(_))));
        let long = signed(|statement| statement.until = day("2027-01-31").unwrap());
        assert_eq!(expected.judge(&long), Err(Refusal::TooLong { days: 91, most: 90 }));
        let come = signed(|statement| statement.made = day("2026-12-01").unwrap());
        assert!(matches!(expected.judge(&come), Err(Refusal::ToCome(_))));
        // Their own: by the address, and by the key that signed the commit.
        let note = signed(|_| ());
        let by_address =
            Authors { emails: ["board@city.example".to_owned()].into(), ..Authors::default() };
        let by_key = Authors { keys: [*public.public()].into(), ..Authors::default() };
        for authors in [&by_address, &by_key] {
            let expected = Expected { authors, ..expected };
            assert_eq!(expected.judge(&note), Err(Refusal::Author("board".to_owned())));
        }
        assert_eq!(expected.judge("nothing"), Err(Refusal::Form));
    }
}
