//! A home and what goes with it: the loan, belongings, bills, a car.

use super::fact::{cents, code, day, flag, nth, ratio, whole};
use super::{EVERYWHERE, Fact, Life, Work};

/// A loan for a home, of a bank and of the housing fund, repaid in equal parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct HomeLoan {
    /// CNY lent by the bank.
    pub(super) bank: i64,
    /// CNY lent by the housing fund.
    pub(super) fund: i64,
    /// Months in all, and those that are paid.
    pub(super) term: i64,
    pub(super) paid: i64,
    /// Hundredths of a percent a year.
    pub(super) rate: i64,
}

impl HomeLoan {
    /// What of a principal is not repaid.
    pub(super) const fn left(&self, principal: i64) -> i64 {
        principal * (self.term - self.paid) / self.term
    }

    /// What is due each month for a principal: a part of it, and interest.
    pub(super) const fn due(&self, principal: i64) -> i64 {
        principal / self.term + self.left(principal) * self.rate / 120_000
    }
}

impl Life {
    pub(super) fn home_loan(&self) -> Option<HomeLoan> {
        let worked = self.months_since(self.first_job);
        let has = self.is_working()
            && (26..58).contains(&self.age)
            && worked > 30
            && self.chance("home loan", 38);
        has.then(|| {
            let (all, term) = (self.pay * 60 / 10_000 * 10_000, 300);
            let fund = if self.fund_member { (all / 3).min(500_000) / 1_000 * 1_000 } else { 0 };
            let paid = self.between("home loan paid", 6, (worked - 12).min(200));
            HomeLoan {
                bank: all - fund,
                fund,
                term,
                paid,
                rate: self.between("home loan rate", 310, 490),
            }
        })
    }

    /// CNY that a car costs, for whoever has one.
    pub(super) fn car(&self) -> Option<i64> {
        let has =
            self.drives && self.is_grown() && (self.place < EVERYWHERE || self.chance("car", 50));
        has.then(|| self.pay * 12)
    }

    /// CNY in the bank.
    fn savings(&self) -> i64 {
        let years = (self.age - 20).clamp(0, 30);
        self.pay * self.between("savings", 1, 14) * years / 10 + 500
    }

    pub(super) fn of_assets(&self, id: &str) -> Option<Fact> {
        let saved = self.savings();
        let invests = self.is_grown() && saved > 60_000 && self.chance("invests", 40);
        let insured = self.is_grown() && self.chance("insured", 45);
        let loan = self.home_loan();
        let owns = loan.is_some() || (self.age > 40 && self.chance("owns", 55));
        let value = self.pay * 110;
        match id {
            "deposit.total_balance" => whole(saved),
            "deposit.average_balance_6m" => whole(saved * 96 / 100),
            "deposit.average_balance_12m" => whole(saved * 92 / 100),
            "deposit.lowest_balance_12m" => whole(saved * 60 / 100),
            "deposit.term_share" => cents(self.between("term", 0, 70)),
            "deposit.large_certificate_amount" => whole(if saved > 250_000 { 200_000 } else { 0 }),
            "deposit.saving_months_12m" => whole(self.between("saving", 2, 12)),
            "deposit.bank_count" => whole(self.between("banks", 1, 4)),
            "deposit.oldest_account_on" => day(self.months_ago((self.age - 17) * 12 - 6)),
            "security.market_value" if invests => whole(saved / 5),
            "security.fund_value" if invests => whole(saved / 8),
            "security.wealth_product_value" if invests => whole(saved / 6),
            "security.treasury_bond_value" if invests => whole(saved / 20),
            "security.margin_debt_ratio" if invests => whole(0),
            "security.risk_rating" if invests => nth(self.between("risk", 0, 4)),
            "security.account_opened_on" if invests => {
                day(self.months_ago(self.between("invests since", 6, 60).min((self.age - 18) * 12)))
            }
            _ if id.starts_with("security.") => None,
            "insurance.policies_in_force" => {
                whole(if insured { self.between("policies", 1, 3) } else { 0 })
            }
            "insurance.life_sum_insured" => {
                whole(if insured { 100_000 * self.between("sum insured", 1, 6) } else { 0 })
            }
            "insurance.cash_value" => whole(if insured { self.pay } else { 0 }),
            "insurance.premium_12m" => whole(if insured { self.pay * 2 / 3 } else { 0 }),
            "insurance.premium_on_time_ratio_36m" if insured => {
                cents(self.between("premiums", 92, 100))
            }
            "insurance.lapsed_count_36m" => whole(0),
            "insurance.policy_loan_balance" => whole(0),
            "real_estate.owned_count" => whole(i64::from(owns)),
            "real_estate.assessed_value" => whole(if owns { value } else { 0 }),
            "real_estate.residential_area" => {
                whole(if owns { self.between("area", 55, 130) } else { 0 })
            }
            "real_estate.mortgaged_share" if owns => {
                ratio(loan.map_or(0, |loan| loan.left(loan.bank + loan.fund)), value)
            }
            "real_estate.first_registered_on" if owns => day(loan.map_or_else(
                || self.months_ago((self.age - 30) * 12),
                |loan| self.months_ago(loan.paid),
            )),
            "real_estate.tenure_kind" => code(if loan.is_some() {
                "mortgaged"
            } else if owns {
                "owned"
            } else {
                "rented"
            }),
            _ => None,
        }
    }

