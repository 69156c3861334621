//! Parties with different catalogues: every item that both ends of a link define alike
//! flows, and one that they do not is a gap that says so. Here one party at a time; all of
//! them, in whatever order and under load, are in [`any_order`].

mod any_order;
mod signed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;
use toml_edit::{DocumentMut, Item, Table, value};
use tributary::app::demo::Federation as Described;
use tributary::config::catalogue;
use tributary::domain::item::ItemSet;
use tributary::wire::proto::pb;
use tributary::wire::refusal::reason_of;

use crate::kit::demo::City;
use crate::kit::forged::{Forgery, name_in, part_of};
use crate::kit::waiting::becomes;

/// In the new catalogue alone.
const ADDED: &str = "education.training.finished_36m";
/// What it is a copy of.
const LIKE: &str = "education.training.courses_completed_36m";
/// Of one owner, with another range in the new catalogue.
const CHANGED: &str = "lending.card.utilisation_ratio";
/// The sum of two owners' hours, with another range in the new catalogue.
const SUM: &str = "employment.training.hours_36m";
const SUM_OWNERS: [&str; 2] = ["employment", "education"];
/// In the old catalogue alone.
const RETIRED: &str = "traffic.licence.points_this_cycle";

/// A file of the old catalogue, made that of the new one.
fn renewed(file: &str, text: &str) -> String {
    let mut document: DocumentMut = text.parse().unwrap();
    let Some(items) = document.get_mut("item").and_then(Item::as_array_of_tables_mut) else {
        return text.to_owned();
    };
    let is = |item: &Table, id: &str| item["id"].as_str() == Some(id);
    for item in items.iter_mut().filter(|item| is(item, CHANGED) || is(item, SUM)) {
        item["range"].as_array_mut().unwrap().replace(1, 6000);
    }
    if file == "education.toml" {
        let mut item = items.iter().find(|item| is(item, LIKE)).unwrap().clone();
        item["id"] = value(ADDED);
        item["number"] = value(511);
        item["title"]["en"] = value("Courses finished, 36 months");
        items.push(item);
    }
    items.retain(|item| !is(item, RETIRED));
    document.to_string()
}

/// Puts the new catalogue beside the old one.
fn put_new(home: &Path) {
    std::fs::create_dir(home.join("catalogue-new")).unwrap();
    for entry in std::fs::read_dir(home.join("catalogue")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let text = renewed(&name, &std::fs::read_to_string(entry.path()).unwrap());
        std::fs::write(home.join("catalogue-new").join(&name), text).unwrap();
    }
}

/// What an answer says of an item: nothing where it has a value, and otherwise why it has
/// none, and which owners are named for it.
fn gap(answer: &pb::GetProfileResponse, id: &str) -> Option<(String, BTreeMap<String, String>)> {
    let profile = answer.profile.as_ref().unwrap();
    if profile.items.iter().any(|item| item.id == id) {
        return None;
    }
    let gap = profile.gaps.iter().find(|gap| gap.id == id).unwrap();
    let owners = gap.unanswered.iter().map(|owner| {
        let cause = owner.cause().as_str_name().trim_start_matches("UNANSWERED_CAUSE_");
        (owner.agency.clone(), cause.to_owned())
    });
    let why = gap.absence().as_str_name().trim_start_matches("ABSENCE_");
    Some((why.to_owned(), owners.collect()))
}

/// The place of a person of whom every item is known.
fn complete(described: &Described) -> usize {
    let mut people = described.test_people.iter();
    let subject = &people.find(|person| person.outcome == "complete").unwrap().subject;
    described.subjects.iter().position(|known| known == subject).unwrap()
}

/// Everybody's grant of a person, with what the test asks for.
fn grant_of(home: &Path, grant: &str) -> String {
    let mut grant = Forgery::of(home, grant);
    for (agency, wanted) in [
        ("education", &[ADDED, LIKE, SUM][..]),
        ("employment", &[SUM]),
        ("lending", &[CHANGED]),
        ("traffic", &[RETIRED]),
    ] {
        grant.redisclose(agency, |parts| {
            let items = parts[2]["items"].as_array_mut().unwrap();
            items.retain(|item| wanted.iter().all(|wanted| item != wanted));
            items.extend(wanted.iter().map(|id| json!(id)));
        });
    }
    grant.finish()
}

