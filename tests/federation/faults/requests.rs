//! What callers may get wrong: each is refused with a code and a reason, and
//! nothing of the person stands in the refusal.

use prost::Message;
use tonic::{Code, Status};
use tributary::config::gateway::GatewayConfig;
use tributary::wire::proto::google::rpc;
use tributary::wire::proto::pb;
use tributary::wire::refusal::reason_of;

use super::answers::{ITEMS, MODE, RATIO, STARTED};
use super::raw::{Headers, Raw, frame};
use crate::kit::federation::{DEADLINE, Federation, Profiles, until};

/// The fields that a status names as wrong.
fn wrong_fields(status: &Status) -> Vec<String> {
    let details = rpc::Status::decode(status.details()).unwrap().details;
    let bad = details.iter().find(|any| any.type_url.ends_with("google.rpc.BadRequest"));
    let bad = rpc::BadRequest::decode(bad.unwrap().value.as_slice()).unwrap();
    bad.field_violations.into_iter().map(|violation| violation.field).collect()
}

/// Everything that a caller is told, as one text.
fn told(status: &Status) -> String {
    let details = String::from_utf8_lossy(status.details()).into_owned();
    format!("{} {details}", status.message())
}

/// What is changed, how, and the fields that must be named.
type Case = (&'static str, fn(&mut pb::GetProfileRequest), &'static [&'static str]);

const CASES: &[Case] = &[
    ("an unknown item", |r| r.items[0] = "traffic.penalties.x".into(), &["items[0]"]),
    ("an item twice", |r| r.items.push(RATIO.into()), &["items[4]"]),
    ("no item", |r| r.items.clear(), &["items"]),
    ("too many items", |r| r.items = vec![RATIO.into(); 600], &["items"]),
    ("an empty item", |r| r.items[1] = String::new(), &["items[1]"]),
    ("row 23: a newline in an item", |r| r.items[1] = "a\nb".into(), &["items[1]"]),
    ("no grant", |r| r.grant = None, &["grant.sd_jwt"]),
    ("an empty grant", |r| r.grant = Some(pb::GrantPresentation::default()), &["grant.sd_jwt"]),
    ("row 23: a newline in the id", |r| r.request_id = "a\nb".into(), &["request_id"]),
    ("a space in the id", |r| r.request_id = "a b".into(), &["request_id"]),
    ("a long id", |r| r.request_id = "a".repeat(65), &["request_id"]),
    (
        "an empty proof, of a request without an id",
        |r| r.proof = Some(pb::RequestProof::default()),
        &["proof.jws", "request_id"],
    ),
    (
        "a proof with an agency's entry",
        |r| proved(r).entry = Some(pb::AgencyEntry::default()),
        &["proof.entry"],
    ),
    ("a proof of 1 KiB and more", |r| proved(r).jws = "a".repeat(1025), &["proof.jws"]),
    (
        "a proof with a path of 13",
        |r| proved(r).path = vec![vec![0; 32].into(); 13],
        &["proof.path"],
    ),
    ("a short hash in a path", |r| proved(r).path = vec![vec![0; 31].into()], &["proof.path[0]"]),
    ("a short nonce", |r| proved(r).nonce = vec![0; 15].into(), &["proof.nonce"]),
    ("no seed", |r| proved(r).seed.clear(), &["proof.seed"]),
    ("a seal key", |r| r.seal_key = vec![1].into(), &["seal_key"]),
    (
        "several at once",
        |r| {
            r.request_id = "ä".into();
            r.items = vec!["a".into(), STARTED.into(), STARTED.into()];
            r.seal_key = vec![1].into();
        },
        &["request_id", "items[0]", "items[2]", "seal_key"],
    ),
];

/// A proof whose form is right, in a request with an id.
fn proved(request: &mut pb::GetProfileRequest) -> &mut pb::RequestProof {
    request.request_id = "proved".into();
    request.proof.insert(pb::RequestProof {
        jws: "a.b.c".into(),
        nonce: vec![0; 16].into(),
        seed: vec![0; 32].into(),
        ..Default::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_is_named_and_nobody_else() {
    let federation = Federation::start();
    let gateway = federation.gateway(&[]).await;
    let channel = federation.consumer(gateway.address).await;
    for (name, change, fields) in CASES {
        let mut request = federation.request("", 0, &ITEMS);
        change(&mut request);
        let status = Profiles::new(channel.clone()).get_profile(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{name}");
        assert_eq!(reason_of(&status), "BAD_REQUEST", "{name}");
        assert_eq!(wrong_fields(&status), *fields, "{name}");
        let told = told(&status);
        assert!(!told.contains(&federation.described.grants[0].subject), "{name}");
        assert!(!status.message().contains('\n'), "{name}: {told}");
    }
    // A near miss is helped.
    let mut request = federation.request("", 0, &[MODE]);
    request.items[0] = "education.attainment.study_modes".into();
    let status = Profiles::new(channel.clone()).get_profile(request).await.unwrap_err();
    assert!(status.message().contains(MODE), "{}", status.message());
    // And the gateway goes on.
    federation.ask(&channel, "", 0, &ITEMS, DEADLINE).await.unwrap();
}

/// A field nested in itself, as deep as asked.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inner, _| {
        let mut outer = vec![0x22];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend(inner);
        outer
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_20_21_22_25_bytes_that_are_no_request_get_the_right_code() {
    let federation = Federation::start();
    let gateway = federation.gateway(&[]).await;
    let raw = Raw::connect(&federation, gateway.address).await;
    let good = federation.request("", 0, &ITEMS).encode_to_vec();
    let gzip: Headers<'_> = &[("grpc-encoding", "gzip")];
    let cases: [(&str, Vec<u8>, Headers<'_>, Code); 8] = [
        ("row 20: oversize", frame(0, &vec![0; 300 * 1024]), &[], Code::ResourceExhausted),
        ("row 21: compressed", frame(1, &good), gzip, Code::Unimplemented),
        ("row 22: junk", frame(0, &[0xff; 64]), &[], Code::InvalidArgument),
        ("row 22: cut", frame(0, &good[..good.len() - 7]), &[], Code::InvalidArgument),
        ("row 22: no UTF-8", frame(0, &[0x0a, 2, 0xc3, 0x28]), &[], Code::InvalidArgument),
        ("row 22: nested", frame(0, &nested(20_000)), &[], Code::InvalidArgument),
        ("row 22: empty", frame(0, &[]), &[], Code::InvalidArgument),
        ("as it should be", frame(0, &good), &[], Code::Ok),
    ];
    for (name, bytes, headers, expected) in cases {
        assert_eq!(raw.call(bytes, headers).await.0, expected, "{name}");
    }
    let bad =
        ["", "5", "-1S", "1.5S", "123456789S", "junk"].map(|text| (text, Code::InvalidArgument));
    for (timeout, expected) in bad.into_iter().chain([("99999999H", Code::Ok)]) {
        let (code, _) = raw.call(frame(0, &good), &[("grpc-timeout", timeout)]).await;
        assert_eq!(code, expected, "row 25: {timeout:?}");
    }
}

/// Names and ids from outside are refused, and no line of a log is theirs.
#[tokio::test(flavor = "multi_thread")]
async fn row_23_control_characters_make_no_line_in_a_log() {
    const FORGED: &str = "FORGED-LINE";
    let federation = Federation::start();
    let address = federation.described.gateway.endpoint.parse().unwrap();
    let channel = federation.consumer(address).await;
    for forged in [
        format!("a\n{FORGED}"),
        format!("a\r{FORGED}"),
        format!("a\u{1b}[2K{FORGED}"),
        format!("a\u{0}{FORGED}"),
        format!("a\u{2028}{FORGED}"),
    ] {
        let mut named = federation.request("", 0, &ITEMS);
        named.request_id = forged.clone();
        let mut item = federation.request("", 0, &ITEMS);
        item.items[0] = forged.clone();
        let mut grant = federation.request("", 0, &ITEMS);
        grant.grant = Some(pb::GrantPresentation {
            sd_jwt: forged.clone().into_bytes().into(),
            ..Default::default()
        });
        for request in [named, item, grant] {
            let status = Profiles::new(channel.clone()).get_profile(request).await.unwrap_err();
            let code = status.code();
            assert!([Code::InvalidArgument, Code::PermissionDenied].contains(&code), "{status:?}");
            assert!(!status.message().contains(|c: char| c.is_control()), "{status:?}");
        }
    }
    // What is told of refusals, of which only so many lines are written, has no line of
    // theirs.
    let log = federation.home.join("logs/gateway.log");
    let refused = async || {
        let text = std::fs::read_to_string(&log).unwrap();
        let lines = text.lines().filter(|line| line.contains("refused")).count();
        assert!(!text.lines().any(|line| line.trim_start().starts_with(FORGED)), "{text}");
        assert!(!text.contains(['\r', '\0']), "{text}");
        lines
    };
    until("lines of refusals", refused, |lines| *lines > 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_19_a_request_that_never_comes_whole_is_ended_at_its_deadline() {
    let federation = Federation::start();
    let cap = |document: &mut toml_edit::DocumentMut| {
        document["limits"]["max_deadline"] = toml_edit::value("1s");
    };
    let gateway = federation.gateway_with(&[], cap).await;
    let raw = Raw::connect(&federation, gateway.address).await;
    let good = frame(0, &federation.request("", 0, &ITEMS).encode_to_vec());
    let half = &good[..good.len() / 2];
    let stated: Headers<'_> = &[("grpc-timeout", "200m")];
    let huge: Headers<'_> = &[("grpc-timeout", "99999999H")];
    // Nothing at all, a length and no body, half a request, too much of one.
    let cases: [(&[u8], Headers<'_>); 5] =
        [(&[], &[]), (&[0, 0, 0, 0, 99], &[]), (half, &[]), (half, stated), (half, huge)];
    let stalled = cases.iter().map(|(begin, headers)| raw.stall(begin.to_vec(), headers));
    for (code, _) in futures_util::future::join_all(stalled).await {
        assert_eq!(code, Code::DeadlineExceeded);
    }
    // The connection and the gateway go on.
    assert_eq!(raw.call(good, &[]).await.0, Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_consumer_gets_a_profile() {
    let federation = Federation::start();
    let gateway = federation.gateway(&[]).await;
    // An agency's certificate is one that the gateway trusts, for another role.
    let own = GatewayConfig::load(&federation.described.gateway.config).unwrap().link;
    let entry = &federation.entry("lending").config;
    let (lending, _) = tributary::config::agency::AgencyConfig::load(entry).unwrap();
    let pki = &lending.link;
    let asked = match federation.connect(gateway.address, &pki.certificate, &pki.key).await {
        Ok(channel) => federation.ask(&channel, "", 0, &ITEMS, DEADLINE).await.map(|_| ()),
        Err(error) => panic!("an agency is refused by its role, not by the link: {error}"),
    };
    let status = asked.unwrap_err();
    assert_eq!(
        (status.code(), reason_of(&status).as_str()),
        (Code::PermissionDenied, "NOT_A_CONSUMER")
    );

    // The gateway's own domain speaks for nobody here: refused by the link.
    let refused = match federation.connect(gateway.address, &own.certificate, &own.key).await {
        Ok(channel) => federation.ask(&channel, "", 0, &ITEMS, DEADLINE).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
}
