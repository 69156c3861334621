//! The laws of the merge, over random catalogues of items with two or three
//! owners and random answers of their agencies, and examples that read like the
//! specification.
//!
//! What a section may say at all is held by the tests of `wire::section`.

use std::fmt::Write;

use proptest::prelude::*;
use proptest::sample::subsequence;
use rust_decimal::Decimal;
use time::{Date, Duration, Month};
use tributary::domain::catalogue::{AgencyId, Catalogue, Item, Source, Survivorship};
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::domain::owners::{Cause, Unasked};
use tributary::domain::profile::{Alternative, Gap, Profile, ProfileItem, merge};
use tributary::domain::reason::Reason;
use tributary::domain::section::{Absence, HeldItem, Section, SectionStatus};
use tributary::domain::sensitive::Sensitive;
use tributary::domain::value::{CodeIndex, Value, ValueType};

const AGENCIES: [&str; 3] = ["alpha", "beta", "gamma"];

const KINDS: [&str; 7] = ["boolean", "integer", "decimal", "money", "date", "code", "months"];

/// What became of one agency's part of one item.
#[derive(Debug, Clone)]
enum Part {
    Held {
        seed: u8,
        day: i64,
        disputed: bool,
        statement: bool,
    },
    Missing(Absence),
    /// Neither held nor explained.
    Silent,
    NotAsked,
}

#[derive(Debug, Clone)]
struct ItemPlan {
    kind: &'static str,
    rule: &'static str,
    owners: Vec<usize>,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Case {
    items: Vec<ItemPlan>,
    statuses: [SectionStatus; 3],
    /// Item, owner, and why it is not asked.
    unasked: Vec<(u32, usize, Cause)>,
}

fn rules_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "boolean" | "code" => &["authoritative", "freshest"],
        "date" => &["authoritative", "freshest", "maximum", "minimum"],
        _ => &["authoritative", "freshest", "maximum", "minimum", "sum"],
    }
}

fn absence() -> impl Strategy<Value = Absence> {
    prop_oneof![
        2 => Just(Absence::NotRecorded),
        2 => Just(Absence::Lapsed),
        1 => Just(Absence::NotOffered),
        1 => Just(Absence::Denied),
        1 => Just(Absence::Invalid),
        1 => Just(Absence::SourceMissing),
        1 => Just(Absence::CatalogueDiffers),
    ]
}

fn cause() -> impl Strategy<Value = Cause> {
    proptest::sample::select(vec![
        Cause::NotGranted,
        Cause::NotPermitted,
        Cause::NotConfigured,
        Cause::CatalogueDiffers,
        Cause::NotOffered,
    ])
}

fn part() -> impl Strategy<Value = Part> {
    // Few values and few days, so that ties and agreement are common.
    let held = (0u8..4, 0i64..3, any::<bool>(), any::<bool>())
        .prop_map(|(seed, day, disputed, statement)| Part::Held { seed, day, disputed, statement });
    prop_oneof![
        6 => held,
        2 => absence().prop_map(Part::Missing),
        1 => Just(Part::Silent),
        1 => Just(Part::NotAsked),
    ]
}

fn status() -> impl Strategy<Value = SectionStatus> {
    prop_oneof![
        8 => Just(SectionStatus::Ok),
        2 => Just(SectionStatus::NoRecord),
        1 => Just(SectionStatus::Denied),
        1 => Just(SectionStatus::Timeout),
        1 => Just(SectionStatus::Unavailable),
        1 => Just(SectionStatus::Invalid),
    ]
}

fn item_plan() -> impl Strategy<Value = ItemPlan> {
    (
        proptest::sample::select(&KINDS[..]),
        any::<proptest::sample::Index>(),
        subsequence(vec![0usize, 1, 2], 2..=3).prop_shuffle(),
        proptest::collection::vec(part(), 3),
    )
        .prop_map(|(kind, rule, owners, parts)| ItemPlan {
            kind,
            rule: rule.get::<&str>(rules_of(kind)),
            owners,
            parts,
        })
}

fn case() -> impl Strategy<Value = Case> {
    (
        proptest::collection::vec(item_plan(), 1..8),
        [status(), status(), status()],
        proptest::collection::vec((0u32..12, 0usize..3, cause()), 0..6),
    )
        .prop_map(|(items, statuses, unasked)| Case { items, statuses, unasked })
}

