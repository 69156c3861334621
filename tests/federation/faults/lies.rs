//! Row 30: whatever an agency sends, its section alone suffers, the caller is
//! told why, and one answer's bytes are never shown as another's.

use std::sync::Mutex;

use futures_util::future::join_all;
use tonic::Code;
use tributary::wire::proto::google::r#type as google;
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::exchange_response::Message as ToGateway;
use tributary::wire::proto::pb::value::Kind;

use super::answers::{
    AGENCY, Draft, ITEMS, RATIO, fresh_id, honest, others_are_right, own_or_nothing, request_id,
    sha256, with,
};
use crate::kit::federation::{CUT, DEADLINE, Federation, outcome};
use crate::kit::rogue::{Asked, Rogue, Script, Step, answer};
use crate::kit::waiting::becomes;

/// Whether questions beside the bad one on the same lane may be lost with it.
#[derive(Clone, Copy, PartialEq)]
enum Lane {
    Stays,
    Lost,
}

struct Lie {
    name: &'static str,
    outcome: &'static str,
    lane: Lane,
    tell: Script,
}

fn lie(
    name: &'static str,
    outcome: &'static str,
    lane: Lane,
    tell: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static,
) -> Lie {
    Lie { name, outcome, lane, tell: std::sync::Arc::new(tell) }
}

/// A lie inside the section: the lane has no part in it.
fn inner(
    name: &'static str,
    outcome: &'static str,
    falsify: impl Fn(&mut Draft) + Send + Sync + 'static,
) -> Lie {
    lie(name, outcome, Lane::Stays, move |asked| {
        let mut draft = Draft::of(asked);
        falsify(&mut draft);
        vec![with(asked, draft.finish())]
    })
}

fn set(draft: &mut Draft, kind: Kind) {
    draft.body.items[0].value = Some(pb::Value { kind: Some(kind) });
}

fn ratio(text: &str) -> Kind {
    Kind::Decimal(google::Decimal { value: text.into() })
}

fn inner_lies() -> Vec<Lie> {
    vec![
        inner("an echo of another request", "INVALID WRONG_ECHO", |draft| {
            draft.envelope.request_hash = sha256(b"another");
        }),
        inner("an item that was not asked for", "INVALID UNASKED_ITEM", |draft| {
            draft.envelope.items[0].number = 460;
            draft.body.items[0].number = 460;
        }),
        inner("an item unknown to every catalogue", "INVALID UNASKED_ITEM", |draft| {
            draft.envelope.items[0].number = 100_000;
            draft.body.items[0].number = 100_000;
        }),
        inner("an item twice", "INVALID ITEM_ORDER", |draft| {
            draft.envelope.items.push(draft.envelope.items[0]);
            draft.body.items.push(draft.body.items[0].clone());
        }),
        inner("a value of another type", "INVALID WRONG_VALUE", |draft| {
            set(draft, Kind::Boolean(true));
        }),
        inner("a value out of its range", "INVALID WRONG_VALUE", |draft| set(draft, ratio("1.5"))),
        inner("a value that is no number", "INVALID WRONG_VALUE", |draft| set(draft, ratio("NaN"))),
        inner("no value", "INVALID WRONG_VALUE", |draft| draft.body.items[0].value = None),
        inner("no date", "INVALID WRONG_VALUE", |draft| draft.envelope.items[0].as_of = None),
        inner("a day that does not exist", "INVALID WRONG_VALUE", |draft| {
            let as_of = Some(google::Date { year: 2026, month: 2, day: 30 });
            draft.envelope.items[0].as_of = as_of;
        }),
        inner("control characters in a statement", "INVALID WRONG_VALUE", |draft| {
            draft.body.items[0].statement_ref = "a\nb".into();
        }),
        inner("another agency's name", "INVALID WRONG_AGENCY", |draft| {
            draft.envelope.agency = "lending".into();
        }),
        inner("another catalogue", "INVALID WRONG_CATALOGUE", |draft| {
            draft.envelope.catalogue_digest = vec![0; 32].into();
        }),
        inner("another catalogue by other definitions", "INVALID WRONG_CATALOGUE", |draft| {
            draft.envelope.catalogue_digest = vec![0; 32].into();
            draft.envelope.definitions_digest = vec![1; 32].into();
        }),
        inner("no status", "INVALID WRONG_STATUS", |draft| draft.envelope.status = 0),
        inner("a status that does not exist", "INVALID WRONG_STATUS", |draft| {
            draft.envelope.status = 77;
        }),
        inner("values without an OK", "INVALID WRONG_STATUS", |draft| {
            draft.envelope.status = pb::SectionStatus::NoRecord.into();
        }),
        inner("an envelope of other items", "INVALID WRONG_BODY", |draft| {
            draft.envelope.items.clear();
        }),
        lie("another body", "INVALID WRONG_BODY", Lane::Stays, |asked| {
            let mut draft = Draft::of(asked);
            draft.envelope.body_digest = sha256(b"another");
            vec![with(asked, draft.sealed(Some(vec![10, 0].into())))]
        }),
        lie("no body", "INVALID WRONG_STATUS", Lane::Stays, |asked| {
            vec![with(asked, Draft::of(asked).sealed(None))]
        }),
        lie("undecodable inner bytes", "INVALID UNDECODABLE", Lane::Stays, |asked| {
            vec![with(asked, vec![0xff; 64].into())]
        }),
        lie("no inner bytes", "INVALID UNDECODABLE", Lane::Stays, |asked| {
            vec![with(asked, Vec::new().into())]
        }),
        lie("a refusal in a stranger's words", "INVALID AGENCY_REFUSED", Lane::Stays, |asked| {
            vec![Step::say(ToGateway::Failure(pb::ExchangeFailure {
                exchange_id: asked.exchange_id,
                request_hash: sha256(&asked.bytes),
                code: Code::Internal.into(),
                reason: "<script>".into(),
            }))]
        }),
    ]
}

