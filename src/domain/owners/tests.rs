//! The law of wholes: whoever of an item's owners is silent, and why, and whenever it
//! said what it offers, the profile's sums, maxima and minima are the whole or stated
//! as incomplete, and what is stated without reserve stays as it is.

use proptest::prelude::*;
use rust_decimal::Decimal;
use time::{Date, Duration, Month};

use super::*;
use crate::domain::catalogue::{Catalogue, Source};
use crate::domain::profile::{Gap, Profile, ProfileItem, merge};
use crate::domain::reason::Reason;
use crate::domain::section::HeldItem;
use crate::domain::sensitive::Sensitive;
use crate::domain::value::Value;

const AGENCIES: [&str; 3] = ["alpha", "beta", "gamma"];
const RULES: [&str; 5] = ["authoritative", "freshest", "maximum", "minimum", "sum"];

/// What keeps one owner from answering for one item.
#[derive(Debug, Clone, Copy)]
enum Hindrance {
    None,
    /// It is not asked, and the plan says why.
    Unasked(Cause),
    /// It is not asked, and nobody says why.
    Forgotten,
    /// Its answer leaves the item out.
    LeftOut(Absence),
}

/// How one agency fares with the whole request.
#[derive(Debug, Clone, Copy)]
struct Fate {
    status: SectionStatus,
    /// Whether it had said what it offers.
    described: bool,
}

#[derive(Debug, Clone)]
struct Case {
    /// The rule and the owners of each item, in order of authority.
    items: Vec<(usize, Vec<usize>)>,
    /// What each agency holds of each item, if anything: amount and day.
    held: Vec<[Option<(i64, i64)>; 3]>,
    hindrances: Vec<[Hindrance; 3]>,
    fates: [Fate; 3],
    order: Vec<usize>,
}

