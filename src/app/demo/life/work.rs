//! What the employment office, social security and the housing fund hold.

use super::fact::{cents, code, day, flag, nth, ratio, whole};
use super::{Fact, Life, PENSION_AGE, Work, birthday};

/// The city's average monthly wage, and the least base of contributions.
const AVERAGE_WAGE: i64 = 7_400;
const LEAST_BASE: i64 = 4_400;

impl Life {
    fn employer_type(&self) -> Option<&'static str> {
        match self.work {
            Work::Employed(kind) => Some(kind),
            Work::SelfEmployed => Some("self_employed"),
            _ => None,
        }
    }

    /// Months of the last so many in which somebody worked.
    pub(super) fn months_of(&self, window: i64) -> i64 {
        match self.work {
            Work::Studies | Work::Retired => 0,
            Work::Unemployed => {
                self.insured_months().min(window)
                    - self.jobless().min(window).min(self.insured_months())
            }
            _ => (self.tenure_months() + (window - self.tenure_months()).max(0) * 3 / 4)
                .min(self.insured_months())
                .min(window),
        }
    }

    /// Months out of work by now.
    fn jobless(&self) -> i64 {
        if self.work == Work::Unemployed { self.between("jobless", 2, 9) } else { 0 }
    }

    pub(super) fn of_work(&self, agency: &str, id: &str) -> Option<Fact> {
        let months = self.insured_months();
        let works = self.is_working();
        let employers = 1 + (self.months_since(self.first_job) - self.tenure_months()).max(0) / 48;
        let trained = self.is_employed() && self.chance("trained", 45);
        let training = if trained { self.between("courses at work", 1, 6) } else { 0 };
        let skilled = matches!(self.level, 1..=3) && self.is_grown();
        match id {
            "current.employed" => flag(works),
            "current.employer_type" => code(self.employer_type()?),
            "current.started_on" if works => day(self.since),
            "current.monthly_pay" if works => whole(self.pay),
            "current.industry" if works => nth(self.industry()),
            "current.occupation_group" if works => {
                nth(if self.level >= 4 { 1 } else { self.between("occupation", 2, 5) })
            }
            "current.job_level" if works => {
                nth((self.tenure_months() / 72).min(i64::from(self.level >= 3) + 1))
            }
            "current.employer_size" => match self.work {
                Work::SelfEmployed => code("micro"),
                Work::Employed(_) => nth(self.between("size", 1, 3)),
                _ => None,
            },
            "current.employer_age_years" if works => {
                whole(self.tenure_months() / 12 + self.between("firm", 1, 24))
            }
            "current.working_time" if works => {
                code(if self.chance("full time", 90) { "full_time" } else { "shift" })
            }
            "current.second_job" => flag(works && self.chance("second job", 4)),
            "pay.monthly_bonus_ratio" if works => cents(self.between("bonus", 0, 25)),
            "pay.annual_total_12m" if works => whole(self.pay * self.months_of(12)),
            "pay.growth_36m" if works => cents(self.between("growth", 0, 28)),
            "pay.variation_12m" if works => cents(self.between("variation", 1, 18)),
            "pay.paid_on_time_months_12m" => {
                whole(if self.is_employed() { self.months_of(12) } else { 0 })
            }
            "pay.bank_paid_share_12m" if self.is_employed() => cents(100),
            "history.first_job_on" if self.is_grown() => day(self.first_job),
            "history.employed_months_total" => whole(months),
            "history.employed_months_24m" => whole(self.months_of(24)),
            "history.employer_count_60m" => {
                whole(if self.is_grown() { employers.min(4) } else { 0 })
            }
            "history.industry_changes_60m" => {
                whole(if self.is_grown() { (employers - 1).min(2) } else { 0 })
            }
            "history.longest_tenure_months" => {
                whole(self.tenure_months().max(months / 2).min(months))
            }
            "history.average_tenure_months" => whole(months / employers),
            "history.last_gap_months" => whole(self.gap_months().min(8).max(self.jobless())),
            "history.gap_count_60m" => {
                whole(i64::from(self.gap_months() > 0 && self.tenure_months() < 60))
            }
            "history.promotions_60m" => whole(if self.is_employed() {
                self.between("promotions", 0, 2).min(self.tenure_months() / 24)
            } else {
                0
            }),
            "history.public_sector_months" => whole(if self.employer_type() == Some("public") {
                self.tenure_months().min(months)
            } else {
                0
            }),
            "history.overseas_months" => whole(0),
            "contract.form" if self.is_employed() => {
                code(if self.tenure_months() > 96 { "open_ended" } else { "fixed_term" })
            }
            "contract.signed_on" if self.is_employed() => day(self.since.max(self.months_ago(35))),
            "contract.ends_on" if self.is_employed() && self.tenure_months() <= 96 => {
                day(self.months_ahead(self.between("contract", 3, 30)))
            }
            "contract.renewals_count" if self.is_employed() => {
                whole((self.tenure_months() / 36).min(2))
            }
            "contract.in_probation" if self.is_employed() => flag(self.tenure_months() < 3),
            "contract.filed_electronically" if self.is_employed() => {
                flag(self.since.year() >= 2020)
            }
            "skill.grade" if skilled => nth((months / 60).min(4)),
            "skill.professional_title" => {
                nth(if self.level >= 4 { (months / 72).min(3) } else { 0 })
            }
            "skill.titled_on" if self.level >= 4 && months >= 72 => {
                day(self.months_ago(months % 72 + 1))
            }
            "skill.licences_valid_count" => whole(i64::from(skilled)),
            "skill.licence_next_expiry_on" if skilled => {
                day(self.months_ahead(self.between("licence ends", 2, 40)))
            }
            "skill.special_operations_permit" => flag(skilled && self.chance("operations", 10)),
            "skill.talent_grade" => code(if self.level >= 6 {
                "d"
            } else if self.level == 5 {
                "e"
            } else {
                "none"
            }),
            "skill.skill_contest_awards" => whole(i64::from(skilled && self.chance("contest", 3))),
            // Courses of schools are the schools' own part.
            "training.hours_36m" if agency == "education" => {
                whole(if self.chance("evening", 12) { 24 } else { 0 })
            }
            "training.hours_36m" => whole(training * 8),
            "training.courses_36m" => whole(training),
            "training.pass_ratio" if trained => cents(self.between("passed", 80, 100)),
            "training.latest_on" if trained => {
                day(self.months_ago(self.between("trained on", 1, 30)))
            }
            "training.apprenticeship_completed" => flag(self.level == 2),
            "job_seeking.registered" => flag(self.work == Work::Unemployed),
            "job_seeking.registered_on" if self.work == Work::Unemployed => {
                day(self.months_ago(self.jobless()))
            }
            "job_seeking.spells_60m" => whole(i64::from(self.jobless() > 0)),
            "job_seeking.months_36m" => whole(self.jobless()),
            "job_seeking.placements_60m" => {
                whole(i64::from(self.is_employed() && self.chance("placed", 7)))
            }
            "job_seeking.appointment_attendance_ratio" if self.jobless() > 0 => {
                cents(self.between("appointments", 70, 100))
            }
            "self_employment.flexible_worker" => {
                flag(self.work == Work::SelfEmployed && !self.owner)
            }
            "self_employment.platform_months_24m" => {
                whole(if self.work == Work::SelfEmployed && !self.owner {
                    self.tenure_months().min(24)
                } else {
                    0
                })
            }
            "self_employment.startup_loan_granted" => {
                flag(self.owner && self.chance("start-up", 30))
            }
            "self_employment.startup_subsidy_total" => {
                whole(if self.owner && self.chance("start-up", 30) { 5_000 } else { 0 })
            }
            "self_employment.jobs_created_36m" => {
                whole(if self.owner { self.between("jobs", 0, 3) } else { 0 })
            }
            _ => None,
        }
    }

    /// The place of the industry of one's work in the catalogue's list.
    fn industry(&self) -> i64 {
        match self.work {
            Work::Employed("public" | "non_profit") => 9,
            _ => self.between("industry", 2, 8),
        }
    }

    /// CNY of the base of contributions.
    fn base(&self) -> i64 {
        self.pay.clamp(LEAST_BASE, AVERAGE_WAGE * 3)
    }

    pub(super) fn of_insurance(&self, id: &str) -> Option<Fact> {
        let months = self.insured_months();
        let pensioner = self.work == Work::Retired;
        let streak = self.tenure_months().min(months);
        let insured = months > 0;
        match id {
            "enrolment.status" => code(match self.work {
                Work::Retired => "receiving",
                Work::Unemployed => "paused",
                _ => "active",
            }),
            "enrolment.scheme" => code(match self.work {
                Work::Employed("public") => "public_body",
                Work::Employed(_) => "employee",
                Work::SelfEmployed => "flexible",
                Work::Retired | Work::Unemployed => "employee",
                Work::Studies => "resident",
            }),
            "enrolment.first_enrolled_on" | "enrolment.local_enrolled_on" => {
                day(self.first_job.min(self.months_ago(1)))
            }
            "enrolment.branches_count" => whole(if self.is_employed() { 5 } else { 2 }),
            "enrolment.employer_changes_36m" => {
                whole(i64::from(self.is_working() && self.tenure_months() < 36 && months > 36))
            }
            "enrolment.transfer_in_count" => whole(i64::from(self.chance("moved here", 12))),
            "enrolment.identity_verified_on" => {
                day(self.months_ago(self.between("verified", 1, 40)))
            }
            "contribution.pension_months_total" => whole(months),
            "contribution.pension_months_60m" => whole(self.months_of(60)),
            "contribution.pension_months_12m" => whole(self.months_of(12)),
            "contribution.unemployment_months_total" => {
                whole(if self.is_employed() { streak } else { months / 2 })
            }
            "contribution.current_streak_months" => whole(streak),
            "contribution.longest_streak_months" => whole(streak.max(months / 2)),
            "contribution.interruptions_60m" => {
                whole(i64::from(self.gap_months() > 0 && streak < 60))
            }
            "contribution.last_interruption_ended_on"
                if self.gap_months() > 0 && self.is_working() =>
            {
                day(self.since)
            }
            "contribution.latest_paid_on" if insured => day(match self.work {
                Work::Retired => birthday(self.birth, PENSION_AGE),
                _ => self.months_ago(self.jobless()),
            }),
            "contribution.employer_paid_share_24m" => {
                cents(if self.is_employed() { 67 } else { 0 })
            }
            "contribution.self_paid_months_36m" => {
                whole(if self.work == Work::SelfEmployed { streak.min(36) } else { 0 })
            }
            "contribution.back_paid_months_60m" => {
                whole(i64::from(self.chance("back paid", 5)) * 2)
            }
            "contribution.local_months_total" => {
                whole(if self.chance("moved here", 12) { months * 3 / 5 } else { months })
            }
            "base.pension_base" | "base.average_base_12m" if self.is_working() => {
                whole(self.base())
            }
            "base.average_base_36m" if self.is_working() => whole(self.base() * 95 / 100),
            "base.base_to_local_average" if self.is_working() => ratio(self.base(), AVERAGE_WAGE),
            "base.base_at_floor_months_24m" => {
                whole(if self.is_working() && self.pay <= LEAST_BASE {
                    self.months_of(24)
                } else {
                    0
                })
            }
            "base.base_growth_36m" if self.is_working() => cents(self.between("growth", 0, 28)),
            "base.employer_declared_wage" if self.is_employed() => whole(self.pay),
            "base.contribution_index" if insured => ratio(self.base(), AVERAGE_WAGE),
            "pension.individual_account_balance" => whole(if pensioner {
                self.base() * months * 4 / 100
            } else {
                self.base() * months * 6 / 100
            }),
            "pension.months_to_minimum" => whole((180 - months).max(0)),
            "pension.annuity_member" => flag(self.is_employed() && self.chance("annuity", 25)),
            "pension.annuity_balance" => {
                whole(if self.is_employed() && self.chance("annuity", 25) {
                    self.pay * streak / 20
                } else {
                    0
                })
            }
            "pension.annuity_months" => {
                whole(if self.is_employed() && self.chance("annuity", 25) { streak } else { 0 })
            }
            "pension.personal_pension_opened" => {
                flag(self.is_working() && self.chance("third pillar", 15))
            }
            "pension.personal_pension_paid_12m" => {
                whole(if self.is_working() && self.chance("third pillar", 15) {
                    1_000 * self.between("third pillar paid", 0, 12)
                } else {
                    0
                })
            }
            "pension.receiving_pension" => flag(pensioner),
            "pension.pension_started_on" if pensioner => day(birthday(self.birth, PENSION_AGE)),
            "pension.monthly_pension" if pensioner => whole(self.pay * 55 / 100),
            "pension.deferred_retirement" => flag(self.age >= PENSION_AGE && self.is_working()),
            "unemployment.registered" => flag(self.work == Work::Unemployed),
            "unemployment.receiving_benefit" => {
                flag(self.benefit_months() > 0 && self.jobless() > 0)
            }
            "unemployment.benefit_months_36m" => whole(self.benefit_months()),
            "unemployment.benefit_months_left" => whole(if self.benefit_months() > 0 {
                self.between("benefit left", 1, 12)
            } else {
                0
            }),
            "unemployment.last_benefit_on" if self.benefit_months() > 0 => day(self.months_ago(0)),
            "unemployment.monthly_benefit" => {
                whole(if self.benefit_months() > 0 { 2_080 } else { 0 })
            }
            "unemployment.skill_subsidy_count" => whole(i64::from(self.chance("skill subsidy", 5))),
            "card.active" => flag(true),
            "card.issued_on" => day(self.months_ago(self.between("card", 4, 90))),
            "card.replacements_60m" => whole(i64::from(self.chance("card lost", 12))),
            _ => None,
        }
    }

    fn benefit_months(&self) -> i64 {
        if self.jobless() > 0 && self.insured_months() >= 12 { self.jobless() - 1 } else { 0 }
    }

    pub(super) fn of_fund(&self, id: &str) -> Option<Fact> {
        let months =
            if self.fund_member { self.tenure_months().min(self.insured_months()) } else { 0 };
        let monthly = self.base() * 14 / 100;
        let loan = self.home_loan().filter(|loan| loan.fund > 0);
        let rents = self.fund_member && loan.is_none() && self.age < 40 && self.chance("rent", 25);
        let drawn = if loan.is_some() || rents { 4 } else { 0 };
        match id {
            "account.status" => code(if self.fund_member {
                "normal"
            } else if self.work == Work::Retired {
                "closed"
            } else {
                "sealed"
            }),
            "account.opened_on" if self.is_grown() => {
                day(if self.fund_member { self.since } else { self.first_job })
            }
            "account.balance" => {
                whole(if drawn > 0 { monthly * 7 } else { monthly * months.min(120) })
            }
            "account.sealed_months_60m" => whole(if self.fund_member { 0 } else { self.jobless() }),
            "account.transfers_60m" => whole(i64::from(
                self.fund_member && self.tenure_months() < 60 && self.gap_months() > 0,
            )),
            "deposit.base" if self.fund_member => whole(self.base()),
            "deposit.monthly_amount" => whole(if self.fund_member { monthly } else { 0 }),
            "deposit.employee_rate" | "deposit.employer_rate" if self.fund_member => whole(7),
            "deposit.months_total" | "deposit.current_streak_months" => whole(months),
            "deposit.months_24m" => whole(months.min(24)),
            "deposit.latest_on" if months > 0 => day(self.months_ago(0)),
            "deposit.voluntary_depositor" => flag(false),
            "withdrawal.count_24m" => whole(drawn),
            "withdrawal.amount_24m" => whole(drawn * monthly * 3),
            "withdrawal.latest_purpose" if drawn > 0 => {
                code(if rents { "rent" } else { "loan_repayment" })
            }
            "loan.active" => flag(loan.is_some()),
            "loan.principal" => whole(loan.map_or(0, |loan| loan.fund)),
            "loan.remaining_months" => whole(loan.map_or(0, |loan| loan.term - loan.paid)),
            "loan.on_time_ratio_24m" => cents(if self.credit_trouble { 92 } else { 100 }),
            "loan.settled_count" => whole(0),
            _ => None,
        }
    }
}
