//! A start that is refused says everything that is wrong with the configuration at
//! once, each with file, line, key and remedy, and leaves the disk as it was.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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
    copy(Path::new("examples/city"), folder.path());
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
