//! Status lists that must be refused.

use serde_json::{Value, json};
use tributary::domain::grant::{StatusList, base64};

use super::support::*;

/// Its name, the expected word, the change to good claims.
type Case = (&'static str, &'static str, Box<dyn Fn(&mut Value)>);

fn judge(world: &World, claims: &Value) -> &'static str {
    let token = world.status_key.sign_jws("statuslist+jwt", claims).unwrap();
    reason(world, &token)
}

fn reason(world: &World, token: &str) -> &'static str {
    StatusList::verify(token.as_bytes(), STATUS_URI, &world.pins, world.now)
        .map_or_else(|error| error.reason().as_str(), |_| "OK")
}

fn deflated(bytes: &[u8]) -> Value {
    base64::encode(&miniz_oxide::deflate::compress_to_vec_zlib(bytes, 9)).into()
}

#[test]
fn a_list_that_is_not_as_it_must_be_is_refused() {
    let world = World::new();
    let good = list_claims(&[0; 32], NOW);
    assert_eq!(judge(&world, &good), "OK");
    let cases: Vec<Case> = vec![
        (
            "other uri",
            "STATUS_LIST_SUBJECT",
            Box::new(|claims| {
                claims["sub"] = "https://consent.city.example/status/2".into();
            }),
        ),
        (
            "future",
            "STATUS_LIST_NOT_YET_VALID",
            Box::new(|claims| claims["iat"] = (NOW + 6).into()),
        ),
        ("expired", "STATUS_LIST_EXPIRED", Box::new(|claims| claims["exp"] = NOW.into())),
        (
            "bomb",
            "STATUS_LIST_SIZE",
            Box::new(|claims| {
                claims["status_list"]["lst"] = deflated(&vec![0; 64 << 20]);
            }),
        ),
        (
            "one byte too many",
            "STATUS_LIST_SIZE",
            Box::new(|claims| {
                claims["status_list"]["lst"] = deflated(&vec![0; (1 << 20) + 1]);
            }),
        ),
        (
            "trailing bytes",
            "STATUS_LIST_INFLATE",
            Box::new(|claims| {
                let mut bytes = miniz_oxide::deflate::compress_to_vec_zlib(&[0; 32], 9);
                bytes.push(0);
                claims["status_list"]["lst"] = base64::encode(&bytes).into();
            }),
        ),
        (
            "cut short",
            "STATUS_LIST_INFLATE",
            Box::new(|claims| {
                let bytes = miniz_oxide::deflate::compress_to_vec_zlib(&[0; 32], 9);
                claims["status_list"]["lst"] = base64::encode(&bytes[..bytes.len() - 1]).into();
            }),
        ),
        (
            "wrong checksum",
            "STATUS_LIST_INFLATE",
            Box::new(|claims| {
                let mut bytes = miniz_oxide::deflate::compress_to_vec_zlib(&[0; 32], 9);
                *bytes.last_mut().unwrap() ^= 1;
                claims["status_list"]["lst"] = base64::encode(&bytes).into();
            }),
        ),
        (
            "not zlib",
            "STATUS_LIST_INFLATE",
            Box::new(|claims| {
                claims["status_list"]["lst"] = "AAAA".into();
            }),
        ),
        (
            "not base64url",
            "STATUS_LIST_CLAIMS",
            Box::new(|claims| {
                claims["status_list"]["lst"] = "A+==".into();
            }),
        ),
        (
            "three bits",
            "STATUS_LIST_CLAIMS",
            Box::new(|claims| {
                claims["status_list"]["bits"] = 3.into();
            }),
        ),
        (
            "iat with a fraction",
            "STATUS_LIST_CLAIMS",
            Box::new(|claims| claims["iat"] = json!(1.5)),
        ),
        ("exp as text", "STATUS_LIST_CLAIMS", Box::new(|claims| claims["exp"] = "1".into())),
        ("exp null", "STATUS_LIST_CLAIMS", Box::new(|claims| claims["exp"] = Value::Null)),
        (
            "no iat",
            "STATUS_LIST_CLAIMS",
            Box::new(|claims| {
                claims.as_object_mut().unwrap().remove("iat");
            }),
        ),
        ("no ttl", "STATUS_LIST_CLAIMS", Box::new(|claims| claims["ttl"] = 0.into())),
    ];
    for (name, expected, change) in cases {
        let mut claims = good.clone();
        change(&mut claims);
        assert_eq!(judge(&world, &claims), expected, "{name}");
    }
    let token = world.status_key.sign_jws("tributary-grant+sd-jwt", &good).unwrap();
    assert_eq!(reason(&world, &token), "STATUS_LIST_TOKEN");
    // A key that signs grants signs no list.
    let token = world.ed25519.sign_jws("statuslist+jwt", &good).unwrap();
    assert_eq!(reason(&world, &token), "STATUS_LIST_KEY");
    let stranger = tributary::issuer::SigningKey::generate(
        tributary::domain::grant::Algorithm::EdDsa,
        kid("status"),
    );
    let token = stranger.unwrap().sign_jws("statuslist+jwt", &good).unwrap();
    assert_eq!(reason(&world, &token), "STATUS_LIST_SIGNATURE");
    assert_eq!(reason(&world, &"A".repeat((1 << 20) + 1)), "STATUS_LIST_SIZE");
    assert_eq!(reason(&world, ""), "STATUS_LIST_TOKEN");
    assert_eq!(reason(&world, &format!("{token}~")), "STATUS_LIST_TOKEN");
}

