//! What has to hold of every synthetic life.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use time::macros::date;

use super::*;
use crate::domain::catalogue::Catalogue;
use crate::domain::value::ValueType;

const PEOPLE: usize = 1_500;
const TODAY: Date = date!(2026 - 11 - 29);

fn catalogue() -> Catalogue {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/city/catalogue");
    crate::config::catalogue::load(folder.as_ref()).unwrap()
}

/// Every life, and what its first owner would hold of an item.
struct World {
    catalogue: Catalogue,
    lives: Vec<Life>,
}

impl World {
    fn new() -> Self {
        let people = People::new(7, PEOPLE);
        let lives = people.places().map(|place| Life::new(people, place, TODAY)).collect();
        Self { catalogue: catalogue(), lives }
    }

    fn fact(&self, life: &Life, id: &str) -> Option<Fact> {
        let item = self.catalogue.find(id).unwrap();
        life.fact(item.owners[0].as_str(), item)
    }

    fn number(&self, life: &Life, id: &str) -> Option<Decimal> {
        match self.fact(life, id)? {
            Fact::Whole(number) => Some(number.into()),
            Fact::Number(number) => Some(number),
            other => panic!("{id} is no number: {other:?}"),
        }
    }

    fn whole(&self, life: &Life, id: &str) -> i64 {
        self.number(life, id).unwrap_or_default().to_i64().unwrap()
    }

    fn flag(&self, life: &Life, id: &str) -> bool {
        self.fact(life, id) == Some(Fact::Flag(true))
    }

    fn day(&self, life: &Life, id: &str) -> Option<Date> {
        match self.fact(life, id)? {
            Fact::Day(day) => Some(day),
            other => panic!("{id} is no day: {other:?}"),
        }
    }
}

/// Days that lie ahead by what they mean.
const AHEAD: [&str; 6] = [
    "expected_graduation_on",
    "contract.ends_on",
    "licence_next_expiry_on",
    "permit_next_expiry_on",
    "licence.valid_until",
    "grace_ends_on",
];

#[test]
fn every_item_is_of_its_type_within_bounds_and_within_a_life() {
    let world = World::new();
    for item in world.catalogue.items() {
        let mut applies = 0;
        for life in &world.lives {
            for owner in &item.owners {
                let Some(fact) = life.fact(owner.as_str(), item) else { continue };
                applies += 1;
                let told = || format!("{} of {} at age {}: {fact:?}", item.id, owner, life.age);
                let months = (life.age + 1) * 12;
                match (&item.value_type, fact) {
                    (ValueType::Boolean, Fact::Flag(_)) => {}
                    (ValueType::Code(_), code @ (Fact::Code(_) | Fact::Nth(_))) => {
                        let known = code.code_of(item).unwrap_or_else(|| panic!("{}", told()));
                        if let Fact::Code(meant) = code {
                            assert_eq!(known, meant, "{}", told());
                        }
                    }
                    (ValueType::Date, Fact::Day(day)) => {
                        let ahead = AHEAD.iter().any(|end| item.id.ends_with(end));
                        let last = if ahead { TODAY + Duration::days(366 * 8) } else { life.now };
                        assert!(day > life.birth + Duration::days(365 * 14), "{}", told());
                        assert!(day <= last, "{}", told());
                    }
                    (ValueType::Months(range), Fact::Whole(number)) => {
                        assert!(range.minimum <= number.into(), "{}", told());
                        assert!(range.maximum >= number.into(), "{}", told());
                        assert!(number <= months || item.id.contains("remaining"), "{}", told());
                    }
                    (
                        ValueType::Integer(range)
                        | ValueType::Decimal(range)
                        | ValueType::Money(_, range),
                        Fact::Whole(_) | Fact::Number(_),
                    ) => {
                        let number = match fact {
                            Fact::Number(number) => number,
                            Fact::Whole(number) => number.into(),
                            _ => unreachable!(),
                        };
                        assert!(range.minimum <= number && number <= range.maximum, "{}", told());
                        // What nobody would believe, whatever the range allows.
                        let most = match &*item.unit {
                            "count" => 40,
                            "ratio" => 8,
                            "percent" => 100,
                            "hours" => 2_000,
                            "CNY" => 8_000_000,
                            "points" => 200,
                            "years" | "year" => 70,
                            _ => 1_000,
                        };
                        assert!(number <= Decimal::from(most), "{}", told());
                    }
                    _ => panic!("of another type: {}", told()),
                }
            }
        }
        assert!(applies > 0, "{} applies to nobody", item.id);
    }
}

