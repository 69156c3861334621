//! A start that is refused says everything that is wrong with the configuration at
//! once, each with file, line, key and remedy, and leaves the disk as it was.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::sync::watch;
use tributary::app::{agency, gateway};

/// What is written in place of what, and what must be said of it. The line is that
/// of the new text.
type Fault = (&'static str, &'static str, &'static str);

const GATEWAY: &[Fault] = &[
    (
        "listen = \"127.0.0.1:7100\"",
        "listen = \"localhost\"",
        "`listen` must be an address and a port",
    ),
    ("max_age = \"60s\"", "max_age = 60", "`grants.max_age` must be a duration with its unit"),
    ("fetch_every", "fetch_evry", "`grants.fetch_evry` is no key: did you mean `fetch_every`?"),
    (
        "purposes = [\"credit_profile\", ",
        "purposes = [\"credit_profil\", ",
        "`grants.issuer[0].purposes` names `credit_profil`, which no [[grants.purpose]] lists",
    ),
    (
        "    \"employment\",\n",
        "    \"employ\",\n",
        "`grants.issuer[0].agencies[1]` is refused: agency `employ` owns no item",
    ),
    (
        "max_lifetime = \"365days\"",
        "max_lifetime = \"0s\"",
        "`grants.purpose[0].max_lifetime` must be more than nothing",
    ),
    ("roles = [\"reviewer\"]", "roles = [\"revewer\"]", "`link.trust[9].roles[0]` must be one of"),
    ("origin = \"gateway.city.example/2026\"", "origin = \"\"", "`audit.origin` is refused"),
    (
        "vocabulary = \"policies/vocabulary.toml\"",
        "vocabulary = \"policies/vocab.toml\"",
        "`policy.vocabulary` is refused: ",
    ),
    ("max_page = 500", "max_page = 5000", "`review.max_page` must be 1 to 1000, not 5000"),
    ("stream_window = 128", "stream_window = 0", "`limits.stream_window` must be 1 to 4096, not 0"),
    (
        "max_in_flight = 1024",
        "max_in_flight = \"many\"",
        "`limits.max_in_flight` must be a whole number",
    ),
    (
        "id = \"lending\"\n",
        "id = \"lender\"\n",
        "`agency[3].id` is refused: agency `lender` owns no item",
    ),
    (
        "endpoint = \"127.0.0.1:7103\"",
        "endpoint = \"https://127.0.0.1\"",
        "`agency[2].endpoint` must be host:port",
    ),
    (
        "identity = \"spiffe://traffic.city.example/agency/traffic\"\nendpoint",
        "identity = \"spiffe://traffic.city.example/consumer/traffic\"\nendpoint",
        "`agency[5].identity` is no agency's",
    ),
];

const LENDING: &[Fault] = &[
    ("id = \"lending\"", "id = \"Lending\"", "`id` is refused: `Lending` is not an agency's name"),
    ("listen = \"127.0.0.1:7104\"", "listen = 7104", "`listen` must be an address and a port"),
    ("enabled = true", "enabled = \"no\"", "`enabled` must be true or false"),
    ("roles = [\"gateway\"]", "roles = []", "`link.trust[0].roles` is empty"),
    (
        "max_age = \"60s\"",
        "max_age = \"6s\"",
        "`grants.max_age` must be at least twice `fetch_every`",
    ),
    (
        "max_lifetime = \"30days\"",
        "max_lifetime = \"30\"",
        "`grants.purpose[1].max_lifetime` must be a duration",
    ),
    (
        "code = \"small_business_loan\"\nmax_lifetime = \"90days\"",
        "code = \"rental_deposit_waiver\"\nmax_lifetime = \"90days\"",
        "`grants.purpose[2].code` is refused: purpose `rental_deposit_waiver` is listed twice",
    ),
    (
        "rules = \"../policies/agencies/lending.cedar\"",
        "rules = \"../policies/none.cedar\"",
        "`policy.rules` is refused: ",
    ),
    (
        "url = \"sqlite:../data/lending-counters.db\"",
        "url = \"redis://db\"",
        "`counters.url` is refused: ",
    ),
    (
        "[subject]\npattern = \"[0-9]{17}[0-9X]\"",
        "[subject]\npattern = \"[0-9\"",
        "`subject` is refused: pattern",
    ),
    (
        "name = \"card_account\"",
        "nam = \"card_account\"",
        "`query[0].nam` is no key: did you mean `name`?",
    ),
];

/// The example city, the gateway's parties in its one file as the demo has them.
fn city(to: &Path) {
    copy(Path::new("examples/city"), to);
    fs::copy("src/app/demo/gateway.toml", to.join("gateway.toml")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap(), to.to_owned());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => _ = fs::copy(entry.path(), to.join(entry.file_name())).unwrap(),
        }
    }
}