    /// A share of bills paid on time, in hundredths.
    fn bills_on_time(&self, of: &str) -> i64 {
        if self.bill_trouble { self.between(of, 55, 90) } else { self.between(of, 92, 100) }
    }

    pub(super) fn of_bills(&self, id: &str) -> Option<Fact> {
        let householder = self.is_grown();
        match id {
            "energy.electricity_account_months" => whole(if householder {
                self.between("metered", 6, 60).min((self.age - 18) * 12)
            } else {
                0
            }),
            "energy.heating_paid_this_season" => flag(!self.bill_trouble),
            "telecom.number_held_months" => {
                whole(self.between("number", 12, 150).min((self.age - 15) * 12))
            }
            "telecom.plan_kind" => {
                code(if self.chance("plan", 75) { "postpaid" } else { "prepaid" })
            }
            "payment_habit.autopay_count" => whole(self.between("autopay", 0, 5)),
            "payment_habit.all_clear_months" => {
                whole(if self.bill_trouble { 0 } else { self.between("clear", 8, 36) })
            }
            "payment_habit.late_bills_12m" => {
                whole(if self.bill_trouble { self.between("late", 2, 6) } else { 0 })
            }
            _ if id.contains("on_time_ratio") => cents(self.bills_on_time(id)),
            _ => None,
        }
    }

    pub(super) fn of_traffic(&self, id: &str) -> Option<Fact> {
        let held = self.months_licensed();
        let car = self.car();
        let fined = self.fined();
        match id {
            "transit.card_held_months" => {
                whole(self.between("transit card", 3, 110).min((self.age - 10) * 12))
            }
            "transit.pay_after_ride_enabled" => flag(self.chance("after ride", 60)),
            "transit.charges_on_time_ratio_12m" => cents(self.between("rides", 94, 100)),
            "transit.shared_bike_points" => whole(self.between("bike", 60, 100)),
            "vehicle.registered_count" => whole(i64::from(car.is_some())),
            "vehicle.mortgaged_count" => whole(i64::from(self.car_loan().is_some())),
            "vehicle.for_hire_count" => whole(0),
            "vehicle.transfers_24m" => {
                whole(i64::from(car.is_some() && self.chance("second hand", 12)))
            }
            "vehicle.oldest_ownership_months" if car.is_some() => whole(self.months_with_car()),
            "vehicle.energy_kind" if car.is_some() => {
                code(if self.chance("electric", 30) { "electric" } else { "petrol" })
            }
            "vehicle.inspection_valid_ratio" if car.is_some() => cents(100),
            "vehicle.compulsory_cover_valid" if car.is_some() => flag(true),
            _ if !self.drives || id.starts_with("vehicle.") => None,
            "licence.status" => code("valid"),
            "licence.vehicle_class" => code(if self.chance("class b", 8) {
                "b2"
            } else if self.chance("manual", 60) {
                "c1"
            } else {
                "c2"
            }),
            "licence.first_issued_on" => day(self.months_ago(held)),
            "licence.valid_until" => day(self.months_ahead(72 - held % 72)),
            "licence.in_probation" => flag(held < 12),
            "licence.points_this_cycle" => {
                whole(if fined { self.between("points", 1, 6) } else { 0 })
            }
            "licence.clean_cycles" => whole(if fined { 0 } else { held / 12 }),
            "licence.points_reduced_12m" => whole(0),
            "licence.commercial_driver_permit" => flag(self.chance("class b", 8)),
            "penalty.minor_count_12m" => whole(if fined { self.between("fines", 1, 3) } else { 0 }),
            "penalty.settled_on_time_ratio_24m" => {
                cents(if fined { self.between("settled", 60, 100) } else { 100 })
            }
            "penalty.months_since_last" => {
                whole(if fined { self.between("fined", 1, 11) } else { held.min(120) })
            }
            _ => None,
        }
    }

    /// Whether a driver was fined in the last twelve months.
    pub(super) fn fined(&self) -> bool {
        self.drives && self.place != 2 && self.chance("fined", 30)
    }

    fn months_licensed(&self) -> i64 {
        self.between("licensed", 8, ((self.age - 18) * 12 - 4).min(240))
    }

    fn months_with_car(&self) -> i64 {
        self.between("car since", 3, 96).min(self.months_licensed())
    }

    /// A loan for a car: principal, months in all, months paid.
    pub(super) fn car_loan(&self) -> Option<(i64, i64, i64)> {
        let price =
            self.car().filter(|_| self.work != Work::Retired && self.chance("car loan", 30))?;
        let paid = self.months_with_car();
        (paid < 36).then_some((price / 2, 36, paid))
    }
}