fn stream_lies() -> Vec<Lie> {
    let waiting: Mutex<Option<Asked>> = Mutex::new(None);
    vec![
        lie("a wrong outer echo", "INVALID WRONG_ECHO", Lane::Lost, |asked| {
            vec![answer(asked, sha256(b"another"), Draft::of(asked).finish())]
        }),
        lie("two answers exchanged", "INVALID WRONG_ECHO", Lane::Lost, move |asked| {
            let mut waiting = waiting.lock().unwrap();
            // The same question, asked again after its stream was lost, is no second one; and
            // what has the same number on another stream would be answered rightly.
            let is_other = |first: &Asked| {
                first.bytes != asked.bytes && first.exchange_id != asked.exchange_id
            };
            let first = waiting.take().filter(is_other);
            let Some(first) = first else {
                *waiting = Some(asked.clone());
                return Vec::new();
            };
            let (hash, section) = (sha256(&asked.bytes), Draft::of(asked).finish());
            vec![answer(&first, hash, section), with(asked, Draft::of(&first).finish())]
        }),
        lie("an undecodable outer frame", "UNAVAILABLE LANE_LOST", Lane::Lost, |_| {
            vec![Step::Frame(vec![0xff; 64])]
        }),
        lie("an undecodable frame, and an answer", "UNAVAILABLE LANE_LOST", Lane::Lost, |asked| {
            [vec![Step::Frame(vec![0xff; 64])], honest(asked)].concat()
        }),
        lie("an oversize answer", "INVALID SECTION_TOO_LARGE", Lane::Stays, |asked| {
            vec![with(asked, vec![0; 600 * 1024].into())]
        }),
        lie("an oversize outer frame", "UNAVAILABLE LANE_LOST", Lane::Lost, |asked| {
            vec![with(asked, vec![0; 1200 * 1024].into())]
        }),
        lie("a length of four gibibytes", "UNAVAILABLE LANE_LOST", Lane::Lost, |_| {
            vec![Step::Raw(vec![0, 0xff, 0xff, 0xff, 0xff])]
        }),
        lie("a compressed frame", "UNAVAILABLE LANE_LOST", Lane::Lost, |_| {
            vec![Step::Raw(vec![1, 0, 0, 0, 1, 0])]
        }),
        lie("the end in the middle of a frame", "UNAVAILABLE LANE_LOST", Lane::Lost, |_| {
            vec![Step::Raw(vec![0, 0, 0, 0, 99, 10, 1]), Step::End(Code::Ok)]
        }),
        lie("a reset in the middle of a frame", "UNAVAILABLE LANE_LOST", Lane::Lost, |_| {
            vec![Step::Raw(vec![0, 0, 0, 0, 99, 10, 1]), Step::Cut]
        }),
        lie("the end instead of an answer", "UNAVAILABLE LANE_LOST", Lane::Lost, |_| {
            vec![Step::End(Code::Ok)]
        }),
        lie("a second Hello", "UNAVAILABLE LANE_LOST", Lane::Lost, |_| {
            vec![Step::say(ToGateway::Hello(pb::ExchangeHello { description: None }))]
        }),
        lie("an empty message", "UNAVAILABLE LANE_LOST", Lane::Lost, |_| {
            vec![Step::Frame(Vec::new())]
        }),
        lie("an answer to what nobody asked", "TIMEOUT DEADLINE", Lane::Stays, |asked| {
            let other = Asked { exchange_id: asked.exchange_id + 1_000_000, ..asked.clone() };
            honest(&other)
        }),
        lie("no answer", "TIMEOUT DEADLINE", Lane::Stays, |_| Vec::new()),
        lie("an answer twice, then another", "OK", Lane::Stays, |asked| {
            let mut twice = [honest(asked), honest(asked)].concat();
            twice.push(answer(asked, sha256(b"another"), vec![0xff; 9].into()));
            twice
        }),
    ]
}

