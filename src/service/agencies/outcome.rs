//! What came of a question that was put to an agency.

use std::time::Instant;

use bytes::Bytes;
use tonic::Code;

use crate::domain::reason::Reason;
use crate::wire::grant;

/// What came of one question.
#[derive(Debug)]
pub struct Arrival {
    /// When it came.
    pub at: Instant,
    /// The encoded `FetchSectionResponse`, or why there is none.
    pub outcome: Result<Bytes, Failure>,
}

/// Why a question got no section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The stream ended first. Another may be tried.
    StreamLost,
    /// The process at its end hangs, so the stream was ended. Another endpoint may be
    /// tried.
    Hung,
    /// The answer echoed another request. The stream was ended for it.
    WrongEcho,
    /// The answer has more bytes than a section may have.
    TooLarge,
    /// As many questions are under way as the agency takes.
    WindowFull,
    /// It was not put, for the given reason.
    NoWay(Reason),
    /// The agency does not know the grant by the digest that named it. The question
    /// may be put whole.
    Forgotten,
    /// The agency refused the question.
    Refused {
        /// Its gRPC code.
        code: Code,
        /// Its reason, as it stated it: a stranger's text.
        reason: String,
    },
}

impl Failure {
    /// What an agency's refusal means for a question that named its grant by the
    /// digest, or showed it whole.
    pub fn refused(code: Code, reason: String, named: bool) -> Self {
        match named && grant::is_unknown(code, &reason) {
            true => Self::Forgotten,
            false => Self::Refused { code, reason },
        }
    }

    /// Whether the question may be put again at once, elsewhere or in another form.
    pub const fn may_be_put_again(&self) -> bool {
        matches!(self, Self::StreamLost | Self::Hung | Self::Forgotten)
    }
}
