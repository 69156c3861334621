//! Who may accept a change of a federation, as its `review.toml` names them.

use std::collections::BTreeSet;

use time::Duration;

use crate::domain::audit::VerifyingKey;

/// Who may accept a change, as a federation's `review.toml` says it.
#[derive(Debug, Clone, Default)]
pub struct Acceptors {
    /// For how long an acceptance counts at most.
    pub longest: Duration,
    /// They.
    pub all: Vec<Acceptor>,
}

/// One who may accept a change.
#[derive(Debug, Clone)]
pub struct Acceptor {
    /// The name.
    pub name: String,
    /// The key.
    pub key: VerifyingKey,
    /// The addresses under which they write commits, in lower case.
    pub emails: BTreeSet<String>,
}
