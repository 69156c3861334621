//! The status of a section: a word, and nothing of what the section holds.

/// The one status of a section. `NoRecord` (the agency knows nothing of the
/// person) is never confused with `Unavailable` (nobody knows), and neither is a
/// fact about the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SectionStatus {
    /// Answered.
    Ok,
    /// The agency refused.
    Denied,
    /// The agency holds nothing about this person.
    NoRecord,
    /// No answer in the time given.
    Timeout,
    /// The agency or its source could not be reached.
    Unavailable,
    /// What came was not an answer to what was asked.
    Invalid,
}

impl SectionStatus {
    /// All of them. A record has a status by its place here.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Denied, Self::NoRecord, Self::Timeout, Self::Unavailable, Self::Invalid];

    /// The status as people and JSON read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Denied => "DENIED",
            Self::NoRecord => "NO_RECORD",
            Self::Timeout => "TIMEOUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Invalid => "INVALID",
        }
    }

    /// Whether the agency has said all that it knows.
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Ok | Self::NoRecord)
    }
}
