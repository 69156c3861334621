//! From a place in a text to the line that people count: what every error about a
//! file names.

/// The line, from 1, in which a byte offset lies.
pub fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
