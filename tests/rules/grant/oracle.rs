//! Another implementation's opinion: the `sd-jwt` package of the SD-JWT
//! authors, when `TRIBUTARY_PYTHON` names a Python that has it.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tributary::domain::grant::jwk::PublicKey;
use tributary::domain::grant::verify;

use super::round_trip::{issuer, request};
use super::support::*;

/// Runs the script; `None`, visibly, without the package.
fn python(mode: &str, input: &Value) -> Option<String> {
    let Some(python) = std::env::var_os("TRIBUTARY_PYTHON") else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIP: set TRIBUTARY_PYTHON to a Python with `sd-jwt` to cross-check grants",
        );
        return None;
    };
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/sd_jwt_oracle.py"))
        .arg(mode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the oracle failed");
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn the_oracle_verifies_our_grants() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(&world, folder.path());
    let items = own_items("education")[..3].to_vec();
    let wanted =
        vec![("education", items.clone()), ("lending", own_items("lending")[..1].to_vec())];
    let issued = issuer.issue(&request(&world, wanted), world.now).unwrap();
    let key = PublicKey::Verifying(world.ed25519.verifying_key().unwrap()).to_json(None);
    let parts: Vec<&str> = issued.presentation.split('~').collect();
    let shown = format!("{}~{}~", parts[0], parts[2]);
    let Some(answer) = python("verify", &json!({"sd_jwt": shown, "jwk": key})) else { return };
    let claims: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(claims["jti"], issued.jti);
    let mut sorted = items;
    sorted.sort();
    let mut read: Vec<&str> = claims["education"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i.as_str().unwrap())
        .collect();
    read.sort_unstable();
    assert_eq!(read, sorted);
    assert!(claims.get("lending").is_none());
}

#[test]
fn we_verify_the_oracles_grants() {
    let attempt = Attempt::new();
    let world = &attempt.world;
    for (key, algorithm, name) in [(&world.ed25519, "EdDSA", "ed"), (&world.p256, "ES256", "es")] {
        let private: Value = serde_json::from_str(key.to_jwk().unwrap().expose()).unwrap();
        let mut disclosures = json!({"_gateway": attempt.gateway});
        for (name, value) in &attempt.agencies {
            disclosures[name] = value.clone();
        }
        let mut claims = attempt.claims.clone();
        claims.as_object_mut().unwrap().remove("_sd_alg");
        let input = json!({
            "jwk": private, "alg": algorithm, "kid": name, "typ": "tributary-grant+sd-jwt",
            "claims": claims, "disclosures": disclosures, "digests": 16,
        });
        let Some(grant) = python("issue", &input) else { return };
        let verified = verify(grant.as_bytes(), &world.at_gateway()).unwrap();
        let expected = item_set(&own_items("lending")[..3]);
        assert_eq!(verified.items(&agency("lending")), expected);
        let forwarded = verified.for_agency(&agency("education")).unwrap();
        let at_agency = verify(&forwarded, &world.at_agency()).unwrap();
        let opened = at_agency.open_subject(&world.opening_keys("education")).unwrap();
        assert_eq!(&**opened.expose(), SUBJECT);
    }
}
