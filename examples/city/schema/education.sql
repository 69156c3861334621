-- Illustrative schema of the demo database "education": the project's own, no real agency's. All data loaded into it is synthetic.

create table attainment (
  person_id text not null primary key,
  attainment_highest_level text,
  highest_degree text,
  graduated_on text,
  study_mode text,
  field_of_study text,
  institution_tier text,
  institution_sector text,
  completion_outcome text,
  schooling_years real,
  second_degree integer,
  overseas_degree_recognised integer,
  register_verified integer,
  updated_on text not null
) without rowid;

create table enrolment (
  person_id text not null primary key,
  currently_enrolled integer,
  enrolment_level text,
  enrolment_mode text,
  enrolment_started_on text,
  expected_graduation_on text,
  year_of_study integer,
  tuition_paid_this_year integer,
  updated_on text not null
) without rowid;

create table tuition_arrears (
  person_id text not null primary key,
  tuition_arrears_amount_fen integer,
  tuition_arrears_months integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table academic_result (
  person_id text not null primary key,
  grade_average_x100 integer,
  class_rank_percentile real,
  credits_earned_ratio real,
  failed_courses_open integer,
  entrance_exam_percentile real,
  thesis_grade text,
  internship_months integer,
  exchange_months integer,
  publications_count integer,
  updated_on text not null
) without rowid;

create table education_certificate (
  person_id text not null primary key,
  english_level text,
  putonghua_level text,
  computer_level text,
  teacher_certificate integer,
  second_language integer,
  skill_certificates_count integer,
  self_taught_subjects_passed integer,
  latest_certificate_on text,
  updated_on text not null
) without rowid;

create table certificate_revocation (
  person_id text not null primary key,
  certificate_revoked_count integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table student_award (
  person_id text not null primary key,
  national_scholarship_count integer,
  university_scholarship_count integer,
  scholarship_amount_36m_fen integer,
  excellent_graduate integer,
  competition_awards_count integer,
  competition_highest_level text,
  innovation_projects_count integer,
  updated_on text not null
) without rowid;

create table continuing_education (
  person_id text not null primary key,
  adult_course_hours_36m integer,
  courses_completed_36m integer,
  completion_ratio real,
  credit_bank_points integer,
  latest_course_on text,
  updated_on text not null
) without rowid;

create table student_loan (
  person_id text not null primary key,
  loan_count integer,
  student_loan_approved_total_fen integer,
  student_loan_outstanding_balance_fen integer,
  repayment_status text,
  grace_ends_on text,
  student_loan_repaid_ratio real,
  early_repayments_count integer,
  updated_on text not null
) without rowid;

create table student_loan_overdue (
  person_id text not null primary key,
  student_loan_overdue_amount_fen integer,
  student_loan_overdue_count_24m integer,
  ended_on text,
  disputed integer not null default 0,
  statement_ref text,
  updated_on text not null
) without rowid;

create table vocational_grade (
  person_id text not null primary key,
  skill_grade text,
  updated_on text not null
) without rowid;

create table vocational_training_hours (
  person_id text not null primary key,
  training_hours_36m integer,
  updated_on text not null
) without rowid;

create table student_volunteering (
  person_id text not null primary key,
  service_hours_total real,
  service_hours_12m real,
  updated_on text not null
) without rowid;
