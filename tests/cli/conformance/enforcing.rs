//! Level `enforcing` against agencies of the demo: ours holds, on SQLite and with
//! the Python source behind it; one that does not is found out.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::Value;
use toml_edit::{DocumentMut, value};
use tributary::domain::subject::gb11643_check_character;

use super::kit::{binary, check_at, python, script};

/// A process that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process and reads lines until one that starts so; gives that line.
fn until(command: &mut std::process::Command, start: &str) -> (Running, String) {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(child.spawn().unwrap());
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with(start));
    (running, line.unwrap_or_else(|| panic!("no line `{start}…`")))
}

pub struct City {
    home: PathBuf,
    federation: Value,
    _demo: Running,
    _folder: tempfile::TempDir,
}

impl City {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("city");
        let mut demo = binary();
        demo.args(["demo", "--serve", "--people", "60", "--grant-uses", "1000000"]);
        demo.args(["--deadline", "60s", "--dir"]).arg(&home);
        let (demo, _) = until(&mut demo, "The federation runs.");
        let text = std::fs::read_to_string(home.join("federation.json")).unwrap();
        let federation = serde_json::from_str(&text).unwrap();
        Self { home, federation, _demo: demo, _folder: folder }
    }

    fn agency(&self, id: &str) -> &Value {
        let agencies = self.federation["agencies"].as_array().unwrap();
        agencies.iter().find(|agency| agency["id"] == id).unwrap()
    }

    pub fn endpoint(&self, id: &str) -> String {
        self.agency(id)["endpoint"].as_str().unwrap().to_owned()
    }

    pub fn config(&self, id: &str) -> PathBuf {
        self.agency(id)["config"].as_str().unwrap().into()
    }

    /// Changes an agency's file.
    fn edit(&self, id: &str, change: impl FnOnce(&mut DocumentMut)) {
        let path = self.config(id);
        let mut document: DocumentMut = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        change(&mut document);
        std::fs::write(&path, document.to_string()).unwrap();
    }

    /// A plan for an agency, as docs/conformance.md has it.
    pub fn plan(&self, id: &str, items: &[&str], change: impl FnOnce(&mut DocumentMut)) -> PathBuf {
        let (home, consumer) = (self.home.display(), &self.federation["consumers"][0]);
        let certificate = consumer["certificate"].as_str().unwrap();
        let proof = Path::new(certificate).with_file_name("proof.pub.jwk");
        let text = format!(
            r#"
[enforcing]
agency = "{id}"
identity = "spiffe://{id}.city.example/agency/{id}"
catalogue = "{home}/catalogue"
issuer = {issuer}
consumer = {consumer_id}
proof_key = "{proof}"
purpose = "credit_profile"
known = [{known}]
unknown = "{nobody}"
items = {items:?}
revoked_within = "60s"
deadline = "20s"
other_role = {{ certificate = "{certificate}", key = {key} }}
[enforcing.link]
certificate = "{home}/certs/dev/gateway.city.example/gateway-main.pem"
key = "{home}/certs/dev/gateway.city.example/gateway-main.key"
[[enforcing.link.trust]]
domain = "{id}.city.example"
roles = ["agency"]
anchors = "{home}/certs/dev/{id}.city.example/ca.pem"
"#,
            issuer = self.federation["issuer"]["settings"],
            consumer_id = consumer["id"],
            proof = proof.display(),
            nobody = nobody(),
            known = self.federation["subjects"][0],
            key = consumer["key"],
        );
        let mut document: DocumentMut = text.parse().unwrap();
        change(&mut document);
        let path = self.home.join(format!("plan-{id}.toml"));
        std::fs::write(&path, document.to_string()).unwrap();
        path
    }
}

/// A well-formed number of no region, which the demo gives nobody.
fn nobody() -> String {
    let digits = "99999919000101999";
    format!("{digits}{}", gb11643_check_character(digits).unwrap())
}

pub const ITEMS: [&str; 2] = ["employment.current.started_on", "employment.current.employed"];

