-- Illustrative schema of the demo database "employment": the project's own, no real agency's. All data loaded into it is synthetic.

create table current_job (
  person_id text not null primary key,
  current_employed integer,
  employer_type text,
  current_started_on text,
  monthly_pay_fen integer,
  current_industry text,
  occupation_group text,
  job_level text,
  employer_size text,
  employer_age_years integer,
  working_time text,
  second_job integer,
  updated_on text not null
) without rowid;

create table pay_record (
  person_id text not null primary key,
  monthly_bonus_ratio real,
  pay_annual_total_12m_fen integer,
  pay_growth_36m real,
  pay_variation_12m real,
  paid_on_time_months_12m integer,
  bank_paid_share_12m real,
  updated_on text not null
) without rowid;

create table job_history (
  person_id text not null primary key,
  first_job_on text,
  employed_months_total integer,
  employed_months_24m integer,
  employer_count_60m integer,
  industry_changes_60m integer,
  longest_tenure_months integer,
  average_tenure_months real,
  last_gap_months integer,
  gap_count_60m integer,
  promotions_60m integer,
  public_sector_months integer,
  overseas_months integer,
  updated_on text not null
) without rowid;

create table labour_contract (
  person_id text not null primary key,
  contract_form text,
  contract_signed_on text,
  contract_ends_on text,
  contract_renewals_count integer,
  in_probation integer,
  filed_electronically integer,
  updated_on text not null
) without rowid;

create table labour_award_default (
  person_id text not null primary key,
  unpaid_award_count integer,
  unpaid_award_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table skill_record (
  person_id text not null primary key,
  skill_grade text,
  professional_title text,
  titled_on text,
  licences_valid_count integer,
  licence_next_expiry_on text,
  special_operations_permit integer,
  talent_grade text,
  skill_contest_awards integer,
  updated_on text not null
) without rowid;

create table professional_penalty (
  person_id text not null primary key,
  licence_suspended_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table work_training (
  person_id text not null primary key,
  training_hours_36m integer,
  training_courses_36m integer,
  training_pass_ratio real,
  training_latest_on text,
  apprenticeship_completed integer,
  updated_on text not null
) without rowid;

create table training_subsidy_recovery (
  person_id text not null primary key,
  subsidy_repayable_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table job_seeker (
  person_id text not null primary key,
  job_seeking_registered integer,
  job_seeking_registered_on text,
  job_seeking_spells_60m integer,
  job_seeking_months_36m integer,
  placements_60m integer,
  appointment_attendance_ratio real,
  updated_on text not null
) without rowid;

create table startup_support (
  person_id text not null primary key,
  flexible_worker integer,
  platform_months_24m integer,
  startup_loan_granted integer,
  startup_subsidy_total_fen integer,
  jobs_created_36m integer,
  updated_on text not null
) without rowid;

create table startup_subsidy_breach (
  person_id text not null primary key,
  subsidy_breach_count integer,
  startup_loan_compensated_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table worker_profile (
  person_id text not null primary key,
  attainment_highest_level text,
  updated_on text not null
) without rowid;

create table insured_work (
  person_id text not null primary key,
  pension_months_60m integer,
  updated_on text not null
) without rowid;

create table job_seeker_status (
  person_id text not null primary key,
  unemployment_registered integer,
  updated_on text not null
) without rowid;

create table employer_officer (
  person_id text not null primary key,
  legal_representative_count integer,
  officer_since text,
  updated_on text not null
) without rowid;
