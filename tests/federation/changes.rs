//! What changes under a running gateway: grants that are revoked or used up, and
//! its own policy.

use tributary::app::client::ClientError;
use tributary::wire::proto::pb;
use tributary::wire::refusal::reason_of;

use crate::kit::demo::{City, ask};
use crate::kit::forged::part_of;
use crate::kit::sqlite_file;
use crate::kit::waiting::UNHURRIED as DEADLINE;
use crate::kit::waiting::becomes;

const AGENCY: &str = "employment";
const ITEM: &str = "employment.current.started_on";
const CARD: &str = "lending.card.utilisation_ratio";

#[tokio::test(flavor = "multi_thread")]
async fn row_50_a_revoked_grant_is_refused_at_both_ends_and_no_other() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    let mut agency = city.agency(AGENCY).await;
    let (revoked, other) = (city.grant(0), city.grant(1));
    let part = part_of(&revoked, AGENCY);
    // Believed and remembered at both ends before it is revoked.
    assert_eq!(city.at_gateway(&mut client, &revoked, ITEM).await, "OK");
    assert_eq!(ask(&mut agency, city.question("before", &part, &[ITEM])).await.0, "OK");

    city.revoke_grant(&city.described.grants[0].jti);
    becomes("the revocation at the gateway", "GRANT_REVOKED", async || {
        city.at_gateway(&mut client, &revoked, ITEM).await
    })
    .await;
    let mut nth = 0;
    becomes("the revocation at the agency", ("GRANT_REVOKED".to_owned(), None), async || {
        nth += 1;
        let question = city.question(&format!("after-{nth}"), &part, &[ITEM]);
        ask(&mut agency, question).await
    })
    .await;
    assert_eq!(city.at_gateway(&mut client, &other, ITEM).await, "OK");
    let part = part_of(&other, AGENCY);
    assert_eq!(ask(&mut agency, city.question("other", &part, &[ITEM])).await.0, "OK");
}

