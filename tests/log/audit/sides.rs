//! What the log says to others: reconciliation and subject access.

use std::collections::HashSet;
use std::hash::RandomState;
use std::time::Duration;

use tributary::domain::audit::access::subject_access;
use tributary::domain::audit::export::Line;
use tributary::domain::audit::reconcile::{Compared, Comparison, Side, reconcile};
use tributary::domain::audit::{Decision, ReasonWord, Record, SubjectTag, Timestamp};
use tributary::domain::catalogue::AgencyId;
use tributary::domain::section::SectionStatus;

use super::support::section;

const SECOND: u64 = 1_000_000;

fn withheld(second: u64, number: u64) -> Record {
    let Record::Section(mut record) = at(second, number, SectionStatus::Ok) else { panic!() };
    record.decision = Decision::Withheld(ReasonWord::new("GRANT_REVOKED").unwrap());
    Record::Section(record)
}

fn at(second: u64, number: u64, status: SectionStatus) -> Record {
    let mut record = section(number);
    record.time = Timestamp(second * SECOND);
    record.agency = AgencyId::new("education");
    record.decision = Decision::Section(status);
    record.into()
}

fn lines(records: &[Record]) -> Vec<Line> {
    let export: Vec<Line> = records
        .iter()
        .zip(0..)
        .map(|(record, index)| Line::new("o", index, record, false))
        .collect();
    // By way of a file, as reviewers pass them on.
    let text: Vec<String> =
        export.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    assert!(text.iter().all(|line| !line.contains("tag") && !line.contains("blind")));
    text.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn run(gateway: &[Record], agency: &[Record]) -> Vec<Compared> {
    let (gateway, agency) = (lines(gateway), lines(agency));
    reconcile(&[&gateway], &[&agency], Duration::from_secs(2), &RandomState::new())
}

#[test]
fn every_release_gets_its_class() {
    use SectionStatus::{Ok, Timeout};
    let gateway = [
        at(100, 1, Ok),
        at(101, 2, Timeout),
        at(104, 3, Ok),
        Record::Started { time: Timestamp(130 * SECOND), clean: false },
        at(200, 4, Ok),
        Record::Stopped { time: Timestamp(201 * SECOND) },
        Record::Started { time: Timestamp(260 * SECOND), clean: true },
    ];
    let agency = [
        at(99, 1, Ok),
        at(103, 2, Ok),
        at(104, 3, Ok),
        // In flight when the gateway crashed.
        at(106, 5, Ok),
        // The gateway runs and leaves it out.
        at(190, 6, Ok),
        // The gateway had closed its log: no excuse either.
        at(230, 7, Ok),
        at(240, 8, SectionStatus::NoRecord),
    ];
    let found = run(&gateway, &agency);
    let class = |number: u64| {
        let request = format!("request-{number}");
        let finding = found.iter().find(|finding| finding.request == request)?;
        Some((finding.class, finding.missing_at))
    };
    assert_eq!(class(1), Some((Comparison::Matched, None)));
    assert_eq!(class(2), Some((Comparison::Late, None)));
    assert_eq!(class(3), Some((Comparison::Matched, None)));
    // The gateway claims what the agency does not know of.
    assert_eq!(class(4), Some((Comparison::Omitted, Some(Side::Agency))));
    assert_eq!(class(5), Some((Comparison::CrashWindow, Some(Side::Gateway))));
    assert_eq!(class(6), Some((Comparison::Omitted, Some(Side::Gateway))));
    assert_eq!(class(7), Some((Comparison::Omitted, Some(Side::Gateway))));
    // That the agency knows nobody is an answer too.
    assert_eq!(class(8), Some((Comparison::Omitted, Some(Side::Gateway))));
}

#[test]
fn what_was_withheld_counts_as_not_released() {
    use SectionStatus::Ok;
    let once = [at(100, 1, Ok), at(100, 2, Ok), at(100, 3, Ok), withheld(100, 3)];
    // The second answer to the same request was withheld, not the first.
    let twice = [at(99, 1, Ok), withheld(99, 1), at(99, 2, Ok), at(99, 2, Ok), withheld(99, 2)];
    let found = run(&once, &twice);
    let class = |number: u64| {
        let request = format!("request-{number}");
        let finding = found.iter().find(|finding| finding.request == request)?;
        Some((finding.class, finding.missing_at))
    };
    assert_eq!(class(1), Some((Comparison::Different, None)));
    assert_eq!(class(2), Some((Comparison::Matched, None)));
    // Whatever the gateway then withheld, it had from the agency.
    assert_eq!(class(3), Some((Comparison::Omitted, Some(Side::Agency))));

    let mine = SubjectTag::new([3; 32]);
    let tagged = once.iter().zip(10..).map(|(record, index)| (index, record));
    let report = subject_access(&HashSet::from([mine]), tagged);
    let asked: Vec<_> =
        report.requests[0].agencies.iter().map(|asked| asked.decision.as_str()).collect();
    assert_eq!(asked, ["WITHHELD"]);
}

#[test]
fn a_person_reads_who_asked_and_what_was_refused() {
    let mine = SubjectTag::new([1; 32]);
    let mut refused = section(1);
    refused.agency = None;
    refused.decision = Decision::Refused(ReasonWord::new("NOTHING_PERMITTED").unwrap());
    let mut other_agency = section(1);
    other_agency.agency = AgencyId::new("traffic");
    other_agency.decision = Decision::Section(SectionStatus::Timeout);
    let records: Vec<Record> =
        vec![section(1).into(), other_agency.into(), refused.into(), section(2).into()];
    let tagged = records.iter().zip(10..).map(|(record, index)| (index, record));
    let report = subject_access(&HashSet::from([mine]), tagged);
    assert_eq!(report.requests.len(), 1);
    let request = &report.requests[0];
    assert_eq!(request.request, "request-1");
    assert_eq!(request.consumer, "spiffe://scoring.city.example/consumer/scoring");
    assert_eq!(request.purpose.as_deref(), Some("credit_scoring"));
    let asked: Vec<_> = request
        .agencies
        .iter()
        .map(|asked| (asked.agency.as_str(), asked.decision.as_str(), asked.items.numbers.len()))
        .collect();
    assert_eq!(asked, [("social_security", "OK", 5), ("traffic", "TIMEOUT", 5)]);
    assert_eq!(request.refused[0].reason.as_deref(), Some("NOTHING_PERMITTED"));
}
