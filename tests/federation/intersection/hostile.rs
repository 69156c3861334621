//! A gateway in an attacker's hands: the library's own clients and lanes and the
//! gateway's real certificate, and no check of any grant. It exists in this test
//! alone. The library's own fan-out cannot be called like this: it wants a
//! `VerifiedGrant`, which only the check makes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use prost::Message;
use serde_json::Value;
use tokio::sync::watch;
use tributary::clock;
use tributary::config::audit::OnContradiction;
use tributary::config::gateway::GatewayConfig;
use tributary::domain::catalogue::AgencyId;
use tributary::domain::grant::{Algorithm, KeyId};
use tributary::domain::item::ItemSet;
use tributary::issuer::SigningKey;
use tributary::link::connect::Connector;
use tributary::link::limits::ConnectLimits;
use tributary::service::agencies::client::{AgencyClient, ClientParts};
use tributary::service::agencies::hearing::Hearing;
use tributary::service::agencies::outcome::Failure;
use tributary::service::agencies::replies::{Gather, Woken};
use tributary::service::agencies::request::Question;
use tributary::service::audit::monitor::Witnesses;
use tributary::service::audit::recorder::Recorder;
use tributary::store::audit_log::AuditLog;
use tributary::store::witness::Witness;
use tributary::wire::proto::pb;

use super::grants::{AGENCIES, CLIENTS, Grant};
use super::tap::Sent;
use crate::kit::federation::{Federation, until, within};
use crate::kit::forged::{Forgery, part_of};
use crate::kit::pki;

pub struct Hostile {
    clients: Vec<Arc<AgencyClient>>,
    digest: Bytes,
    everything: Bytes,
    _stop: watch::Sender<bool>,
}

/// What an agency answered: its section, or the reason of its refusal.
type Got = Vec<(String, Sent)>;

impl Hostile {
    /// With so many connections to each agency.
    pub async fn start(federation: &Federation, connections: usize) -> Self {
        let config = GatewayConfig::load(&federation.described.gateway.config).unwrap();
        let tls = pki::tls_of(&config.link);
        let (stop, stopped) = watch::channel(false);
        // It shows its log to nobody and looks at nobody's.
        let (folder, keys) = (tempfile::tempdir().unwrap(), config.audit.keys().unwrap());
        let key = keys.signing.verifying_key(&keys.origin).unwrap();
        let log = AuditLog::open(&folder.path().join("log"), &keys.origin, keys.signing).unwrap();
        let recorder = Arc::new(Recorder::new(log, None));
        let witnesses = Arc::new(Witnesses::new(
            &recorder,
            folder.path().join("none"),
            key,
            None,
            Witness::open(&folder.path().join("held")).unwrap(),
            Vec::new(),
            Duration::from_secs(600),
            OnContradiction::Refuse,
        ));
        let clients: Vec<_> = config
            .agency
            .iter()
            .map(|entry| {
                let (to, limits) = (entry.identity.clone(), ConnectLimits::default());
                let endpoint = entry.endpoints[0].clone();
                let connector = Connector::new(&endpoint, to, tls.clone(), limits).unwrap();
                let parts = ClientParts {
                    agency: entry.id.clone(),
                    endpoints: vec![(endpoint, connector)],
                    catalogue: federation.catalogue.clone(),
                    connections,
                    max_in_flight: 4096,
                    witnesses: witnesses.clone(),
                    hearing: Arc::new(Hearing::default()),
                };
                AgencyClient::start(parts, &stopped)
            })
            .collect();
        for client in &clients {
            let mut changes = client.changes();
            within(async {
                while !client.is_up() {
                    changes.changed().await.unwrap();
                }
            })
            .await;
        }
        let all = federation.catalogue.numbers();
        let (digest, everything) =
            (federation.catalogue.digest().0.to_vec().into(), all.to_bytes().into());
        Self { clients, digest, everything, _stop: stop }
    }

