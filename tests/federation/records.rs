//! What the logs say of requests that were answered and of those that were not.

use std::path::Path;

use tributary::domain::audit::{Decision, Record, SectionRecord};
use tributary::domain::section::SectionStatus;
use tributary::store::walk::walk;

use crate::kit::demo::{City, ask};
use crate::kit::forged::part_of;
use crate::kit::waiting::UNHURRIED as DEADLINE;
use crate::refusals::{AGENCY, ITEM};

/// Of the same agency, and not in the grants of the demo.
const UNGRANTED: &str = "employment.current.industry";

/// A log's records about requests, and the reasons of the refusals that it counts.
fn read(log: &Path) -> (Vec<SectionRecord>, Vec<String>) {
    let (mut sections, mut counted) = (Vec::new(), Vec::new());
    walk(log, None, &mut |step| match step.record {
        Some(Record::Section(section)) => sections.push(*section.clone()),
        Some(Record::Refusals(refusals)) => counted.push(refusals.reason.to_string()),
        _ => {}
    })
    .unwrap();
    (sections, counted)
}

fn of<'a>(sections: &'a [SectionRecord], request: &str) -> Vec<&'a SectionRecord> {
    sections.iter().filter(|section| section.request.as_str() == request).collect()
}

fn reason(section: &SectionRecord) -> &str {
    match &section.decision {
        Decision::Refused(reason) => reason.as_str(),
        Decision::Withheld(_) => "withheld",
        Decision::Section(status) => status.as_str(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_under_a_grant_that_holds_has_a_record_and_any_other_is_counted() {
    let mut city = City::start(&[]);
    let mut client = city.client().await;
    let grant = city.grant(0);
    let answer = client.profile(&grant, vec![ITEM.into()], DEADLINE).await.unwrap();
    assert_eq!(city.at_gateway(&mut client, &grant, UNGRANTED).await, "NOTHING_PERMITTED");
    assert_eq!(city.at_gateway(&mut client, "no grant", ITEM).await, "GRANT_MALFORMED");
    let mut agency = city.agency(AGENCY).await;
    let part = part_of(&grant, AGENCY);
    let question = city.question("ungranted", &part, &[UNGRANTED]);
    assert_eq!(ask(&mut agency, question).await.0, "NOTHING_PERMITTED");
    assert_eq!(ask(&mut agency, city.question("malformed", "x~", &[ITEM])).await.1, None);
    city.demo.signal("TERM");
    assert_eq!(city.demo.end().await, Some(0));

    let (gateway, counted) = read(&city.home.join("audit/gateway"));
    assert!(counted.iter().any(|reason| reason == "GRANT_MALFORMED"), "{counted:?}");
    assert!(counted.iter().all(|reason| reason != "NOTHING_PERMITTED"), "{counted:?}");
    let answered = of(&gateway, &answer.request_id);
    assert_eq!(answered.len(), 1);
    assert_eq!(answered[0].decision, Decision::Section(SectionStatus::Ok));
    let denied: Vec<_> =
        gateway.iter().filter(|section| reason(section) == "NOTHING_PERMITTED").collect();
    assert_eq!(denied.len(), 1);
    assert_eq!(denied[0].agency, None);

    let (at_agency, counted) = read(&city.home.join("audit").join(AGENCY));
    assert!(counted.iter().all(|reason| reason != "NOTHING_PERMITTED"), "{counted:?}");
    assert!(of(&at_agency, "malformed").is_empty());
    let ungranted = of(&at_agency, "ungranted");
    assert_eq!((ungranted.len(), reason(ungranted[0])), (1, "NOTHING_PERMITTED"));
    let released = of(&at_agency, &answer.request_id);
    assert_eq!((released.len(), reason(released[0])), (1, "OK"));

    // Whatever came of it, the record says about whom, under what, and by which rules.
    for section in [answered[0], denied[0], ungranted[0], released[0]] {
        assert!(section.subject.is_some() && section.grant.is_some() && section.purpose.is_some());
        assert_eq!(section.items.len(), 1);
        let rules = section.rules.as_ref().unwrap();
        assert_ne!(*rules.policy(), [0; 32]);
        let ids: Vec<&str> = rules.rules().iter().map(|(_, id)| id.as_str()).collect();
        assert!(!ids.is_empty(), "no rule determined {section:?}");
    }
}
