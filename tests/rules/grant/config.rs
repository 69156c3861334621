//! The `[grants]` section, read from files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tributary::config::faults::Faults;
use tributary::config::grants::GrantsConfig;
use tributary::domain::grant::jwk::PublicKey;
use tributary::domain::grant::{LegalBasis, PurposeCode};

use super::support::*;

const SECTION: &str = r#"
max_age = "30s"

[[issuer]]
id = "spiffe://consent.city.example/issuer/consent"
keys = [
    { kid = "ed", algorithm = "EdDSA", file = "ed.pub.jwk" },
    { kid = "es", algorithm = "ES256", file = "es.pem" },
]
status_keys = [{ kid = "status", algorithm = "EdDSA", file = "status.pub.jwk" }]
status_uris = ["https://consent.city.example/status/1"]
status_anchors = "consent.pem"
legal_bases = ["consent", "written_consent"]
purposes = ["credit_assessment"]
agencies = ["education", "lending"]
consumers = ["spiffe://scoring.city.example/consumer/scoring"]

[[purpose]]
code = "credit_assessment"
max_lifetime = "90days"
max_frequency = { count = 10, per = "day" }
items = ["education.*", "lending.*"]

[[opening_key]]
kid = "seal-1"
file = "seal.jwk"
"#;

/// A public key in the form that OpenSSL writes.
fn pem(world: &World) -> String {
    let mut der = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\
        \x3d\x03\x01\x07\x03\x42\x00"
        .to_vec();
    der.extend_from_slice(world.p256.verifying_key().unwrap().bytes());
    let text = data_encoding::BASE64.encode(&der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

fn folder(world: &World) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let public = |key: &tributary::issuer::SigningKey| {
        PublicKey::Verifying(key.verifying_key().unwrap()).to_json(Some(key.kid())).to_string()
    };
    write("ed.pub.jwk", &public(&world.ed25519));
    write("status.pub.jwk", &public(&world.status_key));
    write("es.pem", &pem(world));
    write("seal.jwk", world.sealing["education"].to_jwk().expose());
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.path().join("seal.jwk"), private).unwrap();
    folder
}

fn load(text: &str, folder: &Path) -> Result<tributary::config::grants::Grants, String> {
    let config: GrantsConfig = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let mut faults = Faults::new(Path::new("grants.toml"));
    let grants = config.load(folder, &CATALOGUE, &mut faults);
    faults.finish(grants).map_err(|error| error.to_string())
}

#[test]
fn the_section_becomes_pins_and_purposes() {
    let world = World::new();
    let folder = folder(&world);
    let grants = load(SECTION, folder.path()).unwrap();
    let pin = grants.pins.get(&spiffe(ISSUER)).unwrap();
    assert_eq!(pin.keys[&kid("es")], world.p256.verifying_key().unwrap());
    assert!(pin.legal_bases.contains(&LegalBasis::WrittenConsent));
    assert_eq!(grants.max_age, time::Duration::seconds(30));
    assert_eq!(grants.fetch_every, std::time::Duration::from_secs(5));
    assert_eq!(grants.status_anchors[&spiffe(ISSUER)], folder.path().join("consent.pem"));
    let purpose = grants.purposes.get(&PurposeCode::new("credit_assessment").unwrap()).unwrap();
    assert!(item_set(&own_items("lending")[..1]).is_subset(&purpose.items));

    let config: GrantsConfig = toml::from_str(SECTION).unwrap();
    let mut faults = Faults::new(Path::new("grants.toml"));
    let keys = config.opening_keys(folder.path(), &mut faults).unwrap();
    assert!(keys.get(&kid("seal-1")).is_ok());
    let open = fs::Permissions::from_mode(0o640);
    fs::set_permissions(folder.path().join("seal.jwk"), open).unwrap();
    assert!(config.opening_keys(folder.path(), &mut faults).is_none());
    assert!(faults.refuse().to_string().contains("chmod 600"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let world = World::new();
    let folder = folder(&world);
    fs::write(folder.path().join("private.jwk"), world.ed25519.to_jwk().unwrap().expose()).unwrap();
    for (from, to, told) in [
        ("\"ed.pub.jwk\"", "\"none.jwk\"", "cannot read"),
        ("\"ed.pub.jwk\"", "\"private.jwk\"", "private key where a public one belongs"),
        ("\"ed.pub.jwk\"", "\"status.pub.jwk\"", "names its key `status`"),
        ("algorithm = \"ES256\"", "algorithm = \"EdDSA\"", "is for ES256"),
        ("kid = \"es\"", "kid = \"ed\"", "listed twice"),
        ("\"education.*\"", "\"educatoin.*\"", "no item of the catalogue"),
        ("\"education\", \"lending\"", "\"bank\"", "owns no item"),
        ("[\"credit_assessment\"]", "[\"marketing\"]", "no [[grants.purpose]] lists"),
        ("count = 10", "count = 0", "max_frequency"),
        ("\"90days\"", "\"0s\"", "max_lifetime"),
        ("https://consent", "http://consent", "not a status URI"),
        ("[\"consent\", \"written_consent\"]", "[]", "no legal_bases"),
        ("/issuer/consent", "/gateway/main", "not in the role"),
        ("\"30s\"", "\"6s\"", "twice `fetch_every`"),
        ("status_anchors = \"consent.pem\"", "", "missing field `status_anchors`"),
        ("max_age", "max_aeg", "unknown field"),
    ] {
        assert!(SECTION.contains(from), "{from}");
        let refused = load(&SECTION.replacen(from, to, 1), folder.path()).unwrap_err();
        assert!(refused.contains(told), "{to}: {refused}");
    }
}
