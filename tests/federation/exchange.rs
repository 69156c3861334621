//! The agency's end of an exchange stream, asked past the gateway: a stream
//! carries no authority, and its rules hold.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tributary::wire::proto::pb;
use tributary::wire::proto::pb::agency_service_client::AgencyServiceClient;
use tributary::wire::proto::pb::exchange_request::Message as Asked;
use tributary::wire::proto::pb::exchange_response::Message as Told;
use tributary::wire::section::RequestHash;

use crate::kit::demo::{City, word};
use crate::kit::forged::part_of;
use crate::kit::waiting::within;
use crate::refusals::{AGENCY, ITEM, all};

struct Stream {
    out: mpsc::Sender<pb::ExchangeRequest>,
    answers: Streaming<pb::ExchangeResponse>,
}

impl Stream {
    async fn open(mut agency: AgencyServiceClient<Channel>) -> Self {
        let (out, queue) = mpsc::channel(256);
        let answers = agency.exchange(ReceiverStream::new(queue)).await.unwrap().into_inner();
        let mut stream = Self { out, answers };
        let Some(Told::Hello(hello)) = stream.next().await.unwrap() else { panic!("no Hello") };
        assert_eq!(hello.description.unwrap().agency, AGENCY);
        stream
    }

    async fn say(&self, message: Option<Asked>) {
        self.out.send(pb::ExchangeRequest { message }).await.unwrap();
    }

    async fn ask(&self, exchange_id: u64, request: Bytes) {
        let (remaining_micros, trace_context) = (60_000_000, Bytes::new());
        let fetch = pb::ExchangeFetch { exchange_id, remaining_micros, request, trace_context };
        self.say(Some(Asked::Fetch(fetch))).await;
    }

    /// The next message, but for the agency's questions about the gateway's log.
    async fn next(&mut self) -> Result<Option<Told>, Status> {
        loop {
            let next = within(self.answers.message()).await?;
            match next.map(|told| told.message.unwrap()) {
                Some(Told::AskLog(_)) => {}
                told => return Ok(told),
            }
        }
    }

