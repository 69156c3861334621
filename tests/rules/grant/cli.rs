//! `tributary grant` from the first key to the revoked grant.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::Parser;
use tributary::cli::grant::{GrantArgs, run};
use tributary::domain::grant::{StatusList, verify};

use super::support::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    grant: GrantArgs,
}

fn grant(folder: &Path, input: &str, line: &str) -> anyhow::Result<String> {
    let words = line.split(' ').map(|word| word.replace("@/", &format!("{}/", folder.display())));
    let cli = Cli::try_parse_from(std::iter::once("grant".to_owned()).chain(words))?;
    let mut out = Vec::new();
    run(cli.grant, &mut input.as_bytes(), &mut out, at(NOW))?;
    Ok(String::from_utf8(out).unwrap())
}

const SETTINGS: &str = r#"
id = "spiffe://consent.city.example/issuer/consent"
signing_key = "signing.jwk"
status_key = "status.jwk"
status_uri = "https://consent.city.example/status/1"
person_secret = "person.secret"
state = "state"
subject = { pattern = "[0-9]{18}" }

[[sealing]]
agency = "education"
kid = "seal-1"
file = "education.pub.jwk"
"#;

fn request() -> String {
    format!(
        r#"
audience = "{GATEWAY}"
client_id = "{CONSUMER}"
proof_key = "consumer.pub.jwk"
lifetime = "30days"
data_life = "0s"
purpose = {{ code = "credit_assessment", text = "A loan asked for on 3 May" }}
legal_basis = {{ kind = "consent", ref = "form 7" }}
frequency = {{ count = 2, per = "day" }}

[[agency]]
agency = "education"
items = {:?}
from = "2020-01-01"
to = "2026-12-31"
"#,
        &own_items("education")[..2]
    )
}

#[test]
fn an_issuer_is_set_up_and_its_grant_verified_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (kind, kid, name) in [
        ("ed25519", "ed", "signing"),
        ("ed25519", "status", "status"),
        ("p256", "proof", "consumer"),
        ("sealing", "seal-1", "education"),
        ("person", "person", "person"),
    ] {
        grant(folder, "", &format!("keygen --kind {kind} --kid {kid} --out @/{name}")).unwrap();
    }
    let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("signing.jwk"), mode("person.secret")), (0o600, 0o600));
    let again = grant(folder, "", "keygen --kind p256 --kid ed --out @/signing").unwrap_err();
    assert!(again.to_string().contains("must not be overwritten"), "{again}");

    fs::write(folder.join("issuer.toml"), SETTINGS).unwrap();
    fs::write(folder.join("request.toml"), request()).unwrap();
    let issue = "issue --settings @/issuer.toml --request @/request.toml --out @/grant";
    let mistyped = format!("{:#}", grant(folder, &SUBJECT[1..], issue).unwrap_err());
    assert!(mistyped.contains("pattern") && !mistyped.contains(&SUBJECT[1..]), "{mistyped}");
    let issued = grant(folder, SUBJECT, issue).unwrap();
    let jti = issued.trim().strip_prefix("issued ").unwrap();
    assert_eq!(mode("grant"), 0o600);
    assert_eq!(mode("state") & 0o077, 0);
    assert_eq!(mode("state/grants.json"), 0o600);

    let shown = grant(folder, "", "inspect @/grant --key @/signing.pub.jwk").unwrap();
    for part in [
        "signature    holds under",
        "consumer     spiffe://scoring.city.example/consumer/scoring",
        "purpose      credit_assessment: A loan asked for on 3 May",
        "valid until  2026-10-21T14:13:20Z (within its time)",
        "use          at most 2 per day",
        "data life    not to be kept",
        "education: 2 items, records of 2020-01-01 to 2026-12-31",
        "subject: sealed to key seal-1",
    ] {
        assert!(shown.contains(part), "`{part}` is not in\n{shown}");
    }
    assert!(!shown.contains(SUBJECT));
    assert!(grant(folder, "", "inspect @/grant --key @/status.pub.jwk").is_err());
    assert!(grant(folder, "", "inspect @/grant").unwrap().contains("not checked"));

    // The keys that were made are the ones to pin.
    let mut world = World::new();
    let key = |name: &str| {
        tributary::config::key_file::verifying_key(&folder.join(format!("{name}.pub.jwk"))).unwrap()
    };
    world.pin.keys = [(kid("ed"), key("signing"))].into();
    world.pin.status_keys = [(kid("status"), key("status"))].into();
    world.repin();
    let revoke = "revoke --settings @/issuer.toml --list @/list";
    grant(folder, "", revoke).unwrap();
    let accept = |world: &mut World| {
        let token = fs::read(folder.join("list")).unwrap();
        let list = StatusList::verify(&token, STATUS_URI, &world.pins, world.now).unwrap();
        world.statuses.accept(list).unwrap();
    };
    accept(&mut world);
    let text = fs::read(folder.join("grant")).unwrap();
    assert!(verify(&text, &world.at_gateway()).is_ok());
    let told = grant(folder, "", &format!("{revoke} {jti}")).unwrap();
    assert!(told.contains(&format!("{jti}: revoked")));
    accept(&mut world);
    assert_eq!(verify(&text, &world.at_gateway()).unwrap_err().reason().as_str(), "GRANT_REVOKED");

    // A person's grants are found by the number, which no argument may hold.
    let whole = grant(folder, SUBJECT, &format!("{revoke} --person")).unwrap();
    assert!(whole.contains("revoked 0 grants"));
    fs::set_permissions(folder.join("signing.jwk"), fs::Permissions::from_mode(0o644)).unwrap();
    let refused = format!("{:#}", grant(folder, SUBJECT, issue).unwrap_err());
    assert!(refused.contains("can be read by others"), "{refused}");
}
