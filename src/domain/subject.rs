//! The data subject's identifier: the citizen-card number.
//!
//! Its format is configuration: a pattern and an optional check digit. A refused
//! number is never repeated in the error.

use serde::Deserialize;

use super::sensitive::Sensitive;

/// Longest accepted identifier, in bytes. Grants will pad to 64.
pub const MAX_BYTES: usize = 64;

/// A citizen-card number that fits its format.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Sensitive<Box<str>>);

impl Subject {
    /// The number itself; see [`Sensitive::expose`].
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// A keyed tag of the data subject for audit logs: whoever holds the key can tell whose
/// records these are, nobody else. The one in a grant is another in every grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubjectTag(Sensitive<[u8; 32]>);

impl SubjectTag {
    /// Takes a tag that was made with the key.
    pub const fn new(tag: [u8; 32]) -> Self {
        Self(Sensitive::new(tag))
    }

    /// The tag itself; see [`Sensitive::expose`].
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// A check digit over the number's characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckDigit {
    /// GB 11643-1999, annex A: ISO 7064 MOD 11-2 over the first 17 digits of 18
    /// characters, the last one of 0–9 or X.
    Gb11643,
}

/// Why a number is refused. Never holds the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// There is none.
    #[error("the subject is empty")]
    Empty,
    /// Longer than any card number.
    #[error("the subject is longer than {MAX_BYTES} bytes")]
    Length,
    /// A control character or another character outside printable ASCII.
    #[error("the subject has a character outside printable ASCII")]
    Character,
    /// Does not fit the configured pattern.
    #[error("the subject does not fit the configured pattern")]
    Pattern,
    /// The last character is not the right check digit.
    #[error("the subject's check digit is wrong")]
    CheckDigit,
}

/// The format of card numbers.
#[derive(Debug, Clone)]
pub struct SubjectFormat {
    pattern: regex_lite::Regex,
    check_digit: Option<CheckDigit>,
}

impl SubjectFormat {
    /// A format whose pattern must fit the whole number.
    ///
    /// # Errors
    /// The pattern's own fault.
    pub fn new(pattern: &str, check_digit: Option<CheckDigit>) -> Result<Self, regex_lite::Error> {
        let pattern = regex_lite::Regex::new(&format!("^(?:{pattern})$"))?;
        Ok(Self { pattern, check_digit })
    }

    /// Holds a text against the format.
    ///
    /// # Errors
    /// The first thing that is wrong, without the text.
    pub fn parse(&self, text: &str) -> Result<Subject, SubjectError> {
        if text.is_empty() {
            return Err(SubjectError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(SubjectError::Length);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SubjectError::Character);
        }
        if !self.pattern.is_match(text) {
            return Err(SubjectError::Pattern);
        }
        if self.check_digit == Some(CheckDigit::Gb11643) && !gb11643_holds(text) {
            return Err(SubjectError::CheckDigit);
        }
        Ok(Subject(Sensitive::new(text.into())))
    }
}

/// The GB 11643 check character for 17 digits; `None` if they are not that.
pub fn gb11643_check_character(digits: &str) -> Option<char> {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    if digits.len() != WEIGHTS.len() {
        return None;
    }
    let sum = digits
        .chars()
        .zip(WEIGHTS)
        .map(|(digit, weight)| digit.to_digit(10).map(|digit| digit * weight))
        .sum::<Option<u32>>()?;
    "10X98765432".chars().nth((sum % 11) as usize)
}

fn gb11643_holds(text: &str) -> bool {
    let mut characters = text.chars();
    let last = characters.next_back();
    last.is_some() && gb11643_check_character(characters.as_str()) == last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format() -> SubjectFormat {
        SubjectFormat::new("[0-9]{17}[0-9X]", Some(CheckDigit::Gb11643)).unwrap()
    }

    #[test]
    fn the_standards_own_example_holds() {
        // GB 11643-1999 prints this example in its annex; it is nobody's number.
        assert_eq!(gb11643_check_character("11010519491231002"), Some('X'));
    }

    #[test]
    fn each_fault_has_its_own_name() {
        let format = format();
        assert_eq!(format.parse(""), Err(SubjectError::Empty));
        assert_eq!(format.parse(&"1".repeat(65)), Err(SubjectError::Length));
        assert_eq!(format.parse("99000019900101001\n"), Err(SubjectError::Character));
        assert_eq!(format.parse("' or 1=1 --"), Err(SubjectError::Character));
        assert_eq!(format.parse("'or1=1--"), Err(SubjectError::Pattern));
        let right = gb11643_check_character("99000019900101001").unwrap();
        assert!(format.parse(&format!("99000019900101001{right}")).is_ok());
        let wrong = if right == '1' { '2' } else { '1' };
        assert_eq!(
            format.parse(&format!("99000019900101001{wrong}")),
            Err(SubjectError::CheckDigit)
        );
    }

    #[test]
    fn neither_error_nor_debug_repeats_the_number() {
        let number = "990000199001010011";
        let error = format().parse(number).map(|subject| format!("{subject:?}"));
        assert!(!format!("{error:?}").contains("19900101"));
    }
}
