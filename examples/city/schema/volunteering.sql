-- Illustrative schema of the demo database "volunteering": the project's own, no real agency's. All data loaded into it is synthetic.

create table volunteer_profile (
  person_id text not null primary key,
  profile_registered integer,
  profile_registered_on text,
  star_grade text,
  organisations_count integer,
  team_leader integer,
  skills_certified_count integer,
  updated_on text not null
) without rowid;

create table volunteer_conduct (
  person_id text not null primary key,
  profile_blocked integer,
  false_hours_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table volunteer_service (
  person_id text not null primary key,
  service_hours_total real,
  service_hours_12m real,
  active_months_24m integer,
  service_projects_36m integer,
  service_attendance_ratio_24m real,
  service_average_rating real,
  emergency_hours_60m real,
  elder_care_hours_24m real,
  environment_hours_24m real,
  teaching_hours_24m real,
  last_served_on text,
  updated_on text not null
) without rowid;

create table charitable_giving (
  person_id text not null primary key,
  donations_36m integer,
  regular_donor_months integer,
  giving_amount_36m_fen integer,
  goods_donations_36m integer,
  updated_on text not null
) without rowid;

create table pledge_default (
  person_id text not null primary key,
  pledges_broken_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table honour_record (
  person_id text not null primary key,
  honour_highest_level text,
  honour_count integer,
  bravery_award integer,
  updated_on text not null
) without rowid;

create table community_service (
  person_id text not null primary key,
  neighbourhood_hours_24m real,
  time_bank_balance real,
  mediator integer,
  updated_on text not null
) without rowid;
