//! Whose row it is: from what a subject column holds to a number as the catalogue
//! has it, and from such a number to everything that the column may hold for it.
//!
//! The database is asked for all of those, so that its indexes keep working; what
//! comes back is brought to the catalogue's form and compared byte for byte. Numbers
//! are never printed: [`masked`] leaves their ends.

use std::borrow::Cow;
use std::fmt::Write;

use aws_lc_rs::digest;
use aws_lc_rs::hmac;

use super::Key;
use super::cell::{Cell, Digits};
use crate::domain::sensitive::Sensitive;
use crate::domain::subject::gb11643_check_character;

/// Forms of one number at most; a chain of steps that has more is not asked in full,
/// and `agency check` says so.
pub(super) const MAX_FORMS: usize = 32;

/// Blanks behind a number that are asked for. More of them are found by no question:
/// the sample finds those.
const BLANKS: usize = 2;

/// Letters of a number at most whose case is asked both ways.
const LETTERS: usize = 3;

/// One step from the column to the catalogue.
#[derive(Debug)]
pub(super) enum SubjectStep {
    /// Blanks around the number go.
    Trim,
    /// Letters become capitals.
    Upper,
    /// Fifteen digits become eighteen.
    Digits15To18,
    /// Zeros come in front, up to so many characters.
    ZeroPad(usize),
    /// The column holds a hash: the number is hashed, and the hashes are compared.
    Hash(Hash),
}

/// How a number is hashed.
pub(super) enum Hash {
    /// With a key.
    Keyed(Box<hmac::Key>),
    /// Without one.
    Plain(&'static digest::Algorithm),
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

impl Hash {
    /// Of a number, in lower-case hexadecimal digits.
    fn of(&self, number: &str) -> String {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        match self {
            Self::Keyed(key) => hex(hmac::sign(key, number.as_bytes()).as_ref()),
            Self::Plain(algorithm) => hex(digest::digest(algorithm, number.as_bytes()).as_ref()),
        }
    }

    /// Hexadecimal digits of every hash.
    fn length(&self) -> usize {
        match self {
            Self::Keyed(key) => 2 * key.algorithm().digest_algorithm().output_len(),
            Self::Plain(algorithm) => 2 * algorithm.output_len(),
        }
    }
}

/// A subject column's form: its steps in order.
#[derive(Debug, Default)]
pub(super) struct SubjectForm {
    steps: Vec<SubjectStep>,
}

impl SubjectForm {
    pub fn new(steps: Vec<SubjectStep>) -> Self {
        Self { steps }
    }

    fn hash(&self) -> Option<&Hash> {
        self.steps.iter().find_map(|step| match step {
            SubjectStep::Hash(hash) => Some(hash),
            _ => None,
        })
    }

    /// What a row of this person is known by: the number, or its hash.
    pub fn key(&self, person: &str) -> Box<str> {
        match self.hash() {
            Some(hash) => hash.of(person).into(),
            None => person.into(),
        }
    }

    /// What a row is known by whose subject this is; `None` when the cell is no number
    /// in this form.
    pub fn of_cell<'a>(&self, cell: Cell<'a>) -> Option<Cow<'a, str>> {
        let mut text = match cell {
            Cell::Text(text) => Cow::Borrowed(text),
            Cell::Integer(number) => Cow::Owned(Digits::of(number).ok()?.as_str().to_owned()),
            _ => return None,
        };
        for step in &self.steps {
            text = match step {
                SubjectStep::Trim => match text.trim() {
                    trimmed if trimmed.len() == text.len() => text,
                    trimmed => Cow::Owned(trimmed.to_owned()),
                },
                SubjectStep::Upper if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                    Cow::Owned(text.to_ascii_uppercase())
                }
                SubjectStep::Upper => text,
                SubjectStep::Digits15To18 => lengthened(&text).map_or(text, Cow::Owned),
                SubjectStep::ZeroPad(width) if is_number(&text) && text.len() < *width => {
                    Cow::Owned(format!("{text:0>width$}", width = *width))
                }
                SubjectStep::ZeroPad(_) => text,
                SubjectStep::Hash(_) => Cow::Owned(text.to_ascii_lowercase()),
            };
        }
        Some(text)
    }

    /// Everything that the column may hold for a person.
    pub fn asked(&self, person: &str) -> Vec<Key> {
        let mut forms: Vec<String> = vec![person.to_owned()];
        for step in self.steps.iter().rev() {
            let mut before: Vec<String> = Vec::with_capacity(forms.len());
            for form in &forms {
                step.before(form, &mut before);
            }
            before.dedup();
            before.truncate(MAX_FORMS);
            forms = before;
        }
        let key = self.key(person);
        let mut keys: Vec<Key> = Vec::with_capacity(forms.len());
        for form in forms {
            // What would come back as somebody else's spoils the answer for all.
            let comes_back = self.of_cell(Cell::Text(&form)).is_some_and(|back| *back == *key);
            if comes_back && !keys.iter().any(|key| **key.expose() == *form) {
                keys.push(Sensitive::new(form.into()));
            }
        }
        keys
    }

    /// Forms of one number, at most.
    pub fn most(&self) -> usize {
        let each = |step: &SubjectStep| match step {
            SubjectStep::Trim => BLANKS + 2,
            SubjectStep::Upper => 1 << LETTERS,
            SubjectStep::Digits15To18 | SubjectStep::ZeroPad(_) | SubjectStep::Hash(_) => 2,
        };
        self.steps.iter().map(each).fold(1, usize::saturating_mul).min(MAX_FORMS)
    }

    /// Whether what a column holds could be found: a number of the federation's form
    /// that is asked for as it stands there.
    pub fn is_found(&self, cell: Cell<'_>, holds: &dyn Fn(&str) -> bool) -> bool {
        let written = match cell {
            Cell::Text(text) => Cow::Borrowed(text),
            Cell::Integer(number) => match Digits::of(number) {
                Ok(digits) => Cow::Owned(digits.as_str().to_owned()),
                Err(_) => return false,
            },
            _ => return false,
        };
        let Some(key) = self.of_cell(cell) else { return false };
        if let Some(hash) = self.hash() {
            let shape = key.len() == hash.length() && key.bytes().all(|b| b.is_ascii_hexdigit());
            let one_case = !(written.bytes().any(|byte| byte.is_ascii_lowercase())
                && written.bytes().any(|byte| byte.is_ascii_uppercase()));
            return shape && one_case && written.trim() == written;
        }
        holds(&key) && self.asked(&key).iter().any(|asked| **asked.expose() == *written)
    }
}

