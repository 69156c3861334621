//! What passes by itself fails a section with UNAVAILABLE, and our client asks again in
//! the request's time, under the same id; what is refused is final.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tonic_health::pb::health_check_response::ServingStatus;
use tributary::app::client::{Address, GatewayClient};
use tributary::domain::reason::Reason;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::exchange_response::Message as ToGateway;
use tributary::wire::refusal::code_of;

use super::answers::{AGENCY, RATIO, honest, own_or_nothing, request_id, sha256};
use crate::kit::federation::{DEADLINE, Federation, link, outcome};
use crate::kit::rogue::{Asked, Rogue, Step};

/// What an agency refuses next, and the ids of the requests that it got.
#[derive(Debug, Default)]
struct Script {
    refusals: Vec<Reason>,
    always: Option<Reason>,
    ids: Vec<String>,
}

impl Script {
    fn answer(&mut self, asked: &Asked) -> Vec<Step> {
        self.ids.push(asked.request.request_id.clone());
        match self.refusals.pop().or(self.always) {
            None => honest(&of_person(asked, 0)),
            Some(reason) => vec![Step::say(ToGateway::Failure(pb::ExchangeFailure {
                exchange_id: asked.exchange_id,
                request_hash: sha256(&asked.bytes),
                code: code_of(reason).into(),
                reason: reason.to_string(),
            }))],
        }
    }
}

/// The question as one about this person: our client's ids name nobody.
fn of_person(asked: &Asked, person: usize) -> Asked {
    let mut asked = asked.clone();
    asked.request.request_id = request_id("own", person, 0);
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_is_asked_again_and_a_refusal_is_final() {
    let federation = Federation::start();
    let script = Arc::new(Mutex::new(Script::default()));
    let by = script.clone();
    let tell = move |asked: &Asked| by.lock().unwrap().answer(asked);
    let rogue = Rogue::start(&federation, AGENCY, true, tell).await;
    let gateway = federation.gateway(&[(AGENCY, rogue.address)]).await;
    link(&federation.consumer(gateway.address).await, AGENCY, ServingStatus::Serving).await;
    let (described, consumer) = (&federation.described, &federation.described.consumers[0]);
    let address = Address {
        endpoint: gateway.address.to_string(),
        gateway: described.gateway.id.parse().unwrap(),
        certificate: consumer.certificate.clone(),
        key: consumer.key.clone(),
        trust_bundle: described.trust_bundle.clone(),
        proof_key: None,
    };
    let client = GatewayClient::connect(&address).await.unwrap();
    let grant = std::fs::read_to_string(&described.grants[0].file).unwrap();
    let ask = async |deadline: Duration, refusals: Vec<Reason>, always: Option<Reason>| {
        *script.lock().unwrap() = Script { refusals, always, ids: Vec::new() };
        let answer = client.clone().profile(grant.trim(), vec![RATIO.into()], deadline).await;
        let answer = answer.unwrap();
        own_or_nothing(&answer, 0);
        (outcome(&answer, AGENCY), script.lock().unwrap().ids.clone())
    };

    let (came, ids) =
        ask(DEADLINE, vec![Reason::CounterDown, Reason::GrantStatusStale], None).await;
    assert_eq!(came, "OK");
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(ids.iter().all(|id| *id == ids[0]), "another id counts another use: {ids:?}");

    let (came, ids) = ask(DEADLINE, Vec::new(), Some(Reason::GrantRevoked)).await;
    assert_eq!((came.as_str(), ids.len()), ("DENIED GRANT_REVOKED", 1));

    // As long as the time allows, and then the answer is what it is.
    let stale = Some(Reason::GrantStatusStale);
    let (came, ids) = ask(Duration::from_secs(3), Vec::new(), stale).await;
    assert_eq!(came, "UNAVAILABLE GRANT_STATUS_STALE");
    assert_eq!(ids.len(), 2, "{ids:?}");
}