fn all(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { all(&path) } else { BTreeSet::from([path]) })
        .collect()
}

/// Writes the faults into a file of the example city; gives back what must be said.
fn spoil(file: &Path, faults: &[Fault]) -> Vec<String> {
    let mut text = fs::read_to_string(file).unwrap();
    for (from, to, _) in faults {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    fs::write(file, &text).unwrap();
    let line = |to: &str| text[..text.find(to).unwrap()].matches('\n').count() + 1;
    let told = |(_, to, told): &Fault| {
        let leading = to.len() - to.trim_start().len();
        format!("{}:{}: {told}", file.display(), line(to) + to[..leading].matches('\n').count())
    };
    faults.iter().map(told).collect()
}

fn assert_told(refused: &str, expected: &[String]) {
    for expected in expected {
        let told = refused.lines().any(|line| line.starts_with(&**expected));
        assert!(told, "not told: {expected}\n{refused}");
    }
}

#[tokio::test]
async fn a_gateway_and_an_agency_say_everything_that_is_wrong_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    city(folder.path());
    let (file, lending) =
        (folder.path().join("gateway.toml"), folder.path().join("agencies/lending.toml"));
    let (of_gateway, of_agency) = (spoil(&file, GATEWAY), spoil(&lending, LENDING));
    let before = all(folder.path());
    let (_going, stop) = watch::channel(false);

    let refused = gateway::run(&file, |_| panic!("it listens"), stop.clone()).await;
    assert_told(&refused.unwrap_err().to_string(), &of_gateway);
    let refused = agency::run(&lending, |_| panic!("it listens"), stop).await;
    assert_told(&refused.unwrap_err().to_string(), &of_agency);
    assert_eq!(all(folder.path()), before, "a refused start wrote something");
}

/// More of a gateway's file, so that with what is not there yet (keys, anchors, pinned
/// logs) there are sixty.
const MORE: &[Fault] = &[
    ("domain = \"traffic.city.example\"", "domain = \"traffic city\"", "`link.trust[5].domain` "),
    ("roles = [\"consumer\"]", "roles = []", "`link.trust[7].roles` is empty"),
    (
        "algorithm = \"EdDSA\", file = \"consent/signing.pub.jwk\"",
        "algorithm = \"HS256\", file = \"consent/signing.pub.jwk\"",
        "`grants.issuer[0].keys[0].file` is refused: ",
    ),
    (
        "file = \"consent/status.pub.jwk\"",
        "file = \"consent/nowhere.jwk\"",
        "`grants.issuer[0].status_keys[0].file` is refused: ",
    ),
    (
        "https://localhost:7190/status/1",
        "ftp://localhost:7190/status/1",
        "`grants.issuer[0].status_uris[0]` is refused: ",
    ),
    (
        "legal_bases = [\"consent\",",
        "legal_bases = [\"consnt\",",
        "`grants.issuer[0].legal_bases[0]` must be one of",
    ),
    (
        "    \"spiffe://bank.city.example/consumer/loan-desk\"",
        "    \"spiffe://bank.city.example/consumer\"",
        "`grants.issuer[0].consumers[1]` ",
    ),
    ("count = 3,", "count = 0,", "`grants.purpose[1].max_frequency.count` must be 1 or more"),
    ("count = 10, per = \"day\"", "count = 10, per = \"moon\"", "`grants.purpose[2].max_frequency"),
    (
        "max_lifetime = \"90days\"",
        "max_lifetime = \"90years\"",
        "`grants.purpose[2].max_lifetime` must be more than nothing and at most ten years",
    ),
    (
        "identity = \"spiffe://employment.city.example/agency/employment\"\nlogs",
        "identity = \"spiffe://employment.city.example/agency\"\nlogs",
        "`audit.peer[1].identity` ",
    ),
    ("per_minute = 60", "per_minute = -1", "`review.per_minute` "),
    (
        "id = \"spiffe://review.city.example/reviewer/board\"",
        "id = \"spiffe://review.city.example/consumer/board\"",
        "`review.reviewer[0].id` ",
    ),
    ("may = [\"list\",", "may = [\"lst\",", "`review.reviewer[0].may[0]` must be one of"),
    ("max_deadline = \"2s\"", "max_deadline = \"0s\"", "`limits.max_deadline` must not be zero"),
    (
        "max_in_flight_per_consumer = 768",
        "max_in_flight_per_consumer = 0",
        "`limits.max_in_flight_per_consumer` must not be zero",
    ),
    (
        "\n\n[[agency]]\nid = \"employment\"",
        "\nconnections = 99\n\n[[agency]]\nid = \"employment\"",
        "`agency[0].connections` must be 1 to 16, not 99",
    ),
    (
        "\n\n[[agency]]\nid = \"social_security\"",
        "\nmax_in_flight = 0\n\n[[agency]]\nid = \"social_security\"",
        "`agency[1].max_in_flight` must be 1 to 65536, not 0",
    ),
    (
        "endpoint = \"127.0.0.1:7105\"",
        "endpoint = \"[::1]\"",
        "`agency[4].endpoint` must be host:port",
    ),
    (
        "endpoint = \"127.0.0.1:7107\"",
        "endpoint = \"?:7107\"",
        "`agency[6].endpoint` must be host:port",
    ),
    ("\n\n# Whom the", "\nkeys = 1\n\n# Whom the", "`link.keys` is no key"),
    ("\n\n# What may", "\nissuers = 3\n\n# What may", "`grants.issuer[0].issuers` is no key"),
    ("\n\n# The tamper", "\nrule = 1\n\n# The tamper", "`policy.rule` is no key"),
    ("\n\n# Each agency", "\nfolders = 1\n\n# Each agency", "`audit.folders` is no key"),
    ("\n\n[limits]", "\nper_hour = 9\n\n[limits]", "`review.reviewer[0].per_hour` is no key"),
];

