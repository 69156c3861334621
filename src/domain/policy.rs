//! Who may read what.
//!
//! [`engine`] holds the rules, in the Cedar language, checked against the
//! catalogue when they are loaded and evaluated to item sets. [`decide`] puts them
//! together with a verified grant; a [`Permit`] comes out of it and out of nothing
//! else.

pub mod answer;
mod cache;
mod classes;
mod digest;
pub mod engine;
pub mod finding;
mod operand;
mod rules;
pub mod schema;
mod statement;
pub mod vocabulary;

use super::catalogue::AgencyId;
use super::grant::VerifiedGrant;
use super::item::ItemSet;
use super::peer::SpiffeId;

use super::reason::Reason;

/// Proof that a grant and the policy in force allow these items of these
/// agencies to this consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    consumer: SpiffeId,
    requested: ItemSet,
    agencies: Vec<Readable>,
}

/// What may be read from one agency of the grant, by whose leave.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Readable {
    agency: AgencyId,
    /// Requested and granted.
    granted: ItemSet,
    /// Of that, what the policy opens.
    permitted: ItemSet,
}

/// Why a request is refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// None of the items asked for is granted and permitted.
    #[error("none of the items asked for is both granted and permitted")]
    NothingPermitted,
}

impl Denial {
    /// What the caller is told.
    pub const fn reason(self) -> Reason {
        match self {
            Self::NothingPermitted => Reason::NothingPermitted,
        }
    }
}

/// Decides on a request: for each agency of the grant, requested and granted and
/// permitted. An item granted from one agency is not thereby granted from
/// another, though both hold it. `permitted` is the policy's decision for an
/// agency under the grant's purpose and legal basis.
///
/// # Errors
/// Nothing at all is permitted.
pub fn decide(
    grant: &VerifiedGrant,
    requested: &ItemSet,
    permitted: impl Fn(&AgencyId) -> ItemSet,
) -> Result<Permit, Denial> {
    let agencies: Vec<Readable> = grant
        .agencies()
        .map(|(agency, granted)| {
            let granted = granted.and(requested);
            let permitted = granted.and(&permitted(agency));
            Readable { agency: agency.clone(), granted, permitted }
        })
        .collect();
    if agencies.iter().all(|readable| readable.permitted.is_empty()) {
        return Err(Denial::NothingPermitted);
    }
    Ok(Permit { consumer: grant.client().clone(), requested: *requested, agencies })
}

impl Permit {
    /// For whom.
    pub const fn consumer(&self) -> &SpiffeId {
        &self.consumer
    }

    /// What was asked for.
    pub const fn requested(&self) -> &ItemSet {
        &self.requested
    }

    /// What may be read from an agency.
    pub fn items_of(&self, agency: &AgencyId) -> ItemSet {
        self.of(agency).map_or(ItemSet::EMPTY, |readable| readable.permitted)
    }

    /// What was asked for and the grant names for an agency, permitted or not.
    pub fn granted_of(&self, agency: &AgencyId) -> ItemSet {
        self.of(agency).map_or(ItemSet::EMPTY, |readable| readable.granted)
    }

    fn of(&self, agency: &AgencyId) -> Option<&Readable> {
        self.agencies.iter().find(|readable| readable.agency == *agency)
    }

    /// What may be read from any agency.
    pub fn items(&self) -> ItemSet {
        self.agencies.iter().fold(ItemSet::EMPTY, |all, readable| all.or(&readable.permitted))
    }

    /// What was asked for and may be read from none.
    pub fn denied(&self) -> ItemSet {
        self.requested.without(&self.items())
    }
}
