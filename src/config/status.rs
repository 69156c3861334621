//! The `[status]` section: who may ask how the gateway and its agencies do. Without it
//! nobody may.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::faults::Faults;
use super::link::{LinkConfig, NOT_BELIEVED};
use crate::domain::peer::{Role, SpiffeId};

/// The section of a gateway's file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusConfig {
    /// Identities in the role `consumer` or `reviewer`.
    #[serde(default)]
    pub readers: Vec<SpiffeId>,
}

impl StatusConfig {
    /// Who may ask.
    pub fn may(&self) -> BTreeSet<SpiffeId> {
        self.readers.iter().cloned().collect()
    }

    /// Notes what is wrong with the section.
    pub fn check(&self, link: &LinkConfig, faults: &mut Faults) {
        for (at, reader) in self.readers.iter().enumerate() {
            let key = format!("status.readers[{at}]");
            if !matches!(reader.role(), Role::Consumer | Role::Reviewer) {
                let message = format!(
                    "is no consumer's or reviewer's: use spiffe://…/consumer/… or \
                     spiffe://…/reviewer/…, not `{reader}`"
                );
                faults.add(&key, message);
            } else if !link.believes(reader) {
                faults.doubt(&key, format!("is `{reader}`, {NOT_BELIEVED}"));
            }
        }
    }
}
