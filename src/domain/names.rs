//! Names that requests, grants, policies and records share.
//!
//! Each is printable ASCII of a bounded length: a record's size has a limit, and
//! nothing in it can break a line of an export. What may stand in a request or a grant is
//! narrower, and checked where those are read.

use std::fmt;

use crate::domain::reason::Reason;

/// Why a text cannot stand in a record. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Empty or too long.
    #[error("a {what} in the audit log has 1 to {limit} bytes, this one has {length}")]
    Length {
        /// Which text.
        what: &'static str,
        /// The most that it may have.
        limit: usize,
        /// What it has.
        length: usize,
    },
    /// A character outside printable ASCII.
    #[error("a {what} in the audit log has printable ASCII characters alone")]
    Character {
        /// Which text.
        what: &'static str,
    },
}

macro_rules! bounded_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Most bytes.
            pub const LIMIT: usize = $limit;

            /// Holds a text against the bounds.
            ///
            /// # Errors
            /// [`TextError`] when it is empty, too long or not printable ASCII.
            pub fn new(text: &str) -> Result<Self, TextError> {
                if text.is_empty() || text.len() > Self::LIMIT {
                    return Err(TextError::Length {
                        what: $what,
                        limit: Self::LIMIT,
                        length: text.len(),
                    });
                }
                if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
                    return Err(TextError::Character { what: $what });
                }
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                Self::new(text)
            }
        }
    };
}

bounded_text!(
    /// The id that gateway and agencies share for one request.
    RequestId, "request id", 64
);
bounded_text!(
    /// The id of the grant under which a request was made.
    GrantId, "grant id", 64
);
bounded_text!(
    /// The id of a policy's rule.
    RuleId, "rule id", 100
);
bounded_text!(
    /// The stable word for a refusal, such as `NOTHING_PERMITTED`.
    ReasonWord, "reason", 64
);

impl RequestId {
    /// An id made of random bytes, for a request that came without one.
    pub fn of_random(bytes: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(bytes)).into())
    }
}

impl From<Reason> for ReasonWord {
    /// What is written; that a record may say more is because a log outlives the program
    /// that wrote it.
    fn from(reason: Reason) -> Self {
        Self(reason.as_str().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_fits_into_a_record() {
        for reason in Reason::ALL {
            assert_eq!(ReasonWord::new(reason.as_str()), Ok((*reason).into()));
        }
    }
}
