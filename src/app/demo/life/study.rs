//! What schools and the volunteer federation hold.

use super::fact::{cents, code, day, flag, nth, ratio, whole};
use super::{Fact, Life, Work, leaves_school_at};

impl Life {
    fn studies(&self) -> bool {
        self.work == Work::Studies && self.age < 30
    }

    /// Whether somebody has been to a university or college.
    const fn is_academic(&self) -> bool {
        self.level >= 3
    }

    /// The student loan: what was approved, and what of it is repaid, in CNY.
    fn student_loan(&self) -> Option<(i64, i64)> {
        let young = self.is_academic() && self.age < 36;
        let has = young && (self.place < super::EVERYWHERE || self.chance("student loan", 22));
        let approved = 8_000 * self.between("student loan years", 2, 4);
        let years = self.months_since(self.graduated) / 12;
        let repaid = approved * (years - 2).clamp(0, 8) / 8;
        has.then_some((approved, if self.studies() { 0 } else { repaid }))
    }

    pub(super) fn of_study(&self, id: &str) -> Option<Fact> {
        let academic = self.is_academic();
        let loan = self.student_loan();
        match id {
            // Who advises job seekers notes what they say, the school what it awarded.
            "attainment.highest_level" => nth(self.level),
            "attainment.highest_degree" => nth((self.level - 3).clamp(0, 3)),
            "attainment.graduated_on" => day(self.graduated),
            "attainment.study_mode" => match self.between("mode", 0, 9) {
                0 => code("part_time"),
                1 if academic => code("distance"),
                _ => code("full_time"),
            },
            "attainment.field_of_study" => nth(self.between("field", 0, 9)),
            "attainment.institution_tier" if academic => nth(self.between("tier", 0, 2)),
            "attainment.institution_tier" => code("vocational"),
            "attainment.institution_sector" => {
                code(if self.chance("sector", 85) { "public" } else { "private" })
            }
            "attainment.completion_outcome" => code("graduated"),
            "attainment.schooling_years" => whole(leaves_school_at(self.level) - 6),
            "attainment.second_degree" => flag(academic && self.chance("second degree", 4)),
            "attainment.overseas_degree_recognised" => flag(academic && self.chance("overseas", 3)),
            "attainment.register_verified" => flag(self.graduated.year() >= 2002),
            "enrolment.currently_enrolled" => flag(self.studies()),
            "enrolment.tuition_paid_this_year" if self.studies() => flag(true),
            "enrolment.level" if self.studies() => nth((self.level - 1).clamp(0, 4)),
            "enrolment.mode" if self.studies() => code("full_time"),
            "enrolment.started_on" if self.studies() => {
                day(self.months_ago(self.between("year", 0, 3) * 12 + 2))
            }
            "enrolment.year_of_study" if self.studies() => whole(self.between("year", 0, 3) + 1),
            "enrolment.expected_graduation_on" if self.studies() => {
                day(self.months_ahead((4 - self.between("year", 0, 3)) * 12 - 5))
            }
            "performance.grade_average" => cents(self.between("grades", 6_400, 9_500)),
            "performance.class_rank_percentile" => {
                cents(10_000 - (self.between("grades", 6_400, 9_500) - 6_400) * 10_000 / 3_200)
            }
            "performance.credits_earned_ratio" => {
                cents(if self.studies() { self.between("credits", 20, 90) } else { 100 })
            }
            "performance.failed_courses_open" => {
                whole(i64::from(self.studies() && self.chance("failed", 20)))
            }
            "performance.entrance_exam_percentile" => cents(self.between("exam", 3_000, 9_950)),
            "performance.thesis_grade" if academic => nth(self.between("thesis", 0, 3)),
            "performance.internship_months" => {
                whole(if academic { self.between("internship", 1, 8) } else { 0 })
            }
            "performance.exchange_months" => {
                whole(if academic && self.chance("exchange", 8) { 6 } else { 0 })
            }
            "performance.publications_count" => {
                whole(if self.level >= 5 { self.between("papers", 0, 6) } else { 0 })
            }
            "certificate.english_level" if academic => {
                code(if self.level >= 4 && self.chance("english", 55) { "cet6" } else { "cet4" })
            }
            "certificate.putonghua_level" => nth(self.between("putonghua", 1, 4)),
            "certificate.computer_level" => nth(self.between("computer", 0, 2)),
            "certificate.teacher_certificate" => flag(academic && self.chance("teacher", 8)),
            "certificate.second_language" => flag(academic && self.chance("second language", 7)),
            "certificate.skill_certificates_count" => whole(self.between("skills", 0, 3)),
            "certificate.self_taught_subjects_passed" => whole(if self.chance("self taught", 6) {
                self.between("subjects", 2, 14)
            } else {
                0
            }),
            "certificate.latest_certificate_on" => day(self.graduated.min(self.months_ago(1))),
            "award.national_scholarship_count" => {
                whole(i64::from(academic && self.chance("national", 2)))
            }
            "award.university_scholarship_count" => {
                whole(if academic { self.between("scholarships", 0, 3) } else { 0 })
            }
            "award.scholarship_amount_36m" => {
                whole(if self.studies() { 1_000 * self.between("stipend", 0, 5) } else { 0 })
            }
            "award.excellent_graduate" => flag(self.chance("excellent", 8)),
            "award.competition_awards_count" => whole(self.competitions()),
            "award.competition_highest_level" if self.competitions() > 0 => {
                nth(self.between("competition level", 0, 2))
            }
            "award.innovation_projects_count" => {
                whole(if academic { self.between("projects", 0, 1) } else { 0 })
            }
            "training.adult_course_hours_36m" => whole(self.courses() * 24),
            "training.courses_completed_36m" => whole(self.courses()),
            "training.completion_ratio" if self.courses() > 0 => {
                ratio(self.courses(), self.courses() + i64::from(self.chance("given up", 20)))
            }
            "training.credit_bank_points" => whole(self.courses() * 12),
            "training.latest_course_on" if self.courses() > 0 => {
                day(self.months_ago(self.between("course", 2, 30)))
            }
            "student_loan.loan_count" => whole(loan.map_or(0, |(approved, _)| approved / 8_000)),
            "student_loan.approved_total" => whole(loan.map_or(0, |(approved, _)| approved)),
            "student_loan.outstanding_balance" => {
                whole(loan.map_or(0, |(approved, repaid)| approved - repaid))
            }
            "student_loan.repayment_status" => match loan {
                // The loan office and the bank keep a row for whoever ever applied.
                None => code("settled"),
                Some(_) if self.studies() => code("in_study"),
                Some((_, 0)) => code("grace"),
                Some((approved, repaid)) if approved == repaid => code("settled"),
                Some(_) => code("repaying"),
            },
            "student_loan.grace_ends_on" if loan.is_some() => {
                day(self.graduated.saturating_add(time::Duration::days(730)))
            }
            "student_loan.repaid_ratio" => ratio(loan?.1, loan?.0),
            "student_loan.early_repayments_count" => whole(i64::from(
                loan.is_some_and(|(_, repaid)| repaid > 0) && self.chance("early", 20),
            )),
            _ => None,
        }
    }