/// `gateway check` of a file: exit code and findings, each `FILE:LINE: MESSAGE`.
fn checked(file: &Path) -> (Option<i32>, serde_json::Value, Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    let output = command.args(["gateway", "check", "--json", "--offline", "-c"]).arg(file);
    let output = output.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&told);
    let findings = report["findings"].as_array().unwrap().iter().map(|found| {
        let text = |key: &str| found[key].as_str().unwrap();
        format!("{}:{}: {}", text("file"), found["line"], text("message"))
    });
    let findings = findings.collect();
    (output.status.code(), report, findings)
}

#[test]
fn a_check_names_sixty_faults_in_one_run_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    city(folder.path());
    let file = folder.path().join("gateway.toml");
    let mut expected = spoil(&file, &[GATEWAY, MORE].concat());
    let text = fs::read_to_string(&file).unwrap();
    // What set-up makes is not there yet.
    let missing =
        ["anchors = \"certs", "logs = [\"certs", "key = \"certs", "certificate = \"certs"];
    for (at, line) in text.lines().enumerate() {
        if missing.iter().any(|missing| line.contains(missing)) {
            expected.push(format!("{}:{}: `", file.display(), at + 1));
        }
    }
    let before = all(folder.path());
    let (code, report, findings) = checked(&file);
    assert_eq!((code, report["starts"].as_bool()), (Some(1), Some(false)));
    assert_told(&findings.join("\n"), &expected);
    assert!(findings.len() >= 60, "{} findings:\n{}", findings.len(), findings.join("\n"));
    assert_eq!(all(folder.path()), before, "a check wrote something");
}

#[test]
fn an_unsound_catalogue_hides_nothing_else_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    city(folder.path());
    let file = folder.path().join("gateway.toml");
    let later =
        |fault: &&Fault| fault.2.contains("max_frequency") || fault.2.contains("fetch_evry");
    let wanted: Vec<Fault> = GATEWAY.iter().chain(MORE).filter(later).copied().collect();
    let mut expected = spoil(&file, &wanted);
    assert_eq!(expected.len(), 3);
    let lending = folder.path().join("catalogue/lending.toml");
    let text = fs::read_to_string(&lending).unwrap();
    fs::write(&lending, text.replacen("type = \"", "type = \"x", 1)).unwrap();
    expected.push("lending.toml:".to_owned());
    fs::write(folder.path().join("policies/vocabulary.toml"), "purposes = 7\n").unwrap();
    let vocabulary = folder.path().join("policies/vocabulary.toml");
    expected.push(format!("{}:1: ", vocabulary.display()));
    assert_told(&checked(&file).2.join("\n"), &expected);
}
