//! A grant as it travels: `jwt~disclosure~…~disclosure~` (RFC 9901, section 4).
//!
//! Bounded before anything is decoded. A key-binding JWT at the end is refused:
//! the consumer's proof of request travels elsewhere.

use aws_lc_rs::digest::{SHA256, digest};

use super::error::GrantError;

/// Most bytes of a whole grant: one over every item of a full catalogue, from all
/// the agencies that hold it, fits.
pub const MAX_BYTES: usize = 64 * 1024;

/// Most disclosures of a grant: 64 agencies and the gateway's own.
pub const MAX_DISCLOSURES: usize = 65;

/// SHA-256 over the exact bytes of a presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PresentationDigest(pub [u8; 32]);

impl PresentationDigest {
    /// Digests a presentation's exact bytes.
    pub fn of(presentation: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, presentation).as_ref());
        Self(bytes)
    }
}

/// A grant cut at its tildes; nothing in it has been believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presentation<'a> {
    text: &'a str,
    jwt: &'a str,
    disclosures: Vec<&'a str>,
}

impl<'a> Presentation<'a> {
    /// Cuts a presentation into its parts.
    ///
    /// # Errors
    /// [`GrantError::Size`] or [`GrantError::Form`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, GrantError> {
        if bytes.len() > MAX_BYTES {
            return Err(GrantError::Size);
        }
        let allowed =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let text = std::str::from_utf8(bytes)
            .ok()
            .filter(|text| text.as_bytes().iter().all(allowed))
            .ok_or(GrantError::Form("it has characters other than base64url, '.' and '~'"))?;
        let body = text
            .strip_suffix('~')
            .ok_or(GrantError::Form("it does not end in '~'; key binding is not supported"))?;
        let mut parts = body.split('~');
        let jwt = parts.next().unwrap_or_default();
        let disclosures: Vec<&str> = parts.take(MAX_DISCLOSURES + 1).collect();
        if disclosures.len() > MAX_DISCLOSURES {
            return Err(GrantError::Size);
        }
        if disclosures.iter().any(|part| part.is_empty() || part.contains('.')) {
            return Err(GrantError::Form("a disclosure is empty or has a '.'"));
        }
        Ok(Self { text, jwt, disclosures })
    }

    /// The whole text.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The signed part.
    pub const fn jwt(&self) -> &'a str {
        self.jwt
    }

    /// The disclosures, encoded.
    pub fn disclosures(&self) -> &[&'a str] {
        &self.disclosures
    }
}