    /// Asks every agency at once for every item of the catalogue, with whatever
    /// presentation and in whoever's name.
    async fn ask(&self, id: &str, consumer: &str, part: impl Fn(&AgencyId) -> String) -> Got {
        let asking = self.clients.iter().map(async |client| {
            let agency = client.agency();
            let part = part(agency);
            let sent = self.put(agency.as_str(), id, consumer, &self.everything, part).await;
            (agency.to_string(), sent)
        });
        join_all(asking).await
    }

    /// Waits until an agency answers a request.
    pub async fn answers_again(&self, agency: &str, id: &str, part: &str) {
        let asked = async || {
            let everything = &self.everything;
            self.put(agency, id, CLIENTS[0], everything, part.into()).await.answer.map(drop)
        };
        drop(until("an answer again", asked, Result::is_ok).await);
    }

    /// Asks one agency.
    pub async fn put(
        &self,
        agency: &str,
        id: &str,
        consumer: &str,
        items: &Bytes,
        part: String,
    ) -> Sent {
        let client = self.clients.iter().find(|client| client.agency().as_str() == agency);
        let question = pb::FetchSectionRequest {
            request_id: id.into(),
            items: items.clone(),
            catalogue_digest: self.digest.clone(),
            consumer: consumer.into(),
            grant: Some(pb::GrantPresentation { sd_jwt: part.into(), ..Default::default() }),
            ..Default::default()
        };
        let asked = async || asked(client.unwrap(), &question).await;
        let answer = until("an answer or a refusal", asked, Result::is_ok).await.unwrap();
        Sent { question, answer }
    }
}

/// An agency's answer or its reason; or why there was no way to it, as may be for a moment
/// on a machine that has much else to do.
async fn asked(
    client: &AgencyClient,
    question: &pb::FetchSectionRequest,
) -> Result<Result<pb::Section, String>, String> {
    let put = Question::new(question.clone(), None, clock::now() + Duration::from_secs(100));
    let gather = Gather::new(1);
    let asked = client.ask(&put, gather.reply(0)).map_err(|_| "it is not known".to_owned())?;
    while gather.woken().await != Woken::All {}
    if let Some(asked) = asked {
        asked.answered();
    }
    match gather.arrivals().pop().unwrap().unwrap().outcome {
        Ok(bytes) => Ok(Ok(pb::FetchSectionResponse::decode(bytes).unwrap().section.unwrap())),
        Err(Failure::Refused { reason, .. }) => Ok(Err(reason)),
        Err(failure) => Err(format!("{failure:?}")),
    }
}

/// Refused everywhere, with a reason, and nothing told.
fn nothing(got: &Got, case: &str) {
    for (agency, sent) in got {
        let reason = sent.answer.as_ref().expect_err(&format!("{case}: {agency} answered"));
        assert!(reason.starts_with("GRANT_") || reason == "BAD_REQUEST", "{case}: {reason}");
    }
}

fn half(federation: &Federation, odd: usize) -> [ItemSet; 3] {
    AGENCIES.map(|id| {
        let owned = federation.catalogue.owned_by(&AgencyId::new(id).unwrap());
        owned.iter().enumerate().filter(|(at, _)| at % 2 == odd).map(|(_, item)| item).collect()
    })
}

/// At each agency no more than this grant names, and something at all.
fn only(got: &Got, granted: &[ItemSet; 3], case: &str) {
    let mut values = 0;
    for (agency, sent) in got {
        let own = AGENCIES.iter().position(|id| id == agency);
        let own = own.map_or(ItemSet::EMPTY, |at| granted[at]);
        let told = sent.told();
        assert!(told.is_subset(&own), "{case}: {agency} told {:?}", told.without(&own));
        values += sent.values().len();
    }
    assert!(values > 10, "{case}: only {values} values, so this shows nothing");
}