/// Others' issuers name what this profile does not.
#[test]
fn what_is_not_known_of_a_list_is_passed_over() {
    let world = World::new();
    let mut claims = list_claims(&[0; 32], NOW);
    claims["iss"] = "https://consent.city.example".into();
    claims["nbf"] = json!(NOW - 5);
    claims["bits"] = json!("of another place");
    claims["https://consent.city.example/note"] = json!([1.5, { "a": [[[[[[[1]]]]]]] }]);
    claims["status_list"]["aggregation_uri"] = "https://consent.city.example/lists".into();
    claims["status_list"]["x_note"] = json!({ "sub": 1 });
    assert_eq!(judge(&world, &claims), "OK");

    let signed = |header: &Value| {
        let part = |value: &Value| base64::encode(value.to_string().as_bytes());
        let text = format!("{}.{}", part(header), part(&list_claims(&[0; 32], NOW)));
        let signature = base64::encode(&world.status_key.sign(text.as_bytes()).unwrap());
        format!("{text}.{signature}")
    };
    let mut header = json!({ "alg": "EdDSA", "typ": "statuslist+jwt", "kid": "status" });
    let good = signed(&header);
    for end in ["", "\n", "\r\n"] {
        assert_eq!(reason(&world, &format!("{good}{end}")), "OK", "{end:?}");
    }
    for end in ["\n\n", " ", "."] {
        assert_ne!(reason(&world, &format!("{good}{end}")), "OK", "{end:?}");
    }
    header["x5u"] = "https://elsewhere.example/key".into();
    header["iat"] = json!(1.5);
    assert_eq!(reason(&world, &signed(&header)), "OK");
    for crit in [json!([]), json!(["iat"]), json!("iat"), Value::Null] {
        header["crit"] = crit;
        assert_eq!(reason(&world, &signed(&header)), "STATUS_LIST_TOKEN", "{header}");
    }
}

#[test]
fn an_older_list_never_replaces_a_newer_one() {
    let mut world = World::new();
    world.list(&[0xff; 32], NOW);
    let token = world.status_key.sign_jws("statuslist+jwt", &list_claims(&[0; 32], NOW - 1));
    let older =
        StatusList::verify(token.unwrap().as_bytes(), STATUS_URI, &world.pins, world.now).unwrap();
    assert_eq!(world.statuses.accept(older).unwrap_err().reason().as_str(), "STATUS_LIST_OLDER");
    assert_eq!(world.statuses.get(STATUS_URI).unwrap().entry(0), Some(1));
}

#[test]
fn a_suspended_grant_is_refused_like_a_revoked_one() {
    let mut attempt = Attempt::new();
    let mut claims = list_claims(&[0, 0x80, 0, 0], NOW);
    claims["status_list"]["bits"] = json!(2);
    let token = attempt.world.status_key.sign_jws("statuslist+jwt", &claims).unwrap();
    let list =
        StatusList::verify(token.as_bytes(), STATUS_URI, &attempt.world.pins, at(NOW)).unwrap();
    assert_eq!((list.entry(7), list.len()), (Some(2), 16));
    attempt.world.statuses.accept(list).unwrap();
    assert_eq!(attempt.reasons(), ("GRANT_REVOKED", "GRANT_REVOKED"));
}
