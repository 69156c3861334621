-- Illustrative schema of the demo database "social_security": the project's own, no real agency's. All data loaded into it is synthetic.

create table insured_person (
  person_id text not null primary key,
  enrolment_status text,
  scheme text,
  first_enrolled_on text,
  local_enrolled_on text,
  branches_count integer,
  employer_changes_36m integer,
  transfer_in_count integer,
  identity_verified_on text,
  updated_on text not null
) without rowid;

create table contribution_record (
  person_id text not null primary key,
  pension_months_total integer,
  pension_months_60m integer,
  pension_months_12m integer,
  unemployment_months_total integer,
  contribution_current_streak_months integer,
  longest_streak_months integer,
  interruptions_60m integer,
  last_interruption_ended_on text,
  latest_paid_on text,
  employer_paid_share_24m text,
  self_paid_months_36m integer,
  back_paid_months_60m integer,
  local_months_total integer,
  updated_on text not null
) without rowid;

create table contribution_default (
  person_id text not null primary key,
  overdue_months integer,
  contribution_overdue_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table contribution_base (
  person_id text not null primary key,
  pension_base_fen integer,
  average_base_12m_fen integer,
  average_base_36m_fen integer,
  base_to_local_average text,
  base_at_floor_months_24m integer,
  base_growth_36m text,
  employer_declared_wage_fen integer,
  contribution_index text,
  updated_on text not null
) without rowid;

create table pension_account (
  person_id text not null primary key,
  individual_account_balance_fen integer,
  months_to_minimum integer,
  annuity_member integer,
  annuity_balance_fen integer,
  annuity_months integer,
  personal_pension_opened integer,
  personal_pension_paid_12m_fen integer,
  receiving_pension integer,
  pension_started_on text,
  monthly_pension_fen integer,
  deferred_retirement integer,
  updated_on text not null
) without rowid;

create table unemployment_benefit (
  person_id text not null primary key,
  unemployment_registered integer,
  receiving_benefit integer,
  benefit_months_36m integer,
  benefit_months_left integer,
  last_benefit_on text,
  monthly_benefit_fen integer,
  skill_subsidy_count integer,
  updated_on text not null
) without rowid;

create table benefit_overpayment (
  person_id text not null primary key,
  overpaid_amount_fen integer,
  overpaid_count_60m integer,
  serious_breach_listed integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table citizen_card (
  person_id text not null primary key,
  card_active integer,
  card_issued_on text,
  card_replacements_60m integer,
  updated_on text not null
) without rowid;

create table fund_account (
  person_id text not null primary key,
  account_status text,
  account_opened_on text,
  account_balance_fen integer,
  account_sealed_months_60m integer,
  account_transfers_60m integer,
  updated_on text not null
) without rowid;

create table fund_deposit (
  person_id text not null primary key,
  deposit_base_fen integer,
  deposit_monthly_amount_fen integer,
  employee_rate_bp integer,
  employer_rate_bp integer,
  deposit_months_total integer,
  deposit_months_24m integer,
  deposit_current_streak_months integer,
  deposit_latest_on text,
  voluntary_depositor integer,
  updated_on text not null
) without rowid;

create table fund_withdrawal (
  person_id text not null primary key,
  withdrawal_count_24m integer,
  withdrawal_amount_24m_fen integer,
  withdrawal_latest_purpose text,
  updated_on text not null
) without rowid;

create table fund_withdrawal_breach (
  person_id text not null primary key,
  withdrawal_improper_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table fund_loan (
  person_id text not null primary key,
  loan_active integer,
  loan_principal_fen integer,
  loan_remaining_months integer,
  loan_on_time_ratio_24m text,
  loan_settled_count integer,
  updated_on text not null
) without rowid;

create table fund_loan_overdue (
  person_id text not null primary key,
  loan_overdue_instalments integer,
  loan_overdue_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table insured_employer (
  person_id text not null primary key,
  current_employed integer,
  employer_type text,
  updated_on text not null
) without rowid;

create table insured_career (
  person_id text not null primary key,
  first_job_on text,
  employed_months_total integer,
  updated_on text not null
) without rowid;

create table fund_loan_summary (
  person_id text not null primary key,
  mortgage_open_count integer,
  mortgage_outstanding_balance_fen integer,
  mortgage_monthly_instalment_fen integer,
  first_account_on text,
  updated_on text not null
) without rowid;

create table insured_business_owner (
  person_id text not null primary key,
  active_owner integer,
  updated_on text not null
) without rowid;
