//! Why a file is not taken in the place of the last good one.

use crate::domain::reason::Reason;

/// A file that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// The alarm in the log.
    pub alarm: Reason,
    /// What is wrong and what to do. Holds nothing of the file.
    pub why: String,
}

impl Refused {
    /// It is cut, or still being written.
    pub const fn torn(why: String) -> Self {
        Self { alarm: Reason::SourceTorn, why }
    }

    /// It has far fewer rows than the last good one.
    pub const fn shrank(why: String) -> Self {
        Self { alarm: Reason::SourceShrank, why }
    }

    /// It is not what the mapping says.
    pub const fn form(why: String) -> Self {
        Self { alarm: Reason::SourceSchema, why }
    }
}
