//! How a query's subject column holds people's numbers.

use std::path::PathBuf;

use serde::Deserialize;

/// As what the people's numbers are bound. What the column is decides: a database
/// that compares a text with a number either refuses or finds others as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectType {
    /// Texts.
    #[default]
    Text,
    /// Whole numbers. Nobody is found whose number is none.
    Integer,
}

/// A step from what the column holds to a number as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StepEntry {
    /// The column has blanks around the number.
    Trim,
    /// The column has lower-case letters.
    Upper,
    /// The column has numbers of fifteen digits, as issued before 1999.
    #[serde(rename = "digits15to18")]
    Digits15To18,
    /// The column has lost the zeros in front of numbers of this length.
    ZeroPad(usize),
    /// The column has a hash of the number instead of the number.
    Hash(HashEntry),
}

/// Which hash a column has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashEntry {
    /// The algorithm.
    pub algorithm: HashAlgorithm,
    /// A file with the key's bytes, which nobody else may read.
    pub key_file: Option<PathBuf>,
}

/// A hash, written in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum HashAlgorithm {
    /// HMAC (RFC 2104) with SHA-256.
    #[serde(rename = "hmac-sha-256")]
    HmacSha256,
    /// HMAC with SHA-384.
    #[serde(rename = "hmac-sha-384")]
    HmacSha384,
    /// HMAC with SHA-512.
    #[serde(rename = "hmac-sha-512")]
    HmacSha512,
    /// SHA-256 without a key, which whoever knows all numbers can undo.
    #[serde(rename = "sha-256")]
    Sha256,
}
