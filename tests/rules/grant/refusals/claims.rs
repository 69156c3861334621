//! Claims that are missing, unknown or malformed.

use serde_json::{Value, json};
use tributary::domain::grant::base64;

use super::*;
use crate::grant::support::*;

#[test]
fn claims() {
    const CLAIMS: &str = "GRANT_CLAIMS";
    for name in [
        "iss",
        "aud",
        "iat",
        "nbf",
        "exp",
        "jti",
        "client_id",
        "cnf",
        "purpose",
        "legal_basis",
        "mode",
        "data_life",
        "frequency",
        "status",
        "_sd_alg",
    ] {
        let mut attempt = Attempt::new();
        attempt.claims.as_object_mut().unwrap().remove(name);
        assert_eq!(attempt.reasons(), (CLAIMS, CLAIMS), "without {name}");
        let mut attempt = Attempt::new();
        attempt.claims[name] = Value::Null;
        assert_eq!(attempt.reasons(), (CLAIMS, CLAIMS), "{name} null");
    }
    for place in [
        "/cnf",
        "/cnf/jwk",
        "/purpose",
        "/legal_basis",
        "/frequency",
        "/status",
        "/status/status_list",
        "",
    ] {
        let mut attempt = Attempt::new();
        attempt.claims.pointer_mut(place).unwrap()["extra"] = 1.into();
        assert_eq!(attempt.reasons(), (CLAIMS, CLAIMS), "unknown member in {place}");
    }
    run(&[
        ("no _sd", CLAIMS, CLAIMS, |a| a.keep_claims = true),
        ("nested _sd", CLAIMS, CLAIMS, |a| a.claims["purpose"]["_sd"] = json!([])),
        ("other digest algorithm", CLAIMS, CLAIMS, |a| a.claims["_sd_alg"] = "sha-512".into()),
        ("other mode", CLAIMS, CLAIMS, |a| a.claims["mode"] = "STORE".into()),
        ("exp before nbf", CLAIMS, CLAIMS, |a| a.claims["exp"] = NOW.into()),
        ("time as text", CLAIMS, CLAIMS, |a| a.claims["exp"] = "2030-01-01".into()),
        ("time below zero", CLAIMS, CLAIMS, |a| a.claims["nbf"] = (-1).into()),
        ("time beyond all", CLAIMS, CLAIMS, |a| a.claims["exp"] = i64::MAX.into()),
        ("list of audiences", CLAIMS, CLAIMS, |a| a.claims["aud"] = json!([GATEWAY])),
        ("audience no gateway", CLAIMS, CLAIMS, |a| a.claims["aud"] = CONSUMER.into()),
        ("issuer no issuer", CLAIMS, CLAIMS, |a| a.claims["iss"] = GATEWAY.into()),
        ("client no consumer", CLAIMS, CLAIMS, |a| a.claims["client_id"] = GATEWAY.into()),
        ("short jti", CLAIMS, CLAIMS, |a| a.claims["jti"] = "1".into()),
        ("jti with a newline", CLAIMS, CLAIMS, |a| {
            a.claims["jti"] = "AAAAAAAAAAAAAAAAAAAAA\n".into();
        }),
        ("unknown basis", CLAIMS, CLAIMS, |a| a.claims["legal_basis"]["kind"] = "oral".into()),
        ("control characters", CLAIMS, CLAIMS, |a| {
            a.claims["purpose"]["text"] = "a\u{1b}[2J".into()
        }),
        ("direction turned", CLAIMS, CLAIMS, |a| {
            a.claims["purpose"]["text"] = "a \u{202e}loan".into();
        }),
        ("long text", CLAIMS, CLAIMS, |a| a.claims["purpose"]["text"] = "a".repeat(513).into()),
        ("purpose with a space", CLAIMS, CLAIMS, |a| a.claims["purpose"]["code"] = "a b".into()),
        ("no use", CLAIMS, CLAIMS, |a| a.claims["frequency"]["count"] = 0.into()),
        ("unknown window", CLAIMS, CLAIMS, |a| a.claims["frequency"]["per"] = "year".into()),
        ("status over http", CLAIMS, CLAIMS, |a| {
            a.claims["status"]["status_list"]["uri"] = "http://consent.city.example/1".into();
        }),
        ("status index below zero", CLAIMS, CLAIMS, |a| {
            a.claims["status"]["status_list"]["idx"] = (-1).into();
        }),
        ("private proof key", CLAIMS, CLAIMS, |a| {
            a.claims["cnf"]["jwk"]["d"] = base64::encode(&[1; 32]).into();
        }),
        ("proof key of another kind", CLAIMS, CLAIMS, |a| {
            a.claims["cnf"]["jwk"]["crv"] = "X25519".into();
        }),
    ]);
}