fn strangers_key() -> SigningKey {
    SigningKey::generate(Algorithm::EdDsa, KeyId::new("2026-1").unwrap()).unwrap()
}

pub fn revoke(federation: &Federation, presentation: &str) {
    let jti = Forgery::of(&federation.home, presentation).claims["jti"].clone();
    federation.revoke_grant(jti.as_str().unwrap());
}

type Change = fn(&mut Forgery);

/// What a gateway can make out of a grant that passed through it.
const FORGERIES: &[(&str, Change)] = &[
    ("signed by itself", |f| f.key = strangers_key()),
    ("made out to another consumer", |f| {
        f.keep_signature = true;
        f.claims["client_id"] = CLIENTS[1].into();
    }),
    ("prolonged", |f| {
        f.keep_signature = true;
        f.claims["exp"] = (f.claims["exp"].as_i64().unwrap() + 86_400).into();
    }),
    ("more uses", |f| {
        f.keep_signature = true;
        f.claims["frequency"]["count"] = 1000.into();
    }),
    ("another purpose", |f| {
        f.keep_signature = true;
        f.claims["purpose"]["code"] = "small_business_loan".into();
    }),
    ("no signature", |f| f.header["alg"] = "none".into()),
    ("more items in each disclosure", |f| {
        f.keep_signature = true;
        widen(f);
    }),
    ("more items, pinned and signed by itself", |f| {
        f.key = strangers_key();
        widen(f);
    }),
];

