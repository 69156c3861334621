//! One attempt to open a stream: connected, greeted, and what the agency says of itself held
//! against what is expected; else why not. When to try is the business of [`super::keeper`].

use std::time::Duration;

use crate::domain::reason::Reason;
use crate::link::connect::{ConnectError, Connector};

use super::agreement::Agreement;
use super::stream::{self, Greeted};

/// How long an agency may take to say Hello on a new stream.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// A stream that takes questions, or why there is none, and in words.
pub(super) type Opened = Result<Greeted, (Reason, String)>;

/// Connects to the endpoint at a place among those of its agency, and holds what the agency
/// says of itself against what is expected.
pub(super) async fn open(connector: &Connector, agreement: &Agreement, place: usize) -> Opened {
    let channel = connector.channel().await.map_err(|error| (reason_of(&error), chain(&error)))?;
    let greeted = stream::greet(channel, HELLO_WITHIN).await?;
    agreement.accept(place, &greeted.description)?;
    Ok(greeted)
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words.push_str(": ");
            words.push_str(&cause_words);
        }
        source = cause.source();
    }
    words
}

/// A connection's failure as the reason that a section states.
const fn reason_of(error: &ConnectError) -> Reason {
    match error {
        ConnectError::Address(_) => Reason::BadAddress,
        ConnectError::Unreachable { .. } => Reason::Unreachable,
        ConnectError::TimedOut { .. } => Reason::ConnectTimeout,
        ConnectError::WrongIdentity { .. } => Reason::WrongIdentity,
        ConnectError::Untrusted { .. } => Reason::Untrusted,
        ConnectError::Refused { .. } => Reason::LinkRefused,
        ConnectError::Protocol { .. } => Reason::LinkBroken,
    }
}
