//! One synthetic life: what the facts about one person follow from.
//!
//! Age, schooling, work, pay, home and habits are drawn once for each person, and
//! every item of every agency is worked out from them, so that employer,
//! contributions, loans and age agree. Conflicts that are meant, holes and what an
//! agency does not know are not made here.

mod business;
mod credit;
mod fact;
mod home;
mod study;
mod trouble;
mod work;

pub(super) use fact::{Fact, shifted};
use time::{Date, Duration, Month};

use super::people::{Draw, People};
use crate::domain::catalogue::Item;

/// The first people are in every agency's records and lead lives in which most items
/// apply, so that a demo has somebody to show.
pub(super) const EVERYWHERE: usize = 9;

/// The age from which a pension is drawn, unless retirement is deferred.
const PENSION_AGE: i64 = 63;

/// What somebody does for a living.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Studies,
    Employed(&'static str),
    SelfEmployed,
    Unemployed,
    Retired,
}

/// What everything else follows from. Days lie two months back at least: no fact is
/// younger than its record.
#[derive(Debug, Clone)]
pub(super) struct Life {
    /// Whence every draw of this life comes.
    seed: u64,
    place: usize,
    /// The newest day of any fact.
    now: Date,
    birth: Date,
    /// Whole years.
    age: i64,
    /// Place in the catalogue's list of levels: 0 lower secondary to 6 doctorate.
    level: i64,
    graduated: Date,
    work: Work,
    /// The first day of the first job; after `now` for whoever never had one.
    first_job: Date,
    /// The first day of the present job.
    since: Date,
    /// CNY a month; what is earned, before tax.
    pay: i64,
    owner: bool,
    drives: bool,
    volunteers: bool,
    fund_member: bool,
    credit_trouble: bool,
    bill_trouble: bool,
}

impl Life {
    /// The life of the person at a place, as of a day.
    pub(super) fn new(people: People, place: usize, today: Date) -> Self {
        let now = today.saturating_sub(Duration::days(61));
        let birth = people.birth(place);
        let featured = place < EVERYWHERE;
        let age = years(birth, now);
        let seed = people.draw(&["life", &place.to_string()]).word();
        let draw = |what: &str| Draw::quick(seed, what);
        let mut studies = draw("study");
        let aspired = if featured { 4 } else { studies.one_of(&[0, 1, 1, 2, 3, 3, 4, 4, 4, 5, 6]) };
        // The highest level that somebody of this age can have ended.
        let ended = |level: &i64| july(birth, leaves_school_at(*level)) <= now;
        let level = (0..=aspired).rev().find(ended).unwrap_or(0);
        let graduated = july(birth, leaves_school_at(level));
        let is_student = !featured && level < aspired && age < 29;
        let first_job = graduated.saturating_add(Duration::days(studies.between(30, 500)));
        let mut path = draw("work");
        let work = match () {
            () if is_student || first_job >= now => Work::Studies,
            () if age >= PENSION_AGE && !featured => Work::Retired,
            () if path.percent(if featured { 30 } else { 9 }) => Work::SelfEmployed,
            () if path.percent(6) && !featured => Work::Unemployed,
            () => Work::Employed(path.one_of(&[
                "private",
                "private",
                "private",
                "private",
                "public",
                "public",
                "foreign",
                "non_profit",
            ])),
        };
        let working = days(first_job, now).max(1);
        let since =
            now.saturating_sub(Duration::days(draw("since").between(working / 12, working)));
        let mut pays = draw("pay");
        let years_in_work = (working / 365).min(25);
        let pay =
            3_400 + 1_300 * level + years_in_work * pays.between(90, 260) + pays.between(0, 1_900);
        let pay = if work == Work::SelfEmployed { pay * 5 / 4 } else { pay };
        let mut habits = draw("habits");
        let formal = matches!(work, Work::Employed(_));
        Self {
            seed,
            place,
            now,
            birth,
            age,
            level,
            graduated,
            work,
            first_job,
            since,
            pay,
            owner: work == Work::SelfEmployed && (featured || habits.percent(70)),
            drives: featured || (age >= 19 && habits.percent(68)),
            volunteers: featured || habits.percent(45),
            fund_member: formal && (featured || habits.percent(85)),
            credit_trouble: !featured && draw("credit").percent(11),
            bill_trouble: !featured && draw("bills").percent(9),
        }
    }

