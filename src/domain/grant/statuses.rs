//! The newest status lists, and what they say of one grant.
//!
//! A list that is missing, stale or too short means no.

use std::collections::HashMap;
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::claims::StatusRef;
use super::pins::IssuerPins;
use super::status_list::{StatusList, StatusListError};

use crate::domain::reason::Reason;

/// How old a list may be, unless configured otherwise.
pub const DEFAULT_MAX_AGE: Duration = Duration::seconds(60);

/// Why a grant's status forbids its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatusFault {
    /// No list has been had from this URI yet.
    #[error("no list from its status URI has been fetched yet")]
    Absent,
    /// The newest list is too old.
    #[error("the newest list from its status URI is too old; check that the issuer can be reached")]
    Stale,
    /// The grant's index is beyond the list.
    #[error("its index is beyond the status list")]
    Index,
    /// The list says anything but valid.
    #[error("it has been revoked or suspended")]
    Revoked,
}

impl StatusFault {
    /// What a peer is told.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Absent | Self::Stale => Reason::GrantStatusStale,
            Self::Index => Reason::GrantStatusIndex,
            Self::Revoked => Reason::GrantRevoked,
        }
    }
}

/// The newest list of each URI. Cheap to clone, so that a new one can replace
/// the old as a whole.
#[derive(Debug, Clone)]
pub struct StatusLists {
    lists: HashMap<Box<str>, Arc<StatusList>>,
    max_age: Duration,
}

impl Default for StatusLists {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_AGE)
    }
}

impl StatusLists {
    /// No list yet; none will be used once it is older than `max_age`.
    pub fn new(max_age: Duration) -> Self {
        Self { lists: HashMap::new(), max_age }
    }

    /// Takes a list in place of the one held for its URI.
    ///
    /// # Errors
    /// [`StatusListError::Older`] when its `iat` is before that of the one held.
    pub fn accept(&mut self, list: StatusList) -> Result<(), StatusListError> {
        if self.lists.get(list.uri()).is_some_and(|held| list.issued_at() < held.issued_at()) {
            return Err(StatusListError::Older(list.uri().to_owned()));
        }
        self.lists.insert(list.uri().into(), Arc::new(list));
        Ok(())
    }

    /// Drops the lists of URIs that are no longer pinned.
    pub fn retain_pinned(&mut self, pins: &IssuerPins) {
        self.lists.retain(|uri, _| pins.status_uris().any(|(pinned, _)| pinned == &**uri));
    }

    /// The list held for a URI.
    pub fn get(&self, uri: &str) -> Option<&Arc<StatusList>> {
        self.lists.get(uri)
    }

    /// Whether a list is held for a URI and is not too old. Grants whose list is
    /// not fresh are refused.
    pub fn is_fresh(&self, uri: &str, now: OffsetDateTime) -> bool {
        self.lists.get(uri).is_some_and(|list| !list.is_stale(now, self.max_age))
    }

    /// Sets how old a list may be.
    pub const fn set_max_age(&mut self, max_age: Duration) {
        self.max_age = max_age;
    }

    /// Whether a grant's status allows its use.
    ///
    /// # Errors
    /// [`StatusFault`].
    pub fn check(&self, status: &StatusRef, now: OffsetDateTime) -> Result<(), StatusFault> {
        let list = self.lists.get(&status.uri).ok_or(StatusFault::Absent)?;
        if list.is_stale(now, self.max_age) {
            return Err(StatusFault::Stale);
        }
        match list.entry(status.index) {
            None => Err(StatusFault::Index),
            Some(0) => Ok(()),
            Some(_) => Err(StatusFault::Revoked),
        }
    }
}
