//! The closed lists that rules and requests choose from, beside the catalogue:
//! purposes, legal bases, agencies, consumers.
//!
//! What stands in none of these lists is denied without asking any rule.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::catalogue::AgencyId;
use crate::domain::peer::SpiffeId;

/// What an operator allows rules and requests to name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// What profiles may be asked for.
    pub purposes: BTreeSet<Purpose>,
    /// Who may ask.
    pub consumers: BTreeSet<SpiffeId>,
    /// Who may be asked.
    #[serde(default)]
    pub agencies: BTreeSet<AgencyId>,
}

/// Code of a purpose, such as `credit_profile`: lower-case letters, digits, '_'.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Purpose(Box<str>);

impl Purpose {
    /// The code, if it has the right form and at most 64 characters.
    pub fn new(code: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let fits = code.len() <= 64
            && code.starts_with(|first: char| first.is_ascii_lowercase())
            && code.bytes().all(allowed);
        fits.then(|| Self(code.into()))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Purpose {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        Self::new(&code).ok_or_else(|| {
            format!(
                "`{}` is not a purpose: use at most 64 lower-case letters, digits and '_'",
                code.escape_default()
            )
        })
    }
}

impl From<Purpose> for String {
    fn from(purpose: Purpose) -> Self {
        purpose.0.into()
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
        Self::ALL
            .into_iter()
            .find(|basis| basis.as_str() == text)
            .ok_or_else(|| UnknownBasis(text.escape_default().to_string()))
    }
}
