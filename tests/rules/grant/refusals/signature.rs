//! Keys, signatures and headers.

use serde_json::json;
use tributary::domain::grant::base64;

use super::*;
use crate::grant::support::*;

#[test]
fn signatures_keys_and_headers() {
    const SIGNATURE: &str = "GRANT_SIGNATURE";
    const ALGORITHM: &str = "GRANT_ALGORITHM";
    const CLAIMS: &str = "GRANT_CLAIMS";
    const MALFORMED: &str = "GRANT_MALFORMED";
    run(&[
        ("forged", SIGNATURE, SIGNATURE, |a| a.signer = Signer::Stranger),
        ("altered payload", SIGNATURE, SIGNATURE, |a| {
            parts(a, |mut parts| {
                let pieces: Vec<&str> = parts[0].split('.').collect();
                let clear = String::from_utf8(base64::decode(pieces[1]).unwrap()).unwrap();
                let clear = clear.replace("\"count\":3", "\"count\":4");
                let payload = base64::encode(clear.as_bytes());
                parts[0] = format!("{}.{payload}.{}", pieces[0], pieces[2]);
                parts
            });
        }),
        ("altered signature", SIGNATURE, SIGNATURE, |a| {
            parts(a, |mut parts| {
                let place = parts[0].len() - 20;
                parts[0] = flip(&parts[0], place);
                parts
            });
        }),
        ("signature too short", SIGNATURE, SIGNATURE, |a| a.signer = Signer::Bytes(vec![0; 63])),
        ("all-zero signature", SIGNATURE, SIGNATURE, |a| a.signer = Signer::Bytes(vec![0; 64])),
        ("alg none, no signature", MALFORMED, MALFORMED, |a| {
            a.header["alg"] = "none".into();
            a.signer = Signer::Bytes(vec![]);
        }),
        ("alg none", ALGORITHM, ALGORITHM, |a| a.header["alg"] = "none".into()),
        ("HS256 with the public key", ALGORITHM, ALGORITHM, |a| {
            a.header["alg"] = "HS256".into();
            a.signer = Signer::HmacWithPublicKey;
        }),
        ("Ed25519 key called ES256", ALGORITHM, ALGORITHM, |a| {
            a.header["alg"] = "ES256".into();
            a.signer = Signer::P256;
        }),
        ("ES256 key called EdDSA", ALGORITHM, ALGORITHM, |a| a.header["kid"] = "es".into()),
        ("signed by the other pinned key", SIGNATURE, SIGNATURE, |a| a.signer = Signer::P256),
        ("alg in other case", ALGORITHM, ALGORITHM, |a| a.header["alg"] = "eddsa".into()),
        ("unknown kid", "GRANT_KEY", "GRANT_KEY", |a| a.header["kid"] = "ed2".into()),
        ("a status key", "GRANT_KEY", "GRANT_KEY", |a| a.header["kid"] = "status".into()),
        ("no kid", CLAIMS, CLAIMS, |a| drop(a.header.as_object_mut().unwrap().remove("kid"))),
        ("kid with a slash", CLAIMS, CLAIMS, |a| a.header["kid"] = "../ed".into()),
        ("unknown crit", "GRANT_CRITICAL", "GRANT_CRITICAL", |a| {
            a.header["crit"] = json!(["b64"]);
        }),
        ("crit empty", "GRANT_CRITICAL", "GRANT_CRITICAL", |a| a.header["crit"] = json!([])),
        ("crit null", "GRANT_CRITICAL", "GRANT_CRITICAL", |a| a.header["crit"] = json!(null)),
        ("crit no list", "GRANT_CRITICAL", "GRANT_CRITICAL", |a| a.header["crit"] = "b64".into()),
        ("key in the header", CLAIMS, CLAIMS, |a| a.header["jwk"] = a.claims["cnf"]["jwk"].clone()),
        ("address of a key", CLAIMS, CLAIMS, |a| a.header["jku"] = "https://x.example".into()),
        ("wrong typ", "GRANT_TYPE", "GRANT_TYPE", |a| a.header["typ"] = "dc+sd-jwt".into()),
        ("typ of a status list", "GRANT_TYPE", "GRANT_TYPE", |a| {
            a.header["typ"] = "statuslist+jwt".into();
        }),
        ("no typ", CLAIMS, CLAIMS, |a| drop(a.header.as_object_mut().unwrap().remove("typ"))),
        ("duplicate alg", MALFORMED, MALFORMED, |a| {
            header(a, |text| text.replacen('{', "{\"alg\":\"none\",", 1));
        }),
        ("header no object", CLAIMS, CLAIMS, |a| header(a, |_| "[]".to_owned())),
        ("issuer not pinned", "GRANT_ISSUER", "GRANT_ISSUER", |a| {
            a.claims["iss"] = "spiffe://consent.city.example/issuer/other".into();
        }),
    ]);
}