fn widen(forgery: &mut Forgery) {
    for (agency, more) in AGENCIES.iter().zip([
        "employment.current.employed",
        "lending.card.balance",
        "traffic.licence.status",
    ]) {
        forgery.redisclose(agency, |parts| {
            let items = parts[2]["items"].as_array_mut().unwrap();
            match items.iter().any(|item| item == more) {
                true => items.retain(|item| item == more),
                false => items.push(Value::from(more)),
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_grant_check_gets_nothing_that_was_not_granted() {
    let federation = Federation::start();
    let hostile = Hostile::start(&federation, 2).await;
    let (own, others) = (half(&federation, 0), half(&federation, 1));
    let mut grant = Grant::of(0, own);
    grant.uses = 1_000_000;
    let genuine = grant.issue(&federation);
    let part = |agency: &AgencyId| part_of(&genuine, agency.as_str());

    // Over-asking: every item of the catalogue at every agency.
    only(&hostile.ask("all", CLIENTS[0], part).await, &own, "over-asking");

    // In another consumer's name, as it comes or with another's grant.
    nothing(&hostile.ask("claimed", CLIENTS[1], part).await, "another consumer's name");
    let mut bank = Grant::of(0, others);
    (bank.client, bank.purpose) = (1, 2);
    let banks = bank.issue(&federation);
    let of_bank = |agency: &AgencyId| part_of(&banks, agency.as_str());
    nothing(&hostile.ask("bank-1", CLIENTS[0], of_bank).await, "the bank's grant");
    // It can say that the bank asked, and gets what the bank was granted.
    only(&hostile.ask("bank-2", CLIENTS[1], of_bank).await, &others, "in the bank's name");

    for (name, change) in FORGERIES {
        let mut forgery = Forgery::of(&federation.home, &genuine);
        change(&mut forgery);
        let forged = forgery.finish();
        let id = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let got = hostile.ask(&id, CLIENTS[0], |agency| part_of(&forged, agency.as_str())).await;
        nothing(&got, name);
    }

    // The parts of one grant, each at another agency; the whole; none; mixed.
    let moved = |agency: &AgencyId| {
        let at = AGENCIES.iter().position(|id| *id == agency.as_str()).unwrap_or(0);
        part_of(&genuine, AGENCIES[(at + 1) % AGENCIES.len()])
    };
    nothing(&hostile.ask("moved", CLIENTS[0], moved).await, "another agency's part");
    nothing(&hostile.ask("whole", CLIENTS[0], |_| genuine.clone()).await, "the whole grant");
    nothing(&hostile.ask("none", CLIENTS[0], |_| String::new()).await, "no grant");
    let other = Grant::of(1, others).issue(&federation);
    let swapped = |agency: &AgencyId| {
        let disclosure = part_of(&other, agency.as_str());
        format!("{}~{}", genuine.split('~').next().unwrap(), disclosure.split_once('~').unwrap().1)
    };
    nothing(&hostile.ask("swapped", CLIENTS[0], swapped).await, "another grant's disclosure");

    // Once granted, and no longer or not yet.
    for (name, days) in [("expired", -3), ("not yet valid", 2)] {
        let mut grant = Grant::of(0, own);
        grant.begins = time::Duration::days(days);
        let text = grant.issue(&federation);
        let id = name.replace(' ', "-");
        let got = hostile.ask(&id, CLIENTS[0], |agency| part_of(&text, agency.as_str())).await;
        nothing(&got, name);
    }
    revoke(&federation, &genuine);
    let mut nth = 0;
    let ask = async || {
        nth += 1;
        hostile.ask(&format!("revoked-{nth}"), CLIENTS[0], part).await
    };
    let refused = |got: &Got| got.iter().all(|(_, sent)| sent.answer.is_err());
    nothing(&until("the revocation", ask, refused).await, "revoked");
}

/// What it can still do, and how often.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_a_grant_check_repeats_a_live_grant_within_its_frequency_only() {
    let federation = Federation::start();
    let hostile = Hostile::start(&federation, 2).await;
    let own = half(&federation, 0);
    let genuine = Grant::of(0, own).issue(&federation);
    let part = |agency: &AgencyId| part_of(&genuine, agency.as_str());
    for nth in 0..6 {
        let got = hostile.ask(&format!("repeat-{nth}"), CLIENTS[0], part).await;
        if nth < 3 {
            only(&got, &own, "within its frequency");
            continue;
        }
        for (agency, sent) in got {
            let reason = sent.answer.expect_err("beyond its frequency");
            let named = AGENCIES.contains(&agency.as_str());
            assert_eq!(reason == "FREQUENCY_EXHAUSTED", named, "{agency}: {reason}");
        }
    }
}

/// Whatever bytes it makes of a grant: nothing, unless they are the grant.
#[test]
fn a_gateway_without_a_grant_check_gets_nothing_for_a_damaged_grant() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let federation = Federation::start();
    let hostile = runtime.block_on(Hostile::start(&federation, 2));
    let mut grant = Grant::of(0, half(&federation, 0));
    grant.uses = 1_000_000;
    let genuine = grant.issue(&federation);
    let config =
        Config { cases: 96, max_shrink_iters: 32, failure_persistence: None, ..Config::default() };
    let edits = prop::collection::vec((any::<prop::sample::Index>(), "[A-Za-z0-9_.~-]"), 1..4);
    let count = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&edits, |edits| {
        count.set(count.get() + 1);
        let damage = |agency: &AgencyId| {
            let mut bytes = part_of(&genuine, agency.as_str()).into_bytes();
            for (at, byte) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = byte.as_bytes()[0];
            }
            String::from_utf8(bytes).unwrap()
        };
        let got =
            runtime.block_on(hostile.ask(&format!("damaged-{}", count.get()), CLIENTS[0], damage));
        for (agency, sent) in got {
            let text = sent.question.grant.clone().unwrap().sd_jwt;
            let same = text == part_of(&genuine, &agency).as_bytes();
            prop_assert!(same || sent.answer.is_err(), "{}: {:?}", agency, sent);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    // The genuine one passes beside them, so that it is not all refused anyway.
    let part = |agency: &AgencyId| part_of(&genuine, agency.as_str());
    let got = runtime.block_on(hostile.ask("genuine", CLIENTS[0], part));
    only(&got, &half(&federation, 0), "the genuine grant");
}
