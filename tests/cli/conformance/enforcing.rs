//! Level `enforcing` against agencies of the demo: ours holds, on SQLite and with
//! the Python source behind it; one that does not is found out.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, value};
use tributary::domain::subject::gb11643_check_character;

use super::kit::{check_at, python, script};
use crate::kit::demo::City;
use crate::kit::process::{Process, binary, signal};

/// A demo whose grants last however often the kit asks.
pub fn start() -> City {
    City::start(&["--grant-uses", "1000000"])
}

/// Changes an agency's file.
fn edit(config: &Path, change: impl FnOnce(&mut DocumentMut)) {
    let mut document: DocumentMut = std::fs::read_to_string(config).unwrap().parse().unwrap();
    change(&mut document);
    std::fs::write(config, document.to_string()).unwrap();
}

/// A plan for an agency, as docs/conformance.md has it.
pub fn plan(
    city: &City,
    id: &str,
    items: &[&str],
    change: impl FnOnce(&mut DocumentMut),
) -> PathBuf {
    let (home, consumer) = (city.home.display(), &city.described.consumers[0]);
    let proof = consumer.certificate.with_file_name("proof.pub.jwk");
    let text = format!(
        r#"
[enforcing]
agency = "{id}"
identity = "spiffe://{id}.city.example/agency/{id}"
catalogue = "{home}/catalogue"
issuer = {issuer:?}
consumer = {consumer_id:?}
proof_key = "{proof}"
purpose = "credit_profile"
known = [{known:?}]
unknown = "{nobody}"
items = {items:?}
revoked_within = "60s"
deadline = "20s"
other_role = {{ certificate = {certificate:?}, key = {key:?} }}
[enforcing.link]
certificate = "{home}/certs/dev/gateway.city.example/gateway-main.pem"
key = "{home}/certs/dev/gateway.city.example/gateway-main.key"
[[enforcing.link.trust]]
domain = "{id}.city.example"
roles = ["agency"]
anchors = "{home}/certs/dev/{id}.city.example/ca.pem"
"#,
        issuer = city.described.issuer.settings,
        consumer_id = consumer.id,
        proof = proof.display(),
        nobody = nobody(),
        known = city.described.subjects[0],
        certificate = consumer.certificate,
        key = consumer.key,
    );
    let mut document: DocumentMut = text.parse().unwrap();
    change(&mut document);
    let path = city.home.join(format!("plan-{id}.toml"));
    std::fs::write(&path, document.to_string()).unwrap();
    path
}

/// A well-formed number of no region, which the demo gives nobody.
fn nobody() -> String {
    let digits = "99999919000101999";
    format!("{digits}{}", gb11643_check_character(digits).unwrap())
}

pub const ITEMS: [&str; 2] = ["employment.current.started_on", "employment.current.employed"];

#[test]
fn our_agency_holds_and_one_that_is_closed_or_another_does_not() {
    let city = start();
    let endpoint = &city.entry("employment").endpoint;
    let plan = self::plan(&city, "employment", &ITEMS, |_| {});
    let found = check_at(endpoint, "enforcing", &plan);
    assert_eq!((found.code, found.failed()), (0, vec![]), "{found:?}");
    assert_eq!(found.of("SKIPPED"), Vec::<u64>::new(), "{found:?}");
    assert!(found.of("PASSED").len() >= 40, "{found:?}");

    // Another agency than the one that is expected: nothing is sent to it.
    let other = check_at(&city.entry("traffic").endpoint, "enforcing", &plan);
    assert_eq!((other.code, other.failed()), (3, vec![201]), "{other:?}");
    assert!(other.of("PASSED").is_empty(), "{other:?}");

    // A grant whose person the agency does not know is no good record; a purpose
    // that it does not list, no good grant: each is found out by the good question.
    let plan = self::plan(&city, "employment", &ITEMS, |plan| {
        plan["enforcing"]["known"] = value(toml_edit::Array::from_iter([nobody()]));
    });
    let nobody = check_at(endpoint, "enforcing", &plan);
    assert!(nobody.failed().contains(&220), "{nobody:?}");
    assert!(!nobody.failed().contains(&226), "{nobody:?}");

    // The kill switch: nothing is answered any more, and no refusal passes for one.
    edit(city.config_of("employment"), |config| config["enabled"] = value(false));
    let plan = self::plan(&city, "employment", &ITEMS, |_| {});
    // Seen by whoever asks once it is turned, and that is no moment of ours.
    let closed = eventually(|| {
        let found = check_at(endpoint, "enforcing", &plan);
        (found.failed().contains(&220)).then_some(found)
    });
    for number in [220, 226, 240, 244, 256, 270, 281, 283] {
        assert!(closed.failed().contains(&number), "{number}: {closed:?}");
    }
}

#[test]
fn the_python_source_behind_our_agency_holds() {
    let Some(python) = python() else { return };
    let city = start();
    let agency = city.entry("volunteering");
    let socket = format!("unix:{}", city.home.join("source.sock").display());
    let mut source = std::process::Command::new(python);
    source.arg(script("examples/python/agency.py")).arg(&socket).arg(&agency.database);
    let _source = Process::listening(&mut source);

    // The same file, with the service in the database's place.
    signal(agency.pid, "TERM");
    edit(&agency.config, |config| {
        let mut grpc = toml_edit::Table::new();
        grpc.insert("endpoint", value(&socket));
        let mut table = toml_edit::Table::new();
        table.insert("grpc", toml_edit::Item::Table(grpc));
        config.insert("source", toml_edit::Item::Table(table));
        config.insert("listen", value("127.0.0.1:0"));
        let queries = config["query"].as_array_of_tables_mut().unwrap();
        queries.iter_mut().for_each(|query| drop(query.remove("sql")));
    });
    let mut command = binary();
    command.arg("agency").arg("--config").arg(&agency.config);
    // Once the one before it has let go of its log.
    let again = eventually(|| Process::try_until(&mut command, "listening on"));
    let endpoint = &again.address().to_string();

    let items = ["volunteering.profile.registered", "volunteering.profile.star_grade"];
    let plan = self::plan(&city, "volunteering", &items, |plan| {
        // And the source itself, with the mapping of the agency.
        let mut source = toml_edit::Table::new();
        let people = toml_edit::Array::from_iter(&city.described.subjects[..2]);
        source.insert("known", value(people));
        source.insert("unknown", value(nobody()));
        source.insert("mapping", value(agency.config.to_str().unwrap()));
        plan.insert("source", toml_edit::Item::Table(source));
    });
    let found = check_at(endpoint, "enforcing", &plan);
    assert_eq!((found.code, found.failed()), (0, vec![]), "{found:?}");
    let found = check_at(&socket, "source", &plan);
    assert_eq!((found.code, found.failed()), (0, vec![]), "{found:?}");
    let passed = found.of("PASSED");
    assert!(passed.contains(&140) && passed.contains(&141), "{found:?}");
}

fn eventually<T>(mut holds: impl FnMut() -> Option<T>) -> T {
    let until = tributary::clock::now() + std::time::Duration::from_secs(90);
    loop {
        if let Some(held) = holds() {
            return held;
        }
        assert!(tributary::clock::now() < until, "it did not come true");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
