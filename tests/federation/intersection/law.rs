//! The law, for grants, policies, requests and offers by chance: an agency is
//! asked for requested ∩ granted ∩ gateway policy ∩ offered; what leaves it is
//! that, ∩ its own policy, ∩ what it holds within the granted period, neither
//! more nor less; and all of it arrives.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use time::{Date, Duration, Month};
use tonic::{Code, Request};
use tributary::domain::catalogue::AgencyId;
use tributary::domain::item::{ItemNumber, ItemSet};
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::profile_service_client::ProfileServiceClient;

use super::grants::{AGENCIES, CLIENTS, Grant, PURPOSES, ids};
use super::policies::Situation;
use super::world::{Plan, World, any_set, held};
use crate::kit::federation::Federation;

const WORLDS: u32 = 8;
const ASKS: usize = 24;
const PEOPLE: usize = 8;

/// Items of one agency in a grant by chance.
const MOST_GRANTED: usize = 40;

/// One request by chance.
#[derive(Debug, Clone)]
struct Ask {
    person: usize,
    client: usize,
    /// Whether somebody else than the grant's client comes with it.
    stolen: bool,
    purpose: usize,
    basis: usize,
    granted: [ItemSet; 3],
    requested: ItemSet,
    /// How many days of records the grant leaves out at either end, if any.
    period: Option<(i64, i64)>,
}

fn any_ask() -> impl Strategy<Value = Ask> {
    (
        (0..PEOPLE, 0..CLIENTS.len(), prop::bool::weighted(0.1), 0..PURPOSES.len()),
        // Written consent opens more, so it comes oftener.
        prop_oneof![1 => Just(0_usize), 2 => Just(1_usize)],
        [any_set(), any_set(), any_set()],
        any_set(),
        prop::option::weighted(0.3, (0..1500_i64, 0..200_i64)),
    )
        .prop_map(|((person, client, stolen, purpose), basis, granted, requested, period)| {
            Ask { person, client, stolen, purpose, basis, granted, requested, period }
        })
}

/// What an agency holds about a person: the value of each item, and its day.
type Held = BTreeMap<(usize, usize), BTreeMap<ItemNumber, (Option<pb::Value>, Date)>>;

/// Asks for everything, where everything is open and offered.
async fn everything(federation: &Federation) -> Held {
    let world = World::start(federation, Plan::open()).await;
    let mut known = Held::new();
    for person in 0..PEOPLE {
        for (agency, tap) in world.taps.iter().enumerate() {
            // One for each agency: no grant comes near its bound.
            let mut items = [ItemSet::EMPTY; 3];
            items[agency] = owned(federation)[agency];
            let id = format!("everything-{person}-{agency}");
            let asked = put(federation, &world, &id, 0, &items[agency], Grant::of(person, items));
            asked.await.expect("everything is open");
            let sent = tap.of(&id).pop().expect("the agency was asked");
            let section = sent.answer.as_ref().expect("and answered");
            let days = section.envelope.as_ref().unwrap().items.iter().map(|item| item.as_of);
            let values = sent.values().into_iter().zip(days).map(|(item, day)| {
                let day = day.unwrap();
                let month = Month::try_from(u8::try_from(day.month).unwrap()).unwrap();
                let day = Date::from_calendar_date(day.year, month, u8::try_from(day.day).unwrap());
                (ItemNumber::new(item.number).unwrap(), (item.value, day.unwrap()))
            });
            known.insert((agency, person), values.collect());
        }
    }
    known
}

fn owned(federation: &Federation) -> [ItemSet; 3] {
    AGENCIES.map(|id| federation.catalogue.owned_by(&AgencyId::new(id).unwrap()))
}

fn granted(federation: &Federation, ask: &Ask) -> [ItemSet; 3] {
    let owned = owned(federation);
    // Only a part of what may be granted: grants stay small.
    let mut granted = [0, 1, 2].map(|at| {
        let both = ask.granted[at].and(&owned[at]);
        let every = both.len().div_ceil(MOST_GRANTED).max(1);
        both.iter().enumerate().filter(|(nth, _)| nth % every == 0).map(|(_, item)| item).collect()
    });
    if granted.iter().all(ItemSet::is_empty) {
        granted[0].insert(owned[0].iter().next().unwrap());
    }
    granted
}

fn grant(federation: &Federation, ask: &Ask) -> Grant {
    let mut grant = Grant::of(ask.person, granted(federation, ask));
    (grant.client, grant.purpose, grant.basis) = (ask.client, ask.purpose, ask.basis);
    if let Some((first, last)) = ask.period {
        let today = tributary::clock::utc().date();
        grant.from = today - Duration::days(1500 + 200 - first);
        grant.to = today - Duration::days(last);
    }
    grant
}

async fn put(
    federation: &Federation,
    world: &World,
    id: &str,
    comes: usize,
    requested: &ItemSet,
    grant: Grant,
) -> Result<pb::GetProfileResponse, tonic::Status> {
    let presentation = grant.issue(federation);
    let catalogue = federation.catalogue.items().iter().map(|item| item.number).collect();
    let requested = ids(federation, &requested.and(&catalogue));
    let mut request = Request::new(pb::GetProfileRequest {
        request_id: id.into(),
        items: requested,
        grant: Some(pb::GrantPresentation { sd_jwt: presentation.into(), ..Default::default() }),
        ..Default::default()
    });
    request.set_timeout(std::time::Duration::from_secs(60));
    let profiles = ProfileServiceClient::new(world.consumer(comes).clone());
    let mut profiles = profiles.max_decoding_message_size(4 * 1024 * 1024);
    profiles.get_profile(request).await.map(tonic::Response::into_inner)
}

