//! Every reason for which something is refused, fails or is raised as an alarm: one
//! closed enum, from which refusals, sections, records, log lines and the pages in
//! `docs/errors` come.
//!
//! To add one, write a row in [`table`] and its page, and let
//! `REASONS=overwrite cargo test --test architecture reason` write the page's facts and
//! the index. Nothing else in `src` writes a reason as text.

use std::fmt;
use std::time::Duration;

use super::section::status::SectionStatus;

/// Makes the enum of the rows in `table`.
macro_rules! reasons {
    ($(
        $(#[doc = $meaning:literal])+
        $name:ident = $word:literal, $code:ident, $retry:expr, $actor:ident, $reach:ident;
    )+) => {
        /// A reason. Its word is stable: programs go by it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $meaning])+ $name,)+
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            pub(super) const fn row(self) -> super::Row {
                match self {
                    $(Self::$name => super::Row {
                        word: $word,
                        code: super::GrpcCode::$code,
                        retry: $retry,
                        actor: super::Actor::$actor,
                        reach: super::Reach::$reach,
                        meaning: concat!($($meaning),+),
                        page: include_str!(
                            concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors/", $word, ".md")
                        ),
                    },)+
                }
            }
        }
    };
}

mod table;

pub use table::Reason;

/// What the table says of a reason.
struct Row {
    word: &'static str,
    code: GrpcCode,
    retry: Option<Duration>,
    actor: Actor,
    reach: Reach,
    meaning: &'static str,
    page: &'static str,
}

/// Asking again does not help before somebody has acted.
const NEVER: Option<Duration> = None;

/// It is expected to pass by itself: ask again after so many milliseconds.
const fn after(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis))
}

/// A gRPC code, with its number in google.rpc.Code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrpcCode {
    /// The caller gave up.
    Cancelled = 1,
    /// The request is wrong whatever the state of the server.
    InvalidArgument = 3,
    /// The time is over.
    DeadlineExceeded = 4,
    /// There is no such thing.
    NotFound = 5,
    /// Something else has this name already.
    AlreadyExists = 6,
    /// The caller may not have it.
    PermissionDenied = 7,
    /// There is no room now.
    ResourceExhausted = 8,
    /// Something must be set right first.
    FailedPrecondition = 9,
    /// The server has no such thing.
    Unimplemented = 12,
    /// The server is at fault.
    Internal = 13,
    /// Not now.
    Unavailable = 14,
    /// Nobody knows who the caller is.
    Unauthenticated = 16,
}

impl GrpcCode {
    /// The code as the gRPC documents write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

/// Who must act before it goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// It passes by itself.
    Nobody,
    /// Whoever asked.
    Caller,
    /// Whoever issued the grant or publishes the status list.
    Issuer,
    /// Whoever administers the agency.
    Agency,
    /// Whoever wrote the agency's server.
    AgencyDevelopers,
    /// Whoever runs the gateway.
    Gateway,
    /// Whoever wrote the policy.
    PolicyOwner,
    /// Whoever runs the process that reports it.
    Operator,
    /// The operators of both ends of a link.
    Both,
    /// Whoever wrote the program that sent the message.
    Developers,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::Caller => "the caller",
            Self::Issuer => "the issuer",
            Self::Agency => "the agency's administrator",
            Self::AgencyDevelopers => "the developers of the agency's server",
            Self::Gateway => "the gateway's operator",
            Self::PolicyOwner => "the policy's owner",
            Self::Operator => "the operator of the process that reports it",
            Self::Both => "the operators of both ends",
            Self::Developers => "the developers of the sender",
        })
    }
}

/// Who states it, and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Reach {
    /// An agency may state it of a section or an exchange; the gateway passes it on.
    Agency,
    /// A process of ours states it of itself, or a gateway of an agency.
    Ours,
    /// It stands in logs and audit records alone.
    Log,
}

