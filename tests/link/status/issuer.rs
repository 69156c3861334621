//! From `tributary grant serve` to the check of a grant: the whole way, with the
//! binary, its configuration and its certificates.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tributary::app::statuses;
use tributary::clock::{self, Keeper};
use tributary::config::faults::Faults;
use tributary::config::grants::{Grants, GrantsConfig};
use tributary::domain::catalogue::{Catalogue, Source};
use tributary::domain::grant::{Jws, StatusFault};
use tributary::service::status_lists::StatusPoll;

use super::support::*;
use crate::kit::waiting::Reserved;

const AUTHORITY: &str = "certs/consent.city.example/ca.pem";
const CERTIFICATE: &str = "certs/consent.city.example/issuer-consent.pem";
const KEY: &str = "certs/consent.city.example/issuer-consent.key";

/// Runs the binary in a folder.
async fn tributary(folder: &Path, input: &str, line: &str) -> Result<String, String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(line.split(' '))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that reads nothing may be gone already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(LONG * 3, child.wait_with_output()).await.unwrap().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

/// An issuer that was set up by hand, as its operator would.
struct Desk {
    folder: tempfile::TempDir,
    kept: Reserved,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk = Self { folder, kept: Reserved::new() };
        for line in [
            "pki init --dir certs --domain consent.city.example",
            "pki issue --dir certs --domain consent.city.example --role issuer --id consent",
            "grant keygen --kind ed25519 --kid ed --out signing",
            "grant keygen --kind ed25519 --kid status --out status",
            "grant keygen --kind ed25519 --kid proof --out consumer",
            "grant keygen --kind sealing --kid seal-1 --out education",
            "grant keygen --kind person --kid person --out person",
        ] {
            tributary(desk.path(), "", line).await.unwrap();
        }
        write(&desk.path().join("issuer.toml"), &desk.settings());
        write(&desk.path().join("request.toml"), REQUEST);
        desk
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn uri(&self) -> String {
        format!("https://localhost:{}{PATH}", self.kept.address().port())
    }

    fn settings(&self) -> String {
        format!(
            r#"
id = "spiffe://consent.city.example/issuer/consent"
signing_key = "signing.jwk"
status_key = "status.jwk"
status_uri = "{}"
person_secret = "person.secret"
state = "state"
subject = {{ pattern = "[0-9]{{18}}" }}

[[sealing]]
agency = "education"
kid = "seal-1"
file = "education.pub.jwk"
"#,
            self.uri()
        )
    }

    /// What a gateway or an agency configures.
    fn grants(&self) -> Grants {
        let text = format!(
            r#"
max_age = "60s"
fetch_every = "200ms"

[[issuer]]
id = "spiffe://consent.city.example/issuer/consent"
keys = [{{ kid = "ed", algorithm = "EdDSA", file = "signing.pub.jwk" }}]
status_keys = [{{ kid = "status", algorithm = "EdDSA", file = "status.pub.jwk" }}]
status_uris = ["{}"]
status_anchors = "{AUTHORITY}"
legal_bases = ["consent"]
purposes = ["credit_assessment"]
agencies = ["education"]
consumers = ["spiffe://scoring.city.example/consumer/scoring"]

[[purpose]]
code = "credit_assessment"
max_lifetime = "90days"
max_frequency = {{ count = 10, per = "day" }}
items = ["education.*"]
"#,
            self.uri()
        );
        let config: GrantsConfig = toml::from_str(&text).unwrap();
        let mut faults = Faults::new(Path::new("grants.toml"));
        config.load(self.path(), &catalogue(), &mut faults).unwrap()
    }