impl SubjectStep {
    /// Everything that becomes `form` by this step.
    fn before(&self, form: &str, into: &mut Vec<String>) {
        into.push(form.to_owned());
        match self {
            Self::Trim => {
                into.extend((1..=BLANKS).map(|blanks| format!("{form}{:blanks$}", "")));
                into.push(format!(" {form}"));
            }
            Self::Upper => cases(form, into),
            Self::Digits15To18 => into.extend(shortened(form)),
            Self::ZeroPad(width) if form.len() == *width && is_number(form) => {
                let bare = form.trim_start_matches('0');
                into.push(if bare.is_empty() { "0" } else { bare }.to_owned());
            }
            Self::ZeroPad(_) => {}
            Self::Hash(hash) => {
                // The number itself stands nowhere.
                into.pop();
                let hash = hash.of(form);
                into.push(hash.to_ascii_uppercase());
                into.push(hash);
            }
        }
    }
}

/// A number's letters in either case: each way where they are few, all of them small
/// where they are many.
fn cases(form: &str, into: &mut Vec<String>) {
    let letters: Vec<usize> =
        form.char_indices().filter(|(_, c)| c.is_ascii_uppercase()).map(|(at, _)| at).collect();
    if letters.len() > LETTERS {
        into.push(form.to_ascii_lowercase());
        return;
    }
    for way in 1..1_usize << letters.len() {
        let small = |at: usize| {
            letters.iter().position(|letter| *letter == at).is_some_and(|bit| way >> bit & 1 == 1)
        };
        let mixed = form.char_indices().map(|(at, c)| match small(at) {
            true => c.to_ascii_lowercase(),
            false => c,
        });
        into.push(mixed.collect());
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Fifteen digits with their century and check character (GB 11643-1999): the numbers
/// of before 1999 are of people of the twentieth century.
fn lengthened(short: &str) -> Option<String> {
    if short.len() != 15 || !is_number(short) {
        return None;
    }
    let (region, rest) = short.split_at_checked(6)?;
    let seventeen = format!("{region}19{rest}");
    let check = gb11643_check_character(&seventeen)?;
    Some(format!("{seventeen}{check}"))
}

/// The fifteen digits that become this number, if there are any.
fn shortened(long: &str) -> Option<String> {
    let (region, rest) = long.split_at_checked(6)?;
    let (digits, _) = rest.strip_prefix("19")?.split_at_checked(9)?;
    let short = format!("{region}{digits}");
    (lengthened(&short).as_deref() == Some(long)).then_some(short)
}

/// What may be shown of a number: its first and last two characters, with blanks and
/// what cannot be seen made visible.
pub(super) fn masked(cell: Cell<'_>) -> String {
    let text = match cell {
        Cell::Text(text) => text.to_owned(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(_) => return "a binary fraction".to_owned(),
        Cell::Decimal(_) => return "a decimal number".to_owned(),
        Cell::Null => return "NULL".to_owned(),
        Cell::Bool(_) | Cell::Date(_) | Cell::Moment(_) | Cell::Broken(_) | Cell::Other => {
            return "a value of another kind, such as bytes".to_owned();
        }
    };
    let seen: Vec<char> = text.chars().take(65).collect();
    let bare = seen.iter().filter(|c| !c.is_whitespace()).count();
    let mut shown = String::new();
    let mut number = 0;
    for c in &seen {
        if c.is_whitespace() {
            shown.push('\u{2420}');
            continue;
        }
        number += 1;
        // Of a short one nothing is shown, lest it be guessed.
        let end = bare >= 10 && (number <= 2 || number + 2 > bare);
        match c {
            c if c.is_control() => shown.push('\u{fffd}'),
            c if end || !c.is_alphanumeric() => shown.push(*c),
            c if c.is_ascii_lowercase() => shown.push('x'),
            c if c.is_ascii_uppercase() => shown.push('X'),
            _ => shown.push('#'),
        }
    }
    if text.chars().nth(65).is_some() {
        let _ = write!(shown, "…");
    }
    shown
}

#[cfg(test)]
mod tests;