impl Reason {
    /// The stable word for programs.
    pub const fn as_str(self) -> &'static str {
        self.row().word
    }

    /// The reason with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
    }

    /// The reason with this word, if it is one that an agency may state: a stranger's
    /// text gets neither into answers nor into logs.
    pub fn stated_by_agency(word: &str) -> Option<Self> {
        Self::from_word(word).filter(|reason| matches!(reason.row().reach, Reach::Agency))
    }

    /// The gRPC code of a refusal for it.
    pub const fn code(self) -> GrpcCode {
        self.row().code
    }

    /// After how long to ask again; `None` when asking again does not help.
    pub const fn retry_after(self) -> Option<Duration> {
        self.row().retry
    }

    /// Who must act.
    pub const fn actor(self) -> Actor {
        self.row().actor
    }

    /// Whether it stands in logs and audit records alone.
    pub const fn is_logged_alone(self) -> bool {
        matches!(self.row().reach, Reach::Log)
    }

    /// What a section is called that fails for it.
    pub const fn section_status(self) -> SectionStatus {
        match self.row().code {
            GrpcCode::Unavailable | GrpcCode::ResourceExhausted => SectionStatus::Unavailable,
            GrpcCode::DeadlineExceeded => SectionStatus::Timeout,
            GrpcCode::PermissionDenied | GrpcCode::Unauthenticated | GrpcCode::AlreadyExists => {
                SectionStatus::Denied
            }
            _ => SectionStatus::Invalid,
        }
    }

    /// What it means, in a sentence or two.
    pub fn meaning(self) -> &'static str {
        self.row().meaning.trim_start()
    }

    /// Its page, in Markdown.
    pub const fn page(self) -> &'static str {
        self.row().page
    }

    /// What its page begins with: what the table says of it.
    pub fn facts(self) -> String {
        let actor = self.actor();
        if self.is_logged_alone() {
            return format!("**Where:** in logs alone. **Who must act:** {actor}.");
        }
        let (code, status) = (self.code().as_str(), self.section_status().as_str());
        let again = match self.retry_after() {
            Some(wait) => format!("after {wait:?}"),
            None => "no".to_owned(),
        };
        format!(
            "**gRPC code:** {code}. **Section status:** {status}. **Ask again:** {again}. \
             **Who must act:** {actor}."
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_one_reason_and_is_the_variants_own() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_word(reason.as_str()), Some(*reason));
            let name = format!("{reason:?}");
            assert_eq!(reason.as_str().replace('_', ""), name.to_uppercase());
        }
        assert_eq!(Reason::from_word("<script>"), None);
    }

    #[test]
    fn what_passes_by_itself_is_unavailable_and_says_when_to_ask_again() {
        for reason in Reason::ALL {
            let again = reason.retry_after();
            let passing =
                matches!(reason.code(), GrpcCode::Unavailable | GrpcCode::ResourceExhausted);
            assert!(passing || again.is_none(), "{reason}");
            if again.is_some() {
                assert_eq!(reason.section_status(), SectionStatus::Unavailable, "{reason}");
            }
            assert_ne!(again, Some(Duration::ZERO), "{reason}");
        }
        let transient =
            [Reason::GrantStatusStale, Reason::CounterDown, Reason::AuditDown, Reason::SourceDown];
        for reason in transient {
            assert_eq!(reason.code(), GrpcCode::Unavailable);
            assert!(reason.retry_after().is_some(), "{reason}");
        }
        assert_eq!(Reason::GrantRevoked.retry_after(), None);
    }

    #[test]
    fn an_agency_states_what_is_its_own_to_state() {
        assert_eq!(Reason::stated_by_agency("SOURCE_DOWN"), Some(Reason::SourceDown));
        for word in ["AGENCY_FAILING", "NOT_CONFIGURED", "LOG_UNSEEN", "source_down", ""] {
            assert_eq!(Reason::stated_by_agency(word), None, "{word}");
        }
    }
}
