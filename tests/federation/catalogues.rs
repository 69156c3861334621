//! Parties with different catalogues: every item that both ends of a link define alike
//! flows, and one that they do not is a gap that says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use toml_edit::{DocumentMut, Item, Table, value};
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tributary::app::demo::Federation as Described;
use tributary::config::catalogue;
use tributary::domain::item::ItemSet;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::status_service_client::StatusServiceClient;
use tributary::wire::refusal::reason_of;

use crate::kit::demo::City;
use crate::kit::federation::{
    DEADLINE, Federation, Profiles, Served, link, section, until, within,
};
use crate::kit::forged::{Forgery, name_in, part_of};
use crate::kit::waiting::{Reserved, becomes};

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

const GATEWAY: &str = "gateway";

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

/// One party: how it is run, and which catalogue it has.
struct Party {
    name: String,
    config: PathBuf,
    port: Reserved,
    new: bool,
    served: Option<Served>,
}

impl Party {
    async fn start(&mut self) {
        let served = match self.name == GATEWAY {
            true => Served::gateway(&self.config).await,
            false => Served::agency(&self.config).await,
        };
        assert_eq!(served.address, self.port.address());
        self.served = Some(served);
    }

    /// Gives it the other catalogue, and an agency the mapping that goes with it.
    fn turn(&mut self, home: &Path) {
        self.new = !self.new;
        let mut document: DocumentMut =
            std::fs::read_to_string(&self.config).unwrap().parse().unwrap();
        let folder = if self.new { "catalogue-new" } else { "catalogue" };
        document["catalogue"] = value(home.join(folder).to_str().unwrap());
        for query in document.get_mut("query").and_then(Item::as_array_of_tables_mut).into_iter() {
            for query in query.iter_mut() {
                let items = query["items"].as_table_like_mut().unwrap();
                if let Some(like) = items.get(LIKE).cloned() {
                    match self.new {
                        true => drop(items.insert(ADDED, like)),
                        false => drop(items.remove(ADDED)),
                    }
                }
                let points = "points_this_cycle";
                if items.contains_key("traffic.licence.status") {
                    match self.new {
                        true => drop(items.remove(RETIRED)),
                        false => drop(items.insert(RETIRED, value(points))),
                    }
                }
            }
        }
        std::fs::write(&self.config, document.to_string()).unwrap();
    }
}

/// What is being changed: whoever asks meanwhile may find it away.
#[derive(Default)]
struct Changes {
    parties: Mutex<(Vec<String>, bool)>,
}

impl Changes {
    fn begin(&self, party: &str) {
        let mut parties = self.parties.lock().unwrap();
        parties.0.push(party.to_owned());
        parties.1 = true;
    }

    fn end(&self) {
        self.parties.lock().unwrap().1 = false;
    }

    fn place(&self) -> usize {
        let parties = self.parties.lock().unwrap();
        parties.0.len() - usize::from(parties.1)
    }

    fn since(&self, place: usize) -> BTreeSet<String> {
        self.parties.lock().unwrap().0[place..].iter().cloned().collect()
    }
}

/// Who asks.
#[derive(Clone)]
struct Consumer {
    federation: Arc<Federation>,
    gateway: std::net::SocketAddr,
    grant: String,
}