fn hindrance() -> impl Strategy<Value = Hindrance> {
    let unasked = [
        Cause::NotGranted,
        Cause::NotPermitted,
        Cause::NotConfigured,
        Cause::CatalogueDiffers,
        Cause::NotOffered,
    ];
    let left_out = [
        Absence::Denied,
        Absence::NotOffered,
        Absence::CatalogueDiffers,
        Absence::Invalid,
        Absence::SourceMissing,
    ];
    prop_oneof![
        6 => Just(Hindrance::None),
        2 => proptest::sample::select(unasked.to_vec()).prop_map(Hindrance::Unasked),
        1 => Just(Hindrance::Forgotten),
        1 => proptest::sample::select(left_out.to_vec()).prop_map(Hindrance::LeftOut),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    let failures = [
        SectionStatus::Denied,
        SectionStatus::Timeout,
        SectionStatus::Unavailable,
        SectionStatus::Invalid,
    ];
    let status = prop_oneof![
        5 => Just(SectionStatus::Ok),
        2 => proptest::sample::select(failures.to_vec()),
    ];
    (status, any::<bool>()).prop_map(|(status, described)| Fate { status, described })
}

fn case() -> impl Strategy<Value = Case> {
    let owners = proptest::sample::subsequence(vec![0usize, 1, 2], 1..=3).prop_shuffle();
    let item = (0usize..RULES.len(), owners);
    let held = || proptest::option::weighted(0.7, (0i64..4, 0i64..3));
    let row = (item, [held(), held(), held()], [hindrance(), hindrance(), hindrance()]);
    (
        proptest::collection::vec(row, 1..6),
        [fate(), fate(), fate()],
        Just(vec![0usize, 1, 2]).prop_shuffle(),
    )
        .prop_map(|(rows, fates, order)| {
            let mut case = Case { items: vec![], held: vec![], hindrances: vec![], fates, order };
            for (item, held, hindrances) in rows {
                case.items.push(item);
                case.held.push(held);
                case.hindrances.push(hindrances);
            }
            case
        })
}

fn agency(at: usize) -> AgencyId {
    AgencyId::new(AGENCIES[at]).unwrap()
}

fn number(at: usize) -> ItemNumber {
    ItemNumber::new(u32::try_from(at).unwrap()).unwrap()
}

fn catalogue(items: &[(usize, Vec<usize>)]) -> Catalogue {
    let mut text = String::from(
        "domain = 'demo'\ntitle = { en = 'Demo', zh = '示例' }\n\
         [[category]]\nid = 'demo.part'\ntitle = { en = 'Part', zh = '部分' }\n",
    );
    for (number, (rule, owners)) in items.iter().enumerate() {
        let names: Vec<&str> = owners.iter().map(|at| AGENCIES[*at]).collect();
        let rule = match names.len() {
            1 => String::new(),
            _ => format!("survivorship = '{}'\n", RULES[*rule]),
        };
        text.push_str(&format!(
            "[[item]]\nid = 'demo.part.fact_{number}'\nnumber = {number}\n\
             title = {{ en = 'Fact', zh = '事实' }}\ntype = 'decimal'\nunit = 'count'\n\
             range = [0, 100]\nowners = {names:?}\nsensitivity = 'ordinary'\n{rule}\
             meaning = 'A fact.'\n"
        ));
    }
    Catalogue::parse(&[Source { name: "demo.toml", text: &text }]).unwrap()
}

impl Case {
    fn day(offset: i64) -> Date {
        Date::from_calendar_date(2024, Month::March, 1).unwrap() + Duration::days(offset)
    }

    fn owned_by(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.items.len()).filter(move |item| self.items[*item].1.contains(&at))
    }

    /// The profile if every owner had been asked and had answered.
    fn whole(&self, catalogue: &Catalogue) -> Profile {
        let sections: Vec<Section> = (0..3).map(|at| self.section(at, |_| true)).collect();
        merge(catalogue, &sections, &[])
    }

    fn section(&self, at: usize, asked: impl Fn(usize) -> bool) -> Section {
        let asked: ItemSet = self.owned_by(at).filter(|item| asked(*item)).map(number).collect();
        let mut section = Section::without_values(agency(at), asked, SectionStatus::Ok, None);
        for number in asked.iter() {
            match self.held[number.index()][at] {
                Some((amount, day)) => section.items.push(HeldItem {
                    number,
                    value: Sensitive::new(Value::Decimal(Decimal::from(amount))),
                    as_of: Self::day(day),
                    disputed: false,
                    statement: None,
                }),
                None => section.missing.push((number, Absence::NotRecorded)),
            }
        }
        section
    }

    /// Sections and causes as the hindrances leave them.
    fn seen(&self) -> (Vec<Section>, Vec<Unasked>) {
        let (mut sections, mut unasked) = (Vec::new(), Vec::new());
        for &at in &self.order {
            let hindrance = |item: usize| self.hindrances[item][at];
            for item in self.owned_by(at) {
                if let Hindrance::Unasked(cause) = hindrance(item) {
                    let items = [number(item)].into_iter().collect();
                    unasked.push(Unasked { agency: agency(at), items, cause });
                }
            }
            let asked = |item| matches!(hindrance(item), Hindrance::None | Hindrance::LeftOut(_));
            let mut section = self.section(at, asked);
            let Fate { status, described } = self.fates[at];
            if status != SectionStatus::Ok {
                if !described {
                    let (agency, items) = (agency(at), section.asked);
                    unasked.push(Unasked { agency, items, cause: Cause::NotDescribed });
                }
                section = Section::without_values(
                    agency(at),
                    section.asked,
                    status,
                    Some(Reason::LaneLost),
                );
            }
            let left_out = |number: ItemNumber| match hindrance(number.index()) {
                Hindrance::LeftOut(absence) => Some(absence),
                _ => None,
            };
            section.items.retain(|held| left_out(held.number).is_none());
            section.missing.retain(|(number, _)| left_out(*number).is_none());
            if section.status == SectionStatus::Ok {
                let gone = section.asked.iter().filter_map(|n| Some((n, left_out(n)?)));
                section.missing.extend(gone);
                section.missing.sort_by_key(|(number, _)| *number);
            }
            if !section.asked.is_empty() {
                sections.push(section);
            }
        }
        (sections, unasked)
    }

    /// Why each owner of an item is silent, in order of authority.
    fn silent(&self, item: usize) -> Vec<Unanswered> {
        let cause = |at: usize| {
            let Fate { status, described } = self.fates[at];
            Some(match (self.hindrances[item][at], status) {
                (Hindrance::Unasked(cause), _) => cause,
                (Hindrance::Forgotten, _) => Cause::NotAsked,
                (_, SectionStatus::Denied) => Cause::Denied,
                (_, SectionStatus::Invalid) => Cause::Invalid,
                (_, SectionStatus::Timeout | SectionStatus::Unavailable) if !described => {
                    Cause::NotDescribed
                }
                (_, SectionStatus::Timeout) => Cause::Timeout,
                (_, SectionStatus::Unavailable) => Cause::Unavailable,
                (Hindrance::LeftOut(Absence::Denied), _) => Cause::Denied,
                (Hindrance::LeftOut(Absence::NotOffered), _) => Cause::NotOffered,
                (Hindrance::LeftOut(Absence::SourceMissing), _) => Cause::Unavailable,
                (Hindrance::LeftOut(Absence::CatalogueDiffers), _) => Cause::CatalogueDiffers,
                (Hindrance::LeftOut(_), _) => Cause::Invalid,
                (Hindrance::None, _) => return None,
            })
        };
        let owners = self.items[item].1.iter();
        owners
            .filter_map(|at| Some(Unanswered { agency: agency(*at), cause: cause(*at)? }))
            .collect()
    }
}