/// The case's catalogue, written as a file and checked by the lint. Four more
/// items stand behind it that nobody is asked for.
fn catalogue(items: &[ItemPlan]) -> Catalogue {
    let mut text = String::from(
        "domain = 'demo'\ntitle = { en = 'Demo', zh = '示例' }\n\
         [[category]]\nid = 'demo.part'\ntitle = { en = 'Part', zh = '部分' }\n",
    );
    let spare =
        ItemPlan { kind: "boolean", rule: "freshest", owners: vec![0, 1], parts: Vec::new() };
    for (number, item) in items.iter().chain(std::iter::repeat_n(&spare, 4)).enumerate() {
        let owners: Vec<&str> = item.owners.iter().map(|at| AGENCIES[*at]).collect();
        write!(
            text,
            "[[item]]\nid = 'demo.part.fact_{number}'\nnumber = {number}\n\
             title = {{ en = 'Fact', zh = '事实' }}\ntype = '{}'\nowners = {owners:?}\n\
             sensitivity = 'ordinary'\nsurvivorship = '{}'\nmeaning = 'A fact.'\n{}",
            item.kind,
            item.rule,
            match item.kind {
                "integer" | "decimal" => "unit = 'count'\nrange = [-100, 100]\n",
                "money" => "unit = 'CNY'\nrange = [-100, 100]\n",
                "months" => "range = [0, 100]\n",
                "code" =>
                    "codes = [{ code = 'a', en = 'A', zh = '甲' }, { code = 'b', en = 'B', zh = '乙' }]\n",
                _ => "",
            }
        )
        .unwrap();
    }
    Catalogue::parse(&[Source { name: "demo.toml", text: &text }]).unwrap()
}

fn day(offset: i64) -> Date {
    Date::from_calendar_date(2024, Month::January, 30).unwrap() + Duration::days(offset)
}

fn agency(name: &str) -> AgencyId {
    AgencyId::new(name).unwrap()
}

fn number(number: usize) -> ItemNumber {
    ItemNumber::new(u32::try_from(number).unwrap()).unwrap()
}

/// A value of a type: four seeds, of which two are the same number written
/// differently where a type allows that.
fn value(value_type: &ValueType, seed: u8) -> Value {
    let decimal = match seed {
        0 => Decimal::new(-25, 1),
        1 => Decimal::new(7, 0),
        2 => Decimal::new(700, 2),
        _ => Decimal::new(123, 1),
    };
    match value_type {
        ValueType::Boolean => Value::Boolean(seed.is_multiple_of(2)),
        ValueType::Integer(_) => Value::Integer(i64::from(seed) * 5 - 7),
        ValueType::Decimal(_) => Value::Decimal(decimal),
        ValueType::Money(..) => Value::Money(decimal),
        ValueType::Date => Value::Date(day(i64::from(seed) - 40)),
        ValueType::Code(_) => Value::Code(CodeIndex(seed % 2)),
        ValueType::Months(_) => Value::Months(u32::from(seed) * 3),
    }
}

fn sections(case: &Case, catalogue: &Catalogue) -> Vec<Section> {
    let mut sections = Vec::new();
    for (at, name) in AGENCIES.iter().enumerate() {
        let status = case.statuses[at];
        let mut section = Section::without_values(agency(name), ItemSet::EMPTY, status, None);
        for (place, plan) in case.items.iter().enumerate() {
            let part = &plan.parts[at];
            if !plan.owners.contains(&at) || matches!(part, Part::NotAsked) {
                continue;
            }
            let number = number(place);
            section.asked.insert(number);
            if status != SectionStatus::Ok {
                continue;
            }
            match part {
                Part::Held { seed, day: as_of, disputed, statement } => {
                    let statement =
                        statement.then(|| Sensitive::new(format!("{name}-{seed}").into()));
                    let value_type = &catalogue.item(number).unwrap().value_type;
                    section.items.push(HeldItem {
                        number,
                        value: Sensitive::new(value(value_type, *seed)),
                        as_of: day(*as_of),
                        disputed: *disputed,
                        statement,
                    });
                }
                Part::Missing(absence) => section.missing.push((number, *absence)),
                Part::Silent | Part::NotAsked => {}
            }
        }
        if !section.asked.is_empty() {
            sections.push(section);
        }
    }
    sections
}

