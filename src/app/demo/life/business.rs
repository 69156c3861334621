//! What the tax office and the register of businesses hold.

use super::fact::{cents, code, day, flag, nth, whole};
use super::{Fact, Life};

impl Life {
    /// Income tax of a year, roughly.
    fn income_tax(&self) -> i64 {
        let taxable = (self.pay * self.months_of(12) * 80 / 100 - 60_000).max(0);
        taxable.min(36_000) * 3 / 100 + (taxable - 36_000).max(0) / 10
    }

    pub(super) fn of_tax(&self, id: &str) -> Option<Fact> {
        let earns = self.is_working();
        let turnover = self.turnover();
        match id {
            "personal.declared_income_12m" => {
                whole(if earns { self.pay * self.months_of(12) } else { 0 })
            }
            "personal.tax_paid_12m" => whole(if earns { self.income_tax() } else { 0 }),
            "personal.income_average_36m" => {
                whole(if earns { self.pay * 12 * 93 / 100 } else { 0 })
            }
            "personal.months_withheld_24m" => {
                whole(if self.is_employed() { self.months_of(24) } else { 0 })
            }
            "personal.main_income_kind" if earns => code(if self.owner {
                "business"
            } else if self.is_employed() {
                "wages"
            } else {
                "labour"
            }),
            "personal.annual_return_on_time" => flag(self.chance("tax return", 93)),
            "personal.refund_latest" => {
                whole(if earns { self.between("refund", 0, 9) * 110 } else { 0 })
            }
            _ if !self.owner => None,
            "business.credit_grade" => code(if self.chance("tax grade", 30) { "a" } else { "b" }),
            "business.tax_paid_12m" => whole(turnover * 3 / 100),
            "business.taxable_sales_12m" => whole(turnover),
            "business.sales_growth_12m" => cents(self.between("sales growth", -12, 25)),
            "business.returns_on_time_ratio_24m" => cents(self.between("returns", 88, 100)),
            "business.invoicing_months_12m" => whole(self.between("invoicing", 9, 12)),
            "business.taxpayer_kind" => code("small_scale"),
            _ => None,
        }
    }

    /// CNY of a business in a year: enough for its owner's living.
    fn turnover(&self) -> i64 {
        if self.owner { self.pay * 12 * self.between("turnover", 3, 8) } else { 0 }
    }

    pub(super) fn of_business(&self, id: &str) -> Option<Fact> {
        let owner = self.owner;
        let years = self.tenure_months() / 12;
        match id {
            "role.active_owner" => flag(owner),
            "role.business_count"
            | "role.legal_representative_count"
            | "role.shareholding_count"
            | "role.controlling_count" => whole(i64::from(owner)),
            "role.role_exits_36m" => whole(0),
            "capital.pledged_share_count" => whole(0),
            "capital.chattel_mortgage_count" => {
                whole(i64::from(owner && self.chance("chattel", 5)))
            }
            "penalty.repaired_count_36m" => whole(0),
            _ if !owner => None,
            "role.officer_since" | "main_business.registered_on" => day(self.since),
            "role.largest_share_percent" => whole(if self.chance("alone", 70) { 100 } else { 60 }),
            "role.subscribed_capital" | "main_business.registered_capital" => {
                whole(100_000 * self.between("capital", 1, 10))
            }
            "role.paid_in_ratio" => cents(self.between("paid in", 4, 10) * 10),
            "main_business.kind" => {
                code(if self.chance("alone", 70) { "individual" } else { "limited" })
            }
            "main_business.status" => code("operating"),
            "main_business.industry" => nth(self.between("trade", 3, 8)),
            "main_business.employees" => whole(self.between("staff", 0, 6)),
            "main_business.premises_tenure" => code("leased"),
            "main_business.turnover_band" => {
                code(if self.turnover() < 1_000_000 { "under_1m" } else { "from_1m" })
            }
            "main_business.profitable_years_36m" => {
                whole(years.clamp(0, self.between("profit", 1, 3)))
            }
            "compliance.annual_reports_on_time_36m" => whole(years.clamp(0, 3)),
            "compliance.latest_report_on" => day(self.months_ago(self.between("report", 1, 11))),
            "compliance.registration_changes_24m" => whole(self.between("changes", 0, 1)),
            "compliance.credit_risk_class" => {
                code(if self.chance("class", 40) { "a" } else { "b" })
            }
            "compliance.inspections_passed_ratio_36m" => {
                cents(self.between("inspections", 90, 100))
            }
            "compliance.beneficial_owner_filed" => flag(true),
            "trade.public_contracts_36m" => whole(self.between("contracts", 0, 2)),
            "trade.contracts_fulfilled_ratio_36m" => cents(self.between("fulfilled", 90, 100)),
            "trade.complaints_12m" => whole(self.between("complaints", 0, 2)),
            "trade.complaints_settled_ratio_12m" => cents(100),
            "trade.contract_honouring_title" => flag(years >= 3 && self.chance("honouring", 20)),
            "capital.patents_valid" => whole(0),
            "capital.trademarks_valid" => whole(i64::from(self.chance("mark", 25))),
            "licence.permits_valid_count" => whole(self.between("permits", 1, 3)),
            "licence.permit_next_expiry_on" => {
                day(self.months_ahead(self.between("permit", 2, 40)))
            }
            "licence.innovation_grade" => code("none"),
            _ => None,
        }
    }
}
