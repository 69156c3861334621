//! Grants named by their digests: an agency is shown a part once and named it after
//! that, and whoever forgets is shown it again, without anybody's notice.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::health_check_response::ServingStatus;
use tributary::app::client::{Address, GatewayClient};
use tributary::app::profile_stream::{self, Ask, Pace};
use tributary::domain::reason::Reason;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::exchange_response::Message as ToGateway;
use tributary::wire::refusal::reason_of;

use super::answers::{
    AGENCY, Draft, ITEMS, RATIO, honest, others_are_right, own_or_nothing, request_id, sha256,
};
use crate::kit::federation::{DEADLINE, Federation, Profiles, Served, link, outcome, section};
use crate::kit::rogue::{Asked, Event, Rogue, Step};

/// What a scripted agency was given for grants, and what it knows of them.
#[derive(Default)]
struct Given {
    grants: Mutex<Vec<(String, pb::GrantPresentation)>>,
    known: Mutex<HashSet<Bytes>>,
}

impl Given {
    /// Answers what it was shown, and says so of a digest that it does not know.
    fn answer(&self, asked: &Asked) -> Vec<Step> {
        let grant = asked.request.grant.clone().unwrap();
        self.grants.lock().unwrap().push((asked.request.request_id.clone(), grant.clone()));
        let mut known = self.known.lock().unwrap();
        match (grant.sd_jwt.is_empty(), grant.digest.is_empty()) {
            (false, true) => drop(known.insert(sha256(&grant.sd_jwt))),
            (true, false) if known.contains(&grant.digest) => {}
            (true, false) => return unknown(asked),
            other => panic!("whole and digest: {other:?}"),
        }
        answered(asked)
    }

    fn forget(&self) {
        self.known.lock().unwrap().clear();
    }

    /// What was given under a request id: `whole` or `digest`, in order.
    fn of(&self, request_id: &str) -> Vec<&'static str> {
        let grants = self.grants.lock().unwrap();
        let own = grants.iter().filter(|(id, _)| id == request_id);
        own.map(|(_, grant)| if grant.sd_jwt.is_empty() { "digest" } else { "whole" }).collect()
    }
}

fn answered(asked: &Asked) -> Vec<Step> {
    match asked.remaining {
        Some(_) => honest(asked),
        None => vec![Step::Frame(Draft::of(asked).finish().to_vec()), Step::End(Code::Ok)],
    }
}

fn unknown(asked: &Asked) -> Vec<Step> {
    let (code, reason) = (Code::FailedPrecondition, "GRANT_UNKNOWN");
    if asked.remaining.is_none() {
        return vec![Step::Refuse(Reason::GrantUnknown)];
    }
    vec![Step::say(ToGateway::Failure(pb::ExchangeFailure {
        exchange_id: asked.exchange_id,
        request_hash: sha256(&asked.bytes),
        code: code.into(),
        reason: reason.into(),
    }))]
}

/// A scripted agency that states these features, and a gateway to it.
struct Place {
    federation: Arc<Federation>,
    given: Arc<Given>,
    rogue: Rogue,
    channel: Channel,
    _gateway: Served,
}

impl Place {
    async fn with(features: &[pb::ProtocolFeature]) -> Self {
        let federation = Federation::start();
        let given = Arc::new(Given::default());
        let by = given.clone();
        let script = move |asked: &Asked| by.answer(asked);
        let rogue = Rogue::start(&federation, AGENCY, true, script).await;
        rogue.hello(|hello| hello.features = features.iter().map(|one| (*one).into()).collect());
        let gateway = federation.gateway(&[(AGENCY, rogue.address)]).await;
        let channel = federation.consumer(gateway.address).await;
        link(&channel, AGENCY, ServingStatus::Serving).await;
        Self { federation, given, rogue, channel, _gateway: gateway }
    }