    /// What an agency would hold of an item; `None` where it does not apply.
    pub(super) fn fact(&self, agency: &str, item: &Item) -> Option<Fact> {
        let (domain, rest) = item.id.split_once('.')?;
        if item.adverse_months.is_some() {
            return self.trouble(&item.id);
        }
        match domain {
            "education" => self.of_study(rest),
            "employment" => self.of_work(agency, rest),
            "social_security" => self.of_insurance(rest),
            "housing_fund" => self.of_fund(rest),
            "tax" => self.of_tax(rest),
            "enterprise" => self.of_business(rest),
            "lending" => self.of_credit(agency, rest),
            "assets" => self.of_assets(rest),
            "utilities" => self.of_bills(rest),
            "traffic" => self.of_traffic(rest),
            "volunteering" => self.of_service(agency, rest),
            _ => None,
        }
    }

    /// Random numbers for one purpose in this life.
    fn draw(&self, purpose: &str) -> Draw {
        Draw::quick(self.seed, purpose)
    }

    /// A number between two others that is always the same for one purpose.
    fn between(&self, purpose: &str, low: i64, high: i64) -> i64 {
        self.draw(purpose).between(low.min(high), high.max(low))
    }

    /// True for so many lives in a hundred, always the same for one purpose.
    fn chance(&self, purpose: &str, percent: u64) -> bool {
        self.draw(purpose).percent(percent)
    }

    /// Days since coming of age.
    pub(super) fn adult_days(&self) -> i64 {
        days(birthday(self.birth, 18), self.now).max(31)
    }

    /// A day so many months back, but not in childhood.
    fn months_ago(&self, months: i64) -> Date {
        let day = self.now.saturating_sub(Duration::days(months * 30));
        day.max(birthday(self.birth, 16)).min(self.now)
    }

    fn months_ahead(&self, months: i64) -> Date {
        // Counted from the present: `now` lies two months back.
        self.now.saturating_add(Duration::days(61 + months * 30))
    }

    /// Months from a day until now.
    fn months_since(&self, day: Date) -> i64 {
        days(day, self.now).max(0) / 31
    }

    /// Months in which somebody was insured at work.
    fn insured_months(&self) -> i64 {
        let until = match self.work {
            Work::Retired => birthday(self.birth, PENSION_AGE),
            _ => self.now,
        };
        let all = days(self.first_job, until).max(0) / 31;
        (all - self.gap_months()).max(0)
    }

    /// Months out of work since the first job, but for the present spell.
    fn gap_months(&self) -> i64 {
        let before = self.months_since(self.first_job) - self.tenure_months();
        if before <= 6 { 0 } else { self.between("gaps", 0, (before / 5).min(30)) }
    }

    /// Months in the present work.
    fn tenure_months(&self) -> i64 {
        if self.is_working() { self.months_since(self.since) } else { 0 }
    }

    const fn is_working(&self) -> bool {
        matches!(self.work, Work::Employed(_) | Work::SelfEmployed)
    }

    const fn is_employed(&self) -> bool {
        matches!(self.work, Work::Employed(_))
    }

    const fn is_grown(&self) -> bool {
        !matches!(self.work, Work::Studies)
    }
}

/// The age at which one leaves school with a level.
const fn leaves_school_at(level: i64) -> i64 {
    match level {
        0 => 15,
        1 | 2 => 18,
        3 => 21,
        4 => 22,
        5 => 25,
        _ => 29,
    }
}

/// Whole years from one day to another.
fn years(from: Date, to: Date) -> i64 {
    let whole = i64::from(to.year() - from.year());
    if to.ordinal() < from.ordinal() { whole - 1 } else { whole }
}

fn days(from: Date, to: Date) -> i64 {
    (to - from).whole_days()
}

fn birthday(birth: Date, age: i64) -> Date {
    // Nobody of the demo is born on 29 February.
    let year = i32::try_from(age).map_or(birth.year(), |age| birth.year() + age);
    birth.replace_year(year).unwrap_or(birth)
}

/// The end of the school year in which somebody has reached an age.
fn july(birth: Date, age: i64) -> Date {
    let last = birthday(birth, age);
    let end = Date::from_calendar_date(last.year(), Month::July, 1).unwrap_or(last);
    if end < last { birthday(end, 1) } else { end }
}

#[cfg(test)]
mod tests;
