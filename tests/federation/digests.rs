//! A digest gives what the grant itself would give to the same peer at the same time,
//! and nothing more, at both ends; and an agency that was started again is shown what
//! it forgot.

use bytes::Bytes;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tributary::domain::grant::PresentationDigest;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::agency_service_client::AgencyServiceClient;
use tributary::wire::proto::pb::profile_service_client::ProfileServiceClient;

use crate::kit::demo::{City, ask, word};
use crate::kit::forged::part_of;
use crate::kit::process::{Process, signal};
use crate::kit::waiting::{Reserved, becomes};
use crate::refusals::{AGENCY, ITEM};

/// A consumer of another trust domain.
const OTHER: &str = "loan-desk";

fn whole(grant: &str) -> pb::GrantPresentation {
    let sd_jwt = Bytes::copy_from_slice(grant.as_bytes());
    pb::GrantPresentation { sd_jwt, ..Default::default() }
}

fn digest(grant: &str) -> pb::GrantPresentation {
    let digest = PresentationDigest::of(grant.as_bytes()).0.to_vec().into();
    pb::GrantPresentation { digest, ..Default::default() }
}

async fn get(
    profiles: &ProfileServiceClient<Channel>,
    grant: pb::GrantPresentation,
) -> Result<pb::GetProfileResponse, Status> {
    let items = vec![ITEM.into()];
    let request = pb::GetProfileRequest { items, grant: Some(grant), ..Default::default() };
    profiles.clone().get_profile(request).await.map(tonic::Response::into_inner)
}

/// `OK`, or the reason.
async fn said(profiles: &ProfileServiceClient<Channel>, grant: pb::GrantPresentation) -> String {
    get(profiles, grant).await.map_or_else(|status| word(&status), |_| "OK".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_gives_what_the_grant_would_and_nothing_more() {
    let city = City::start(&[]);
    let (profiles, others) = (city.profiles().await, city.profiles_as(OTHER).await);
    let grant = city.grant(0);

    let status = get(&profiles, digest(&grant)).await.unwrap_err();
    assert_eq!((status.code(), word(&status)), (Code::FailedPrecondition, "GRANT_UNKNOWN".into()));
    let shown = get(&profiles, whole(&grant)).await.unwrap();
    let named = get(&profiles, digest(&grant)).await.unwrap();
    assert_eq!(named.profile, shown.profile);
    assert!(named.receipt.is_some(), "no record, no data");

    // Not to another consumer, remembered or not.
    assert_eq!(said(&others, whole(&grant)).await, "GRANT_CLIENT");
    assert_eq!(said(&others, digest(&grant)).await, "GRANT_CLIENT");
    assert_eq!(said(&others, digest(&city.grant(1))).await, "GRANT_UNKNOWN");
    assert_eq!(said(&others, whole(&city.grant(1))).await, "GRANT_CLIENT");
    assert_eq!(said(&profiles, digest(&city.grant(1))).await, "GRANT_UNKNOWN", "it was refused");

    let both = pb::GrantPresentation { sd_jwt: grant.clone().into(), ..digest(&grant) };
    let short = pb::GrantPresentation { digest: vec![7; 31].into(), ..Default::default() };
    for (name, wrong) in [("grant: ", both), ("grant.digest: ", short)] {
        let status = get(&profiles, wrong).await.unwrap_err();
        assert_eq!((status.code(), word(&status)), (Code::InvalidArgument, "BAD_REQUEST".into()));
        assert!(status.message().starts_with(name), "{}", status.message());
    }

    // At the agency, which the gateway has shown its part, and not another's.
    let mut agency = city.agency(AGENCY).await;
    let described = agency.describe(pb::DescribeRequest {}).await.unwrap().into_inner();
    assert!(described.features().any(|is| is == pb::ProtocolFeature::GrantDigest));
    let question = |id: &str, grant: pb::GrantPresentation| pb::FetchSectionRequest {
        grant: Some(grant),
        ..city.question(id, "", &[ITEM])
    };
    let (own, foreign) = (part_of(&grant, AGENCY), part_of(&grant, "lending"));
    for (id, grant, expected) in [
        ("own", digest(&own), "OK"),
        ("foreign", digest(&foreign), "GRANT_UNKNOWN"),
        ("all", digest(&grant), "GRANT_UNKNOWN"),
        ("other", digest(&part_of(&city.grant(1), AGENCY)), "GRANT_UNKNOWN"),
        (
            "short",
            pb::GrantPresentation { digest: vec![7; 31].into(), ..Default::default() },
            "BAD_REQUEST",
        ),
        (
            "both",
            pb::GrantPresentation { sd_jwt: own.clone().into(), ..digest(&own) },
            "BAD_REQUEST",
        ),
        ("neither", pb::GrantPresentation::default(), "BAD_REQUEST"),
    ] {
        assert_eq!(ask(&mut agency, question(id, grant)).await.0, expected, "{id}");
    }
    let other = city.described.consumers.iter().find(|c| c.id.ends_with(OTHER)).unwrap();
    let claimed =
        pb::FetchSectionRequest { consumer: other.id.clone(), ..question("claimed", digest(&own)) };
    assert_eq!(ask(&mut agency, claimed).await.0, "GRANT_CLIENT");

    // What is revoked is refused by its digest too, at both ends.
    city.revoke_grant(&city.described.grants[0].jti);
    becomes("the revocation at the gateway", "GRANT_REVOKED", async || {
        said(&profiles, digest(&grant)).await
    })
    .await;
    let mut nth = 0;
    becomes("the revocation at the agency", "GRANT_REVOKED", async || {
        nth += 1;
        ask(&mut agency, question(&format!("revoked-{nth}"), digest(&own))).await.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_started_again_is_shown_what_it_forgot_and_counts_once() {
    let city = City::start(&["--grant-uses", "3"]);
    let profiles = city.profiles().await;
    let (grant, probe) = (city.grant(0), city.grant(1));
    let section = async |grant: &str| {
        let answer = get(&profiles, whole(grant)).await.unwrap();
        let report = answer.sections.iter().find(|section| section.agency == AGENCY).unwrap();
        let status = report.status().as_str_name().trim_start_matches("SECTION_STATUS_");
        format!("{status} {}", report.reason).trim_end().to_owned()
    };
    assert_eq!(section(&grant).await, "OK");
    let part = part_of(&grant, AGENCY);
    let named = |id: &str| pb::FetchSectionRequest {
        grant: Some(digest(&part)),
        ..city.question(id, "", &[ITEM])
    };

    let entry = city.entry(AGENCY);
    signal(entry.pid, "KILL");
    let kept = Reserved::after(entry.endpoint.parse().unwrap()).await;
    let _again = Process::role("agency", &entry.config);
    // By another's grant, so that this one stays forgotten.
    becomes("the section's return", "OK", async || section(&probe).await).await;
    let mut agency: AgencyServiceClient<Channel> = city.agency(AGENCY).await;
    assert_eq!(ask(&mut agency, named("before")).await.0, "GRANT_UNKNOWN");

    assert_eq!(section(&grant).await, "OK");
    // It knows the part again, and this is the third use and not the fourth.
    assert_eq!(ask(&mut agency, named("after")).await.0, "OK");
    assert_eq!(section(&grant).await, "DENIED FREQUENCY_EXHAUSTED");
    drop(kept);
}
