//! From a place in a text to the line that people count: what every error about a
//! file names.

/// The line, from 1, in which a byte offset lies.
pub fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    memchr::memchr_iter(b'\n', before).count() + 1
}