fn item_of(profile: &Profile, number: ItemNumber) -> Option<&ProfileItem> {
    profile.items.iter().find(|item| item.number == number)
}

fn gap_of(profile: &Profile, number: ItemNumber) -> Option<&Gap> {
    profile.gaps.iter().find(|gap| gap.number == number)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn row_54_a_whole_is_stated_whole_or_not_at_all(case in case()) {
        let catalogue = catalogue(&case.items);
        let (sections, unasked) = case.seen();
        let whole = case.whole(&catalogue);
        let seen = merge(&catalogue, &sections, &unasked);
        for at in 0..case.items.len() {
            let item = number(at);
            let rule = catalogue.item(item).unwrap().survivorship;
            let silent = case.silent(at);
            let (stated, gap) = (item_of(&seen, item), gap_of(&seen, item));
            if silent.is_empty() {
                // Whoever else was up, asked or described changes nothing.
                prop_assert_eq!(stated, item_of(&whole, item));
                prop_assert_eq!(gap, gap_of(&whole, item));
                continue;
            }
            // An item of which nobody was asked and nobody said why is not heard of.
            if stated.is_none() && gap.is_none() {
                let forgotten = |one: &Unanswered| one.cause == Cause::NotAsked;
                prop_assert!(silent.len() == case.items[at].1.len());
                prop_assert!(silent.iter().all(forgotten));
                continue;
            }
            let named = stated.map(|item| &item.unanswered);
            prop_assert_eq!(named.or(gap.map(|gap| &gap.unanswered)), Some(&silent));
            if let Some(gap) = gap {
                // Nobody's silence is an empty record.
                prop_assert!(!gap.absence.is_answered(), "{:?}", gap);
            }
            if rule.needs_every_part() {
                prop_assert!(stated.is_none(), "stated without {:?}", silent);
                let any_answered = silent.len() < case.items[at].1.len();
                let absence = gap.map(|gap| gap.absence);
                prop_assert_eq!(absence == Some(Absence::Incomplete), any_answered);
            }
            if let Some(stated) = stated.filter(|stated| !stated.provisional) {
                // Whatever the silent would have said, the same value survives.
                let whole = item_of(&whole, item).unwrap();
                prop_assert_eq!(&stated.agency, &whole.agency);
                prop_assert_eq!(stated.value, whole.value);
                prop_assert_eq!(stated.as_of, whole.as_of);
            }
        }
    }
}

/// That nobody of a number is known says nothing of what the two catalogues define
/// differently, of what the agency's rules keep closed, nor of what it does not hold.
#[test]
fn no_record_is_not_told_of_an_item_of_which_the_answer_does_not_speak() {
    let catalogue = catalogue(&[(0, vec![0]), (0, vec![0]), (0, vec![0]), (0, vec![0])]);
    let asked: ItemSet = (0..4).map(number).collect();
    let mut section = Section::without_values(agency(0), asked, SectionStatus::NoRecord, None);
    section.missing = vec![
        (number(1), Absence::CatalogueDiffers),
        (number(2), Absence::Denied),
        (number(3), Absence::NotOffered),
    ];
    assert_eq!(section.spoken(), asked.without(&[number(1)].into_iter().collect()));
    let profile = merge(&catalogue, &[section], &[]);
    let gaps: Vec<(Absence, Vec<Cause>)> = profile
        .gaps
        .iter()
        .map(|gap| (gap.absence, gap.unanswered.iter().map(|one| one.cause).collect()))
        .collect();
    let differs = (Absence::CatalogueDiffers, vec![Cause::CatalogueDiffers]);
    let denied = (Absence::Denied, vec![Cause::Denied]);
    let not_offered = (Absence::NotOffered, vec![Cause::NotOffered]);
    assert_eq!(gaps, [(Absence::NotRecorded, vec![]), differs, denied, not_offered]);
}
