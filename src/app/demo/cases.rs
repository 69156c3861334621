//! Test people: one for each outcome that a client has to cope with.
//!
//! Four are among the first, whose places never change; the others are the last who
//! have a grant, where the demo is large enough.

use super::federation::TestPerson;
use super::life::EVERYWHERE;
use super::people::People;
use super::seed::SHOWN;

/// What becomes of a test person's basic profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaseOutcome {
    Complete,
    Conflict,
    Disputed,
    Lapsed,
    NoRecord,
    Invalid,
    PartialSum,
}

/// The adverse item of the disputed and of the lapsed fact.
pub(super) const ADVERSE: &str = "lending.delinquency.accounts_overdue";
/// The agency that knows nothing of one of them.
const UNKNOWN_AT: &str = "traffic";
/// The item of which the source holds what cannot be.
const INVALID: &str = "traffic.penalty.settled_on_time_ratio_24m";
/// The item of which one owner holds what cannot be.
const SUM: &str = "volunteering.service.hours_12m";

impl CaseOutcome {
    const ALL: [Self; 7] = [
        Self::Complete,
        Self::Conflict,
        Self::Disputed,
        Self::Lapsed,
        Self::NoRecord,
        Self::Invalid,
        Self::PartialSum,
    ];

    /// The person's place in a demo of so many.
    fn place(self, count: usize) -> Option<usize> {
        let shown = count.min(SHOWN);
        let from_the_end = |nth| shown.checked_sub(nth).filter(|place| *place >= EVERYWHERE);
        match self {
            Self::Conflict => Some(0),
            Self::Complete => Some(1),
            Self::Disputed => Some(3),
            Self::Lapsed => Some(4),
            Self::NoRecord => from_the_end(1),
            Self::Invalid => from_the_end(2),
            Self::PartialSum => from_the_end(3),
        }
        .filter(|place| *place < count)
    }

    /// Who the person at a place is, if it is a test person.
    pub(super) fn of(people: People, place: usize) -> Option<Self> {
        let count = people.places().end;
        Self::ALL.into_iter().find(|outcome| outcome.place(count) == Some(place))
    }

    /// Whether an agency knows nothing of this person.
    pub(super) fn is_unknown_at(self, agency: &str) -> bool {
        self == Self::NoRecord && agency == UNKNOWN_AT
    }

    /// What stands in a column instead of a fact: a number that cannot be, for the
    /// person of whom it must be found.
    pub(super) fn written(self, agency: &str, item: &str) -> Option<&'static str> {
        match (self, agency, item) {
            (Self::Invalid, "traffic", INVALID) => Some("7"),
            (Self::PartialSum, "education", SUM) => Some("99999"),
            (Self::PartialSum, "volunteering", SUM) => Some("36.5"),
            _ => None,
        }
    }

    const fn words(self) -> (&'static str, &'static str, Option<&'static str>, &'static str) {
        match self {
            Self::Complete => {
                ("complete", "every agency answers, and no two of them differ", None, "")
            }
            Self::Conflict => (
                "conflict",
                "two agencies hold different values; both are given, one survives",
                Some("employment.current.employer_type"),
                "social_security",
            ),
            Self::Disputed => (
                "disputed",
                "an adverse fact that the person disputes, with a statement",
                Some(ADVERSE),
                "lending",
            ),
            Self::Lapsed => (
                "lapsed_fact",
                "an adverse fact past its time is as if it had never been recorded",
                Some(ADVERSE),
                "lending",
            ),
            Self::NoRecord => (
                "no_record_at_one_agency",
                "the agency says NO_RECORD, which is an answer",
                None,
                UNKNOWN_AT,
            ),
            Self::Invalid => (
                "invalid_value",
                "the source holds a ratio of 7; it is INVALID and not passed on",
                Some(INVALID),
                "traffic",
            ),
            Self::PartialSum => (
                "partial_sum",
                "one owner's part is invalid: INCOMPLETE, with the other owner's part",
                Some(SUM),
                "education",
            ),
        }
    }
}

/// The test people of a demo.
pub(super) fn described(people: People) -> Vec<TestPerson> {
    let describe = |outcome: CaseOutcome| {
        let place = outcome.place(people.places().end)?;
        let (word, meaning, item, agency) = outcome.words();
        Some(TestPerson {
            outcome: word.to_owned(),
            subject: people.card_number(place),
            agency: (!agency.is_empty()).then(|| agency.to_owned()),
            item: item.map(str::to_owned),
            meaning: meaning.to_owned(),
        })
    };
    CaseOutcome::ALL.into_iter().filter_map(describe).collect()
}
