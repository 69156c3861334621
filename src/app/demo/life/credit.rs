//! What lenders hold: cards, loans, and how they are repaid.

use rust_decimal::Decimal;

use super::fact::{cents, code, day, ratio, whole};
use super::{EVERYWHERE, Fact, Life};

/// Each kind of debt of one life, in CNY.
#[derive(Debug, Default, Clone, Copy)]
struct Debts {
    card: i64,
    home: i64,
    home_due: i64,
    car: i64,
    car_due: i64,
    consumer: i64,
    consumer_due: i64,
    business: i64,
    pay_later: i64,
}

impl Debts {
    const fn total(&self) -> i64 {
        self.card + self.home + self.car + self.consumer + self.business + self.pay_later
    }

    /// What is due in a month.
    const fn due(&self) -> i64 {
        self.home_due + self.car_due + self.consumer_due + self.card / 10 + self.pay_later / 3
    }

    const fn unsecured(&self) -> i64 {
        self.card + self.consumer + self.pay_later
    }
}

impl Life {
    /// The limit of one's cards, for whoever has one.
    pub(super) fn card_limit(&self) -> Option<i64> {
        let has = self.is_grown() && (self.place < EVERYWHERE || self.chance("card holder", 78));
        has.then(|| (self.pay * self.between("limit", 1, 4) / 1_000).max(1) * 1_000)
    }

    pub(super) fn has_consumer_loan(&self) -> bool {
        self.is_working() && self.chance("consumer loan", 24)
    }

    pub(super) fn has_business_loan(&self) -> bool {
        self.owner && self.chance("business loan", 45)
    }

    pub(super) fn pays_later(&self) -> bool {
        self.age < 45 && self.chance("pay later", 40)
    }

    fn debts(&self) -> Debts {
        let home = self.home_loan();
        let car = self.car_loan();
        let consumer =
            if self.has_consumer_loan() { self.pay * self.between("borrowed", 1, 3) } else { 0 };
        let car_left = car.map_or(0, |(principal, term, paid)| principal * (term - paid) / term);
        Debts {
            card: self.card_limit().map_or(0, |limit| limit * self.utilisation() / 100),
            home: home.map_or(0, |loan| loan.left(loan.bank)),
            home_due: home.map_or(0, |loan| loan.due(loan.bank)),
            car: car_left,
            car_due: car.map_or(0, |(principal, term, _)| principal / term),
            consumer,
            consumer_due: consumer / 12,
            business: if self.has_business_loan() { self.pay * 12 } else { 0 },
            pay_later: if self.pays_later() { 300 * self.between("later", 1, 8) } else { 0 },
        }
    }

    /// Percent of the limit that is in use.
    fn utilisation(&self) -> i64 {
        if self.credit_trouble { self.between("used", 60, 96) } else { self.between("used", 4, 55) }
    }

    /// A share of instalments paid on time, in hundredths.
    fn on_time(&self, of: &str) -> Option<Fact> {
        cents(if self.credit_trouble {
            self.between(of, 70, 93)
        } else {
            self.between(of, 97, 100)
        })
    }

    /// Months since the first account: a card from the age of 18 on.
    fn oldest_account(&self) -> i64 {
        let most = (self.age - 18) * 12 - 2;
        let loan = self.home_loan().map_or(0, |loan| loan.paid);
        self.between("oldest account", 8, most.min(200)).max(loan).min(most.max(1))
    }