    fn courses(&self) -> i64 {
        if self.chance("adult courses", 30) { self.between("adult course count", 1, 4) } else { 0 }
    }

    fn competitions(&self) -> i64 {
        if self.chance("competitions", 15) { self.between("competition awards", 1, 3) } else { 0 }
    }

    /// Hours of service in the last twelve months, in hundredths, at one keeper:
    /// each hour is recorded by one alone, that of a student by the school.
    fn hours_12m(&self, agency: &str) -> i64 {
        let at_school = self.studies() || self.place < super::EVERYWHERE;
        match agency {
            "education" if at_school => self.between("school hours", 4, 40) * 50,
            "volunteering" if self.volunteers => self.between("hours", 4, 120) * 50,
            _ => 0,
        }
    }

    /// Years of service so far; nobody begins before the age of 16.
    fn years_of_service(&self) -> i64 {
        (self.age - 16).clamp(1, self.between("service years", 1, 12))
    }

    pub(super) fn of_service(&self, agency: &str, id: &str) -> Option<Fact> {
        let hours = self.hours_12m(agency);
        let total = hours * self.years_of_service();
        let given = self.chance("gives", 30);
        match id {
            "profile.registered" => flag(self.volunteers),
            "service.hours_12m" => cents(hours),
            "service.hours_total" => cents(total),
            "giving.donations_36m" => whole(if given { self.between("gifts", 1, 9) } else { 0 }),
            "giving.amount_36m" => whole(if given {
                self.between("gifts", 1, 9) * 20 * self.between("gift", 1, 15)
            } else {
                0
            }),
            "giving.regular_donor_months" => {
                whole(if given { self.between("donor", 0, 24) } else { 0 })
            }
            "giving.goods_donations_36m" => {
                whole(if given { self.between("goods", 0, 4) } else { 0 })
            }
            "honour.count" => whole(i64::from(total >= 30_000)),
            "honour.highest_level" if total >= 30_000 => code("district"),
            "honour.bravery_award" => {
                flag(self.chance("bravery", 1) && self.place >= super::EVERYWHERE)
            }
            "community.neighbourhood_hours_24m" => cents(hours / 2),
            "community.time_bank_balance" => cents(hours / 4),
            "community.mediator" => flag(self.age >= 40 && self.chance("mediator", 2)),
            "profile.star_grade" => nth([10_000, 30_000, 60_000, 100_000, 150_000]
                .iter()
                .filter(|least| total >= **least)
                .count()
                .try_into()
                .ok()?),
            _ if !self.volunteers => match id {
                "profile.organisations_count"
                | "profile.skills_certified_count"
                | "service.projects_36m"
                | "service.active_months_24m" => whole(0),
                "profile.team_leader" => flag(false),
                _ => None,
            },
            "profile.registered_on" => day(self.months_ago(self.years_of_service() * 12)),
            "profile.organisations_count" => whole(self.between("teams", 1, 4)),
            "profile.team_leader" => flag(self.chance("leads", 6)),
            "profile.skills_certified_count" => whole(self.between("first aid", 0, 2)),
            "service.active_months_24m" => whole((hours / 200).clamp(1, 24)),
            "service.projects_36m" => whole((hours / 400).clamp(1, 30)),
            "service.attendance_ratio_24m" => cents(self.between("attendance", 78, 100)),
            "service.average_rating" => cents(self.between("rating", 38, 50) * 10),
            "service.emergency_hours_60m" => {
                cents(if self.chance("relief", 5) { hours / 5 } else { 0 })
            }
            "service.elder_care_hours_24m"
            | "service.environment_hours_24m"
            | "service.teaching_hours_24m" => cents(hours / 4),
            "service.last_served_on" => day(self.months_ago(self.between("served", 0, 5))),
            _ => None,
        }
    }
}
