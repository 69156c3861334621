//! A person's page: their own requests, in two languages, and nobody else's.

use std::process::Command;

use tributary::domain::audit::{Decision, ReasonWord, Record, SubjectTag};

use crate::drift::Recorded;

#[test]
fn a_person_sees_who_asked_for_what_and_what_was_refused() {
    let mut recorded = Recorded::new();
    let mine = SubjectTag::new([7; 32]);
    let record =
        recorded.release("mine-1", "credit_profile", "lending", "lending.history.clean_months");
    record.subject = Some(mine);
    let record = recorded.release(
        "mine-2",
        "credit_profile",
        "education",
        "education.award.competition_awards_count",
    );
    record.subject = Some(mine);
    record.agency = None;
    record.decision = Decision::Refused(ReasonWord::new("NOTHING_PERMITTED").unwrap());
    let record = recorded.release("theirs-1", "credit_profile", "traffic", "traffic.*");
    record.subject = Some(SubjectTag::new([8; 32]));
    assert!(matches!(recorded.records[2], Record::Section(_)));
    recorded.write(false);
    let tags = recorded.city.path().join("tags");
    let page = recorded.city.path().join("report.html");
    let run = |content: &str| {
        std::fs::write(&tags, content).unwrap();
        Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(["subject", "report", "--key", &recorded.key(), "--log"])
            .arg(recorded.log())
            .arg("--tags")
            .arg(&tags)
            .arg("--catalogue")
            .arg(recorded.city.path().join("catalogue"))
            .arg("-o")
            .arg(&page)
            .output()
            .unwrap()
    };
    let output = run(&format!("{}\n", "07".repeat(32)));
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&page).unwrap();
    for expected in [
        "There were 2 requests",
        "共有 2 次查询",
        "Months without a late payment",
        "连续无逾期月数",
        "mine-1",
        "NOTHING_PERMITTED",
        "you agreed",
        "您已同意",
    ] {
        assert!(text.contains(expected), "{expected}");
    }
    for other in ["theirs-1", "traffic", &"07".repeat(32), &"08".repeat(32)] {
        assert!(!text.contains(other), "{other}");
    }
    let wrong = run("xyz\n");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&wrong.stderr).contains("xyz"), "a tag is not repeated");
    assert_eq!(run("\n").status.code(), Some(1));
}