    async fn serve(&self) -> Child {
        let line = format!(
            "grant serve --dir . --listen {} --certificate {CERTIFICATE} --key {KEY} \
             --until-stdin-closes",
            self.kept.address()
        );
        let mut child = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(line.split(' '))
            .current_dir(self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        tokio::time::timeout(LONG, out.read_line(&mut line)).await.unwrap().unwrap();
        assert_eq!(line, format!("issuer listening on {}\n", self.kept.address()));
        child
    }
}

const REQUEST: &str = r#"
audience = "spiffe://gateway.city.example/gateway/main"
client_id = "spiffe://scoring.city.example/consumer/scoring"
proof_key = "consumer.pub.jwk"
lifetime = "30days"
data_life = "0s"
purpose = { code = "credit_assessment", text = "A loan asked for on 3 May" }
legal_basis = { kind = "consent", ref = "form 7" }
frequency = { count = 2, per = "day" }

[[agency]]
agency = "education"
items = ["education.degree.level"]
from = "2020-01-01"
to = "2026-12-31"
"#;

fn catalogue() -> Catalogue {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/city/catalogue");
    let files = ["education.toml", "lending.toml", "traffic.toml", "reserved.toml"]
        .map(|name| (name, fs::read_to_string(folder.join(name)).unwrap()));
    let sources: Vec<Source<'_>> = files.iter().map(|(name, text)| Source { name, text }).collect();
    Catalogue::parse(&sources).unwrap()
}

/// A grant's number and its place in the list.
fn number_and_index(grant: &str) -> (String, u32) {
    let jws = Jws::parse(grant.split('~').next().unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&jws.payload).unwrap();
    let index = claims["status"]["status_list"]["idx"].as_u64().unwrap();
    (claims["jti"].as_str().unwrap().to_owned(), u32::try_from(index).unwrap())
}

#[tokio::test]
async fn a_revocation_is_in_force_within_ten_seconds() {
    let desk = Desk::new().await;
    let issue = "grant issue --request request.toml";
    // Nobody's number: the region 990000 does not exist.
    let mut grants = Vec::new();
    for _ in 0..2 {
        let grant = tributary(desk.path(), "990000199001010017", issue).await.unwrap();
        grants.push(number_and_index(grant.trim()));
    }
    let [(first, index), (_, other)] = grants.as_slice() else { panic!("two grants") };

    let mut issuer = desk.serve().await;
    let time = Arc::new(Keeper::starting_at(OffsetDateTime::UNIX_EPOCH));
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let poll = StatusPoll::start(statuses::plan(&desk.grants()).unwrap(), time, &stopped).unwrap();
    let check = |index| poll.lists().check(&status(&desk.uri(), index), clock::utc());
    eventually("the list is taken", || check(*index) == Ok(())).await;
    assert_eq!(check(*other), Ok(()));

    // Without --list: the server notices by itself.
    tributary(desk.path(), "", &format!("grant revoke {first}")).await.unwrap();
    let revoked = async {
        while check(*index) != Err(StatusFault::Revoked) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), revoked).await.expect("within ten seconds");
    assert_eq!(check(*other), Ok(()));

    // Without any change the list is signed again, so that it stays fresh.
    let issued_at = || poll.lists().get(&desk.uri()).unwrap().issued_at();
    let before = issued_at();
    eventually("the list is signed again", || issued_at() > before).await;
    assert!(clock::utc() - issued_at() < time::Duration::seconds(20));

    // The parent ends it, and lets it come back.
    drop(issuer.stdin.take());
    let ended = tokio::time::timeout(LONG, issuer.wait()).await.unwrap().unwrap();
    assert!(ended.success());
    let before = issued_at();
    let _issuer = desk.serve().await;
    eventually("the list is fetched again", || issued_at() > before).await;
    assert_eq!(check(*index), Err(StatusFault::Revoked));
}

#[tokio::test]
async fn an_issuer_that_could_not_be_believed_does_not_start() {
    let desk = Desk::new().await;
    let serve = format!(
        "grant serve --dir . --listen 127.0.0.1:0 --certificate {CERTIFICATE} --key {KEY} \
         --until-stdin-closes"
    );
    let mode = |file: &str, mode| {
        fs::set_permissions(desk.path().join(file), fs::Permissions::from_mode(mode)).unwrap();
    };
    for file in ["status.jwk", KEY] {
        mode(file, 0o644);
        let refused = tributary(desk.path(), "", &serve).await.unwrap_err();
        assert!(refused.contains("chmod 600"), "{file}: {refused}");
        mode(file, 0o600);
    }
    let plain = desk.settings().replace("https://", "http://");
    write(&desk.path().join("issuer.toml"), &plain);
    let refused = tributary(desk.path(), "", &serve).await.unwrap_err();
    assert!(refused.contains("its scheme is not https"), "{refused}");
    let idle = tributary(desk.path(), "", "grant revoke").await.unwrap_err();
    assert!(idle.contains("nothing to do"), "{idle}");
}