/// Why owners that no section asked are not asked, as a plan says it: each once.
fn unasked(case: &Case, catalogue: &Catalogue, sections: &[Section]) -> Vec<Unasked> {
    let mut told: Vec<Unasked> = Vec::new();
    for (n, at, cause) in &case.unasked {
        let (number, agency) = (ItemNumber::new(*n).unwrap(), agency(AGENCIES[*at]));
        let owned = catalogue.item(number).is_some_and(|item| item.owners.contains(&agency));
        let is_asked =
            |section: &Section| section.agency == agency && section.asked.contains(number);
        let again = told.iter().any(|one| one.agency == agency && one.items.contains(number));
        if owned && !again && !sections.iter().any(is_asked) {
            told.push(Unasked { agency, items: [number].into_iter().collect(), cause: *cause });
        }
    }
    told
}

/// Everything that a test needs of a case.
struct World {
    catalogue: Catalogue,
    sections: Vec<Section>,
    unasked: Vec<Unasked>,
}

impl World {
    fn of(case: &Case) -> Self {
        let catalogue = catalogue(&case.items);
        let sections = sections(case, &catalogue);
        let unasked = unasked(case, &catalogue, &sections);
        Self { sections, catalogue, unasked }
    }

    fn merged(&self) -> Profile {
        merge(&self.catalogue, &self.sections, &self.unasked)
    }

    fn asked(&self) -> ItemSet {
        self.sections.iter().fold(ItemSet::EMPTY, |all, section| all.or(&section.asked))
    }

    fn wanted(&self) -> ItemSet {
        self.unasked.iter().fold(self.asked(), |all, told| all.or(&told.items))
    }

    fn claims(&self, number: ItemNumber) -> Vec<(&AgencyId, &HeldItem)> {
        let answered = self.sections.iter().filter(|section| section.status == SectionStatus::Ok);
        answered
            .flat_map(|section| section.items.iter().map(|held| (&section.agency, held)))
            .filter(|(_, held)| held.number == number)
            .collect()
    }

    /// The owners that have said their part, be it that they have none.
    fn answered(&self, number: ItemNumber) -> Vec<&AgencyId> {
        let says_all = |section: &Section| match section.status {
            SectionStatus::NoRecord => true,
            SectionStatus::Ok => {
                section.items.iter().any(|held| held.number == number)
                    || section.missing.iter().any(|(missing, absence)| {
                        *missing == number
                            && matches!(absence, Absence::NotRecorded | Absence::Lapsed)
                    })
            }
            _ => false,
        };
        let owners = &self.catalogue.item(number).unwrap().owners;
        let answered = |owner: &&AgencyId| {
            let asked =
                |section: &&Section| section.agency == **owner && section.asked.contains(number);
            self.sections.iter().any(|section| asked(&section))
                && self.sections.iter().filter(asked).all(says_all)
        };
        owners.iter().filter(answered).collect()
    }

    /// Whether every owner in the catalogue has said its part.
    fn is_whole(&self, number: ItemNumber) -> bool {
        self.answered(number).len() == self.catalogue.item(number).unwrap().owners.len()
    }
}

fn item_of(profile: &Profile, number: ItemNumber) -> Option<&ProfileItem> {
    profile.items.iter().find(|item| item.number == number)
}

fn gap_of(profile: &Profile, number: ItemNumber) -> Option<&Gap> {
    profile.gaps.iter().find(|gap| gap.number == number)
}