/// All ids that the grant names.
fn granted(grant: &str) -> Vec<String> {
    let ids = grant.split('~').skip(1).filter(|part| name_in(part).is_some()).flat_map(|part| {
        let bytes = tributary::domain::grant::base64::decode(part).unwrap();
        let parts: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let items = parts[2]["items"].as_array().cloned().unwrap_or_default();
        items.into_iter().map(|id| id.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    });
    ids.collect::<BTreeSet<String>>().into_iter().collect()
}

/// Changes a file and puts it in its place whole.
fn edit(file: &Path, change: impl FnOnce(&mut DocumentMut)) {
    let mut document: DocumentMut = std::fs::read_to_string(file).unwrap().parse().unwrap();
    change(&mut document);
    let fresh = file.with_extension("fresh");
    std::fs::write(&fresh, document.to_string()).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

/// Changes the items of the query about the driving licence.
fn of_licence(document: &mut DocumentMut, change: impl Fn(&mut dyn toml_edit::TableLike)) {
    for query in document["query"].as_array_of_tables_mut().unwrap().iter_mut() {
        let items = query["items"].as_table_like_mut().unwrap();
        if items.contains_key("traffic.licence.vehicle_class") {
            change(items);
        }
    }
}

#[tokio::test]
async fn row_69_a_catalogue_that_the_mapping_does_not_fit_waits_for_it_and_both_come_at_once() {
    const AGENCY: &str = "traffic";
    const STATUS: &str = "traffic.licence.status";
    let city = City::start(&["--grant-uses", "1000000"]);
    let new = city.home.join("catalogue-new");
    put_new(&city.home);
    let (config, gateway) = (city.config_of(AGENCY).to_owned(), city.home.join("gateway.toml"));
    let mut profiles = city.profiles().await;
    let grant = grant_of(&city.home, &city.grant(complete(&city.described)));
    let mut now = async || {
        let request = pb::GetProfileRequest {
            items: vec![RETIRED.to_owned(), STATUS.to_owned()],
            grant: Some(pb::GrantPresentation {
                sd_jwt: grant.clone().into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        match profiles.get_profile(request).await {
            Err(status) => vec![reason_of(&status).to_owned()],
            Ok(answer) => {
                let answer = answer.into_inner();
                let word = |id| gap(&answer, id).map_or("held".to_owned(), |(why, _)| why);
                vec![word(RETIRED), word(STATUS)]
            }
        }
    };
    let held = ["held", "held"].map(str::to_owned).to_vec();
    becomes("all of it", held.clone(), &mut now).await;

    // The mapping still reads what the new catalogue does not have.
    edit(&config, |document| document["catalogue"] = value("../catalogue-new"));
    city.logs(AGENCY, "CATALOGUE_KEPT", 1).await;
    assert!(city.log(AGENCY).contains(RETIRED), "{}", city.log(AGENCY));
    assert_eq!(now().await, held);

    // Once it does not, both are in force: of this item the two ends' catalogues differ.
    edit(&config, |document| of_licence(document, |items| drop(items.remove(RETIRED))));
    city.logs(AGENCY, "the changed catalogue is in force", 1).await;
    let differs = ["CATALOGUE_DIFFERS", "held"].map(str::to_owned).to_vec();
    becomes("the agency's new catalogue", differs, &mut now).await;
    // Who still asks by the old catalogue, as if it had never heard of another, is answered
    // what both define alike.
    let part = part_of(&grant, AGENCY);
    let question = city.question("by-the-old-one", &part, &[RETIRED, STATUS]);
    assert!(question.item_digests.is_empty());
    let answer = city.agency(AGENCY).await.fetch_section(question).await.unwrap();
    let envelope = answer.into_inner().section.unwrap().envelope.unwrap();
    let number = |id| u32::from(city.catalogue.find(id).unwrap().number.get());
    assert_eq!(envelope.catalogue_digest, catalogue::load(&new).unwrap().digest().0.to_vec());
    let missing: Vec<_> = envelope.missing.iter().map(|one| (one.number, one.absence())).collect();
    assert_eq!(missing, [(number(RETIRED), pb::Absence::CatalogueDiffers)]);
    let answered: Vec<_> = envelope.items.iter().map(|item| item.number).collect();
    assert_eq!(answered, [number(STATUS)]);

    // A gateway that follows knows it no more, and is not known to lack anything else.
    edit(&gateway, |document| document["catalogue"] = value("catalogue-new"));
    becomes("the gateway's new catalogue", vec!["BAD_REQUEST".to_owned()], &mut now).await;
    edit(&gateway, |document| document["catalogue"] = value("catalogue"));
    edit(&config, |document| {
        document["catalogue"] = value("../catalogue");
        of_licence(document, |items| drop(items.insert(RETIRED, value("points_this_cycle"))));
    });
    becomes("the old catalogues", held.clone(), &mut now).await;

    // The mapping alone is taken as well, and what cannot be used changes nothing.
    edit(&config, |document| of_licence(document, |items| drop(items.remove(STATUS))));
    let less = ["held", "NOT_OFFERED"].map(str::to_owned).to_vec();
    becomes("the smaller mapping", less.clone(), &mut now).await;
    edit(&config, |document| {
        of_licence(document, |items| {
            drop(items.insert(STATUS, value("licence_status")));
            drop(items.insert("traffic.licence.colour", value("status")));
        });
    });
    city.logs(AGENCY, "MAPPING_KEPT", 1).await;
    assert_eq!(now().await, less);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_answers_by_another_catalogue_only_what_its_own_defines_alike() {
    const AGENCY: &str = "employment";
    const ITEMS: [&str; 2] = ["employment.current.started_on", "employment.current.employed"];
    let city = City::start(&[]);
    let mut agency = city.agency(AGENCY).await;
    let part = part_of(&city.grant(0), AGENCY);
    let set: ItemSet = ITEMS.iter().map(|id| city.catalogue.find(id).unwrap().number).collect();
    let right = city.catalogue.digests_of(&set);
    let mut nth = 0;
    let mut ask = async |digest: &[u8], digests: &[u8]| {
        nth += 1;
        let mut question = city.question(&format!("other-{nth}"), &part, &ITEMS);
        question.catalogue_digest = digest.to_vec().into();
        question.item_digests = digests.to_vec().into();
        let answer = agency.fetch_section(question).await;
        answer.map(|answer| answer.into_inner().section.unwrap().envelope.unwrap())
    };
    let refused = |answer: Result<pb::SectionEnvelope, tonic::Status>| {
        reason_of(&answer.expect_err("nothing was to be answered"))
    };
    let other = [9; 32];
    // Nothing, where not every item has a digest, or none is the agency's own.
    assert_eq!(refused(ask(&other, &[]).await), "WRONG_CATALOGUE");
    assert_eq!(refused(ask(&[9; 31], &right).await), "WRONG_CATALOGUE");
    assert_eq!(refused(ask(&other, &right[..63]).await), "BAD_REQUEST");
    assert_eq!(refused(ask(&other, &[0; 64]).await), "CATALOGUE_DIFFERS");
    let swapped = [&right[32..], &right[..32]].concat();
    assert_eq!(refused(ask(&other, &swapped).await), "CATALOGUE_DIFFERS");

    let numbers = |envelope: &pb::SectionEnvelope| {
        envelope.items.iter().map(|item| item.number).collect::<Vec<u32>>()
    };
    let all: Vec<u32> = set.iter().map(|number| u32::from(number.get())).collect();
    let answer = ask(&other, &right).await.unwrap();
    assert_eq!(answer.catalogue_digest, city.catalogue.digest().0.to_vec());
    assert_eq!(answer.definitions_digest, city.catalogue.digest_of(&set).unwrap().to_vec());
    assert_eq!(numbers(&answer), all);
    // One of the two is defined otherwise: it alone is missing.
    let half = [&right[..32], &[1; 32]].concat();
    let answer = ask(&other, &half).await.unwrap();
    assert_eq!(numbers(&answer), all[..1]);
    let missing: Vec<_> = answer.missing.iter().map(|one| (one.number, one.absence())).collect();
    assert_eq!(missing, [(all[1], pb::Absence::CatalogueDiffers)]);
    // Under its own catalogue nothing else is said.
    let own = ask(&city.catalogue.digest().0, &[]).await.unwrap();
    assert!(own.definitions_digest.is_empty() && own.missing.is_empty());
    assert_eq!(numbers(&own), all);
}