fn outcome(answer: &pb::GetProfileResponse, agency: &str) -> String {
    let report = answer.sections.iter().find(|section| section.agency == agency).unwrap();
    let status = report.status().as_str_name().trim_start_matches("SECTION_STATUS_");
    format!("{status} {}", report.reason).trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_24_a_repeated_request_is_one_use_and_a_spent_grant_says_so() {
    let city = City::start(&["--grant-uses", "2"]);
    let profiles = city.profiles().await;
    let grant = city.grant(0);
    let say = async |id: &str, items: &[&str]| {
        let request = pb::GetProfileRequest {
            request_id: id.into(),
            items: items.iter().map(ToString::to_string).collect(),
            grant: Some(pb::GrantPresentation {
                sd_jwt: grant.clone().into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let answer = match profiles.clone().get_profile(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return format!("refused {}", reason_of(&status)),
        };
        assert_eq!(answer.request_id, id);
        let held = answer.profile.as_ref().unwrap().items.iter().any(|item| item.id == ITEM);
        let outcome = outcome(&answer, AGENCY);
        assert_eq!(held, outcome == "OK" && items.contains(&ITEM));
        outcome
    };
    // Three times the same request is one use, at each agency.
    for _ in 0..3 {
        assert_eq!(say("one", &[ITEM, CARD]).await, "OK");
    }
    let reused = say("one", &[ITEM, "employment.current.employed"]).await;
    assert_eq!(reused, "refused REQUEST_ID_REUSED");
    assert_eq!(say("two", &[ITEM]).await, "OK");
    assert_eq!(say("three", &[ITEM]).await, "DENIED FREQUENCY_EXHAUSTED");
    // What was counted already may still be repeated.
    assert_eq!(say("two", &[ITEM]).await, "OK");

    // An id that is no id is refused before anything is counted.
    for id in ["a".repeat(65), "a b".into(), "a\nb".into()] {
        let request = pb::GetProfileRequest {
            request_id: id,
            items: vec![ITEM.into()],
            grant: Some(pb::GrantPresentation {
                sd_jwt: grant.clone().into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let status = profiles.clone().get_profile(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert_eq!(reason_of(&status), "BAD_REQUEST");
        assert!(status.message().starts_with("request_id: "), "{}", status.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_41_50_the_gateways_policy_narrows_while_it_runs_and_a_broken_one_changes_nothing() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    let items = client.bundle("basic").await.unwrap();
    let grant = city.grant(0);
    let mut card = async || {
        let answer = match client.profile(&grant, items.clone(), DEADLINE).await {
            // Under way when the policy narrowed: nothing of it is released.
            Err(ClientError::Refused { reason, .. }) if reason == "POLICY_CHANGED" => return "none",
            answer => answer.unwrap(),
        };
        assert_eq!(outcome(&answer, AGENCY), "OK");
        let profile = answer.profile.unwrap();
        assert!(profile.items.iter().any(|item| item.id == ITEM));
        match profile.gaps.iter().find(|gap| gap.id == CARD) {
            Some(gap) => {
                assert!(profile.items.iter().all(|item| item.id != CARD));
                gap.absence().as_str_name()
            }
            None => "held",
        }
    };
    assert_eq!(card().await, "held");

    let policy = city.home.join("policies/gateway.cedar");
    let wide = std::fs::read_to_string(&policy).unwrap();
    let forbid = "@id(\"no-cards\")\nforbid (principal, action == Action::\"read\", resource in \
                  Category::\"lending.card\");\n";
    std::fs::write(&policy, format!("{wide}\n{forbid}")).unwrap();
    becomes("the narrower policy", "ABSENCE_DENIED", &mut card).await;

    // Broken: what was in force stays in force, and the log raises the alarm.
    std::fs::write(&policy, "permit (principal, action, resource").unwrap();
    city.logs("gateway", "POLICY_KEPT", 1).await;
    assert_eq!(card().await, "ABSENCE_DENIED");
    std::fs::write(&policy, wide).unwrap();
    becomes("the policy back", "held", &mut card).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_record_of_what_an_agency_opens_says_nothing_of_what_it_keeps_closed() {
    const AGENCY: &str = "lending";
    const LENDERS: &str = "lending.debt.lender_count";
    let city = City::start(&[]);
    let mut client = city.client().await;
    let (grant, subject) = (city.grant(0), &city.described.grants[0].subject);
    let cards = "select cast(count(*) as text) from card_account where person_id = ?1";
    let file = &city.entry(AGENCY).database;
    assert_eq!(sqlite_file::text(file, cards, subject).as_deref(), Some("1"), "a card");
    sqlite_file::run(file, &format!("delete from debt_summary where person_id = '{subject}'"));

    let policy = city.home.join("policies/agencies/lending.cedar");
    let wide = std::fs::read_to_string(&policy).unwrap();
    let forbid = "@id(\"no-cards\")\nforbid (principal, action == Action::\"read\", resource in \
                  Category::\"lending.card\");\n";
    std::fs::write(&policy, format!("{wide}\n{forbid}")).unwrap();
    let closed = [AGENCY, "NO_RECORD", "ABSENCE_DENIED", "ABSENCE_NOT_RECORDED"];
    becomes("cards that are closed", closed.map(str::to_owned), async || {
        let items = vec![CARD.to_owned(), LENDERS.to_owned()];
        let Ok(answer) = client.profile(&grant, items, DEADLINE).await else {
            // Under way when the policy narrowed.
            return [const { String::new() }; 4];
        };
        let gap = |id: &str| {
            let gaps = &answer.profile.as_ref().unwrap().gaps;
            let gap = gaps.iter().find(|gap| gap.id == id);
            gap.map_or("held", |gap| gap.absence().as_str_name()).to_owned()
        };
        [AGENCY.to_owned(), outcome(&answer, AGENCY), gap(CARD), gap(LENDERS)]
    })
    .await;
}
