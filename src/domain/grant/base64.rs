//! base64url without padding (RFC 7515, section 2), canonical form only.

use data_encoding::BASE64URL_NOPAD;

/// Encodes bytes.
pub fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Decodes a text; `None` for padding, other alphabets, line breaks and stray
/// bits at the end, so that each value has one text.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

/// Decodes a text of exactly `N` bytes.
pub fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}
