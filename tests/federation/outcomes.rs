//! The demo's test people: of each, the outcome that `federation.json` states.

use tributary::app::demo::TestPerson;
use tributary::wire::proto::pb;

use crate::kit::demo::City;
use crate::kit::waiting::UNHURRIED as DEADLINE;

/// What is said of a person's item: its value's marks, or why it has none.
fn said(answer: &pb::GetProfileResponse, id: &str) -> String {
    let profile = answer.profile.as_ref().unwrap();
    if let Some(gap) = profile.gaps.iter().find(|gap| gap.id == id) {
        let parts: Vec<&str> = gap.alternatives.iter().map(|part| &*part.agency).collect();
        let why = gap.absence().as_str_name().trim_start_matches("ABSENCE_");
        return format!("{why} {}", parts.join(" ")).trim_end().to_owned();
    }
    let item = profile.items.iter().find(|item| item.id == id).unwrap();
    let marks = [(item.conflict, "conflict"), (item.disputed, "disputed")];
    let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
    format!("value {}", marks.join(" ")).trim_end().to_owned()
}

fn status(answer: &pb::GetProfileResponse, agency: &str) -> &'static str {
    let report = answer.sections.iter().find(|section| section.agency == agency).unwrap();
    report.status().as_str_name().trim_start_matches("SECTION_STATUS_")
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_test_person_for_each_outcome() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    let items = client.bundle("basic").await.unwrap();
    let people = city.described.test_people.clone();
    let mut outcomes = Vec::new();
    for TestPerson { outcome, subject, agency, item, .. } in &people {
        let place = city.described.subjects.iter().position(|known| known == subject).unwrap();
        let answer = client.profile(&city.grant(place), items.clone(), DEADLINE).await.unwrap();
        let all_answered = answer.sections.len() == 7
            && answer.sections.iter().all(|section| status(&answer, &section.agency) == "OK");
        let profile = answer.profile.as_ref().unwrap();
        let of_item = item.as_deref().map(|id| said(&answer, id)).unwrap_or_default();
        let of_agency = agency.as_deref().map(|id| status(&answer, id)).unwrap_or_default();
        match outcome.as_str() {
            "complete" => {
                assert!(all_answered && !profile.items.iter().any(|item| item.conflict));
                // A fact that does not weigh on anybody is not recorded.
                let gaps: Vec<String> =
                    profile.gaps.iter().map(|gap| said(&answer, &gap.id)).collect();
                assert!(gaps.iter().all(|gap| gap == "NOT_RECORDED"), "{:?}", profile.gaps);
                assert!(gaps.len() <= 1, "{:?}", profile.gaps);
            }
            "conflict" => assert_eq!(of_item, "value conflict"),
            "disputed" => assert_eq!(of_item, "value disputed"),
            "lapsed_fact" => {
                assert_eq!(of_item, "NOT_RECORDED");
                let held = crate::kit::sqlite_file::reader(&city.home.join("data/lending.db"));
                let count = "select count(*) from delinquency_record where person_id = ?1";
                let rows: i64 = held.query_row(count, [subject], |row| row.get(0)).unwrap();
                assert_eq!(rows, 1, "the agency holds it all the same");
            }
            "no_record_at_one_agency" => assert_eq!(of_agency, "NO_RECORD"),
            "invalid_value" => assert_eq!(of_item, "INVALID"),
            "partial_sum" => assert_eq!(of_item, "INCOMPLETE volunteering"),
            other => panic!("no such outcome: {other}"),
        }
        outcomes.push(outcome.as_str());
    }
    outcomes.sort_unstable();
    assert_eq!(
        outcomes,
        [
            "complete",
            "conflict",
            "disputed",
            "invalid_value",
            "lapsed_fact",
            "no_record_at_one_agency",
            "partial_sum",
        ]
    );
}