impl Consumer {
    /// A connection to the gateway, once it listens.
    async fn channel(&self) -> Channel {
        let consumer = &self.federation.described.consumers[0];
        within(async {
            loop {
                let (certificate, key) = (&consumer.certificate, &consumer.key);
                match self.federation.connect(self.gateway, certificate, key).await {
                    Ok(channel) => break channel,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await
    }

    fn request(&self, items: &[&str]) -> pb::GetProfileRequest {
        pb::GetProfileRequest {
            items: items.iter().map(ToString::to_string).collect(),
            grant: Some(pb::GrantPresentation {
                sd_jwt: self.grant.clone().into(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

async fn ask(
    channel: &Channel,
    request: pb::GetProfileRequest,
) -> Result<pb::GetProfileResponse, tonic::Status> {
    let mut request = tonic::Request::new(request);
    request.set_timeout(DEADLINE);
    let answer = Profiles::new(channel.clone()).get_profile(request).await?;
    Ok(answer.into_inner())
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

/// One item of each agency that nobody changes.
fn steady(federation: &Federation, answer: &pb::GetProfileResponse) -> BTreeMap<String, String> {
    let mut steady = BTreeMap::new();
    for item in &answer.profile.as_ref().unwrap().items {
        let touched = [ADDED, CHANGED, SUM, RETIRED].contains(&item.id.as_str());
        let owners = &federation.catalogue.find(&item.id).unwrap().owners;
        if owners.len() == 1 && !touched {
            steady.entry(item.agency.clone()).or_insert(item.id.clone());
        }
    }
    steady
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

/// Asks on and on: whatever is not being changed answers all that nobody redefines.
async fn ask_on(
    consumer: Consumer,
    steady: BTreeMap<String, String>,
    changes: Arc<Changes>,
    whole: Arc<AtomicUsize>,
) {
    let request = consumer.request(&steady.values().map(String::as_str).collect::<Vec<_>>());
    let mut channel = consumer.channel().await;
    loop {
        let place = changes.place();
        match ask(&channel, request.clone()).await {
            Ok(answer) if is_whole(&answer, &steady, &changes.since(place)) => {
                whole.fetch_add(1, Ordering::SeqCst);
            }
            Ok(_) => {}
            Err(status) => {
                let changed = changes.since(place);
                assert!(changed.contains(GATEWAY), "{}: {status}", reason_of(&status));
                channel = consumer.channel().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether every item is there. Only those of who is being changed may not be.
fn is_whole(
    answer: &pb::GetProfileResponse,
    steady: &BTreeMap<String, String>,
    changed: &BTreeSet<String>,
) -> bool {
    let mut whole = true;
    for (agency, id) in steady.iter().filter(|(_, id)| gap(answer, id).is_some()) {
        let report = answer.sections.iter().find(|section| section.agency == *agency);
        let told = report.map(|report| (report.status(), report.reason.as_str()));
        let away = [pb::SectionStatus::Unavailable, pb::SectionStatus::Timeout];
        let excused =
            changed.contains(agency) && told.is_some_and(|(status, _)| away.contains(&status));
        assert!(excused, "{id} of {agency} is lost while {changed:?} changes: {told:?}");
        whole = false;
    }
    whole
}

/// An order of eight by chance.
fn shuffled(count: usize) -> Vec<usize> {
    use std::hash::{BuildHasher, RandomState};
    let state = RandomState::new();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|place| state.hash_one(place));
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn row_69_parties_take_a_catalogue_in_any_order_and_no_item_that_both_ends_define_is_lost() {
    let federation = Arc::new(Federation::fresh());
    let home = federation.home.clone();
    std::fs::create_dir(home.join("catalogue-new")).unwrap();
    for entry in std::fs::read_dir(home.join("catalogue")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let text = renewed(&name, &text);
        std::fs::write(home.join("catalogue-new").join(&name), text).unwrap();
    }
    let new = catalogue::load(&home.join("catalogue-new")).unwrap();
    assert!(new.find(ADDED).is_some() && new.find(RETIRED).is_none());

    // All eight in this process, each at a port of its own for good.
    let mut parties = Vec::new();
    for agency in &federation.described.agencies {
        let port = Reserved::new();
        let config = federation.copy_of(&agency.config, |document| {
            document["listen"] = value(port.address().to_string());
        });
        parties.push(Party { name: agency.id.clone(), config, port, new: false, served: None });
    }
    let port = Reserved::new();
    let config = federation.copy_of(&federation.described.gateway.config, |document| {
        document["listen"] = value(port.address().to_string());
        for entry in document["agency"].as_array_of_tables_mut().unwrap().iter_mut() {
            let party = parties.iter().find(|party| entry["id"].as_str() == Some(&party.name));
            entry["endpoint"] = value(party.unwrap().port.address().to_string());
        }
    });
    let consumer = Consumer {
        federation: federation.clone(),
        gateway: port.address(),
        grant: grant_of(&home, &federation.grant(complete(&federation.described))),
    };
    parties.push(Party { name: GATEWAY.into(), config, port, new: false, served: None });
    for party in &mut parties {
        party.start().await;
    }

    let known = granted(&consumer.grant);
    let known: Vec<&str> = known.iter().map(String::as_str).filter(|id| *id != ADDED).collect();
    let channel = consumer.channel().await;
    let all = async || ask(&channel, consumer.request(&known)).await.ok();
    let complete = |answer: &Option<pb::GetProfileResponse>| {
        let answer = answer.as_ref();
        answer.is_some_and(|answer| {
            answer.sections.iter().all(|one| one.status() == pb::SectionStatus::Ok)
        })
    };
    let answer = until("a whole profile", all, complete).await.unwrap();
    let steady = steady(&federation, &answer);
    assert_eq!(steady.len(), 7, "an item of each agency: {steady:?}");

    let (changes, whole) = (Arc::new(Changes::default()), Arc::new(AtomicUsize::new(0)));
    let asking = ask_on(consumer.clone(), steady.clone(), changes.clone(), whole.clone());
    let asking = tokio::spawn(asking);
    // To the new catalogue while all run, and back to the old one with each started anew.
    let order = [shuffled(8), shuffled(8)].concat();
    for (at, place) in order.iter().enumerate() {
        let (party, started) = (&mut parties[*place], at >= 8);
        if started {
            changes.begin(&party.name);
            party.served.take().unwrap().stop().await;
            party.turn(&home);
            party.start().await;
        } else {
            party.turn(&home);
        }
        let channel = consumer.channel().await;
        for agency in steady.keys() {
            link(&channel, agency, ServingStatus::Serving).await;
        }
        known_to_gateway(&parties, &consumer, &channel).await;
        check(&parties, &consumer, &channel, &steady, &order[..=at]).await;
        if started {
            changes.end();
        }
        let (seen, asked) = (whole.load(Ordering::SeqCst), || whole.load(Ordering::SeqCst));
        let more = async || (asked(), asking.is_finished());
        let (_, ended) = until("more answers", more, |(now, over)| *over || *now >= seen + 3).await;
        if ended {
            break;
        }
    }
    if asking.is_finished() {
        asking.await.unwrap();
        unreachable!("it asks on and on");
    }
    asking.abort();
    // All have the old catalogue again, and nothing is left out.
    let answer = ask(&consumer.channel().await, consumer.request(&known)).await.unwrap();
    for id in [CHANGED, SUM, RETIRED] {
        assert_eq!(gap(&answer, id), None, "{id}");
    }
}

/// The digest of the new catalogue, or of the old one.
fn digest_of(consumer: &Consumer, new: bool) -> [u8; 32] {
    let folder = if new { "catalogue-new" } else { "catalogue" };
    catalogue::load(&consumer.federation.home.join(folder)).unwrap().digest().0
}

/// Waits until the gateway has its catalogue, and tells whoever asks how the agencies do
/// which of their items are left out.
async fn known_to_gateway(parties: &[Party], consumer: &Consumer, channel: &Channel) {
    let has_new = |name: &str| parties.iter().find(|party| party.name == name).unwrap().new;
    let ours = has_new(GATEWAY);
    let left_out = |agency: &str| -> Vec<String> {
        let left_out: &[&str] = match agency {
            "education" if ours => &[ADDED, SUM],
            "education" | "employment" => &[SUM],
            "lending" => &[CHANGED],
            "traffic" if !ours => &[RETIRED],
            _ => &[],
        };
        let left_out = if has_new(agency) == ours { &[] } else { left_out };
        left_out.iter().map(ToString::to_string).collect()
    };
    let expected: BTreeMap<String, Vec<String>> = parties
        .iter()
        .filter(|party| party.name != GATEWAY)
        .map(|party| (party.name.clone(), left_out(&party.name)))
        .collect();
    let expected = (digest_of(consumer, ours).to_vec(), expected);
    let told = async || {
        let mut status = StatusServiceClient::new(channel.clone());
        let status = status.get_status(pb::GetStatusRequest {}).await.unwrap().into_inner();
        let agencies = status.agencies.into_iter().map(|agency| {
            let mut differing = agency.differing_items;
            differing.sort_unstable();
            (agency.agency, differing)
        });
        (status.catalogue_digest.to_vec(), agencies.collect::<BTreeMap<_, _>>())
    };
    until("the catalogues to be known", told, |told| *told == expected).await;
}

/// What each item comes to is said by who has which catalogue, and by nothing else.
async fn check(
    parties: &[Party],
    consumer: &Consumer,
    channel: &Channel,
    steady: &BTreeMap<String, String>,
    order: &[usize],
) {
    let names: Vec<&str> = order.iter().map(|at| parties[*at].name.as_str()).collect();
    let has_new = |name: &str| parties.iter().find(|party| party.name == name).unwrap().new;
    let ours = has_new(GATEWAY);
    let differs = |agency: &str| has_new(agency) != ours;
    let only = if ours { ADDED } else { RETIRED };
    let mut items: Vec<&str> = steady.values().map(String::as_str).collect();
    items.extend([CHANGED, SUM, only]);
    let answer = ask(channel, consumer.request(&items)).await.unwrap();
    for report in &answer.sections {
        assert_eq!(report.status(), pb::SectionStatus::Ok, "{} after {names:?}", report.agency);
    }
    for (agency, id) in steady {
        assert_eq!(gap(&answer, id), None, "{id} of {agency} after {names:?}");
    }
    let word = || "CATALOGUE_DIFFERS".to_owned();
    let owner_of_only = if ours { "education" } else { "traffic" };
    for (id, owner) in [(CHANGED, "lending"), (only, owner_of_only)] {
        let expected = differs(owner).then(|| (word(), BTreeMap::from([(owner.into(), word())])));
        assert_eq!(gap(&answer, id), expected, "{id} after {names:?}");
    }
    let silent: BTreeMap<String, String> =
        SUM_OWNERS.iter().filter(|owner| differs(owner)).map(|o| ((*o).into(), word())).collect();
    let expected = match silent.len() {
        0 => None,
        2 => Some((word(), silent)),
        _ => Some(("INCOMPLETE".to_owned(), silent)),
    };
    assert_eq!(gap(&answer, SUM), expected, "{SUM} after {names:?}");
    // The receipt and the answer name the catalogue by which the gateway decided.
    let profile = answer.profile.as_ref().unwrap();
    assert_eq!(*profile.catalogue_digest, digest_of(consumer, ours));
    assert_eq!(section(&answer, "lending").asked, if differs("lending") { 1 } else { 2 });
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
    std::fs::create_dir(&new).unwrap();
    for entry in std::fs::read_dir(city.home.join("catalogue")).unwrap() {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path())).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let name = name.into_string().unwrap();
        std::fs::write(new.join(&name), renewed(&name, &text)).unwrap();
    }
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
