//! Owners of an item that have not answered for it, and why.
//!
//! The catalogue says who owns an item. A merge may state a whole only of what every
//! owner has answered, so whoever was not asked counts like whoever failed. How
//! agencies are asked is not here.

use super::catalogue::{AgencyId, Item};
use super::item::{ItemNumber, ItemSet};
use super::section::{Absence, Section, SectionStatus};

/// Why an owner has not answered for an item.
///
/// In the order in which a request is checked: what stops it first is what is told,
/// so that nobody learns of an agency's state who may not read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The grant, as it was presented, does not name the item for this agency.
    NotGranted,
    /// The gateway's policy does not open the item of this agency to this consumer.
    NotPermitted,
    /// The gateway has no link to this agency in its configuration.
    NotConfigured,
    /// Its catalogue and ours define the item differently.
    CatalogueDiffers,
    /// The agency does not offer the item.
    NotOffered,
    /// It was asked, did not answer, and has not said yet what it offers.
    NotDescribed,
    /// The agency refused.
    Denied,
    /// No answer in the time given.
    Timeout,
    /// The agency or its source could not be reached.
    Unavailable,
    /// What came was not an answer to what was asked, or does not fit the catalogue.
    Invalid,
    /// It was not asked, and nobody has said why.
    NotAsked,
}

impl Cause {
    /// What the profile says of the item if no owner has a value.
    pub const fn absence(self) -> Absence {
        match self {
            Self::NotGranted | Self::NotPermitted => Absence::Denied,
            Self::NotConfigured | Self::NotOffered => Absence::NotOffered,
            Self::CatalogueDiffers => Absence::CatalogueDiffers,
            Self::NotDescribed
            | Self::Denied
            | Self::Timeout
            | Self::Unavailable
            | Self::Invalid
            | Self::NotAsked => Absence::SourceMissing,
        }
    }
}

/// An owner that has not answered for an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unanswered {
    /// Which owner.
    pub agency: AgencyId,
    /// Why.
    pub cause: Cause,
}

/// Items that were wanted, and that one of their owners is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unasked {
    /// Which owner.
    pub agency: AgencyId,
    /// Which items.
    pub items: ItemSet,
    /// Why.
    pub cause: Cause,
}

/// What the owners of an item did not say.
#[derive(Debug)]
pub(super) struct Wholeness {
    /// Those that have not answered, in order of authority.
    pub(super) unanswered: Vec<Unanswered>,
    /// Whether any has answered, be it that it has no value.
    pub(super) any_answered: bool,
    /// The reason that is told if the item is in no answer.
    pub(super) absence: Absence,
}

impl Default for Wholeness {
    /// Every owner has answered.
    fn default() -> Self {
        Self { unanswered: Vec::new(), any_answered: true, absence: Absence::NotRecorded }
    }
}

impl Wholeness {
    pub(super) fn of(item: &Item, sections: &[Section], unasked: &[Unasked]) -> Self {
        let mut standing = Self { any_answered: false, ..Self::default() };
        for owner in &item.owners {
            let asked = sections
                .iter()
                .filter(|section| section.agency == *owner && section.asked.contains(item.number));
            let told = || {
                let about =
                    |told: &&Unasked| told.agency == *owner && told.items.contains(item.number);
                unasked.iter().find(about).map(|told| told.cause)
            };
            let worst = asked.map(|section| Outcome::of(item.number, section)).max();
            let (absence, cause) = match worst {
                Some(Outcome::Answered(absence)) => {
                    standing.any_answered = true;
                    standing.absence = standing.absence.max(absence);
                    continue;
                }
                // What was unreachable before it said what it offers.
                Some(Outcome::Silent(absence, cause @ (Cause::Timeout | Cause::Unavailable))) => {
                    (absence, told().unwrap_or(cause))
                }
                Some(Outcome::Silent(absence, cause)) => (absence, cause),
                None => {
                    let cause = told().unwrap_or(Cause::NotAsked);
                    (cause.absence(), cause)
                }
            };
            standing.absence = standing.absence.max(absence);
            standing.unanswered.push(Unanswered { agency: owner.clone(), cause });
        }
        standing
    }
}

/// What one section says of one item that it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// All that the agency knows, which may be nothing.
    Answered(Absence),
    /// Not whether there is a value.
    Silent(Absence, Cause),
}

impl Outcome {
    fn of(number: ItemNumber, section: &Section) -> Self {
        let cause = match section.status {
            SectionStatus::Ok => return Self::within(number, section),
            // Nobody of that number, but for items of which it does not speak.
            SectionStatus::NoRecord if !section.missing.is_empty() => {
                let spoken = section.missing.binary_search_by_key(&number, |(n, _)| *n).is_err();
                return match spoken {
                    true => Self::Answered(Absence::NotRecorded),
                    false => Self::within(number, section),
                };
            }
            SectionStatus::NoRecord => return Self::Answered(Absence::NotRecorded),
            SectionStatus::Denied => Cause::Denied,
            SectionStatus::Timeout => Cause::Timeout,
            SectionStatus::Unavailable => Cause::Unavailable,
            SectionStatus::Invalid => Cause::Invalid,
        };
        Self::Silent(Absence::SourceMissing, cause)
    }

    /// What an answer that came says of the item.
    fn within(number: ItemNumber, section: &Section) -> Self {
        let given = section.missing.binary_search_by_key(&number, |(n, _)| *n).ok();
        let given = given.and_then(|at| section.missing.get(at)).map(|(_, absence)| *absence);
        let holds = || section.items.binary_search_by_key(&number, |held| held.number).is_ok();
        let absence = match given {
            Some(absence) => absence,
            None if holds() => return Self::Answered(Absence::NotRecorded),
            // What is neither held nor explained is never "not recorded".
            None => Absence::Invalid,
        };
        let cause = match absence {
            Absence::NotRecorded | Absence::Lapsed => return Self::Answered(absence),
            Absence::Denied => Cause::Denied,
            Absence::NotOffered => Cause::NotOffered,
            Absence::CatalogueDiffers => Cause::CatalogueDiffers,
            Absence::Invalid | Absence::Incomplete => Cause::Invalid,
            Absence::SourceMissing => Cause::Unavailable,
        };
        Self::Silent(absence, cause)
    }
}

#[cfg(test)]
mod tests;