    async fn taking_digests() -> Self {
        let digest = pb::ProtocolFeature::GrantDigest;
        let place = Self::with(&[pb::ProtocolFeature::Exchange, digest]).await;
        place.rogue.hello(|hello| assert_eq!(hello.features.len(), 2));
        place
    }

    /// Asks, and holds that nobody else suffers; gives what became of the section.
    async fn ask(&self, id: &str, person: usize) -> String {
        let answer = self.federation.ask(&self.channel, id, person, &ITEMS, DEADLINE).await;
        let answer = answer.unwrap();
        others_are_right(&self.federation, &answer, person);
        own_or_nothing(&answer, person);
        outcome(&answer, AGENCY)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_shown_once_and_named_after_that() {
    let place = Place::taking_digests().await;
    for (nth, expected) in ["whole", "digest", "digest"].into_iter().enumerate() {
        for person in 0..3 {
            let id = request_id("named", person, nth);
            assert_eq!(place.ask(&id, person).await, "OK");
            assert_eq!(place.given.of(&id), [expected], "{id}");
        }
    }
    // What is named is what was shown, and nobody else's.
    let grants = place.given.grants.lock().unwrap().clone();
    for person in 0..3 {
        let own = |nth| {
            let id = request_id("named", person, nth);
            grants.iter().find(|(of, _)| *of == id).unwrap().1.clone()
        };
        assert_eq!(own(1).digest, sha256(&own(0).sd_jwt));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_that_does_not_say_that_it_takes_digests_is_sent_none() {
    let features = [pb::ProtocolFeature::Exchange, pb::ProtocolFeature::Witness];
    let place = Place::with(&features).await;
    for nth in 0..4 {
        let id = request_id("shown", 1, nth);
        assert_eq!(place.ask(&id, 1).await, "OK");
        assert_eq!(place.given.of(&id), ["whole"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_that_has_forgotten_is_asked_once_more_with_the_whole() {
    // More often than the budget of attempts allows, and than would open the circuit.
    let times = 6;
    let place = Place::taking_digests().await;
    let people = place.federation.described.grants.len().min(40);
    let all = async |nth| {
        let asked = (0..people).map(async |person| {
            let id = request_id("forgot", person, nth);
            let (federation, channel) = (&place.federation, &place.channel);
            // Nobody else is asked, which leaves the machine to other tests.
            let answer = federation.ask(channel, &id, person, &[RATIO], DEADLINE).await;
            let answer = answer.unwrap();
            own_or_nothing(&answer, person);
            assert_eq!(outcome(&answer, AGENCY), "OK");
            place.given.of(&id)
        });
        join_all(asked).await
    };
    assert!(all(0).await.iter().all(|given| *given == ["whole"]));
    for nth in 1..=times {
        place.given.forget();
        let given = all(nth).await;
        assert!(given.iter().all(|given| *given == ["digest", "whole"]), "{given:?}");
    }
    assert!(all(times + 1).await.iter().all(|given| *given == ["digest"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_that_never_knows_a_grant_is_asked_twice_and_loses_its_section_alone() {
    let place = Place::taking_digests().await;
    assert_eq!(place.ask(&request_id("never", 2, 0), 2).await, "OK");
    let given = place.given.clone();
    place.rogue.script(move |asked| {
        given.answer(asked);
        unknown(asked)
    });
    let asked = |id: String| {
        let of = move |event: &Event| match event {
            Event::Fetch(asked) | Event::Unary(asked) => *asked == id,
            _ => false,
        };
        place.rogue.count(of)
    };
    let id = request_id("never", 2, 1);
    assert_eq!(place.ask(&id, 2).await, "INVALID GRANT_UNKNOWN");
    assert_eq!(place.given.of(&id), ["digest", "whole"]);
    assert_eq!(asked(id), 2);
    // It was not answered for, so it is shown whole from then on, and once.
    for nth in 2..6 {
        let id = request_id("never", 2, nth);
        assert_eq!(place.ask(&id, 2).await, "INVALID GRANT_UNKNOWN");
        assert_eq!(place.given.of(&id), ["whole"]);
        assert_eq!(asked(id), 1);
    }
    // It may answer again at any time.
    let given = place.given.clone();
    place.rogue.script(move |asked| given.answer(asked));
    assert_eq!(place.ask(&request_id("never", 2, 6), 2).await, "OK");
}

/// The answer to a request that names a grant by its digest: `OK`, or the reason.
async fn named(federation: &Federation, channel: &Channel, person: usize) -> String {
    let mut request = federation.request("", person, &[RATIO]);
    let digest = sha256(&request.grant.unwrap().sd_jwt);
    request.grant = Some(pb::GrantPresentation { digest, ..Default::default() });
    match Profiles::new(channel.clone()).get_profile(request).await {
        Ok(_) => "OK".into(),
        Err(status) => reason_of(&status),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_clients_do_not_notice_that_gateway_and_agency_forget() {
    let federation = Federation::start();
    let forgetful = |document: &mut toml_edit::DocumentMut| {
        document["grants"]["cache"] = toml_edit::value(1);
    };
    let agency = federation.agency(AGENCY, forgetful).await;
    let gateway = federation.gateway_with(&[(AGENCY, agency.address)], forgetful).await;
    let channel = federation.consumer(gateway.address).await;
    link(&channel, AGENCY, ServingStatus::Serving).await;
    federation.informed(&channel, &[RATIO]).await;
    let consumer = &federation.described.consumers[0];
    let address = Address {
        endpoint: gateway.address.to_string(),
        gateway: federation.described.gateway.id.parse().unwrap(),
        certificate: consumer.certificate.clone(),
        key: consumer.key.clone(),
        trust_bundle: federation.described.trust_bundle.clone(),
        proof_key: consumer.proof_key.clone(),
    };
    let mut client = GatewayClient::connect(&address).await.unwrap();
    let people = federation.described.grants.len();
    assert!(people > 36, "more than the 32 that are remembered at the most");
    let grant =
        |person: usize| std::fs::read_to_string(&federation.described.grants[person].file).unwrap();
    let answered = |answer: &pb::GetProfileResponse| {
        let status = section(answer, AGENCY).status();
        assert!([pb::SectionStatus::Ok, pb::SectionStatus::NoRecord].contains(&status));
    };
    for round in 0..3 {
        for person in 0..people {
            let asked = client.profile(&grant(person), vec![RATIO.into()], DEADLINE).await;
            answered(&asked.unwrap());
        }
        if round == 0 {
            let mut forgotten = 0;
            for person in 0..people {
                match named(&federation, &channel, person).await.as_str() {
                    "OK" => {}
                    "GRANT_UNKNOWN" => forgotten += 1,
                    other => panic!("{other}"),
                }
            }
            assert!((people - 32..people).contains(&forgotten), "{forgotten} of {people}");
        }
    }

    // Over a stream as well, also at its very end.
    let (asks, queue) = mpsc::channel(8);
    let grants: Vec<String> = (0..people).map(grant).collect();
    let asking = tokio::spawn(async move {
        for line in 0..grants.len() * 3 {
            let grant = grants[line % grants.len()].clone();
            let (line, request_id) = (line as u64, format!("line-{line}"));
            let ask = Ask { line, request_id, grant, items: vec![RATIO.into()] };
            asks.send(ask).await.unwrap();
        }
    });
    let mut lines = HashSet::new();
    let pace = Pace { in_flight: 8, deadline: DEADLINE };
    let streamed = profile_stream::run(&address, pace, queue, |answer| {
        answered(&answer.outcome.unwrap());
        assert!(lines.insert(answer.ask.line), "answered twice");
    });
    crate::kit::federation::within(streamed).await.unwrap();
    asking.await.unwrap();
    assert_eq!(lines.len(), people * 3);
}