/// The surviving claim by comparing every claim with every other one: the one
/// that no other beats.
fn oracle<'a>(
    item: &Item,
    claims: &[(&'a AgencyId, &'a HeldItem)],
) -> (&'a AgencyId, &'a HeldItem) {
    let rank = |agency: &AgencyId| item.owners.iter().position(|owner| owner == agency).unwrap();
    let amount = |held: &HeldItem| match held.value.expose() {
        Value::Integer(n) => Decimal::from(*n),
        Value::Decimal(n) | Value::Money(n) => *n,
        Value::Months(n) => Decimal::from(*n),
        Value::Date(date) => Decimal::from(date.to_julian_day()),
        Value::Boolean(_) | Value::Code(_) => Decimal::ZERO,
    };
    let beats = |a: &(&AgencyId, &HeldItem), b: &(&AgencyId, &HeldItem)| {
        let more_authoritative = rank(a.0) < rank(b.0);
        match item.survivorship {
            Survivorship::Authoritative | Survivorship::Sum => more_authoritative,
            Survivorship::Freshest if a.1.as_of == b.1.as_of => more_authoritative,
            Survivorship::Freshest => a.1.as_of > b.1.as_of,
            _ if amount(a.1) == amount(b.1) => more_authoritative,
            Survivorship::Maximum => amount(a.1) > amount(b.1),
            Survivorship::Minimum => amount(a.1) < amount(b.1),
        }
    };
    let unbeaten = |a: &&(&AgencyId, &HeldItem)| !claims.iter().any(|b| beats(b, a));
    let mut unbeaten = claims.iter().filter(unbeaten);
    let survivor = *unbeaten.next().unwrap();
    assert!(unbeaten.next().is_none(), "the rule leaves two survivors");
    survivor
}

