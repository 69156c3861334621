//! Adverse facts: who has them, and what they say.

use super::fact::{cents, code, flag, whole};
use super::{Fact, Life, Work};

impl Life {
    /// Whether an office would have an adverse record with this item.
    pub(in super::super) fn is_troubled(&self, id: &str) -> bool {
        let credit = self.credit_trouble;
        let (category, _) = id.rsplit_once('.').unwrap_or((id, ""));
        let rarely = |percent| self.chance(category, percent);
        match category {
            "education.enrolment" => self.work == Work::Studies && rarely(6),
            "education.certificate" | "employment.skill" | "employment.training" => rarely(1),
            "education.student_loan" => credit && self.age < 36 && self.level >= 3,
            "employment.contract" | "employment.self_employment" | "tax.business" => {
                self.owner && rarely(7)
            }
            "enterprise.role"
            | "enterprise.compliance"
            | "enterprise.penalty"
            | "enterprise.trade"
            | "enterprise.capital" => self.owner && rarely(8),
            "tax.personal" => self.is_working() && rarely(2),
            "housing_fund.withdrawal" => self.fund_member && rarely(2),
            "housing_fund.loan" => credit && self.home_loan().is_some_and(|loan| loan.fund > 0),
            "social_security.contribution" => self.work == Work::SelfEmployed && rarely(15),
            "social_security.unemployment" => self.work == Work::Unemployed && rarely(5),
            "lending.card" => credit && self.card_limit().is_some(),
            "lending.mortgage" => credit && self.home_loan().is_some(),
            "lending.vehicle" => credit && self.car_loan().is_some(),
            "lending.consumer" => credit && self.has_consumer_loan(),
            "lending.business" => credit && self.has_business_loan(),
            "lending.pay_later" => credit && self.pays_later(),
            "lending.guarantee" => credit && self.stands_surety(),
            "lending.delinquency" => credit,
            "lending.public_record" => credit && rarely(25),
            "assets.real_estate" => credit && self.home_loan().is_some() && rarely(15),
            "utilities.energy"
            | "utilities.water"
            | "utilities.telecom"
            | "utilities.housing_services" => self.bill_trouble && rarely(50),
            "traffic.licence" => self.drives && rarely(2),
            "traffic.vehicle" => self.car().is_some() && rarely(4),
            "traffic.penalty" => self.fined(),
            "traffic.transit" => rarely(3),
            "volunteering.profile" | "volunteering.giving" => self.volunteers && rarely(1),
            _ => false,
        }
    }

    /// What such a record says of an item.
    pub(super) fn trouble(&self, id: &str) -> Option<Fact> {
        let (_, name) = id.rsplit_once('.')?;
        let few = self.between(id, 1, 3);
        match name {
            "drink_driving_count_60m"
            | "unlicensed_driving_count_60m"
            | "plate_fraud_count_60m" => whole(i64::from(self.chance(id, 3))),
            "count_24m" => whole(self.between("fines", 1, 3) + 1),
            "speeding_count_24m" => whole(self.between("fines", 1, 3)),
            "signal_count_24m" => whole(1),
            "hit_and_run_60m"
            | "revoked_60m"
            | "rail_ban_active"
            | "dishonest_debtor_listed"
            | "insolvency_open"
            | "serious_breach_listed"
            | "seriously_unlawful_listed"
            | "major_violation_listed" => flag(self.chance(id, 10)),
            "under_seizure"
            | "office_banned"
            | "spending_restricted"
            | "abnormal_listed"
            | "blocked" => flag(true),
            "worst_status_24m" => code(if few > 2 {
                "days_61_90"
            } else if few > 1 {
                "days_31_60"
            } else {
                "days_1_30"
            }),
            "risk_class" => code("special_mention"),
            "overdue_months"
            | "overdue_months_24m"
            | "longest_overdue_months_60m"
            | "overdue_instalments"
            | "overdue_inspection_months"
            | "tuition_arrears_months"
            | "public_rent_arrears_months" => whole(few),
            "written_off_amount"
            | "assigned_debt_amount"
            | "restructured_count_60m"
            | "repossessions_count"
            | "collection_cases_open"
            | "frozen_shares_count"
            | "revoked_business_count" => whole(0),
            "unpaid_fares_amount" => cents(self.between(id, 2, 40) * 100),
            "unpaid_fines_amount" => whole(few * 200),
            "tuition_arrears_amount" => whole(few * 600),
            _ if id.starts_with("utilities.") && name.ends_with("amount") => whole(few * 85),
            _ if name.contains("amount") => whole(self.pay * few / 4),
            _ => whole(few),
        }
    }
}
