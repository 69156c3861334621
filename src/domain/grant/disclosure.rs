//! What one disclosure says: an agency's items, period and sealed subject, or
//! the gateway's tag of the subject.
//!
//! A disclosure means something only once its digest stands among the signed
//! ones; `signed` sees to that.

use aws_lc_rs::digest::{SHA256, digest as hash};
use time::Date;

use super::base64;
use super::fields::{FieldError, Fields};
use super::json::{Json, JsonError};
use super::subject::SealedSubject;
use crate::domain::catalogue::AgencyId;
use crate::domain::item::CAPACITY;
use crate::domain::subject::SubjectTag;

/// The claim name of the gateway's disclosure. It starts with '_', so that no
/// agency can bear it.
pub const GATEWAY_CLAIM: &str = "_gateway";

/// Why a disclosure is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DisclosureFault {
    /// Its digest is not among the signed ones.
    #[error("its digest is not among the signed ones")]
    NotSigned,
    /// It stands twice, or two speak for one agency.
    #[error("two disclosures are the same or speak for the same agency")]
    Twice,
    /// There is none for this receiver.
    #[error("the gateway needs its own disclosure and at least one agency's")]
    Missing,
    /// Not canonical base64url, or no array of three.
    #[error("it is not [salt, name, value] in canonical base64url")]
    Form,
    /// JSON that is not strict.
    #[error("it cannot be read")]
    Json(#[from] JsonError),
    /// A member that is missing, unknown or malformed.
    #[error("its value is not as it must be")]
    Field(#[from] FieldError),
    /// Its name is neither the gateway's nor an agency's, or differs from its value.
    #[error("its name is neither the gateway's nor that of the agency in its value")]
    Name,
}

/// The first and the last day of the records that may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
}

/// What is granted from one agency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgencyDisclosure {
    /// The agency.
    pub agency: AgencyId,
    /// Ids of items, each once.
    pub items: Vec<Box<str>>,
    /// The period of the records.
    pub period: Period,
    /// The subject, sealed to the agency.
    pub subject: SealedSubject,
}

/// One disclosure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disclosure {
    /// For an agency.
    Agency(AgencyDisclosure),
    /// For the gateway alone.
    Gateway(SubjectTag),
}

/// The digest under which a disclosure is signed: over its encoded text.
pub fn digest(encoded: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash(&SHA256, encoded.as_bytes()).as_ref());
    bytes
}

impl Disclosure {
    /// Reads a disclosure from its encoded text.
    ///
    /// # Errors
    /// [`DisclosureFault`], about form alone.
    pub fn parse(encoded: &str) -> Result<Self, DisclosureFault> {
        let bytes = base64::decode(encoded).ok_or(DisclosureFault::Form)?;
        let Json::List(parts) = Json::parse(&bytes)? else {
            return Err(DisclosureFault::Form);
        };
        let Ok([Json::Text(salt), Json::Text(name), value]) = <[Json; 3]>::try_from(parts) else {
            return Err(DisclosureFault::Form);
        };
        // Salts hide guessable contents: less than 128 bits would not.
        if !base64::decode(&salt).is_some_and(|salt| (16..=64).contains(&salt.len())) {
            return Err(DisclosureFault::Form);
        }
        let mut fields = Fields::new("disclosure", value)?;
        let disclosure = if name == GATEWAY_CLAIM {
            let tag =
                fields.parsed("subject_tag", "32 bytes in base64url", base64::decode_exact)?;
            Self::Gateway(SubjectTag::new(tag))
        } else {
            let disclosure = agency(&mut fields)?;
            if disclosure.agency.as_str() != name {
                return Err(DisclosureFault::Name);
            }
            Self::Agency(disclosure)
        };
        fields.finish()?;
        Ok(disclosure)
    }
}

fn agency(fields: &mut Fields) -> Result<AgencyDisclosure, DisclosureFault> {
    let agency = fields.parsed("agency", "an agency's name", AgencyId::new)?;
    let entries = fields.list("items")?;
    let expected = "a list of 1 to 512 item ids, each once";
    let mut items: Vec<Box<str>> = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry {
            Json::Text(id) if is_item_id(&id) => items.push(id.into()),
            _ => return Err(fields.form("items", expected).into()),
        }
    }
    items.sort_unstable();
    let total = items.len();
    items.dedup();
    if items.is_empty() || items.len() != total || total > usize::from(CAPACITY) {
        return Err(fields.form("items", expected).into());
    }
    let mut range = fields.object("range")?;
    let period = Period {
        from: range.parsed("from", "a date as YYYY-MM-DD", parse_date)?,
        to: range.parsed("to", "a date as YYYY-MM-DD", parse_date)?,
    };
    if period.from > period.to {
        return Err(range.form("to", "a day not before `from`").into());
    }
    range.finish()?;
    let subject = SealedSubject::from_fields(fields.object("subject")?)?;
    Ok(AgencyDisclosure { agency, items, period, subject })
}

fn is_item_id(id: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.')
    };
    !id.is_empty() && id.len() <= 128 && id.bytes().all(allowed)
}

/// Reads `YYYY-MM-DD`.
pub fn parse_date(text: &str) -> Option<Date> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    // The length keeps signs and long years out.
    (text.len() == 10 && text.starts_with(|first: char| first.is_ascii_digit()))
        .then(|| Date::parse(text, format).ok())
        .flatten()
}