#[test]
fn employer_contributions_pay_and_age_agree() {
    let world = World::new();
    let mut seen = std::collections::BTreeMap::<&str, usize>::new();
    for life in &world.lives {
        let told = format!("person {}: {life:?}", life.place);
        let whole = |id| world.whole(life, id);
        let employed = world.flag(life, "employment.current.employed");
        let since = world.day(life, "employment.current.started_on");
        assert_eq!(employed, since.is_some(), "{told}");
        assert_eq!(
            employed,
            world.fact(life, "employment.current.employer_type").is_some(),
            "{told}"
        );
        assert!(
            !(employed && world.flag(life, "social_security.unemployment.registered")),
            "{told}"
        );
        assert!(
            !(employed && world.flag(life, "social_security.pension.receiving_pension")),
            "{told}"
        );
        let total = whole("employment.history.employed_months_total");
        assert!(total <= (life.age - 15) * 12 + 12, "{told}");
        assert_eq!(total, whole("social_security.contribution.pension_months_total"), "{told}");
        for (short, long) in [
            ("employment.history.employed_months_24m", "employment.history.employed_months_total"),
            (
                "social_security.contribution.pension_months_12m",
                "social_security.contribution.pension_months_60m",
            ),
            (
                "social_security.contribution.pension_months_60m",
                "social_security.contribution.pension_months_total",
            ),
            (
                "social_security.contribution.current_streak_months",
                "social_security.contribution.longest_streak_months",
            ),
            (
                "social_security.contribution.longest_streak_months",
                "social_security.contribution.pension_months_total",
            ),
            ("housing_fund.deposit.months_24m", "housing_fund.deposit.months_total"),
            ("volunteering.service.hours_12m", "volunteering.service.hours_total"),
            (
                "employment.history.longest_tenure_months",
                "employment.history.employed_months_total",
            ),
            ("lending.card.balance", "lending.card.total_limit"),
            ("lending.mortgage.monthly_instalment", "lending.mortgage.outstanding_balance"),
            ("tax.personal.tax_paid_12m", "tax.personal.declared_income_12m"),
        ] {
            assert!(whole(short) <= whole(long), "{short} is more than {long}: {told}");
        }
        if let (Some(first), Some(since)) =
            (world.day(life, "employment.history.first_job_on"), since)
        {
            assert!(life.graduated <= first && first <= since, "{told}");
        }
        if employed {
            assert!((3_000..60_000).contains(&whole("employment.current.monthly_pay")), "{told}");
            let year = whole("employment.pay.annual_total_12m");
            assert!(year <= whole("employment.current.monthly_pay") * 12, "{told}");
        } else {
            assert_eq!(
                whole("lending.mortgage.open_count"),
                0,
                "nobody lends so much to whoever earns nothing: {told}"
            );
        }
        // The two halves of a home loan, and what is due of it.
        let item = world.catalogue.find("lending.mortgage.outstanding_balance").unwrap();
        let [bank, fund] =
            ["lending", "social_security"].map(|agency| match life.fact(agency, item) {
                Some(Fact::Whole(left)) => left,
                other => panic!("{other:?}: {told}"),
            });
        assert!(bank <= whole("lending.mortgage.original_principal"), "{told}");
        assert!(fund <= whole("housing_fund.loan.principal"), "{told}");
        assert_eq!(fund > 0, world.flag(life, "housing_fund.loan.active"), "{told}");
        assert!(
            whole("lending.debt.monthly_due_total") <= life.pay,
            "more is due than earned: {told}"
        );
        assert!(bank <= whole("lending.debt.total_balance"), "{told}");
        // An hour of service is somebody's time.
        assert!(whole("volunteering.service.hours_12m") <= 250, "{told}");
        if world.flag(life, "enterprise.role.active_owner") {
            assert!(whole("enterprise.role.business_count") > 0 && employed, "{told}");
        }
        if let Some(held) = world.day(life, "traffic.licence.first_issued_on") {
            assert!(held >= birthday(life.birth, 18), "{told}");
        }
        let kind = match life.work {
            Work::Studies => "studies",
            Work::Employed(_) => "employed",
            Work::SelfEmployed => "self-employed",
            Work::Unemployed => "unemployed",
            Work::Retired => "retired",
        };
        *seen.entry(kind).or_default() += 1;
    }
    assert_eq!(seen.len(), 5, "a way of life does not occur: {seen:?}");
}

#[test]
fn adverse_facts_are_of_those_whom_they_can_concern() {
    let world = World::new();
    for item in world.catalogue.items().iter().filter(|item| item.adverse_months.is_some()) {
        let mut count = 0;
        for life in world.lives.iter().filter(|life| life.is_troubled(&item.id)) {
            count += 1;
            assert!(life.place >= EVERYWHERE || item.domain() != "lending");
            let clear = world.number(life, "lending.history.on_time_ratio_24m");
            let late = item.id.starts_with("lending.") && clear == Some(Decimal::ONE);
            assert!(!late, "{}: overdue, and everything on time", item.id);
        }
        assert!(count < PEOPLE / 4, "{}: {count} people", item.id);
    }
}

#[test]
fn the_same_seed_and_day_make_the_same_lives() {
    let world = World::new();
    let again = World::new();
    for (life, other) in world.lives.iter().zip(&again.lives) {
        for item in world.catalogue.items() {
            let agency = item.owners[0].as_str();
            assert_eq!(life.fact(agency, item), other.fact(agency, item));
        }
    }
}
