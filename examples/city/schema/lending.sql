-- Illustrative schema of the demo database "lending": the project's own, no real agency's. All data loaded into it is synthetic.

create table card_account (
  person_id text not null primary key,
  utilisation_ratio real,
  card_open_count integer,
  card_total_limit_fen integer,
  card_balance_fen integer,
  highest_utilisation_ratio real,
  card_oldest_opened_on text,
  card_newest_opened_on text,
  full_payment_months_12m integer,
  minimum_payment_months_12m integer,
  cash_advances_12m integer,
  card_instalment_balance_fen integer,
  limit_raises_24m integer,
  card_unused_count integer,
  updated_on text not null
) without rowid;

create table card_overdue (
  person_id text not null primary key,
  card_overdue_amount_fen integer,
  card_overdue_months_24m integer,
  card_longest_overdue_months_60m integer,
  card_written_off_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table home_loan (
  person_id text not null primary key,
  mortgage_open_count integer,
  mortgage_outstanding_balance_fen integer,
  mortgage_monthly_instalment_fen integer,
  mortgage_original_principal_fen integer,
  mortgage_remaining_months integer,
  mortgage_rate_bp integer,
  repayment_method text,
  mortgage_on_time_ratio_24m real,
  mortgage_settled_count integer,
  updated_on text not null
) without rowid;

create table home_loan_overdue (
  person_id text not null primary key,
  mortgage_overdue_instalments integer,
  mortgage_overdue_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table vehicle_loan (
  person_id text not null primary key,
  vehicle_open_count integer,
  vehicle_outstanding_balance_fen integer,
  vehicle_monthly_instalment_fen integer,
  vehicle_settled_count integer,
  updated_on text not null
) without rowid;

create table vehicle_loan_overdue (
  person_id text not null primary key,
  vehicle_overdue_count_24m integer,
  repossessions_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table consumer_loan (
  person_id text not null primary key,
  consumer_open_count integer,
  consumer_outstanding_balance_fen integer,
  consumer_monthly_instalment_fen integer,
  online_lender_count integer,
  online_balance_fen integer,
  consumer_average_rate_bp integer,
  shortest_term_months integer,
  refinanced_count_24m integer,
  consumer_settled_count_60m integer,
  updated_on text not null
) without rowid;

create table consumer_loan_overdue (
  person_id text not null primary key,
  consumer_overdue_amount_fen integer,
  consumer_overdue_count_24m integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table business_loan (
  person_id text not null primary key,
  business_open_count integer,
  business_outstanding_balance_fen integer,
  credit_line_total_fen integer,
  line_used_ratio real,
  business_secured_share real,
  subsidised_count integer,
  business_settled_count integer,
  updated_on text not null
) without rowid;

create table business_loan_default (
  person_id text not null primary key,
  business_overdue_amount_fen integer,
  business_risk_class text,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table pay_later_account (
  person_id text not null primary key,
  pay_later_open_count integer,
  pay_later_total_limit_fen integer,
  pay_later_balance_fen integer,
  pay_later_on_time_ratio_12m real,
  updated_on text not null
) without rowid;

create table pay_later_overdue (
  person_id text not null primary key,
  pay_later_overdue_count_12m integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table loan_guarantee (
  person_id text not null primary key,
  guarantee_given_count integer,
  guarantee_given_balance_fen integer,
  guarantee_received_count integer,
  updated_on text not null
) without rowid;

create table guarantee_called (
  person_id text not null primary key,
  guarantee_called_count integer,
  guarantee_called_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table debt_summary (
  person_id text not null primary key,
  debt_total_balance_fen integer,
  unsecured_balance_fen integer,
  monthly_due_total_fen integer,
  debt_lender_count integer,
  peak_balance_24m_fen integer,
  debt_change_12m real,
  debt_to_income_ratio real,
  updated_on text not null
) without rowid;

create table repayment_history (
  person_id text not null primary key,
  first_account_on text,
  average_age_months integer,
  history_on_time_ratio_24m real,
  history_on_time_ratio_60m real,
  clean_months integer,
  product_kinds_count integer,
  accounts_settled_total integer,
  autopay_share real,
  newest_account_on text,
  updated_on text not null
) without rowid;

create table credit_inquiry (
  person_id text not null primary key,
  loan_approval_3m integer,
  card_approval_3m integer,
  lenders_6m integer,
  guarantor_check_24m integer,
  own_report_12m integer,
  latest_approval_on text,
  updated_on text not null
) without rowid;

create table credit_application (
  person_id text not null primary key,
  application_submitted_6m integer,
  application_approved_ratio_12m real,
  application_declined_6m integer,
  application_pending_amount_fen integer,
  updated_on text not null
) without rowid;

create table delinquency_record (
  person_id text not null primary key,
  accounts_overdue integer,
  worst_status_24m text,
  restructured_count_60m integer,
  assigned_debt_amount_fen integer,
  collection_cases_open integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table court_debt_record (
  person_id text not null primary key,
  unpaid_judgments_count integer,
  unpaid_judgments_amount_fen integer,
  dishonest_debtor_listed integer,
  spending_restricted integer,
  insolvency_open integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table deposit_summary (
  person_id text not null primary key,
  deposit_total_balance_fen integer,
  deposit_average_balance_6m_fen integer,
  deposit_average_balance_12m_fen integer,
  deposit_lowest_balance_12m_fen integer,
  deposit_term_share real,
  large_certificate_amount_fen integer,
  saving_months_12m integer,
  deposit_bank_count integer,
  deposit_oldest_account_on text,
  updated_on text not null
) without rowid;

create table security_holding (
  person_id text not null primary key,
  security_market_value_fen integer,
  fund_value_fen integer,
  wealth_product_value_fen integer,
  treasury_bond_value_fen integer,
  margin_debt_ratio real,
  risk_rating text,
  security_account_opened_on text,
  updated_on text not null
) without rowid;

create table insurance_policy (
  person_id text not null primary key,
  policies_in_force integer,
  life_sum_insured_fen integer,
  insurance_cash_value_fen integer,
  premium_12m_fen integer,
  premium_on_time_ratio_36m real,
  lapsed_count_36m integer,
  policy_loan_balance_fen integer,
  updated_on text not null
) without rowid;

create table real_estate (
  person_id text not null primary key,
  real_estate_owned_count integer,
  real_estate_assessed_value_fen integer,
  real_estate_residential_area real,
  real_estate_mortgaged_share real,
  real_estate_first_registered_on text,
  tenure_kind text,
  updated_on text not null
) without rowid;

create table real_estate_seizure (
  person_id text not null primary key,
  under_seizure integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table energy_bill (
  person_id text not null primary key,
  electricity_account_months integer,
  electricity_on_time_ratio_12m real,
  gas_on_time_ratio_12m real,
  heating_paid_this_season integer,
  updated_on text not null
) without rowid;

create table energy_bill_arrears (
  person_id text not null primary key,
  electricity_arrears_amount_fen integer,
  gas_arrears_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table water_bill (
  person_id text not null primary key,
  water_on_time_ratio_12m real,
  updated_on text not null
) without rowid;

create table water_bill_arrears (
  person_id text not null primary key,
  water_arrears_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table telecom_account (
  person_id text not null primary key,
  telecom_number_held_months integer,
  plan_kind text,
  mobile_on_time_ratio_12m real,
  broadband_on_time_ratio_12m real,
  updated_on text not null
) without rowid;

create table telecom_arrears (
  person_id text not null primary key,
  telecom_suspensions_24m integer,
  telecom_arrears_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table housing_service_fee (
  person_id text not null primary key,
  property_fee_on_time_ratio_24m real,
  updated_on text not null
) without rowid;

create table housing_service_arrears (
  person_id text not null primary key,
  property_fee_arrears_amount_fen integer,
  public_rent_arrears_months integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table bill_payment_summary (
  person_id text not null primary key,
  autopay_count integer,
  all_clear_months integer,
  late_bills_12m integer,
  updated_on text not null
) without rowid;

create table student_loan_account (
  person_id text not null primary key,
  student_loan_outstanding_balance_fen integer,
  repayment_status text,
  updated_on text not null
) without rowid;

create table housing_loan_overdue (
  person_id text not null primary key,
  fund_loan_overdue_instalments integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table pledge_report (
  person_id text not null primary key,
  pledged_share_count integer,
  updated_on text not null
) without rowid;

create table vehicle_pledge_report (
  person_id text not null primary key,
  mortgaged_count integer,
  updated_on text not null
) without rowid;
