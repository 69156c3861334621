//! A sum of several owners is stated only when each of them has answered, whatever
//! keeps one of them from it, and at whatever time. And a value that an owner who has
//! not answered could displace is provisional.

use std::net::{SocketAddr, TcpListener};

use toml_edit::DocumentMut;
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tributary::wire::proto::pb;

use crate::kit::federation::{DEADLINE, Federation, Profiles, Served, link};
use crate::kit::forged::name_in;

/// The sum of `volunteering` and `education`.
const SUM: &str = "volunteering.service.hours_12m";
/// Of `education`, before `employment`.
const LEVEL: &str = "education.attainment.highest_level";
/// The fresher of `employment` and `social_security`.
const EMPLOYED: &str = "employment.current.employed";
/// Of no owner but `education`.
const MODE: &str = "education.attainment.study_mode";

/// A person whom every agency knows.
const PERSON: usize = 1;

/// The person's grant as it is presented without one agency's part.
fn grant_without(federation: &Federation, agency: &str) -> Vec<u8> {
    let grant = std::fs::read_to_string(&federation.described.grants[PERSON].file).unwrap();
    let mut parts = grant.trim_end().trim_end_matches('~').split('~');
    let mut kept = format!("{}~", parts.next().unwrap());
    for part in parts.filter(|part| name_in(part).as_deref() != Some(agency)) {
        kept.push_str(part);
        kept.push('~');
    }
    kept.into_bytes()
}

async fn ask(federation: &Federation, channel: &Channel, grant: Option<Vec<u8>>) -> pb::Profile {
    let mut request = federation.request("", PERSON, &[SUM, LEVEL, EMPLOYED, MODE]);
    if let Some(sd_jwt) = grant {
        request.grant = Some(pb::GrantPresentation { sd_jwt: sd_jwt.into(), ..Default::default() });
    }
    let mut request = tonic::Request::new(request);
    request.set_timeout(DEADLINE);
    let answer = Profiles::new(channel.clone()).get_profile(request).await.unwrap();
    answer.into_inner().profile.unwrap()
}

/// Whoever has not answered, and why: `volunteering NOT_OFFERED`.
fn silent(unanswered: &[pb::UnansweredOwner]) -> Vec<String> {
    let text = |owner: &pb::UnansweredOwner| {
        let cause = owner.cause().as_str_name().trim_start_matches("UNANSWERED_CAUSE_");
        format!("{} {cause}", owner.agency)
    };
    unanswered.iter().map(text).collect()
}

fn item<'a>(profile: &'a pb::Profile, id: &str) -> &'a pb::ProfileItem {
    let found = profile.items.iter().find(|item| item.id == id);
    found.unwrap_or_else(|| panic!("{id} has no value: {:?}", profile.gaps))
}

/// The sum is not stated, and one part is shown: that of `education`.
fn is_in_parts(profile: &pb::Profile, cause: &str) {
    let gap = profile.gaps.iter().find(|gap| gap.id == SUM);
    let gap = gap.unwrap_or_else(|| panic!("{cause}: stated as {:?}", item(profile, SUM)));
    assert_eq!(gap.absence(), pb::Absence::Incomplete, "{cause}");
    let parts: Vec<&str> = gap.alternatives.iter().map(|part| part.agency.as_str()).collect();
    assert_eq!(parts, ["education"], "{cause}");
    assert_eq!(silent(&gap.unanswered), [format!("volunteering {cause}")]);
}

