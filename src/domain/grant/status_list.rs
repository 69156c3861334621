//! Token status lists (IETF Token Status List, `statuslist+jwt`): which grants
//! have been revoked.
//!
//! Others' issuers make them too: members that are not known here are passed over, in
//! header and claims, and those that are known are judged strictly.
//!
//! Verifies and looks up; fetching is the business of whoever has a network.
//! A list that is missing, stale or too short means no.

use std::fmt;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use time::{Duration, OffsetDateTime};

use super::base64;
use super::error::GrantError;
use super::fields::{FieldError, Fields};
use super::json::{Json, JsonError};
use super::jws::Jws;
use super::pins::IssuerPins;
use super::verified::LEEWAY;

use crate::domain::now::Now;
use crate::domain::reason::Reason;

/// The members that are read, of the claims and of the list among them.
const MEMBERS: &[&str] = &["sub", "iat", "exp", "ttl", "status_list", "bits", "lst"];

/// The header's `typ`.
pub const TYPE: &str = "statuslist+jwt";

/// Most bytes of a list's token.
pub const MAX_TOKEN_BYTES: usize = 1024 * 1024;

/// Most bytes of an inflated list: eight million grants at one bit each.
pub const MAX_LIST_BYTES: usize = 1024 * 1024;

/// Why a status list is refused; the last good one stays in force until it is
/// stale.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusListError {
    /// Too many bytes, as they came or inflated.
    #[error("the status list is too large")]
    Size,
    /// Not a compact JWS of the right type.
    #[error("the status list is not a signed token of type {TYPE}")]
    Token(#[source] GrantError),
    /// The payload is not strict JSON.
    #[error("the status list cannot be read")]
    Json(#[from] JsonError),
    /// A claim that is missing or malformed.
    #[error("the status list's claims are not as they must be")]
    Claim(#[from] FieldError),
    /// No pinned key of that name.
    #[error("no status key of that name is pinned for `{0}`")]
    Key(String),
    /// The list is about another URI.
    #[error("the status list's `sub` is not `{0}`, from where it was fetched")]
    Subject(String),
    /// Not zlib, or with bytes after it.
    #[error("the status list does not inflate")]
    Inflate,
    /// Issued in the future.
    #[error("the status list's `iat` lies ahead; compare the clocks")]
    NotYetValid,
    /// Its own `exp` has passed.
    #[error("the status list has expired")]
    Expired,
    /// Older than the list that is held.
    #[error("the status list for `{0}` is older than the one already held")]
    Older(String),
}

impl StatusListError {
    /// The stable word for logs and metrics.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Size => Reason::StatusListSize,
            Self::Token(GrantError::Signature) => Reason::StatusListSignature,
            Self::Token(_) => Reason::StatusListToken,
            Self::Json(_) | Self::Claim(_) => Reason::StatusListClaims,
            Self::Key(_) => Reason::StatusListKey,
            Self::Subject(_) => Reason::StatusListSubject,
            Self::Inflate => Reason::StatusListInflate,
            Self::NotYetValid => Reason::StatusListNotYetValid,
            Self::Expired => Reason::StatusListExpired,
            Self::Older(_) => Reason::StatusListOlder,
        }
    }
}

/// A list whose signature holds.
#[derive(Clone)]
pub struct StatusList {
    uri: Box<str>,
    issued_at: OffsetDateTime,
    expires_at: Option<OffsetDateTime>,
    /// Bits of one entry: 1, 2, 4 or 8.
    bits: u8,
    entries: Vec<u8>,
}

impl StatusList {
    /// Verifies a token that was fetched from `uri`, or brought by a gateway
    /// that says so.
    ///
    /// # Errors
    /// [`StatusListError`].
    pub fn verify(
        token: &[u8],
        uri: &str,
        pins: &IssuerPins,
        now: impl Into<Now>,
    ) -> Result<Self, StatusListError> {
        let list = Self::signed(token, uri, pins)?;
        list.check_times(now.into())?;
        Ok(list)
    }

