//! `flows.lock`: changes that somebody accepted, with who, why and until when.
//!
//! An entry names what it accepts in full: no pattern over consumers, purposes or
//! agencies, so that a later change is never accepted by an earlier decision.

use serde::{Deserialize, Serialize};
use time::Date;

use super::change::{Change, Class};
use super::edits::Edited;
use crate::domain::catalogue::{AgencyId, Catalogue};
use crate::domain::item::ItemSet;
use crate::domain::peer::SpiffeId;
use crate::domain::purpose::{LegalBasis, PurposeCode};

/// The file as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The accepted changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Accepted>,
    /// The accepted edits of keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edited: Vec<AcceptedEdit>,
    /// Acceptances that somebody signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acceptance: Vec<Signed>,
}

/// One `[[acceptance]]`: what somebody signed, see [`super::acceptance`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The signed note.
    pub note: String,
}

/// One `[[edited]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedEdit {
    /// The class of the edit.
    pub class: Class,
    /// Whose files say it.
    pub houses: Vec<String>,
    /// The key.
    pub key: String,
    /// What it means, for whoever reads the file.
    pub says: String,
    /// SHA-256 of the edit, by which it is known.
    pub digest: String,
    /// Who accepted it.
    pub who: String,
    /// Why.
    pub why: String,
    /// The last day on which it counts, such as 2027-03-31.
    pub until: String,
}

/// One `[[accepted]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// The class of the change.
    pub class: Class,
    /// To whom.
    pub consumer: SpiffeId,
    /// For what.
    pub purpose: PurposeCode,
    /// From whom.
    pub agency: AgencyId,
    /// On which legal bases.
    pub bases: Vec<LegalBasis>,
    /// Ids of the items; of closed ones, as they were.
    pub items: Vec<String>,
    /// Who accepted it.
    pub who: String,
    /// Why.
    pub why: String,
    /// The last day on which it counts, such as 2027-03-31.
    pub until: String,
}

/// An entry that accepts nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// No date.
    #[error("entry {entry}: `{until}` is no day such as 2027-03-31")]
    Until {
        /// Its place in the file, from 1.
        entry: usize,
        /// What stands there.
        until: String,
    },
    /// Nobody, or no reason.
    #[error("entry {0}: `who` and `why` must say something")]
    Unsigned(usize),
}

impl Lock {
    /// Checks every entry.
    ///
    /// # Errors
    /// The first entry that does not say who, why, and until when.
    pub fn check(&self) -> Result<(), LockError> {
        let flows = self.accepted.iter().map(|entry| (&entry.who, &entry.why, &entry.until));
        let keys = self.edited.iter().map(|entry| (&entry.who, &entry.why, &entry.until));
        for (entry, (who, why, until)) in (1..).zip(flows.chain(keys)) {
            if day(until).is_none() {
                let until = until.escape_default().to_string();
                return Err(LockError::Until { entry, until });
            }
            if who.trim().is_empty() || why.trim().is_empty() {
                return Err(LockError::Unsigned(entry));
            }
        }
        Ok(())
    }

    /// The entry that accepts an edit today: this very one, from and to.
    pub fn accepts_edit(&self, edit: &Edited, today: Date) -> Option<&AcceptedEdit> {
        self.edited.iter().find(|entry| {
            entry.class == edit.class
                && entry.key == edit.key
                && entry.houses == edit.houses
                && entry.digest == edit.digest
                && day(&entry.until).is_some_and(|until| today <= until)
        })
    }

    /// The entries that accept a change today, if together they accept all of it.
    /// Items are looked up in either catalogue.
    pub fn accepts(
        &self,
        change: &Change,
        catalogues: [&Catalogue; 2],
        today: Date,
    ) -> Option<Vec<&Accepted>> {
        let mut left = change.items;
        let mut by = Vec::new();
        for accepted in &self.accepted {
            let fits = accepted.class == change.class
                && accepted.consumer == change.consumer
                && accepted.purpose == change.purpose
                && accepted.agency == change.agency
                && change.bases.iter().all(|basis| accepted.bases.contains(basis))
                && day(&accepted.until).is_some_and(|until| today <= until);
            let items = items(&accepted.items, catalogues);
            if fits && !items.and(&left).is_empty() {
                left = left.without(&items);
                by.push(accepted);
            }
        }
        left.is_empty().then_some(by)
    }
}

fn items(ids: &[String], catalogues: [&Catalogue; 2]) -> ItemSet {
    let found = ids.iter().flat_map(|id| {
        catalogues.into_iter().filter_map(move |catalogue| Some(catalogue.find(id)?.number))
    });
    found.collect()
}

/// A day such as 2027-03-31.
pub fn day(text: &str) -> Option<Date> {
    Date::parse(text, time::macros::format_description!("[year]-[month]-[day]")).ok()
}