/// Writes rules beside those of the city; gives their path.
fn rules(federation: &Federation, own: &str, more: &str) -> String {
    let text = std::fs::read_to_string(federation.home.join("policies").join(own)).unwrap();
    let name = format!("sums-{}", own.replace('/', "-"));
    let file = federation.home.join("policies").join(name);
    std::fs::write(&file, format!("{text}\n{more}\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

const FORBID: &str = "@id(\"no-hours\")
forbid (principal, action == Action::\"read\", \
resource == Item::\"volunteering.service.hours_12m\")
when { context.agency == Agency::\"volunteering\" };";

/// A gateway that finds `volunteering` at an address, once it has a link to it.
async fn linked(federation: &Federation, address: SocketAddr) -> (Served, Channel) {
    let gateway = federation.gateway(&[("volunteering", address)]).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, "volunteering", ServingStatus::Serving).await;
    (gateway, channel)
}

fn without_the_item(document: &mut DocumentMut) {
    for query in document["query"].as_array_of_tables_mut().unwrap().iter_mut() {
        query["items"].as_table_like_mut().unwrap().remove(SUM);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_54_a_sum_of_which_an_owner_has_not_answered_is_shown_in_parts() {
    let federation = Federation::start();

    // Everybody answers: whole, and nothing is provisional.
    let whole = federation.gateway(&[]).await;
    let channel = federation.consumer(whole.address).await;
    for agency in ["volunteering", "education", "employment", "social_security"] {
        link(&channel, agency, ServingStatus::Serving).await;
    }
    let profile = ask(&federation, &channel, None).await;
    assert_eq!(item(&profile, SUM).alternatives.len(), 2, "{profile:?}");
    for item in &profile.items {
        assert!(item.unanswered.is_empty() && !item.provisional, "{item:?}");
    }

    // The grant, as it was presented, does not name it.
    let grant = grant_without(&federation, "volunteering");
    is_in_parts(&ask(&federation, &channel, Some(grant)).await, "NOT_GRANTED");

    // The gateway's policy does not open it, or it has no link to the owner.
    let policy = rules(&federation, "gateway.cedar", FORBID);
    let gateway = federation
        .gateway_with(&[], |document| document["policy"]["rules"] = toml_edit::value(policy))
        .await;
    let channel = federation.consumer(gateway.address).await;
    is_in_parts(&ask(&federation, &channel, None).await, "NOT_PERMITTED");
    let gateway = federation
        .gateway_with(&[], |document| {
            let agencies = document["agency"].as_array_of_tables_mut().unwrap();
            agencies.retain(|entry| entry["id"].as_str() != Some("volunteering"));
        })
        .await;
    let channel = federation.consumer(gateway.address).await;
    is_in_parts(&ask(&federation, &channel, None).await, "NOT_CONFIGURED");

    // It has never said what it offers: nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = federation.gateway(&[("volunteering", nobody)]).await;
    let channel = federation.consumer(gateway.address).await;
    is_in_parts(&ask(&federation, &channel, None).await, "NOT_DESCRIBED");

    // It does not offer it: the same as before it had said so.
    let agency = federation.agency("volunteering", without_the_item).await;
    let (_gateway, channel) = linked(&federation, agency.address).await;
    is_in_parts(&ask(&federation, &channel, None).await, "NOT_OFFERED");

    // Its own policy does not open it.
    let policy = rules(&federation, "agencies/volunteering.cedar", FORBID);
    let edit = |document: &mut DocumentMut| document["policy"]["rules"] = toml_edit::value(policy);
    let agency = federation.agency("volunteering", edit).await;
    let (_gateway, channel) = linked(&federation, agency.address).await;
    is_in_parts(&ask(&federation, &channel, None).await, "DENIED");

    // It answers, and then it is gone.
    let agency = federation.agency("volunteering", |_| {}).await;
    let (_gateway, channel) = linked(&federation, agency.address).await;
    let profile = ask(&federation, &channel, None).await;
    assert_eq!(item(&profile, SUM).alternatives.len(), 2, "{profile:?}");
    agency.stop().await;
    link(&channel, "volunteering", ServingStatus::NotServing).await;
    is_in_parts(&ask(&federation, &channel, None).await, "UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_a_silent_owner_could_displace_is_provisional() {
    let federation = Federation::start();
    let gateway = federation.gateway(&[]).await;
    let channel = federation.consumer(gateway.address).await;
    for agency in ["volunteering", "education", "employment", "social_security"] {
        link(&channel, agency, ServingStatus::Serving).await;
    }
    // What the consumer holds back makes no false profile.
    let profile = ask(&federation, &channel, Some(grant_without(&federation, "education"))).await;
    let level = item(&profile, LEVEL);
    assert_eq!((&*level.agency, level.provisional), ("employment", true));
    assert_eq!(silent(&level.unanswered), ["education NOT_GRANTED"]);
    let gap = profile.gaps.iter().find(|gap| gap.id == MODE).unwrap();
    assert_eq!(gap.absence(), pb::Absence::Denied);
    assert_eq!(silent(&gap.unanswered), ["education NOT_GRANTED"]);

    let profile = ask(&federation, &channel, Some(grant_without(&federation, "employment"))).await;
    // Whatever the second owner says, the first one's value survives …
    let level = item(&profile, LEVEL);
    assert_eq!((&*level.agency, level.provisional), ("education", false));
    assert_eq!(silent(&level.unanswered), ["employment NOT_GRANTED"]);
    // … but not where the freshest does.
    let employed = item(&profile, EMPLOYED);
    assert_eq!((&*employed.agency, employed.provisional), ("social_security", true));
    assert_eq!(silent(&employed.unanswered), ["employment NOT_GRANTED"]);
    assert!(!item(&profile, MODE).provisional);
}