    pub(super) fn of_credit(&self, agency: &str, id: &str) -> Option<Fact> {
        let debts = self.debts();
        let limit = self.card_limit();
        let used = self.utilisation();
        let oldest = self.oldest_account();
        let newest = self.between("newest account", 2, 30).min(oldest);
        let home = self.home_loan();
        let at_fund = agency == "social_security";
        let part = home.map(|loan| (loan, if at_fund { loan.fund } else { loan.bank }));
        let has_any = limit.is_some() || debts.total() > 0;
        match id {
            // Of a home loan the housing fund holds its own part.
            "mortgage.open_count" => whole(part.map_or(0, |(_, of)| i64::from(of > 0))),
            "mortgage.outstanding_balance" => whole(part.map_or(0, |(loan, of)| loan.left(of))),
            "mortgage.monthly_instalment" => whole(part.map_or(0, |(loan, of)| loan.due(of))),
            "mortgage.original_principal" => whole(home.map_or(0, |loan| loan.bank)),
            "mortgage.remaining_months" => whole(home.map_or(0, |loan| loan.term - loan.paid)),
            "mortgage.rate" => cents(home?.rate),
            "mortgage.repayment_method" if home.is_some() => code("equal_principal"),
            "mortgage.on_time_ratio_24m" if home.is_some() => self.on_time("home"),
            "mortgage.settled_count" => whole(0),
            "card.open_count" => whole(limit.map_or(0, |_| self.between("cards", 1, 3))),
            "card.total_limit" => whole(limit.unwrap_or(0)),
            "card.balance" => whole(debts.card),
            "card.utilisation_ratio" if limit.is_some() => cents(used),
            "card.highest_utilisation_ratio" if limit.is_some() => {
                cents((used + self.between("peak", 2, 30)).min(100))
            }
            "card.oldest_opened_on" if limit.is_some() => day(self.months_ago(oldest)),
            "card.newest_opened_on" if limit.is_some() => day(self.months_ago(newest)),
            "card.full_payment_months_12m" => whole(if limit.is_none() {
                0
            } else if self.credit_trouble {
                self.between("full", 0, 4)
            } else {
                self.between("full", 6, 11)
            }),
            "card.minimum_payment_months_12m" => whole(i64::from(limit.is_some() && used > 40)),
            "card.cash_advances_12m" => whole(i64::from(self.credit_trouble && limit.is_some())),
            "card.instalment_balance" => whole(debts.card / 3),
            "card.limit_raises_24m" => {
                whole(i64::from(limit.is_some() && self.chance("raise", 30)))
            }
            "card.unused_count" => whole(0),
            "vehicle.open_count" => whole(i64::from(debts.car > 0)),
            "vehicle.outstanding_balance" => whole(debts.car),
            "vehicle.monthly_instalment" => whole(debts.car_due),
            "vehicle.settled_count" => whole(i64::from(
                self.car().is_some() && debts.car == 0 && self.chance("car paid", 35),
            )),
            "consumer.open_count" => whole(i64::from(debts.consumer > 0)),
            "consumer.outstanding_balance" => whole(debts.consumer),
            "consumer.monthly_instalment" => whole(debts.consumer_due),
            "consumer.online_lender_count" => {
                whole(i64::from(debts.consumer > 0 && self.chance("online", 40)))
            }
            "consumer.online_balance" => {
                whole(if self.chance("online", 40) { debts.consumer } else { 0 })
            }
            "consumer.average_rate" if debts.consumer > 0 => {
                cents(self.between("consumer rate", 420, 1_390))
            }
            "consumer.shortest_term_months" if debts.consumer > 0 => whole(12),
            "consumer.refinanced_count_24m" => whole(0),
            "consumer.settled_count_60m" => whole(self.between("settled loans", 0, 2)),
            "business.open_count" => whole(i64::from(debts.business > 0)),
            "business.outstanding_balance" => whole(debts.business),
            "business.credit_line_total" => whole(debts.business * 3 / 2),
            "business.line_used_ratio" if debts.business > 0 => cents(67),
            "business.secured_share" if debts.business > 0 => cents(self.between("secured", 0, 80)),
            "business.subsidised_count" => {
                whole(i64::from(debts.business > 0 && self.chance("subsidised", 25)))
            }
            "business.settled_count" => {
                whole(i64::from(self.owner && self.chance("business paid", 30)))
            }
            "pay_later.open_count" => whole(i64::from(self.pays_later())),
            "pay_later.total_limit" => whole(if self.pays_later() { 5_000 } else { 0 }),
            "pay_later.balance" => whole(debts.pay_later),
            "pay_later.on_time_ratio_12m" if self.pays_later() => self.on_time("later paid"),
            "guarantee.given_count" => whole(i64::from(self.stands_surety())),
            "guarantee.given_balance" => whole(if self.stands_surety() { self.pay * 6 } else { 0 }),
            "guarantee.received_count" => {
                whole(i64::from(debts.business > 0 && self.chance("guaranteed", 30)))
            }
            "debt.total_balance" => whole(debts.total()),
            "debt.unsecured_balance" => whole(debts.unsecured()),
            "debt.monthly_due_total" => whole(debts.due()),
            "debt.lender_count" => {
                let kinds = [
                    debts.card,
                    debts.home,
                    debts.car,
                    debts.consumer,
                    debts.business,
                    debts.pay_later,
                ];
                whole(kinds.iter().filter(|debt| **debt > 0).count().try_into().ok()?)
            }
            "debt.peak_balance_24m" => whole(debts.total() * 112 / 100),
            "debt.change_12m" => {
                cents(if debts.total() > 0 { self.between("debt change", -25, 10) } else { 0 })
            }
            "debt.debt_to_income_ratio" => {
                let due = Decimal::from(debts.due()) / Decimal::from(self.pay.max(1));
                Some(Fact::Number(due.round_dp(2)))
            }
            "history.first_account_on" if has_any => day(self.months_ago(oldest)),
            "history.average_age_months" if has_any => whole((oldest + newest) / 2),
            "history.on_time_ratio_24m" if has_any => self.on_time("on time"),
            "history.on_time_ratio_60m" if has_any => self.on_time("on time long"),
            "history.clean_months" => {
                whole(if self.credit_trouble { self.between("clean", 0, 5) } else { oldest })
            }
            "history.product_kinds_count" => whole(
                i64::from(limit.is_some())
                    + i64::from(home.is_some())
                    + i64::from(debts.car > 0)
                    + i64::from(debts.consumer > 0),
            ),
            "history.accounts_settled_total" => whole(self.between("settled accounts", 0, 4)),
            "history.autopay_share" if has_any => cents(self.between("by order", 0, 100)),
            "history.newest_account_on" if has_any => day(self.months_ago(newest)),
            "inquiry.loan_approval_3m" | "inquiry.card_approval_3m" => {
                whole(i64::from(self.chance(id, 10)))
            }
            "inquiry.lenders_6m" => whole(self.applications()),
            "inquiry.guarantor_check_24m" => whole(i64::from(self.stands_surety())),
            "inquiry.own_report_12m" => whole(self.between("own report", 0, 2)),
            "inquiry.latest_approval_on" if self.applications() > 0 => {
                day(self.months_ago(self.between("approval", 0, 5)))
            }
            "application.submitted_6m" => whole(self.applications()),
            "application.approved_ratio_12m" if self.applications() > 0 => {
                ratio(self.applications() - self.declined(), self.applications())
            }
            "application.declined_6m" => whole(self.declined()),
            "application.pending_amount" => whole(0),
            _ => None,
        }
    }

    pub(super) fn stands_surety(&self) -> bool {
        self.is_working() && self.age > 28 && self.chance("surety", 6)
    }

    fn applications(&self) -> i64 {
        if self.chance("applies", 25) { self.between("applications", 1, 3) } else { 0 }
    }

    fn declined(&self) -> i64 {
        i64::from(self.applications() > 0 && self.credit_trouble)
    }
}