    /// The same, whatever time it is.
    ///
    /// # Errors
    /// [`StatusListError`].
    pub fn signed(token: &[u8], uri: &str, pins: &IssuerPins) -> Result<Self, StatusListError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(StatusListError::Size);
        }
        let text = std::str::from_utf8(token)
            .map_err(|_| StatusListError::Token(GrantError::Form("it is not text")))?;
        // As text editors and tools leave it.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let jws = Jws::parse_open(text).map_err(StatusListError::Token)?;
        if jws.typ != TYPE {
            return Err(StatusListError::Token(GrantError::Type(TYPE)));
        }
        let key = jws.kid.as_ref().and_then(|kid| pins.status_key(uri, kid));
        let key = key.ok_or_else(|| StatusListError::Key(uri.to_owned()))?;
        jws.check(key).map_err(StatusListError::Token)?;
        Self::read(&jws.payload, uri)
    }

    fn read(payload: &[u8], uri: &str) -> Result<Self, StatusListError> {
        let mut top = Fields::new("status list token", Json::parse_known(payload, MEMBERS)?)?;
        if top.text("sub", 255)? != uri {
            return Err(StatusListError::Subject(uri.to_owned()));
        }
        let year_9999 = 253_402_300_799;
        let moment = |seconds| {
            OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
        };
        let issued_at = moment(top.integer("iat", 0..=year_9999)?);
        let expires_at = match top.take("exp") {
            None => None,
            Some(Json::Integer(seconds)) if (0..=year_9999).contains(&seconds) => {
                Some(moment(seconds))
            }
            Some(_) => return Err(top.form("exp", "a time in unix seconds").into()),
        };
        // How long to keep it is for `max_age` to say.
        match top.take("ttl") {
            None => {}
            Some(Json::Integer(seconds)) if seconds > 0 => {}
            Some(_) => return Err(top.form("ttl", "a positive number of seconds").into()),
        }
        let mut list = top.object("status_list")?;
        let bits = match list.integer("bits", 1..=8)? {
            1 => 1,
            2 => 2,
            4 => 4,
            8 => 8,
            _ => return Err(list.form("bits", "1, 2, 4 or 8").into()),
        };
        let deflated = list.parsed_long("lst", "zlib in base64url", base64::decode)?;
        let entries = inflate(&deflated)?;
        Ok(Self { uri: uri.into(), issued_at, expires_at, bits, entries })
    }

    /// Holds its times against the present.
    ///
    /// # Errors
    /// [`StatusListError::NotYetValid`] or [`StatusListError::Expired`].
    pub fn check_times(&self, now: Now) -> Result<(), StatusListError> {
        if self.issued_at > now.earliest.saturating_add(LEEWAY) {
            return Err(StatusListError::NotYetValid);
        }
        if self.expires_at.is_some_and(|end| now.latest >= end) {
            return Err(StatusListError::Expired);
        }
        Ok(())
    }

    /// Whence it is.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// When it was issued.
    pub const fn issued_at(&self) -> OffsetDateTime {
        self.issued_at
    }

    /// Whether it is older than `max_age`, or past its own `exp`.
    pub fn is_stale(&self, now: OffsetDateTime, max_age: Duration) -> bool {
        now - self.issued_at > max_age || self.expires_at.is_some_and(|end| now >= end)
    }

    /// How many entries it has.
    pub const fn len(&self) -> usize {
        self.entries.len() * 8 / self.bits as usize
    }

    /// Whether it has no entry.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry at an index: 0 valid, 1 revoked, 2 suspended, the rest is the
    /// application's. Entries start at each byte's lowest bit.
    pub fn entry(&self, index: u32) -> Option<u8> {
        let per_byte = 8 / u32::from(self.bits);
        let byte = self.entries.get(usize::try_from(index / per_byte).ok()?)?;
        let shift = (index % per_byte) * u32::from(self.bits);
        Some((byte >> shift) & (u8::MAX >> (8 - self.bits)))
    }
}

impl fmt::Debug for StatusList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusList({}, {} entries, iat {})", self.uri, self.len(), self.issued_at)
    }
}

/// Inflates zlib up to the bound. Nothing may follow the stream.
fn inflate(deflated: &[u8]) -> Result<Vec<u8>, StatusListError> {
    let mut entries = vec![0; MAX_LIST_BYTES];
    let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut state = Box::<DecompressorOxide>::default();
    match decompress(&mut state, deflated, &mut entries, 0, flags) {
        (TINFLStatus::Done, read, written) if read == deflated.len() => {
            entries.truncate(written);
            entries.shrink_to_fit();
            Ok(entries)
        }
        (TINFLStatus::HasMoreOutput, ..) => Err(StatusListError::Size),
        _ => Err(StatusListError::Inflate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(bits: u8, entries: Vec<u8>) -> StatusList {
        let uri = "https://example.com/statuslists/1".into();
        let issued_at = OffsetDateTime::UNIX_EPOCH;
        StatusList { uri, issued_at, expires_at: None, bits, entries }
    }

    #[test]
    fn the_drafts_own_examples_are_read() {
        // Token Status List, section 4: 16 statuses of one bit, 12 of two.
        let one = base64::decode("eNrbuRgAAhcBXQ").unwrap();
        let one = list(1, inflate(&one).unwrap());
        let statuses: Vec<u8> = (0..16).map(|at| one.entry(at).unwrap()).collect();
        assert_eq!(statuses, [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
        assert_eq!((one.len(), one.entry(16)), (16, None));
        let two = base64::decode("eNo76fITAAPfAgc").unwrap();
        let two = list(2, inflate(&two).unwrap());
        let statuses: Vec<u8> = (0..12).map(|at| two.entry(at).unwrap()).collect();
        assert_eq!(statuses, [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]);
    }

    #[test]
    fn wider_entries_are_read() {
        let four = list(4, vec![0x21, 0x0f]);
        assert_eq!(
            (0..5).map(|at| four.entry(at)).collect::<Vec<_>>(),
            [Some(1), Some(2), Some(15), Some(0), None]
        );
        assert_eq!(list(8, vec![7]).entry(0), Some(7));
        assert_eq!(list(8, vec![7]).entry(u32::MAX), None);
    }
}
