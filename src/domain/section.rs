//! What became of the question put to one agency.

pub mod status;

use time::Date;

use super::catalogue::AgencyId;
use super::item::{ItemNumber, ItemSet};
use super::reason::Reason;
use super::sensitive::Sensitive;
use super::value::Value;

pub use status::SectionStatus;

/// Longest reference of a person's statement, in characters (Unicode scalar values),
/// wherever it is looked at.
pub const MAX_STATEMENT_CHARS: usize = 200;

/// Why an item that was asked for has no value. Of several reasons the last in this
/// order is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Absence {
    /// The agency's record holds no value.
    NotRecorded,
    /// An adverse fact past the time for which it may be used.
    Lapsed,
    /// Grant or policy does not open this item to this consumer.
    Denied,
    /// The agency does not offer this item.
    NotOffered,
    /// The catalogues of gateway and agency define it differently.
    CatalogueDiffers,
    /// The agency's source gave something that does not fit the catalogue.
    Invalid,
    /// Every section that could have held the item failed.
    SourceMissing,
    /// A sum, maximum or minimum that is not whole: an owner has not answered for
    /// it, or states two values.
    Incomplete,
}

impl Absence {
    /// The absence as people and JSON read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRecorded => "NOT_RECORDED",
            Self::Lapsed => "LAPSED",
            Self::NotOffered => "NOT_OFFERED",
            Self::CatalogueDiffers => Reason::CatalogueDiffers.as_str(),
            Self::Denied => "DENIED",
            Self::Invalid => "INVALID",
            Self::SourceMissing => "SOURCE_MISSING",
            Self::Incomplete => "INCOMPLETE",
        }
    }

    /// Whether the agency thereby said that there is nothing to add.
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::NotRecorded | Self::Lapsed)
    }
}

/// One item's value as one agency holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldItem {
    /// Which item.
    pub number: ItemNumber,
    /// Its value, which fits the catalogue.
    pub value: Sensitive<Value>,
    /// The day on which the value was true.
    pub as_of: Date,
    /// The person disputes this adverse fact.
    pub disputed: bool,
    /// Where the person's own statement can be read.
    pub statement: Option<Sensitive<Box<str>>>,
}

/// One agency's answer, held against what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Whose answer it is.
    pub agency: AgencyId,
    /// The items that were asked for.
    pub asked: ItemSet,
    /// What became of the question.
    pub status: SectionStatus,
    /// Why the status is other than OK or NO_RECORD.
    pub reason: Option<Reason>,
    /// The values, ascending by number. Empty unless the status is OK.
    pub items: Vec<HeldItem>,
    /// Items that were asked for and have no value, ascending by number. Without an answer
    /// there are none; where nobody is known, those alone of which that does not speak.
    pub missing: Vec<(ItemNumber, Absence)>,
}

impl Section {
    /// A section without values.
    pub const fn without_values(
        agency: AgencyId,
        asked: ItemSet,
        status: SectionStatus,
        reason: Option<Reason>,
    ) -> Self {
        Self { agency, asked, status, reason, items: Vec::new(), missing: Vec::new() }
    }

    /// The same, heard of these items alone. Of the others that were asked it says nothing:
    /// neither a value, nor that there is none.
    #[must_use]
    pub fn heard_of(mut self, heard: &ItemSet) -> Self {
        let others = self.asked.without(heard);
        if others.is_empty() || !self.status.is_answered() {
            return self;
        }
        self.items.retain(|held| heard.contains(held.number));
        let told = |(number, absence): &(ItemNumber, Absence)| {
            heard.contains(*number) || *absence == Absence::CatalogueDiffers
        };
        self.missing.retain(told);
        let known: ItemSet = self.missing.iter().map(|(number, _)| *number).collect();
        let silent = others.without(&known);
        self.missing.extend(silent.iter().map(|number| (number, Absence::NotOffered)));
        self.missing.sort_unstable_by_key(|(number, _)| *number);
        self
    }

    /// The items of which it speaks: those that both ends' catalogues define alike.
    pub fn spoken(&self) -> ItemSet {
        let differs = |(_, absence): &&(ItemNumber, Absence)| *absence == Absence::CatalogueDiffers;
        self.asked
            .without(&self.missing.iter().filter(differs).map(|(number, _)| *number).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_items_that_are_not_heard_nothing_is_said() {
        let number = |number| ItemNumber::new(number).unwrap();
        let set = |numbers: &[u32]| numbers.iter().map(|at| number(*at)).collect::<ItemSet>();
        let (agency, asked) = (AgencyId::new("lending").unwrap(), set(&[1, 2, 3]));
        let held = |at| HeldItem {
            number: number(at),
            value: Sensitive::new(Value::Boolean(true)),
            as_of: Date::MIN,
            disputed: false,
            statement: None,
        };
        let bare = Section::without_values(agency, asked, SectionStatus::Ok, None);
        let whole = Section { items: vec![held(1), held(2), held(3)], ..bare.clone() };
        assert_eq!(whole.clone().heard_of(&asked), whole);
        let heard = whole.heard_of(&set(&[2]));
        let not = |at| (number(at), Absence::NotOffered);
        assert_eq!((heard.items, heard.missing), (vec![held(2)], vec![not(1), not(3)]));
        // That nobody is known says nothing of them either.
        let differs = (number(3), Absence::CatalogueDiffers);
        let nobody =
            Section { status: SectionStatus::NoRecord, missing: vec![differs], ..bare.clone() };
        assert_eq!(nobody.heard_of(&set(&[2])).missing, [not(1), differs]);
        let failed = Section { status: SectionStatus::Timeout, ..bare };
        assert_eq!(failed.clone().heard_of(&set(&[2])), failed);
    }
}
