//! The `[review]` section: which reviewers may read the audit log over the network,
//! and what of it. Without it nobody may.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::faults::Faults;
use super::link::{LinkConfig, NOT_BELIEVED};
use crate::domain::peer::{Role, SpiffeId};
use crate::domain::reviewer::{Act, ReviewPolicy};

/// Most records of one page, whatever the file says.
const PAGE_LIMIT: u32 = 1000;

/// The section of a gateway's file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReviewConfig {
    /// How often a reviewer may ask in a minute.
    pub per_minute: u32,
    /// Most records of one page.
    pub max_page: u32,
    /// The reviewers.
    pub reviewer: Vec<ReviewerEntry>,
}

impl Default for ReviewConfig {
    fn default() -> Self {
        Self { per_minute: 60, max_page: 500, reviewer: Vec::new() }
    }
}

/// One reviewer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewerEntry {
    /// The identity in its certificate, in the role `reviewer`.
    pub id: SpiffeId,
    /// What it may do: `list`, `subject_access`, `prove`.
    pub may: BTreeSet<Act>,
}

impl ReviewConfig {
    /// Notes what is wrong with the section.
    pub fn check(&self, link: &LinkConfig, faults: &mut Faults) {
        let mut seen = BTreeSet::new();
        for (at, entry) in self.reviewer.iter().enumerate() {
            if !seen.insert(&entry.id) {
                let message =
                    format!("is refused: `{}` is listed twice: merge the entries", entry.id);
                faults.add(&format!("review.reviewer[{at}].id"), message);
            } else if entry.id.role() == Role::Reviewer && !link.believes(&entry.id) {
                let message = format!("is `{}`, {NOT_BELIEVED}", entry.id);
                faults.doubt(&format!("review.reviewer[{at}].id"), message);
            }
            if entry.id.role() != Role::Reviewer {
                let id = &entry.id;
                let message = format!("is no reviewer's: use spiffe://…/reviewer/…, not `{id}`");
                faults.add(&format!("review.reviewer[{at}].id"), message);
            }
        }
        if self.per_minute == 0 {
            faults.add("review.per_minute", "must be 1 or more");
        }
        if !(1..=PAGE_LIMIT).contains(&self.max_page) {
            let message = format!("must be 1 to {PAGE_LIMIT}, not {}", self.max_page);
            faults.add("review.max_page", message);
        }
    }

    /// The section as a policy.
    pub fn policy(&self) -> ReviewPolicy {
        let reviewers = self.reviewer.iter();
        ReviewPolicy::new(
            reviewers.map(|entry| (entry.id.clone(), entry.may.clone())),
            self.per_minute,
        )
    }
}
