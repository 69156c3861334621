-- Illustrative schema of the demo database "enterprise": the project's own, no real agency's. All data loaded into it is synthetic.

create table business_role (
  person_id text not null primary key,
  business_count integer,
  legal_representative_count integer,
  active_owner integer,
  officer_since text,
  shareholding_count integer,
  controlling_count integer,
  largest_share_percent_bp integer,
  subscribed_capital_fen integer,
  paid_in_ratio text,
  role_exits_36m integer,
  updated_on text not null
) without rowid;

create table office_ban (
  person_id text not null primary key,
  office_banned integer,
  revoked_business_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table registered_business (
  person_id text not null primary key,
  main_business_kind text,
  main_business_status text,
  main_business_registered_on text,
  main_business_industry text,
  registered_capital_fen integer,
  employees integer,
  premises_tenure text,
  turnover_band text,
  profitable_years_36m integer,
  updated_on text not null
) without rowid;

create table business_filing (
  person_id text not null primary key,
  annual_reports_on_time_36m integer,
  latest_report_on text,
  registration_changes_24m integer,
  credit_risk_class text,
  inspections_passed_ratio_36m text,
  beneficial_owner_filed integer,
  updated_on text not null
) without rowid;

create table abnormal_operation (
  person_id text not null primary key,
  abnormal_listed integer,
  abnormal_entries_60m integer,
  seriously_unlawful_listed integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table penalty_repair (
  person_id text not null primary key,
  repaired_count_36m integer,
  updated_on text not null
) without rowid;

create table business_penalty (
  person_id text not null primary key,
  penalty_count_36m integer,
  penalty_fines_amount_36m_fen integer,
  unpaid_fines_amount_fen integer,
  consumer_fraud_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table trading_conduct (
  person_id text not null primary key,
  public_contracts_36m integer,
  contracts_fulfilled_ratio_36m text,
  complaints_12m integer,
  complaints_settled_ratio_12m text,
  contract_honouring_title integer,
  updated_on text not null
) without rowid;

create table trading_default (
  person_id text not null primary key,
  bid_default_count integer,
  supplier_arrears_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table equity_status (
  person_id text not null primary key,
  pledged_share_count integer,
  chattel_mortgage_count integer,
  patents_valid integer,
  trademarks_valid integer,
  updated_on text not null
) without rowid;

create table equity_freeze (
  person_id text not null primary key,
  frozen_shares_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table business_licence (
  person_id text not null primary key,
  permits_valid_count integer,
  permit_next_expiry_on text,
  innovation_grade text,
  updated_on text not null
) without rowid;

create table personal_income_tax (
  person_id text not null primary key,
  declared_income_12m_fen integer,
  personal_tax_paid_12m_fen integer,
  income_average_36m_fen integer,
  months_withheld_24m integer,
  main_income_kind text,
  annual_return_on_time integer,
  refund_latest_fen integer,
  updated_on text not null
) without rowid;

create table personal_tax_arrears (
  person_id text not null primary key,
  personal_arrears_amount_fen integer,
  false_return_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table business_tax (
  person_id text not null primary key,
  credit_grade text,
  business_tax_paid_12m_fen integer,
  taxable_sales_12m_fen integer,
  sales_growth_12m text,
  returns_on_time_ratio_24m text,
  invoicing_months_12m integer,
  taxpayer_kind text,
  updated_on text not null
) without rowid;

create table business_tax_arrears (
  person_id text not null primary key,
  business_arrears_amount_fen integer,
  major_violation_listed integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table registered_business_profile (
  person_id text not null primary key,
  employer_industry text,
  updated_on text not null
) without rowid;

create table court_debtor_notice (
  person_id text not null primary key,
  unpaid_judgments_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;
