//! A gateway and seven agencies take a catalogue one after the other, in whatever order, while
//! requests run: none loses an item on which both its ends agree.
//!
//! It runs once there, and once back with each party started anew. For a measured run
//! `TRIBUTARY_ORDERS` says how many times all take the other catalogue (an even number),
//! `TRIBUTARY_PAUSE` how many seconds are between two of them, 3 unless set, and
//! `TRIBUTARY_RATE` how many requests begin in a second, 200 unless set; then nobody is started
//! anew, and figures are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use toml_edit::{DocumentMut, Item, value};
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tributary::config::catalogue;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::status_service_client::StatusServiceClient;
use tributary::wire::refusal::reason_of;

use super::{
    ADDED, CHANGED, LIKE, RETIRED, SUM, SUM_OWNERS, complete, gap, grant_of, granted, put_new,
};
use crate::kit::federation::{
    DEADLINE, Federation, Profiles, Served, link, section, until, within,
};
use crate::kit::waiting::Reserved;

const GATEWAY: &str = "gateway";

/// How a measured run goes.
#[derive(Debug, Clone, Copy)]
struct Measured {
    orders: usize,
    pause: Duration,
    rate: u32,
}

impl Measured {
    fn asked() -> Option<Self> {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
        let orders: u32 = number("TRIBUTARY_ORDERS")?;
        assert!(
            orders > 0 && orders.is_multiple_of(2),
            "at the end all have the first catalogue again"
        );
        Some(Self {
            orders: orders as usize,
            pause: Duration::from_secs(number("TRIBUTARY_PAUSE").unwrap_or(3).into()),
            rate: number("TRIBUTARY_RATE").unwrap_or(200).max(1),
        })
    }
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

/// Connections over which a measured run asks.
const CONNECTIONS: usize = 8;

/// Requests of a measured run that may be under way: one that finds no place is not begun, and
/// the rate that is reached says so.
const UNDER_WAY: usize = 256;

/// Asks so many times in a second, whatever the answers take. Nobody is started anew, so that
/// nothing is excused.
async fn ask_at(
    rate: u32,
    consumer: Consumer,
    steady: BTreeMap<String, String>,
    whole: Arc<AtomicUsize>,
) {
    let request = consumer.request(&steady.values().map(String::as_str).collect::<Vec<_>>());
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(consumer.channel().await);
    }
    let (steady, mut asked) = (Arc::new(steady), JoinSet::new());
    let mut beat = tokio::time::interval(Duration::from_secs(1) / rate);
    for channel in channels.iter().cycle() {
        tokio::select! {
            _ = beat.tick() => {}
            Some(ended) = asked.join_next() => {
                ended.unwrap();
                continue;
            }
        }
        while let Some(ended) = asked.try_join_next() {
            ended.unwrap();
        }
        if asked.len() >= UNDER_WAY {
            continue;
        }
        let (channel, request) = (channel.clone(), request.clone());
        let (steady, whole) = (steady.clone(), whole.clone());
        asked.spawn(async move {
            let answer = ask(&channel, request).await;
            let answer = answer.unwrap_or_else(|status| panic!("a request is lost: {status}"));
            assert!(is_whole(&answer, &steady, &BTreeSet::new()));
            whole.fetch_add(1, Ordering::SeqCst);
        });
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
    put_new(&home);
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
    let measured = Measured::asked();
    let asking = match measured {
        Some(run) => {
            tokio::spawn(ask_at(run.rate, consumer.clone(), steady.clone(), whole.clone()))
        }
        None => {
            let (changes, whole) = (changes.clone(), whole.clone());
            tokio::spawn(ask_on(consumer.clone(), steady.clone(), changes, whole))
        }
    };
    // To the new catalogue while all run, and back to the old one with each started anew.
    let orders = measured.map_or(2, |run| run.orders);
    let order = (0..orders).flat_map(|_| shuffled(8)).collect::<Vec<usize>>();
    let begun = tributary::clock::now();
    for (at, place) in order.iter().enumerate() {
        if let Some(run) = measured {
            let turn = begun + run.pause * u32::try_from(at).unwrap();
            tokio::time::sleep_until(turn.into()).await;
        }
        let (party, started) = (&mut parties[*place], measured.is_none() && at >= 8);
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
    if let Some(run) = measured {
        let (seconds, whole) = (begun.elapsed().as_secs_f64(), whole.load(Ordering::SeqCst));
        let rate = whole as f64 / seconds;
        println!("{run:?}: {whole} requests in {seconds:.0} s, {rate:.1} a second, none lost");
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
