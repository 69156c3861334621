-- Illustrative schema of the demo database "traffic": the project's own, no real agency's. All data loaded into it is synthetic.

create table driving_licence (
  person_id text not null primary key,
  licence_status text,
  vehicle_class text,
  first_issued_on text,
  licence_valid_until text,
  in_probation integer,
  points_this_cycle integer,
  clean_cycles integer,
  points_reduced_12m integer,
  commercial_driver_permit integer,
  updated_on text not null
) without rowid;

create table licence_measure (
  person_id text not null primary key,
  licence_suspensions_60m integer,
  licence_revoked_60m integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table vehicle_record (
  person_id text not null primary key,
  vehicle_registered_count integer,
  mortgaged_count integer,
  oldest_ownership_months integer,
  energy_kind text,
  inspection_valid_ratio real,
  compulsory_cover_valid integer,
  for_hire_count integer,
  vehicle_transfers_24m integer,
  updated_on text not null
) without rowid;

create table vehicle_neglect (
  person_id text not null primary key,
  overdue_inspection_months integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table violation_summary (
  person_id text not null primary key,
  minor_count_12m integer,
  settled_on_time_ratio_24m real,
  months_since_last integer,
  updated_on text not null
) without rowid;

create table violation_record (
  person_id text not null primary key,
  penalty_count_24m integer,
  speeding_count_24m integer,
  signal_count_24m integer,
  unpaid_fines_amount_fen integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table serious_violation (
  person_id text not null primary key,
  drink_driving_count_60m integer,
  unlicensed_driving_count_60m integer,
  plate_fraud_count_60m integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table accident_liability (
  person_id text not null primary key,
  at_fault_accidents_36m integer,
  hit_and_run_60m integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table transit_account (
  person_id text not null primary key,
  card_held_months integer,
  pay_after_ride_enabled integer,
  charges_on_time_ratio_12m real,
  shared_bike_points integer,
  updated_on text not null
) without rowid;

create table transit_breach (
  person_id text not null primary key,
  fare_evasion_count_24m integer,
  unpaid_fares_amount_fen integer,
  rail_ban_active integer,
  bike_misuse_count_24m integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;
