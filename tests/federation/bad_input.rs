//! Malformed requests: refused with every wrong field named, and nobody's data in
//! the refusal.

use tributary::app::client::ClientError;
use tributary::config::agency::AgencyConfig;
use tributary::link::connect::ConnectError;
use tributary::wire::proto::pb;

use crate::kit::demo::{City, ask};
use crate::kit::forged::part_of;
use crate::kit::waiting::UNHURRIED as DEADLINE;

#[tokio::test]
async fn each_wrong_field_is_named() {
    let city = City::start(&[]);
    let mut client = city.client().await;
    let grant = city.grant(0);
    let many = vec!["employment.current.employed".to_owned(); 600];
    let cases: [(&str, Vec<String>, &[&str]); 5] = [
        (&grant, vec!["lending.cards.utilisation_ratio".into()], &["items[0]", "did you mean"]),
        (&grant, vec!["employment.current.employed".into(); 2], &["items[1]", "stands twice"]),
        (&grant, vec![], &["items", "at least one"]),
        ("", vec!["employment.current.employed".into()], &["grant.sd_jwt", "is missing"]),
        (&grant, many, &["600 items"]),
    ];
    for (grant, items, words) in cases {
        let error = client.profile(grant, items, DEADLINE).await.unwrap_err();
        let ClientError::Refused { reason, status } = &error else { panic!("{error}") };
        assert_eq!(reason, "BAD_REQUEST");
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        for word in words {
            assert!(status.message().contains(word), "{word}: {}", status.message());
        }
        assert!(!status.message().contains(&city.described.subjects[0]));
    }
}

#[tokio::test]
async fn nobody_but_a_consumer_gets_a_profile_and_nobody_but_a_gateway_asks_an_agency() {
    let city = City::start(&[]);
    // The bank's grant is another's: the link's identity counts.
    let mut bank = city.client_as("loan-desk").await;
    let answer = city.at_gateway(&mut bank, &city.grant(0), "employment.current.employed").await;
    assert_eq!(answer, "GRANT_CLIENT");

    // A consumer's certificate is of no domain that an agency believes; neither is
    // another agency's.
    let consumer = &city.described.consumers[0];
    let lending = AgencyConfig::load(city.config_of("lending")).unwrap().0.link;
    let part = part_of(&city.grant(0), "education");
    let question = || city.question("past", &part, &["education.attainment.study_mode"]);
    for (certificate, key) in
        [(&consumer.certificate, &consumer.key), (&lending.certificate, &lending.key)]
    {
        // In TLS 1.3 the alert may come after the handshake, with the first call.
        match city.agency_as("education", certificate, key).await {
            Err(ConnectError::Refused { .. } | ConnectError::Protocol { .. }) => {}
            Err(error) => panic!("refused by ourselves: {error}"),
            Ok(mut agency) => {
                let answer = ask(&mut agency, question()).await;
                assert!(answer.1.is_none() && answer.0 != "OK", "{answer:?}");
            }
        }
    }
    let mut agency = city.agency("education").await;
    assert_eq!(ask(&mut agency, question()).await.0, "OK");
}

#[tokio::test]
async fn a_question_of_no_form_is_refused_by_the_agency() {
    let city = City::start(&[]);
    let mut agency = city.agency("education").await;
    let part = part_of(&city.grant(0), "education");
    let good = city.question("x", &part, &["education.attainment.study_mode"]);
    let cases: Vec<(&str, pb::FetchSectionRequest)> = vec![
        (
            "WRONG_CATALOGUE",
            pb::FetchSectionRequest { catalogue_digest: vec![0; 32].into(), ..good.clone() },
        ),
        ("BAD_REQUEST", pb::FetchSectionRequest { items: vec![255; 65].into(), ..good.clone() }),
        ("BAD_REQUEST", pb::FetchSectionRequest { items: vec![].into(), ..good.clone() }),
        ("BAD_REQUEST", pb::FetchSectionRequest { request_id: "a\nb".into(), ..good.clone() }),
        ("BAD_REQUEST", pb::FetchSectionRequest { consumer: "nobody".into(), ..good.clone() }),
        ("BAD_REQUEST", pb::FetchSectionRequest { grant: None, ..good.clone() }),
    ];
    for (reason, question) in cases {
        assert_eq!(ask(&mut agency, question).await.0, reason);
    }
    // Row 20: oversize is the caller's fault, and is called so.
    let huge = "A".repeat(300 * 1024);
    let oversize = city.question("oversize", &huge, &["education.attainment.study_mode"]);
    assert_eq!(ask(&mut agency, oversize).await.0, "MESSAGE_TOO_LARGE");
}