fn naive_sum(claims: &[(&AgencyId, &HeldItem)]) -> Value {
    let whole = |claim: &(&AgencyId, &HeldItem)| match claim.1.value.expose() {
        Value::Integer(n) => Decimal::from(*n),
        Value::Months(n) => Decimal::from(*n),
        Value::Decimal(n) | Value::Money(n) => *n,
        other => panic!("{other:?} cannot be added"),
    };
    let total: Decimal = claims.iter().map(whole).sum();
    let digits = || i64::try_from(total.mantissa()).unwrap();
    match claims[0].1.value.expose() {
        Value::Integer(_) => Value::Integer(digits()),
        Value::Months(_) => Value::Months(u32::try_from(digits()).unwrap()),
        Value::Decimal(_) => Value::Decimal(total),
        _ => Value::Money(total),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn the_order_of_arrival_does_not_matter(
        (case, order) in case().prop_flat_map(|case| {
            (Just(case), Just(vec![0usize, 1, 2]).prop_shuffle())
        })
    ) {
        let mut world = World::of(&case);
        let merged = world.merged();
        let order = order.into_iter().filter_map(|at| world.sections.get(at).cloned());
        world.sections = order.collect();
        world.unasked.reverse();
        prop_assert_eq!(world.merged(), merged);
    }

    #[test]
    fn a_section_that_arrives_twice_says_nothing_new(case in case(), again in 0usize..3) {
        let mut world = World::of(&case);
        let merged = world.merged();
        let twice = world.sections.get(again).cloned();
        world.sections.extend(twice);
        world.unasked.extend(world.unasked.clone());
        prop_assert_eq!(world.merged(), merged);
    }

    #[test]
    fn no_value_is_lost(case in case()) {
        let world = World::of(&case);
        let merged = world.merged();
        for number in world.asked().iter() {
            let item = item_of(&merged, number);
            let alternatives: &[Alternative] = match item {
                Some(item) => &item.alternatives,
                None => &gap_of(&merged, number).unwrap().alternatives,
            };
            let claims = world.claims(number);
            for (agency, held) in &claims {
                let kept = alternatives.iter().any(|kept| kept.agency == **agency && kept.held == **held);
                let survives = item.is_some_and(|item| item.value == held.value);
                prop_assert!(kept || survives, "{}'s value of item {} is lost", agency, number);
            }
            // And none is made up.
            for kept in alternatives {
                prop_assert!(claims.contains(&(&kept.agency, &kept.held)));
            }
        }
    }

    #[test]
    fn an_absent_section_changes_no_other_item(case in case(), absent in 0usize..3) {
        let mut world = World::of(&case);
        prop_assume!(absent < world.sections.len());
        world.unasked.clear();
        let before = world.merged();
        let absent = world.sections.remove(absent);
        let after = world.merged();
        for number in before.items.iter().map(|item| item.number).chain(before.gaps.iter().map(|gap| gap.number)) {
            if !absent.asked.contains(number) {
                prop_assert_eq!(item_of(&before, number), item_of(&after, number));
                prop_assert_eq!(gap_of(&before, number), gap_of(&after, number));
            }
        }
    }

    #[test]
    fn a_failed_section_is_never_a_negative_fact(case in case(), failed in 0usize..3) {
        let mut world = World::of(&case);
        prop_assume!(failed < world.sections.len());
        let failed = &mut world.sections[failed];
        *failed = Section::without_values(
            failed.agency.clone(), failed.asked, SectionStatus::Timeout, Some(Reason::Deadline),
        );
        let asked = failed.asked;
        let merged = world.merged();
        for gap in merged.gaps.iter().filter(|gap| asked.contains(gap.number)) {
            prop_assert!(matches!(gap.absence, Absence::SourceMissing | Absence::Incomplete));
        }
    }

    #[test]
    fn a_partial_sum_is_never_stated(case in case()) {
        let world = World::of(&case);
        let merged = world.merged();
        for number in world.asked().iter() {
            let rule = world.catalogue.item(number).unwrap().survivorship;
            if !matches!(rule, Survivorship::Sum | Survivorship::Maximum | Survivorship::Minimum) {
                continue;
            }
            let claims = world.claims(number);
            let stated = item_of(&merged, number);
            prop_assert_eq!(stated.is_some(), world.is_whole(number) && !claims.is_empty());
            if stated.is_none() && !world.is_whole(number) {
                let gap = gap_of(&merged, number).unwrap();
                let any = !world.answered(number).is_empty();
                prop_assert_eq!(gap.absence == Absence::Incomplete, any);
                prop_assert_ne!(gap.absence, Absence::NotRecorded);
                prop_assert_eq!(gap.alternatives.len(), claims.len());
            }
        }
    }

    #[test]
    fn the_owners_that_have_not_answered_are_named_and_no_other(case in case()) {
        let world = World::of(&case);
        let merged = world.merged();
        for number in world.wanted().iter() {
            let named = item_of(&merged, number).map(|item| &item.unanswered);
            let named = named.or(gap_of(&merged, number).map(|gap| &gap.unanswered)).unwrap();
            let answered = world.answered(number);
            let owners = &world.catalogue.item(number).unwrap().owners;
            let silent: Vec<&AgencyId> =
                owners.iter().filter(|owner| !answered.contains(owner)).collect();
            prop_assert_eq!(named.iter().map(|one| &one.agency).collect::<Vec<_>>(), silent);
            for one in named {
                let told = world.unasked.iter().find(|told| {
                    told.agency == one.agency && told.items.contains(number)
                });
                let asked = world.sections.iter().any(|section| {
                    section.agency == one.agency && section.asked.contains(number)
                });
                match told {
                    Some(told) => prop_assert_eq!(one.cause, told.cause),
                    None => prop_assert_eq!(one.cause == Cause::NotAsked, !asked),
                }
            }
        }
    }

    #[test]
    fn the_survivor_is_the_one_that_the_rule_names(case in case()) {
        let world = World::of(&case);
        let merged = world.merged();
        for item in &merged.items {
            let rules = world.catalogue.item(item.number).unwrap();
            let claims = world.claims(item.number);
            if rules.survivorship == Survivorship::Sum {
                let alone = claims.len() == 1;
                prop_assert_eq!(*item.value.expose(), naive_sum(&claims));
                prop_assert_eq!(item.agency.as_ref(), alone.then_some(claims[0].0));
                prop_assert_eq!(Some(item.as_of), claims.iter().map(|claim| claim.1.as_of).min());
                prop_assert_eq!(item.disputed, claims.iter().any(|claim| claim.1.disputed));
                prop_assert_eq!(item.alternatives.len(), if alone { 0 } else { claims.len() });
                continue;
            }
            let (agency, held) = oracle(rules, &claims);
            prop_assert_eq!(item.value, held.value);
            prop_assert_eq!(item.agency.as_ref(), Some(agency));
            prop_assert_eq!(item.as_of, held.as_of);
            let agreeing = || claims.iter().filter(|claim| claim.1.value == held.value);
            prop_assert_eq!(item.disputed, agreeing().any(|claim| claim.1.disputed));
            prop_assert_eq!(item.statement.is_some(), agreeing().any(|claim| claim.1.statement.is_some()));
            prop_assert_eq!(item.alternatives.len(), claims.len() - agreeing().count());
        }
    }

    #[test]
    fn values_that_differ_are_a_conflict_and_parts_of_a_sum_are_not(case in case()) {
        let world = World::of(&case);
        for item in &world.merged().items {
            let claims = world.claims(item.number);
            let differ = claims.iter().any(|claim| claim.1.value != claims[0].1.value);
            let is_sum = world.catalogue.item(item.number).unwrap().survivorship == Survivorship::Sum;
            prop_assert_eq!(item.conflict, differ && !is_sum);
        }
    }

    #[test]
    fn every_wanted_item_is_answered_once_in_order(case in case()) {
        let world = World::of(&case);
        let merged = world.merged();
        let items: Vec<ItemNumber> = merged.items.iter().map(|item| item.number).collect();
        let gaps: Vec<ItemNumber> = merged.gaps.iter().map(|gap| gap.number).collect();
        prop_assert!(items.is_sorted_by(|a, b| a < b));
        prop_assert!(gaps.is_sorted_by(|a, b| a < b));
        let (items, gaps): (ItemSet, ItemSet) = (items.into_iter().collect(), gaps.into_iter().collect());
        prop_assert!(items.and(&gaps).is_empty());
        prop_assert_eq!(items.or(&gaps), world.wanted());
        // Items that were asked of nobody keep the reasons that came with them.
        for gap in merged.gaps.iter().filter(|gap| !world.asked().contains(gap.number)) {
            prop_assert!(gap.alternatives.is_empty());
            let reasons = gap.unanswered.iter().map(|silent| silent.cause.absence());
            prop_assert_eq!(Some(gap.absence), reasons.max());
        }
    }
}

/// One item of two agencies, for the examples below.
struct Example {
    catalogue: Catalogue,
    sections: Vec<Section>,
}

impl Example {
    fn of(kind: &'static str, rule: &'static str) -> Self {
        let item = ItemPlan { kind, rule, owners: vec![0, 1], parts: Vec::new() };
        Self { catalogue: catalogue(&[item]), sections: Vec::new() }
    }

    fn asked() -> ItemSet {
        [number(0)].into_iter().collect()
    }

    fn says(mut self, name: &str, value: Value, as_of: i64) -> Self {
        let mut section =
            Section::without_values(agency(name), Self::asked(), SectionStatus::Ok, None);
        let (number, value) = (number(0), Sensitive::new(value));
        section.items.push(HeldItem {
            number,
            value,
            as_of: day(as_of),
            disputed: false,
            statement: None,
        });
        self.sections.push(section);
        self
    }

    fn lacks(mut self, name: &str, absence: Absence) -> Self {
        let mut section =
            Section::without_values(agency(name), Self::asked(), SectionStatus::Ok, None);
        section.missing.push((number(0), absence));
        self.sections.push(section);
        self
    }

    fn fails(mut self, name: &str, status: SectionStatus) -> Self {
        self.sections.push(Section::without_values(agency(name), Self::asked(), status, None));
        self
    }

    fn merged(&self) -> Profile {
        merge(&self.catalogue, &self.sections, &[])
    }

    fn survivor(&self) -> ProfileItem {
        let merged = self.merged();
        assert!(merged.gaps.is_empty(), "{merged:?}");
        merged.items.into_iter().next().unwrap()
    }

    fn gap(&self) -> Gap {
        let merged = self.merged();
        assert!(merged.items.is_empty(), "{merged:?}");
        merged.gaps.into_iter().next().unwrap()
    }
}

#[test]
fn the_first_owner_is_the_authority_even_when_it_is_staler() {
    let example = Example::of("code", "authoritative")
        .says("beta", Value::Code(CodeIndex(1)), 9)
        .says("alpha", Value::Code(CodeIndex(0)), 1);
    let survivor = example.survivor();
    assert_eq!(survivor.agency, Some(agency("alpha")));
    assert!(survivor.conflict);
    assert_eq!(survivor.alternatives[0].agency, agency("beta"));
    assert_eq!(survivor.alternatives[0].held.as_of, day(9));
}

#[test]
fn the_second_owner_stands_in_when_the_authority_is_silent() {
    for status in [SectionStatus::NoRecord, SectionStatus::Timeout, SectionStatus::Denied] {
        let example = Example::of("boolean", "authoritative").fails("alpha", status).says(
            "beta",
            Value::Boolean(true),
            0,
        );
        assert_eq!(example.survivor().agency, Some(agency("beta")));
    }
}

#[test]
fn the_freshest_survives_and_authority_breaks_a_tie() {
    let example = |second_day| {
        Example::of("integer", "freshest")
            .says("alpha", Value::Integer(1), 5)
            .says("beta", Value::Integer(2), second_day)
            .survivor()
            .agency
    };
    assert_eq!(example(6), Some(agency("beta")));
    assert_eq!(example(5), Some(agency("alpha")));
    assert_eq!(example(4), Some(agency("alpha")));
}

#[test]
fn agreement_is_no_conflict_however_a_number_is_written() {
    let survivor = Example::of("money", "authoritative")
        .says("alpha", Value::Money(Decimal::new(70, 1)), 0)
        .says("beta", Value::Money(Decimal::new(7, 0)), 0)
        .survivor();
    assert!(!survivor.conflict);
    assert!(survivor.alternatives.is_empty());
}

#[test]
fn a_sum_names_its_parts_and_no_agency() {
    let survivor = Example::of("money", "sum")
        .says("alpha", Value::Money(Decimal::new(105, 1)), 3)
        .says("beta", Value::Money(Decimal::new(2, 0)), 1)
        .survivor();
    assert_eq!(*survivor.value.expose(), Value::Money(Decimal::new(125, 1)));
    assert_eq!(survivor.agency, None);
    assert_eq!(survivor.as_of, day(1));
    assert_eq!(survivor.alternatives.len(), 2);
    assert!(!survivor.conflict);
}

#[test]
fn a_sum_without_one_part_is_incomplete_and_keeps_the_other() {
    for status in [
        SectionStatus::Denied,
        SectionStatus::Timeout,
        SectionStatus::Unavailable,
        SectionStatus::Invalid,
    ] {
        let gap = Example::of("money", "sum")
            .says("alpha", Value::Money(Decimal::ONE), 0)
            .fails("beta", status)
            .gap();
        assert_eq!(gap.absence, Absence::Incomplete);
        assert_eq!(gap.alternatives[0].agency, agency("alpha"));
    }
}

#[test]
fn an_agency_without_a_record_completes_a_sum() {
    let parts = || Example::of("integer", "sum").says("alpha", Value::Integer(4), 0);
    for complete in [
        parts().fails("beta", SectionStatus::NoRecord),
        parts().lacks("beta", Absence::NotRecorded),
        parts().lacks("beta", Absence::Lapsed),
    ] {
        let survivor = complete.survivor();
        assert_eq!(*survivor.value.expose(), Value::Integer(4));
        assert_eq!(survivor.agency, Some(agency("alpha")));
    }
    assert_eq!(parts().lacks("beta", Absence::Invalid).gap().absence, Absence::Incomplete);
}

#[test]
fn a_sum_too_large_for_its_type_is_invalid_and_keeps_its_parts() {
    let gap = Example::of("months", "sum")
        .says("alpha", Value::Months(u32::MAX), 0)
        .says("beta", Value::Months(1), 0)
        .gap();
    assert_eq!(gap.absence, Absence::Invalid);
    assert_eq!(gap.alternatives.len(), 2);
}

#[test]
fn the_later_date_is_the_larger() {
    let example = |rule| {
        Example::of("date", rule)
            .says("alpha", Value::Date(day(1)), 0)
            .says("beta", Value::Date(day(2)), 0)
            .survivor()
            .agency
    };
    assert_eq!(example("maximum"), Some(agency("beta")));
    assert_eq!(example("minimum"), Some(agency("alpha")));
}

#[test]
fn a_dead_source_is_told_from_an_empty_record() {
    let empty = Example::of("boolean", "authoritative")
        .fails("alpha", SectionStatus::NoRecord)
        .lacks("beta", Absence::NotRecorded);
    assert_eq!(empty.gap().absence, Absence::NotRecorded);
    let dead = Example::of("boolean", "authoritative")
        .fails("alpha", SectionStatus::NoRecord)
        .fails("beta", SectionStatus::Unavailable);
    assert_eq!(dead.gap().absence, Absence::SourceMissing);
}

#[test]
fn a_section_that_does_not_explain_itself_is_no_empty_record() {
    let mut example = Example::of("integer", "maximum").says("alpha", Value::Integer(1), 0);
    example = example.fails("beta", SectionStatus::Ok);
    assert_eq!(example.gap().absence, Absence::Incomplete);

    let silent = Example::of("integer", "freshest")
        .fails("alpha", SectionStatus::NoRecord)
        .fails("beta", SectionStatus::Ok);
    assert_eq!(silent.gap().absence, Absence::Invalid);
}
