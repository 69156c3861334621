//! What a profile is asked for, and on what legal ground: the words that grants,
//! policies and records share. Ceilings of purposes are `grant`'s business.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A purpose's code: 1 to 64 lower-case letters, digits and '_'.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PurposeCode(Box<str>);

impl PurposeCode {
    /// The code, if it has the right form.
    pub fn new(code: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        (code.len() <= 64
            && code.starts_with(|first: char| first.is_ascii_lowercase())
            && code.bytes().all(allowed))
        .then(|| Self(code.into()))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PurposeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PurposeCode {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        Self::new(&code).ok_or_else(|| {
            format!(
                "`{}` is not a purpose's code: use at most 64 lower-case letters, digits and '_'",
                code.escape_default()
            )
        })
    }
}

impl From<PurposeCode> for String {
    fn from(code: PurposeCode) -> Self {
        code.0.into()
    }
}

/// On what legal ground a profile is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegalBasis {
    /// The data subject agreed.
    Consent,
    /// The data subject agreed in writing, for the conditional items.
    WrittenConsent,
    /// A statute says so.
    Statute,
}

impl LegalBasis {
    /// Every basis there is.
    pub const ALL: [Self; 3] = [Self::Consent, Self::WrittenConsent, Self::Statute];

    /// The basis's word in grants and rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::WrittenConsent => "written_consent",
            Self::Statute => "statute",
        }
    }

    /// The basis with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|basis| basis.as_str() == name)
    }
}

impl fmt::Display for LegalBasis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no legal basis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a legal basis: use consent, written_consent or statute")]
pub struct UnknownBasis(String);

impl FromStr for LegalBasis {
    type Err = UnknownBasis;

    fn from_str(text: &str) -> Result<Self, UnknownBasis> {
        Self::from_name(text).ok_or_else(|| UnknownBasis(text.escape_default().to_string()))
    }
}
