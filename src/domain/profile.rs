//! The merge: from the agencies' sections to one profile.
//!
//! Pure and independent of the order of arrival. It keeps every value that came:
//! the survivor in front, every other one as an alternative. It states a sum, a
//! maximum or a minimum only when every owner in the catalogue has answered, since
//! a partial sum is a false fact; whoever was not asked has not answered. A survivor
//! that a silent owner could displace is provisional. What a missing section means
//! for a score is not its business.

use std::cmp::Reverse;

use time::Date;

use super::catalogue::{AgencyId, Catalogue, Item, Survivorship};
use super::item::{ItemNumber, ItemSet};
use super::owners::{Unanswered, Unasked, Wholeness};
use super::section::{Absence, HeldItem, Section, SectionStatus};
use super::sensitive::Sensitive;
use super::value::Value;

/// One person's merged items.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Items that have a value, ascending by number.
    pub items: Vec<ProfileItem>,
    /// Items that were wanted and have none, ascending by number.
    pub gaps: Vec<Gap>,
}

/// An item without a surviving value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Which item.
    pub number: ItemNumber,
    /// Why there is none.
    pub absence: Absence,
    /// What some agencies did say, where a part of the whole is missing.
    pub alternatives: Vec<Alternative>,
    /// The owners that have not answered, in order of authority.
    pub unanswered: Vec<Unanswered>,
}

/// One item with its provenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileItem {
    /// Which item.
    pub number: ItemNumber,
    /// The surviving value.
    pub value: Sensitive<Value>,
    /// The agency whose value survived; `None` for a sum of several.
    pub agency: Option<AgencyId>,
    /// The day on which the value was true; the earliest of a sum's parts.
    pub as_of: Date,
    /// Two agencies hold values that differ.
    pub conflict: bool,
    /// The person disputes the surviving value or a part of it.
    pub disputed: bool,
    /// Where the person's own statement can be read.
    pub statement: Option<Sensitive<Box<str>>>,
    /// Every value that differs from the survivor; for a sum, every part.
    pub alternatives: Vec<Alternative>,
    /// The owners that have not answered, in order of authority.
    pub unanswered: Vec<Unanswered>,
    /// One of them could displace this value: it comes before this agency in
    /// authority, or, where the freshest survives, might hold a fresher value.
    pub provisional: bool,
}

/// A value that did not survive, or a part of a sum.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alternative {
    /// Whose value.
    pub agency: AgencyId,
    /// The value as that agency holds it.
    pub held: HeldItem,
}

/// Merges sections. Each names the items that its agency was asked for; `unasked`
/// says of which owners wanted items are not asked, and of which they are asked
/// before it is known what they offer. An owner in neither counts as not asked, so
/// that nothing that a caller forgets makes a partial sum whole.
pub fn merge(catalogue: &Catalogue, sections: &[Section], unasked: &[Unasked]) -> Profile {
    let mut claims = Claims::gather(sections);
    let wanted = sections.iter().fold(ItemSet::EMPTY, |all, section| all.or(&section.asked));
    let wanted = unasked.iter().fold(wanted, |all, unasked| all.or(&unasked.items));
    let mut profile = Profile { items: Vec::with_capacity(claims.values.len()), gaps: Vec::new() };
    let mut from = 0;
    for number in wanted.iter() {
        let Some(item) = catalogue.item(number) else {
            continue;
        };
        let values = claims.of(number, &mut from);
        // The one owner of most items has answered if there is a value.
        let standing = match (&*item.owners, &*values) {
            ([only], [claim]) if only == claim.agency => Wholeness::default(),
            _ => Wholeness::of(item, sections, unasked),
        };
        match survive(item, &mut *values, &standing) {
            Ok(survivor) => {
                let provisional = could_be_displaced(item, &survivor, &standing.unanswered);
                let unanswered = standing.unanswered;
                profile.items.push(ProfileItem { unanswered, provisional, ..survivor });
            }
            Err(absence) => profile.gaps.push(Gap {
                number,
                absence,
                alternatives: values.iter().map(Alternative::from).collect(),
                unanswered: standing.unanswered,
            }),
        }
    }
    profile
}

/// One agency's value of one item.
#[derive(Clone, Copy)]
struct Claim<'a> {
    agency: &'a AgencyId,
    held: &'a HeldItem,
}

/// Every claim, sorted so that nothing depends on arrival.
struct Claims<'a> {
    values: Vec<Claim<'a>>,
}

impl<'a> Claims<'a> {
    fn gather(sections: &'a [Section]) -> Self {
        let answered = || sections.iter().filter(|section| section.status == SectionStatus::Ok);
        let mut values = Vec::with_capacity(answered().map(|section| section.items.len()).sum());
        for section in answered() {
            values.extend(section.items.iter().map(|held| Claim { agency: &section.agency, held }));
        }
        // The same section twice says nothing new.
        values.sort_unstable_by(|a, b| {
            (a.held.number, a.agency, a.held).cmp(&(b.held.number, b.agency, b.held))
        });
        values.dedup_by(|a, b| a.agency == b.agency && a.held == b.held);
        Self { values }
    }