    /// The next answer: its id, its echo, and its status or reason.
    async fn answer(&mut self) -> (u64, Bytes, String) {
        match self.next().await.unwrap().unwrap() {
            Told::Answer(answer) => {
                let response = pb::FetchSectionResponse::decode(answer.response).unwrap();
                let envelope = response.section.unwrap().envelope.unwrap();
                assert_eq!(envelope.request_hash, answer.request_hash);
                let status = envelope.status().as_str_name().trim_start_matches("SECTION_STATUS_");
                (answer.exchange_id, answer.request_hash, status.to_owned())
            }
            Told::Failure(failure) => (failure.exchange_id, failure.request_hash, failure.reason),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_grants_are_refused_one_by_one_on_a_stream_that_goes_on() {
    let city = City::start(&[]);
    let mut stream = Stream::open(city.agency(AGENCY).await).await;
    let genuine = city.grant(0);
    let mut expected = BTreeMap::new();
    // A genuine question between every two forged ones, all under way at once.
    let genuine_part = part_of(&genuine, AGENCY);
    for (at, case) in all(&city, &genuine).into_iter().enumerate() {
        let forged = (case.name, case.at_agency, case.part);
        let honest = ("genuine", "OK", genuine_part.clone());
        for (half, (name, reason, part)) in [forged, honest].into_iter().enumerate() {
            let id = (2 * at + half + 1) as u64;
            let question = city.question(&format!("exchange-{id}"), &part, &[ITEM]);
            let request = Bytes::from(question.encode_to_vec());
            expected.insert(id, (name, reason, RequestHash::of(&request)));
            stream.ask(id, request).await;
        }
    }
    assert!(expected.len() >= 80);
    let mut wrong = Vec::new();
    while !expected.is_empty() {
        let (id, echo, found) = stream.answer().await;
        let (name, reason, hash) = expected.remove(&id).expect("an id that was asked, once");
        assert!(hash.is(&echo), "{name}: the echo of another request");
        if found != reason {
            wrong.push(format!("{name}: {found}, not {reason}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_question_fails_alone_and_a_broken_rule_ends_the_stream() {
    let city = City::start(&[]);
    let part = part_of(&city.grant(0), AGENCY);
    let good = |id: &str| Bytes::from(city.question(id, &part, &[ITEM]).encode_to_vec());
    let mut stream = Stream::open(city.agency(AGENCY).await).await;

    let mut numbered = city.question("numbered", &part, &[ITEM]);
    numbered.catalogue_digest = vec![0; 32].into();
    for (id, request, reason) in [
        (3, Bytes::from(vec![0xff; 40]), "UNDECODABLE"),
        (4, Bytes::new(), "WRONG_CATALOGUE"),
        (9, numbered.encode_to_vec().into(), "WRONG_CATALOGUE"),
        (10, city.question("a b", &part, &[ITEM]).encode_to_vec().into(), "BAD_REQUEST"),
        // Ids may leave gaps.
        (1 << 40, good("still-open"), "OK"),
    ] {
        let hash = RequestHash::of(&request);
        stream.ask(id, request).await;
        let (answered, echo, found) = stream.answer().await;
        assert_eq!((answered, found.as_str()), (id, reason));
        assert!(hash.is(&echo));
    }
    // A trace that is none is passed over.
    for (id, trace) in [(1 << 41, vec![7; 24]), (1 << 42, vec![0; 25]), (1 << 43, vec![7; 26])] {
        let fetch = pb::ExchangeFetch {
            exchange_id: id,
            remaining_micros: 60_000_000,
            request: good(&format!("traced-{id}")),
            trace_context: trace.into(),
        };
        stream.say(Some(Asked::Fetch(fetch))).await;
        assert_eq!(stream.answer().await.2, "OK", "{id}");
    }
    // A cancel of nothing is nothing; after Finish what is under way is answered
    // and the stream ends well.
    stream.say(Some(Asked::Cancel(pb::ExchangeCancel { exchange_id: 77 }))).await;
    stream.ask(u64::MAX, good("last")).await;
    stream.say(Some(Asked::Finish(pb::ExchangeFinish {}))).await;
    assert_eq!(stream.answer().await.2, "OK");
    assert!(stream.next().await.unwrap().is_none());

    let twice = || pb::ExchangeFetch {
        exchange_id: 5,
        remaining_micros: 60_000_000,
        request: good("twice"),
        trace_context: Bytes::new(),
    };
    let falling = pb::ExchangeFetch { exchange_id: 4, ..twice() };
    let breaches: [(&str, Vec<Option<Asked>>); 3] = [
        ("REPEATED_EXCHANGE_ID", vec![Some(Asked::Fetch(twice())), Some(Asked::Fetch(twice()))]),
        ("REPEATED_EXCHANGE_ID", vec![Some(Asked::Fetch(twice())), Some(Asked::Fetch(falling))]),
        ("EMPTY_MESSAGE", vec![None]),
    ];
    for (reason, messages) in breaches {
        let mut stream = Stream::open(city.agency(AGENCY).await).await;
        for message in messages {
            stream.say(message).await;
        }
        let status = loop {
            match stream.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{reason}: it ended well"),
                Err(status) => break status,
            }
        };
        assert_eq!((status.code(), word(&status).as_str()), (Code::InvalidArgument, reason));
    }

    // An oversize frame loses its stream and nothing beside it.
    let mut beside = Stream::open(city.agency(AGENCY).await).await;
    let mut oversize = Stream::open(city.agency(AGENCY).await).await;
    oversize.ask(1, vec![0; 600 * 1024].into()).await;
    assert!(matches!(oversize.next().await, Ok(None) | Err(_)), "it was answered");
    beside.ask(1, good("beside")).await;
    assert_eq!(beside.answer().await.2, "OK");
}
