//! What is no gRPC call is not served, a bad message ends its stream with its own status
//! after the good ones were answered, and every refusal says why.

use std::collections::BTreeSet;

use bytes::Bytes;
use http_body_util::Full;
use prost::Message;
use tonic::Code;
use tonic::body::Body;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tributary::wire::proto::pb;
use tributary::wire::refusal::reason_of;

use super::answers::ITEMS;
use super::raw::{PROFILE, Raw, frame, request, status_of};
use crate::kit::federation::{Federation, within};

const STREAM: &str = "/tributary.v1.ProfileService/StreamProfiles";

fn body(bytes: Vec<u8>) -> Body {
    Body::new(Full::new(Bytes::from(bytes)))
}

/// Code and reason of an answer, with its HTTP status.
async fn told(raw: &Raw, request: http::Request<Body>) -> (u16, Code, String) {
    let (head, _) = raw.answer(request).await;
    let status = status_of(&head.headers).expect("no status");
    (head.status.as_u16(), status.code(), reason_of(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_is_refused_and_every_refusal_says_why() {
    let federation = Federation::start();
    let gateway = federation.gateway(&[]).await;
    let raw = Raw::connect(&federation, gateway.address).await;
    let good = frame(0, &federation.request("", 0, &ITEMS).encode_to_vec());
    let form = |http: u16| (http, Code::InvalidArgument, "CALL_FORM".to_owned());
    for kind in ["application/json", "application/grpc+json", "application/grpcx", ""] {
        let mut other = request(PROFILE).body(body(good.clone())).unwrap();
        other.headers_mut().insert("content-type", kind.parse().unwrap());
        assert_eq!(told(&raw, other).await, form(415), "{kind}");
    }
    let twice = request(PROFILE).header("content-type", "application/grpc");
    assert_eq!(told(&raw, twice.body(body(good.clone())).unwrap()).await, form(415));
    for method in ["GET", "PUT", "DELETE", "get"] {
        let other = request(PROFILE).method(method).body(body(good.clone())).unwrap();
        assert_eq!(told(&raw, other).await, form(405), "{method}");
    }
    let framed: [(Vec<u8>, Code, &str); 8] = [
        ([good.clone(), good.clone()].concat(), Code::InvalidArgument, "CALL_FORM"),
        ([&good[..], &[0, 0]].concat(), Code::InvalidArgument, "CALL_FORM"),
        (good[..good.len() - 1].to_vec(), Code::InvalidArgument, "CALL_FORM"),
        (Vec::new(), Code::InvalidArgument, "CALL_FORM"),
        (frame(2, b"x"), Code::InvalidArgument, "CALL_FORM"),
        (frame(1, b"x"), Code::Unimplemented, "UNSUPPORTED"),
        (frame(0, &[0xff; 9]), Code::InvalidArgument, "UNDECODABLE"),
        (frame(0, &vec![0; 257 * 1024]), Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
    ];
    for (bytes, code, reason) in framed {
        let length = bytes.len();
        let call = request(PROFILE).body(body(bytes)).unwrap();
        assert_eq!(told(&raw, call).await, (200, code, reason.to_owned()), "{length} bytes");
    }
    for (path, code, reason) in [
        ("/tributary.v1.ProfileService/GetAll", Code::Unimplemented, "UNSUPPORTED"),
        ("/none", Code::Unimplemented, "UNSUPPORTED"),
    ] {
        let call = request(path).body(body(good.clone())).unwrap();
        assert_eq!(told(&raw, call).await, (200, code, reason.to_owned()), "{path}");
    }
    let proto = request(PROFILE).body(body(good)).unwrap();
    assert_eq!(told(&raw, proto).await.1, Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_76_a_bad_message_ends_its_stream_with_its_own_status_after_the_good_ones() {
    let federation = Federation::start();
    let gateway = federation.gateway(&[]).await;
    let raw = Raw::connect(&federation, gateway.address).await;
    let good = |id: &str| {
        let request = federation.request(id, 0, &ITEMS).encode_to_vec().into();
        frame(0, &pb::StreamProfilesRequest { request, ..Default::default() }.encode_to_vec())
    };
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("undecodable", frame(0, &[0xff; 2]), "UNDECODABLE"),
        ("endless", [&[0, 255, 255, 255, 255][..], &[1; 50]].concat(), "MESSAGE_TOO_LARGE"),
        ("too long", frame(0, &vec![0; 257 * 1024]), "MESSAGE_TOO_LARGE"),
        ("compressed", frame(1, b"x"), "UNSUPPORTED"),
        ("cut", good("cut")[..40].to_vec(), "CALL_FORM"),
    ];
    for (name, bad, reason) in cases {
        let ids: BTreeSet<String> =
            (0..3).map(|nth| format!("{name}-{nth}").replace(' ', "-")).collect();
        let before: Vec<u8> = ids.iter().flat_map(|id| good(id)).collect();
        let call = request(STREAM).body(body([before, bad].concat())).unwrap();
        let (head, mut answers) = raw.answer(call).await;
        let status = status_of(&head.headers).unwrap();
        assert_eq!(reason_of(&status), reason, "{name}: {status:?}");
        let mut answered = BTreeSet::new();
        while !answers.is_empty() {
            let length = u32::from_be_bytes(answers[1..5].try_into().unwrap());
            let message = answers.split_to(5 + usize::try_from(length).unwrap()).slice(5..);
            answered.insert(pb::StreamProfilesResponse::decode(message).unwrap().request_id);
        }
        assert_eq!(answered, ids, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_hears_of_unknown_names_and_of_the_stop_and_holds_nothing_up() {
    let federation = Federation::start();
    let gateway = federation.gateway(&[]).await;
    let channel = federation.consumer(gateway.address).await;
    let mut health = HealthClient::new(channel);
    let mut watches = Vec::new();
    for (name, first) in [
        ("", ServingStatus::Serving),
        ("tributary.v1.ProfileService", ServingStatus::Serving),
        ("no.such.Service", ServingStatus::ServiceUnknown),
    ] {
        let request = HealthCheckRequest { service: name.to_owned() };
        let mut watch = health.watch(request.clone()).await.unwrap().into_inner();
        let heard = within(watch.message()).await.unwrap();
        assert_eq!(heard, Some(HealthCheckResponse { status: first.into() }), "{name}");
        if first == ServingStatus::ServiceUnknown {
            let refused = health.check(request).await.unwrap_err();
            assert_eq!((refused.code(), &*reason_of(&refused)), (Code::NotFound, "NO_SUCH_NAME"));
        }
        watches.push(watch);
    }
    // A watch that held it up would be cut after its drain, without a word.
    let listening = tokio::spawn(async move {
        for mut watch in watches {
            let heard = within(watch.message()).await.unwrap();
            let status = ServingStatus::NotServing.into();
            assert_eq!(heard, Some(HealthCheckResponse { status }));
            let ended = within(watch.message()).await.unwrap_err();
            assert_eq!(reason_of(&ended), "STOPPING");
        }
    });
    gateway.stop().await;
    listening.await.unwrap();
}