/// For each of the sets, how many held items it alone kept back; and how many
/// items left the agencies.
#[derive(Debug, Default)]
struct Counted {
    alone: BTreeMap<&'static str, usize>,
    left: usize,
}

fn judge(
    federation: &Federation,
    world: &World,
    known: &Held,
    (id, ask): (&str, &Ask),
    answer: &Result<pb::GetProfileResponse, tonic::Status>,
    counted: &mut Counted,
) -> Result<(), TestCaseError> {
    let grant = grant(federation, ask);
    let mut arrived = ItemSet::EMPTY;
    for (agency, tap) in world.taps.iter().enumerate() {
        let Ask { client, purpose, basis, .. } = *ask;
        let now = Situation { client, purpose, basis, agency };
        let held = &known[&(agency, ask.person)];
        let recent = |(number, (_, day)): (&ItemNumber, &(_, Date))| {
            (grant.from..=grant.to).contains(day).then_some(*number)
        };
        let sets = [
            ("requested", ask.requested),
            ("granted", grant.items[agency]),
            ("gateway policy", world.gateway_opens(federation, now)),
            ("offered", world.offered[agency]),
            ("agency policy", world.agency_opens(federation, now)),
            ("period", held.iter().filter_map(recent).collect()),
        ];
        let but = |left_out: &[&str]| {
            let kept = sets.iter().filter(|(name, _)| !left_out.contains(name));
            kept.map(|(_, set)| *set).reduce(|a, b| a.and(&b)).unwrap()
        };
        let holds: ItemSet = held.keys().copied().collect();
        let asked = if ask.stolen { ItemSet::EMPTY } else { but(&["agency policy", "period"]) };
        let may_tell = asked.and(&but(&["period"]));
        let may_leave = asked.and(&but(&[]));

        let sent = tap.of(id);
        prop_assert!(sent.len() <= 1, "asked {} times", sent.len());
        let found = sent.first().map_or(ItemSet::EMPTY, |sent| sent.asked());
        prop_assert_eq!(found, asked, "{} was asked for something else", AGENCIES[agency]);
        let mut values = ItemSet::EMPTY;
        for item in sent.iter().flat_map(|sent| sent.values()) {
            let number = ItemNumber::new(item.number).unwrap();
            values.insert(number);
            let value = held.get(&number).map(|(value, _)| value);
            prop_assert_eq!(value, Some(&item.value), "another value");
        }
        prop_assert_eq!(values, may_leave, "what left {}: {:?}", AGENCIES[agency], sent);
        let told = sent.first().map_or(ItemSet::EMPTY, |sent| sent.told());
        prop_assert!(told.is_subset(&may_tell), "{} told more", AGENCIES[agency]);
        arrived = arrived.or(&values);

        counted.left += values.len();
        if !ask.stolen {
            for (name, _) in sets {
                let more = but(&[name]).and(&holds).without(&may_leave).len();
                *counted.alone.entry(name).or_default() += more;
            }
        }
    }
    match answer {
        Ok(answer) => prop_assert_eq!(held(answer), arrived, "what arrived: {:?}", answer),
        Err(status) => {
            prop_assert_eq!(status.code(), Code::PermissionDenied, "{:?}", status);
            prop_assert!(arrived.is_empty(), "it left the agency and did not arrive");
        }
    }
    Ok(())
}

#[test]
fn nothing_leaves_an_agency_but_what_five_sets_have_in_common_and_that_arrives() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let federation = Federation::start();
    let items = federation.catalogue.items().len();
    let known = runtime.block_on(everything(&federation));
    let counted = std::cell::RefCell::new(Counted::default());
    let rounds = std::cell::Cell::new(0);
    // A case is a whole federation with many requests: too dear to shrink.
    let config = Config {
        cases: WORLDS,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let cases = (Plan::any(items), prop::collection::vec(any_ask(), ASKS));
    let outcome = TestRunner::new(config).run(&cases, |(plan, asks)| {
        rounds.set(rounds.get() + 1);
        runtime.block_on(async {
            let world = World::start(&federation, plan).await;
            let name = |nth| format!("world-{}-{nth}", rounds.get());
            let answers = join_all(asks.iter().enumerate().map(async |(nth, ask)| {
                let comes = if ask.stolen { 1 - ask.client } else { ask.client };
                let grant = grant(&federation, ask);
                put(&federation, &world, &name(nth), comes, &ask.requested, grant).await
            }))
            .await;
            for (nth, (ask, answer)) in asks.iter().zip(&answers).enumerate() {
                let (id, counted) = (name(nth), &mut counted.borrow_mut());
                judge(&federation, &world, &known, (&id, ask), answer, counted)?;
            }
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let counted = counted.into_inner();
    assert!(counted.left > 100, "hardly anything left an agency: {counted:?}");
    for (name, alone) in &counted.alone {
        assert!(*alone > 0, "`{name}` alone never kept anything back: {counted:?}");
    }
}