#[test]
fn our_agency_holds_and_one_that_is_closed_or_another_does_not() {
    let city = City::start();
    let endpoint = city.endpoint("employment");
    let plan = city.plan("employment", &ITEMS, |_| {});
    let found = check_at(&endpoint, "enforcing", &plan);
    assert_eq!((found.code, found.failed()), (0, vec![]), "{found:?}");
    assert_eq!(found.of("SKIPPED"), Vec::<u64>::new(), "{found:?}");
    assert!(found.of("PASSED").len() >= 40, "{found:?}");

    // Another agency than the one that is expected: nothing is sent to it.
    let other = check_at(&city.endpoint("traffic"), "enforcing", &plan);
    assert_eq!((other.code, other.failed()), (3, vec![201]), "{other:?}");
    assert!(other.of("PASSED").is_empty(), "{other:?}");

    // A grant whose person the agency does not know is no good record; a purpose
    // that it does not list, no good grant: each is found out by the good question.
    let plan = city.plan("employment", &ITEMS, |plan| {
        plan["enforcing"]["known"] = value(toml_edit::Array::from_iter([nobody()]));
    });
    let nobody = check_at(&endpoint, "enforcing", &plan);
    assert!(nobody.failed().contains(&220), "{nobody:?}");
    assert!(!nobody.failed().contains(&226), "{nobody:?}");

    // The kill switch: nothing is answered any more, and no refusal passes for one.
    city.edit("employment", |config| config["enabled"] = value(false));
    let plan = city.plan("employment", &ITEMS, |_| {});
    // Seen by whoever asks once it is turned, and that is no moment of ours.
    let closed = eventually(|| {
        let found = check_at(&endpoint, "enforcing", &plan);
        (found.failed().contains(&220)).then_some(found)
    });
    for number in [220, 226, 240, 244, 256, 270, 281, 283] {
        assert!(closed.failed().contains(&number), "{number}: {closed:?}");
    }
}

#[test]
fn the_python_source_behind_our_agency_holds() {
    let Some(python) = python() else { return };
    let city = City::start();
    let agency = city.agency("volunteering");
    let database = agency["database"].as_str().unwrap();
    let socket = format!("unix:{}", city.home.join("source.sock").display());
    let mut source = std::process::Command::new(python);
    source.arg(script("examples/python/agency.py")).args([&socket, database]);
    let (_source, _) = until(&mut source, "listening on");

    // The same file, with the service in the database's place.
    let pid = agency["pid"].to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    city.edit("volunteering", |config| {
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
    command.arg("agency").arg("--config").arg(city.config("volunteering"));
    let (_agency, line) = eventually(|| started(&mut command));
    let endpoint = line.rsplit(' ').next().unwrap();

    let items = ["volunteering.profile.registered", "volunteering.profile.star_grade"];
    let plan = city.plan("volunteering", &items, |plan| {
        // And the source itself, with the mapping of the agency.
        let mut source = toml_edit::Table::new();
        let people: toml_edit::Array = city.federation["subjects"]
            .as_array()
            .unwrap()
            .iter()
            .take(2)
            .map(|s| s.as_str().unwrap())
            .collect();
        source.insert("known", value(people));
        source.insert("unknown", value(nobody()));
        source.insert("mapping", value(city.config("volunteering").to_str().unwrap()));
        plan.insert("source", toml_edit::Item::Table(source));
    });
    let found = check_at(endpoint, "enforcing", &plan);
    assert_eq!((found.code, found.failed()), (0, vec![]), "{found:?}");
    let found = check_at(&socket, "source", &plan);
    assert_eq!((found.code, found.failed()), (0, vec![]), "{found:?}");
    let passed = found.of("PASSED");
    assert!(passed.contains(&140) && passed.contains(&141), "{found:?}");
}

/// The agency, once the one before it has let go of its log.
fn started(command: &mut std::process::Command) -> Option<(Running, String)> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(child.spawn().unwrap());
    let lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.contains("listening on"));
    line.map(|line| (running, line))
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