async fn tell(lies: Vec<Lie>) {
    let federation = Federation::start();
    let rogue = Rogue::start(&federation, AGENCY, true, honest).await;
    let gateway = federation.gateway_capped(CUT, &[(AGENCY, rogue.address)]).await;
    let channel = federation.consumer(gateway.address).await;
    let people = federation.described.grants.len().min(12);
    for (nth, lie) in lies.into_iter().enumerate() {
        // Waits for lanes that the lie before ended.
        becomes(&format!("recovery before `{}`", lie.name), "OK", async || {
            let id = fresh_id("plain", 0);
            let answer = federation.ask(&channel, &id, 0, &ITEMS, DEADLINE).await.unwrap();
            own_or_nothing(&answer, 0);
            outcome(&answer, AGENCY)
        })
        .await;
        let Lie { name, outcome: expected, lane, tell } = lie;
        rogue.script(move |asked| match asked.request.request_id.starts_with("bad") {
            true => tell(asked),
            false => honest(asked),
        });
        let asked = (0..people).map(async |person| {
            let kind = if person % 3 == 1 { "bad" } else { "good" };
            let id = request_id(kind, person, nth);
            let answer = federation.ask(&channel, &id, person, &ITEMS, DEADLINE).await.unwrap();
            (kind, person, answer)
        });
        let mut as_expected = 0;
        for (kind, person, answer) in join_all(asked).await {
            own_or_nothing(&answer, person);
            others_are_right(&federation, &answer, person);
            let found = outcome(&answer, AGENCY);
            match (kind, lane) {
                ("bad", Lane::Stays) => assert_eq!(found, expected, "{name}"),
                ("good", Lane::Stays) => assert_eq!(found, "OK", "beside {name}"),
                // Another bad answer may have ended the lane first.
                ("bad", Lane::Lost) => assert_ne!(found, "OK", "{name}"),
                _ => {}
            }
            as_expected += usize::from(kind == "bad" && found == expected);
            assert!(!format!("{answer:?}").contains("<script>"));
        }
        assert!(as_expected > 0, "{name}: never {expected}");
        rogue.script(honest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_30_a_section_that_does_not_fit_the_question_is_invalid() {
    tell(inner_lies()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_30_a_stream_that_breaks_the_rules_shows_no_answer_as_anothers() {
    tell(stream_lies()).await;
}

/// What an agency says of itself is held against the configuration.
#[tokio::test(flavor = "multi_thread")]
async fn row_29_nothing_is_sent_to_an_agency_that_is_not_the_one_expected() {
    let federation = Federation::start();
    let named = Rogue::start(&federation, AGENCY, true, honest).await;
    named.hello(|hello| hello.agency = "lending".into());
    let numbered = Rogue::start(&federation, AGENCY, true, honest).await;
    numbered.hello(|hello| hello.catalogue_digest = vec![1; 32].into());
    let imposter = Rogue::start_as(&federation, AGENCY, "volunteering", true, honest).await;
    for (rogue, reason) in
        [(named, "WRONG_AGENCY"), (numbered, "WRONG_CATALOGUE"), (imposter, "WRONG_IDENTITY")]
    {
        let gateway = federation.gateway(&[(AGENCY, rogue.address)]).await;
        let channel = federation.consumer(gateway.address).await;
        for nth in 0..3 {
            let id = request_id(reason, 1, nth);
            let answer = federation.ask(&channel, &id, 1, &ITEMS, DEADLINE).await.unwrap();
            assert_eq!(outcome(&answer, AGENCY), format!("UNAVAILABLE {reason}"));
            assert!(answer.profile.as_ref().unwrap().items.iter().all(|item| item.id != RATIO));
            others_are_right(&federation, &answer, 1);
        }
        let sent = rogue.count(|event| matches!(event, crate::kit::rogue::Event::Fetch(_)));
        assert_eq!(sent, 0, "{reason}");
        if reason == "WRONG_IDENTITY" {
            assert_eq!(rogue.count(|_| true), 0, "not even a stream is opened");
        }
    }
}