    /// The claims for a number; numbers must be asked for in ascending order.
    fn of(&mut self, number: ItemNumber, from: &mut usize) -> &mut [Claim<'a>] {
        let start = self.values.iter().skip(*from).take_while(|claim| claim.held.number < number);
        let start = *from + start.count();
        let end = self.values.iter().skip(start).take_while(|claim| claim.held.number == number);
        let end = start + end.count();
        *from = end;
        self.values.get_mut(start..end).unwrap_or_default()
    }
}

/// Whether an owner that has not answered could hold a value that would survive
/// instead.
fn could_be_displaced(item: &Item, survivor: &ProfileItem, unanswered: &[Unanswered]) -> bool {
    let rank = |agency: &AgencyId| item.rank_of(agency).unwrap_or(usize::MAX);
    match item.survivorship {
        Survivorship::Authoritative => {
            let own = survivor.agency.as_ref().map_or(usize::MAX, rank);
            unanswered.iter().any(|silent| rank(&silent.agency) < own)
        }
        Survivorship::Freshest => !unanswered.is_empty(),
        // They are stated only when nobody is missing.
        Survivorship::Maximum | Survivorship::Minimum | Survivorship::Sum => false,
    }
}

fn survive(
    item: &Item,
    claims: &mut [Claim<'_>],
    standing: &Wholeness,
) -> Result<ProfileItem, Absence> {
    let rule = item.survivorship;
    let parts_missing = item.owners.len() > 1 && !standing.unanswered.is_empty();
    let any_answered = standing.any_answered || !claims.is_empty();
    if rule.needs_every_part() && parts_missing && any_answered {
        return Err(Absence::Incomplete);
    }
    if claims.is_empty() {
        return Err(standing.absence);
    }
    let authority = |claim: &Claim<'_>| item.rank_of(claim.agency).unwrap_or(usize::MAX);
    let value = |claim: &Claim<'_>| *claim.held.value.expose();
    // Whatever the rule leaves equal is settled by authority, then freshness.
    claims.sort_by_key(|claim| (authority(claim), Reverse(claim.held.as_of)));
    match rule {
        Survivorship::Authoritative => {}
        Survivorship::Freshest => claims.sort_by_key(|claim| Reverse(claim.held.as_of)),
        Survivorship::Maximum => claims.sort_by_key(|claim| Reverse(value(claim))),
        Survivorship::Minimum => claims.sort_by_key(value),
        Survivorship::Sum => return sum(item, claims),
    }
    let (first, rest) = claims.split_first().ok_or(Absence::NotRecorded)?;
    let differing = rest.iter().filter(|claim| claim.held.value != first.held.value);
    let alternatives: Vec<Alternative> = differing.map(Alternative::from).collect();
    let agreeing = || claims.iter().filter(|claim| claim.held.value == first.held.value);
    Ok(ProfileItem {
        number: item.number,
        value: first.held.value,
        agency: Some(first.agency.clone()),
        as_of: first.held.as_of,
        conflict: !alternatives.is_empty(),
        disputed: agreeing().any(|claim| claim.held.disputed),
        statement: agreeing().find_map(|claim| claim.held.statement.clone()),
        alternatives,
        unanswered: Vec::new(),
        provisional: false,
    })
}

fn sum(item: &Item, claims: &[Claim<'_>]) -> Result<ProfileItem, Absence> {
    let (first, rest) = claims.split_first().ok_or(Absence::NotRecorded)?;
    // One agency with two different values: which of them is the part is unknown.
    if claims.windows(2).any(|pair| matches!(pair, [a, b] if a.agency == b.agency)) {
        return Err(Absence::Incomplete);
    }
    let mut total = *first.held.value.expose();
    for claim in rest {
        total = total.checked_add(claim.held.value.expose()).ok_or(Absence::Invalid)?;
    }
    let alone = rest.is_empty();
    let earliest = claims.iter().map(|claim| claim.held.as_of).min();
    Ok(ProfileItem {
        number: item.number,
        value: Sensitive::new(total),
        agency: alone.then(|| first.agency.clone()),
        as_of: earliest.unwrap_or(first.held.as_of),
        conflict: false,
        disputed: claims.iter().any(|claim| claim.held.disputed),
        statement: claims.iter().find_map(|claim| claim.held.statement.clone()),
        alternatives: if alone {
            Vec::new()
        } else {
            claims.iter().map(Alternative::from).collect()
        },
        unanswered: Vec::new(),
        provisional: false,
    })
}

impl From<&Claim<'_>> for Alternative {
    fn from(claim: &Claim<'_>) -> Self {
        Self { agency: claim.agency.clone(), held: claim.held.clone() }
    }
}
