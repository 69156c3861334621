//! Parties that come, move and go by files of their own, while the federation runs: nobody
//! restarts anything, and what others ask is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use toml_edit::{ArrayOfTables, DocumentMut, Item, Table};
use tributary::app::client::ClientError;
use tributary::app::reviewer::ReviewClient;
use tributary::config::agency::AgencyConfig;
use tributary::wire::proto::pb;

use crate::kit::demo::City;
use crate::kit::files::replace;
use crate::kit::process::{Process, binary, signal};
use crate::kit::waiting::Reserved;
use crate::kit::waiting::UNHURRIED as DEADLINE;
use crate::kit::waiting::{becomes, until};

const HOUSE: &str = "volunteering";
const DOMAIN: &str = "volunteering.city.example";
const ITEM: &str = "volunteering.profile.star_grade";
const OTHERS: [(&str, &str); 2] = [
    ("employment", "employment.current.started_on"),
    ("lending", "lending.card.utilisation_ratio"),
];
const PARTY: &str = "agencies.d/volunteering.toml";
const ISSUER: &str = "spiffe://consent.city.example/issuer/consent-service";

fn edit(file: &Path, change: impl FnOnce(&mut DocumentMut)) {
    let mut document: DocumentMut = std::fs::read_to_string(file).unwrap().parse().unwrap();
    change(&mut document);
    replace(file, &document.to_string());
}

fn take(tables: &mut Item, about: &str) {
    tables.as_array_of_tables_mut().unwrap().retain(|entry| !entry.to_string().contains(about));
}

/// Takes an agency out of the gateway's own file, which includes a folder from then on.
fn take_out(document: &mut DocumentMut, id: &str, domain: &str) {
    take(&mut document["agency"], &format!("\"{id}\""));
    take(&mut document["link"]["trust"], domain);
    take(&mut document["audit"]["peer"], domain);
    // Whom an issuer may open stands with each agency from then on.
    let issuers = document["grants"]["issuer"].as_array_of_tables_mut().unwrap();
    issuers.get_mut(0).unwrap().remove("agencies");
    for agency in document["agency"].as_array_of_tables_mut().unwrap().iter_mut() {
        agency["issuers"] = toml_edit::value(toml_edit::Array::from_iter([ISSUER]));
    }
    document["include"] = toml_edit::value("agencies.d/*.toml");
}

/// The party file of an agency.
fn party(id: &str, endpoint: &str, logs: &[String]) -> String {
    let domain = format!("{id}.city.example");
    let identity = format!("spiffe://{domain}/agency/{id}");
    let logs: Vec<String> =
        logs.iter().map(|log| format!("\"../certs/dev/{domain}/{log}\"")).collect();
    format!(
        "[[agency]]\nid = \"{id}\"\nidentity = \"{identity}\"\nendpoint = \"{endpoint}\"\n\
         issuers = [\"{ISSUER}\"]\n\n[[link.trust]]\ndomain = \"{domain}\"\nroles = [\"agency\"]\n\
         anchors = \"../certs/dev/{domain}/ca.pem\"\n\n[[audit.peer]]\nidentity = \"{identity}\"\n\
         logs = [{}]\n",
        logs.join(", ")
    )
}

fn own_log() -> Vec<String> {
    vec!["audit.vkey".to_owned()]
}

/// The status of an agency's section, and `absent` where it has none.
fn section(answer: &pb::GetProfileResponse, agency: &str) -> String {
    match answer.sections.iter().find(|section| section.agency == agency) {
        None => "absent".to_owned(),
        Some(report) => {
            let status = report.status().as_str_name().trim_start_matches("SECTION_STATUS_");
            format!("{status} {}", report.reason).trim_end().to_owned()
        }
    }
}

fn items() -> Vec<String> {
    OTHERS.iter().map(|(_, item)| (*item).to_owned()).chain([ITEM.to_owned()]).collect()
}

/// On a connection of its own: one that nobody uses is closed after a while.
async fn seen(city: &City, grant: &str, agency: &str) -> String {
    let mut client = city.client().await;
    section(&client.profile(grant, items(), DEADLINE).await.unwrap(), agency)
}

/// Requests without a pause, and what came of them.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    /// What others' sections said that was not OK.
    lost: Arc<Mutex<Vec<String>>>,
    /// What the house's own sections said.
    own: Arc<Mutex<BTreeSet<String>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn start(city: &City) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            answered: Arc::default(),
            lost: Arc::default(),
            own: Arc::default(),
            tasks: Vec::new(),
        };
        for person in 0..4 {
            let (mut client, grant) = (city.client().await, city.grant(person));
            let (stop, answered) = (load.stop.clone(), load.answered.clone());
            let (lost, own) = (load.lost.clone(), load.own.clone());
            load.tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    match client.profile(&grant, items(), DEADLINE).await {
                        Err(error) => {
                            lost.lock().unwrap().push(error.to_string());
                            return;
                        }
                        Ok(answer) => {
                            for (agency, _) in OTHERS {
                                let found = section(&answer, agency);
                                if found != "OK" {
                                    lost.lock().unwrap().push(format!("{agency}: {found}"));
                                }
                            }
                            own.lock().unwrap().insert(section(&answer, HOUSE));
                        }
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        load
    }

    /// Waits until some more requests were answered.
    async fn goes_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        let count = async || self.answered.load(Ordering::Relaxed);
        until("more answers", count, |now| *now >= before + 20).await;
    }

    /// What the house's own sections said since the last time.
    fn own(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.own.lock().unwrap())
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.unwrap();
        }
        let lost = self.lost.lock().unwrap();
        assert!(lost.is_empty(), "of others' requests were lost: {lost:#?}");
        self.answered.load(Ordering::Relaxed)
    }
}

/// Every file of the federation's houses, but their databases, logs and records.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kept = ["audit", "data", "logs", "state", "grants"];
        if path.is_dir() {
            if !kept
                .iter()
                .any(|name| path.file_name().unwrap().to_string_lossy().starts_with(name))
            {
                found.extend(files(&path));
            }
        } else if !path.to_string_lossy().contains("sd-jwt") {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn issue(city: &City, out: &Path) -> Output {
    let settings = &city.described.issuer.settings;
    let mut issue = binary();
    issue.args(["grant", "issue", "--settings"]).arg(settings).arg("--request");
    issue.arg(city.home.join("consent/credit_profile.toml")).arg("--out").arg(out);
    let mut issue =
        issue.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let person = city.described.subjects[5].as_bytes();
    issue.stdin.take().unwrap().write_all(person).unwrap();
    issue.wait_with_output().unwrap()
}

/// A second process of the house, with a log and counters of its own.
fn second(city: &City) -> (Process, String) {
    let config = city.config_of(HOUSE).with_file_name("volunteering-2.toml");
    std::fs::copy(city.config_of(HOUSE), &config).unwrap();
    edit(&config, |document| {
        document["listen"] = toml_edit::value("127.0.0.1:0");
        document["audit"]["folder"] = toml_edit::value("../audit/volunteering-2");
        document["audit"]["origin"] = toml_edit::value("volunteering.city.example/2027");
        document["counters"]["url"] = toml_edit::value("sqlite:../data/volunteering-2.db");
    });
    let (read, _) = AgencyConfig::load(&config).unwrap();
    let keys = read.audit.keys().unwrap();
    let key = keys.signing.verifying_key(&keys.origin).unwrap().to_string();
    let file = city.home.join("certs/dev").join(DOMAIN).join("second.vkey");
    std::fs::write(file, format!("{key}\n")).unwrap();
    (Process::role("agency", &config), "second.vkey".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn row_70_an_agency_comes_moves_gets_a_new_log_key_and_goes_under_load() {
    let city = City::of(60, &["--grant-uses", "1000000"]);
    let (gateway, issuer) = (&city.described.gateway, &city.described.issuer);
    for folder in ["agencies.d", "consent/agencies.d"] {
        std::fs::create_dir(city.home.join(folder)).unwrap();
    }
    edit(&gateway.config, |document| take_out(document, HOUSE, DOMAIN));
    edit(&issuer.settings, |document| {
        take(&mut document["sealing"], HOUSE);
        document["include"] = toml_edit::value("agencies.d/*.toml");
    });
    let grant = city.grant(6);
    becomes("the house's end", "absent", async || seen(&city, &grant, HOUSE).await).await;
    let own_grant = city.home.join("own.sd-jwt");
    let refused = issue(&city, &own_grant);
    assert!(!refused.status.success() && !own_grant.exists());

    let before = files(&city.home);
    let load = Load::start(&city).await;
    load.goes_on().await;
    assert_eq!(load.own(), BTreeSet::from(["absent".to_owned()]));

    // It comes: one file at the gateway, one at the issuer.
    let file = city.home.join(PARTY);
    let first = &city.entry(HOUSE).endpoint;
    replace(&file, &party(HOUSE, first, &own_log()));
    replace(
        &city.home.join("consent").join(PARTY),
        &format!(
            "[[sealing]]\nagency = \"{HOUSE}\"\nkid = \"2026-1\"\n\
             file = \"../../certs/dev/{DOMAIN}/sealing.pub.jwk\"\n"
        ),
    );
    becomes("the house's section", "OK", async || seen(&city, &grant, HOUSE).await).await;
    becomes("its health", "SERVING", async || city.health("agency/volunteering").await).await;
    becomes("its log", "SERVING", async || city.health("log/volunteering.city.example/2026").await)
        .await;
    let issued = issue(&city, &own_grant);
    assert!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
    let own = std::fs::read_to_string(&own_grant).unwrap();
    assert_eq!(seen(&city, own.trim(), HOUSE).await, "OK");
    load.goes_on().await;

    // It moves, and its old process ends.
    let (second, key) = second(&city);
    let address = second.address().to_string();
    replace(&file, &party(HOUSE, &address, &own_log()));
    city.logs("gateway", "LOG_NOT_PINNED", 1).await;
    load.goes_on().await;
    signal(city.entry(HOUSE).pid, "TERM");
    load.goes_on().await;

    // Its new log's key.
    replace(&file, &party(HOUSE, &address, &[key]));
    becomes("its new log", "SERVING", async || {
        city.health("log/volunteering.city.example/2027").await
    })
    .await;
    becomes("the old log's end", "NotFound", async || {
        city.health("log/volunteering.city.example/2026").await
    })
    .await;
    load.goes_on().await;
    let said = load.own();
    let well: BTreeSet<String> = ["OK", "absent"].map(str::to_owned).into();
    assert!(said.is_subset(&well), "it came and moved, and {said:?}");

    // What was touched outside its own house.
    let mut touched: Vec<PathBuf> = files(&city.home)
        .into_iter()
        .filter(|(path, text)| before.get(path) != Some(text))
        .map(|(path, _)| path.strip_prefix(&city.home).unwrap().to_owned())
        .collect();
    touched.retain(|path| {
        let own = ["agencies/volunteering-2.toml", "certs/dev/volunteering.city.example/"];
        !own.iter().any(|own| path.to_string_lossy().starts_with(own))
    });
    let expected = [PARTY.to_owned(), format!("consent/{PARTY}")].map(PathBuf::from);
    assert_eq!(touched, expected);

    // It goes.
    std::fs::remove_file(&file).unwrap();
    becomes("the house's end", "absent", async || seen(&city, &grant, HOUSE).await).await;
    becomes("its health", "NotFound", async || city.health("agency/volunteering").await).await;
    load.goes_on().await;
    let answered = load.end().await;
    assert!(answered >= 100, "{answered} requests are no load");
    let others = city.described.agencies.iter().filter(|agency| agency.id != HOUSE);
    for pid in others.map(|agency| agency.pid).chain([gateway.pid, issuer.pid]) {
        // Still the process that was there at the beginning.
        signal(pid, "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_70_a_bad_party_file_leaves_the_last_good_one_and_holds_up_no_other() {
    let city = City::of(60, &["--grant-uses", "1000000"]);
    std::fs::create_dir(city.home.join("agencies.d")).unwrap();
    let grant = city.grant(0);
    let of = |id: &str| city.home.join(format!("agencies.d/{id}.toml"));
    let whole = |id: &str| party(id, &city.entry(id).endpoint, &own_log());
    let main = &city.described.gateway.config;

    // It stands in two places: both are named, and the main file's is in force.
    edit(main, |document| {
        document["include"] = toml_edit::value("agencies.d/*.toml");
    });
    replace(&of(HOUSE), &whole(HOUSE));
    city.logs("gateway", "PARTY_KEPT", 1).await;
    let log = city.log("gateway");
    let told = log.lines().find(|line| line.contains("PARTY_KEPT")).unwrap();
    assert!(told.contains("agencies.d/volunteering.toml:2"), "{told}");
    assert!(told.contains("gateway.toml:") && told.contains("nothing of it is in force"), "{told}");
    let load = Load::start(&city).await;
    load.goes_on().await;

    // Out of the main file, and in force by its own, with no request of its lost.
    replace(&of("lending"), &whole("lending"));
    edit(main, |document| {
        take_out(document, HOUSE, DOMAIN);
        take_out(document, "lending", "lending.city.example");
    });
    city.logs("gateway", "a party file is in force", 2).await;
    load.goes_on().await;
    assert_eq!(load.own(), BTreeSet::from(["OK".to_owned()]));

    // A bad one stays as it was, and what is gone beside it is gone.
    replace(&of("traffic"), "[[link.trust]]\ndomain = \"nobody.example\"\nroles = [\"agency\"]\n");
    replace(&of(HOUSE), &whole(HOUSE).replace("identity", "identty"));
    city.logs("gateway", "PARTY_KEPT", 3).await;
    std::fs::remove_file(of("lending")).unwrap();
    let lending = async || seen(&city, &grant, "lending").await;
    becomes("the end of a good one", "absent", lending).await;
    assert_eq!(seen(&city, &grant, HOUSE).await, "OK");
    load.stop.store(true, Ordering::Release);

    // What cannot be read stays as well.
    std::fs::remove_file(of(HOUSE)).unwrap();
    std::fs::create_dir(of(HOUSE)).unwrap();
    replace(&of("lending"), &whole("lending"));
    let lending = async || seen(&city, &grant, "lending").await;
    becomes("the return of a good one", "OK", lending).await;
    assert_eq!(seen(&city, &grant, HOUSE).await, "OK");
    let log = city.log("gateway");
    assert!(log.contains("it is a folder and no regular file"), "{log}");

    // A main file that cannot be used keeps nobody whose file is gone.
    replace(main, "listen = 3");
    city.logs("gateway", "TRUST_KEPT", 1).await;
    std::fs::remove_dir(of(HOUSE)).unwrap();
    becomes("its end", "absent", async || seen(&city, &grant, HOUSE).await).await;
    assert_eq!(seen(&city, &grant, "lending").await, "OK");
}

/// Puts what somebody hands over into a folder.
fn put(handed: &Path, folder: &Path) {
    for entry in std::fs::read_dir(handed).unwrap() {
        let path = entry.unwrap().path();
        let to = folder.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            put(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_70_a_new_house_needs_its_records_and_its_rules_and_hands_two_folders_over() {
    let city = City::of(60, &["--grant-uses", "1000000"]);
    let (gateway, issuer) = (&city.described.gateway, &city.described.issuer);
    edit(&gateway.config, |document| take_out(document, HOUSE, DOMAIN));
    edit(&issuer.settings, |document| {
        take(&mut document["sealing"], HOUSE);
        document["include"] = toml_edit::value("agencies.d/*.toml");
    });
    let house = city.home.join("house");
    let port = Reserved::new();
    let address = port.address().to_string();
    let new = |dir: &Path, id: &str| {
        let mut new = binary();
        new.args(["agency", "new", "--id", id, "--domain", "house.city.example"]);
        new.args(["--endpoint", &address, "--listen", &address, "--dir"]).arg(dir);
        new.arg("--like").arg(city.config_of("lending")).output().unwrap()
    };
    // Nothing is made where it would be refused, and nothing is ever replaced.
    let refused = new(&house, "parks");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("owns no item of the catalogue; it knows"), "{told}");
    let before = std::fs::read_dir(&city.home).unwrap().count();
    assert!(new(&house, HOUSE).status.success());
    assert_eq!(std::fs::read_dir(&city.home).unwrap().count(), before + 1);
    assert!(!new(&house, HOUSE).status.success());

    // Its records, and its own rules.
    let old = std::fs::read_to_string(city.config_of(HOUSE)).unwrap();
    let records = old.find("[source.sql]").unwrap();
    let config = house.join("volunteering.toml");
    let own = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{own}{}", &old[records..])).unwrap();
    let rules = city.home.join("policies/agencies/volunteering.cedar");
    std::fs::copy(rules, house.join("policy/rules.cedar")).unwrap();
    let mut check = binary();
    let checked = check.args(["agency", "check", "--whole", "-c"]).arg(&config).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    for file in files(&house).into_keys() {
        let public = file.metadata().unwrap().permissions().mode() & 0o077 != 0;
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let private = [".key", ".seed"].iter().any(|ending| name.ends_with(ending));
        assert!(!(public && (private || name == "sealing.jwk")), "{name} is for its owner alone");
    }

    // What it hands over is put in place as it stands.
    for (whose, folder) in [("gateway", "agencies.d"), ("issuer", "consent/agencies.d")] {
        std::fs::create_dir_all(city.home.join(folder)).unwrap();
        put(&house.join("hand-over").join(whose).join("agencies.d"), &city.home.join(folder));
    }
    let _served = Process::role("agency", &config);
    let own_grant = city.home.join("own.sd-jwt");
    let issued = issue(&city, &own_grant);
    assert!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
    let own = std::fs::read_to_string(&own_grant).unwrap();
    becomes("the house's section", "OK", async || seen(&city, own.trim(), HOUSE).await).await;
    becomes("its log", "SERVING", async || {
        let year = config_year(&config);
        city.health(&format!("log/house.city.example/{year}")).await
    })
    .await;
}

/// The year that a house's log is named after.
fn config_year(config: &Path) -> String {
    let (read, _) = AgencyConfig::load(config).unwrap();
    read.audit.origin.rsplit_once('/').unwrap().1.to_owned()
}

/// Moves entries of a list of tables from a document into a party file's text.
fn moved(document: &mut DocumentMut, section: &str, list: &str, about: &str) -> String {
    let entries = document[section][list].as_array_of_tables_mut().unwrap();
    let mut only = ArrayOfTables::new();
    for entry in entries.iter().filter(|entry| entry.to_string().contains(about)) {
        only.push(entry.clone());
    }
    entries.retain(|entry| !entry.to_string().contains(about));
    let (mut party, mut table) = (DocumentMut::new(), Table::new());
    table.set_implicit(true);
    table.insert(list, Item::ArrayOfTables(only));
    party.insert(section, Item::Table(table));
    // One folder further down.
    let text = party.to_string().replace("\"../certs/", "\"../../certs/");
    text.replace("\"certs/", "\"../certs/").replace("\"consent/", "\"../consent/")
}

#[tokio::test(flavor = "multi_thread")]
async fn row_70_consumers_issuers_reviewers_and_gateways_come_and_go_under_load() {
    let city = City::of(60, &["--grant-uses", "1000000"]);
    let main = &city.described.gateway.config;
    let folder = city.home.join("parties.d");
    std::fs::create_dir(&folder).unwrap();
    let (mut client, grant) = (city.client().await, city.grant(6));
    let consumer = city.described.consumers[0].id.clone();
    let board = &city.described.reviewers[0];
    let address = city.address(board.certificate.clone(), board.key.clone());
    let mut reviewer = ReviewClient::connect(&address, "gateway.city.example/2026").await.unwrap();
    let mut may_prove = async || match reviewer.checkpoint().await {
        Ok(_) => "OK".to_owned(),
        Err(ClientError::Refused { reason, .. }) => reason,
        Err(error) => panic!("{error}"),
    };
    let mut asks = async || city.at_gateway(&mut client, &grant, OTHERS[0].1).await;
    assert_eq!((asks().await, may_prove().await), ("OK".to_owned(), "OK".to_owned()));

    let (mut issuers, mut reviewers) = (String::new(), String::new());
    edit(main, |document| {
        document["include"] = toml_edit::value("parties.d/*.toml");
        issuers = moved(document, "grants", "issuer", ISSUER);
        reviewers = moved(document, "review", "reviewer", "board");
    });
    becomes("the issuer's end", "GRANT_ISSUER", &mut asks).await;
    becomes("the reviewer's end", "REVIEW_DENIED", &mut may_prove).await;

    // Each by a file of its own, in any order.
    replace(&folder.join("review.toml"), &reviewers);
    becomes("the reviewer's return", "OK", &mut may_prove).await;
    let without = issuers.replace(&format!("\"{consumer}\","), "");
    assert_ne!(without, issuers, "{issuers}");
    replace(&folder.join("consent.toml"), &without);
    becomes("the consumer's lack", "GRANT_ISSUER_SCOPE", &mut asks).await;
    let file = folder.join("scoring.toml");
    replace(&file, &format!("[[consumer]]\nid = \"{consumer}\"\nissuers = [\"{ISSUER}\"]\n"));
    becomes("the consumer's return", "OK", &mut asks).await;
    std::fs::remove_file(&file).unwrap();
    becomes("the consumer's end", "GRANT_ISSUER_SCOPE", &mut asks).await;
    replace(&folder.join("consent.toml"), &issuers);
    becomes("the consumer by the issuer's own entry", "OK", &mut asks).await;

    // An agency's gateways, by files of its own.
    let agency = city.config_of(HOUSE);
    std::fs::create_dir(agency.with_file_name("gateways.d")).unwrap();
    let load = Load::start(&city).await;
    load.goes_on().await;
    let (mut trust, mut peer) = (String::new(), String::new());
    let own_grant = city.grant(7);
    edit(agency, |document| {
        document["include"] = toml_edit::value("gateways.d/*.toml");
        trust = moved(document, "link", "trust", "gateway.city.example");
        peer = moved(document, "audit", "peer", "gateway.city.example");
    });
    let is_lost = |seen: &String| seen.starts_with("UNAVAILABLE");
    until("the gateway's end", async || seen(&city, &own_grant, HOUSE).await, is_lost).await;
    replace(&agency.with_file_name("gateways.d").join("main.toml"), &format!("{trust}\n{peer}"));
    becomes("its return", "OK", async || seen(&city, &own_grant, HOUSE).await).await;
    load.goes_on().await;
    load.end().await;
    for pid in city.described.agencies.iter().map(|agency| agency.pid) {
        signal(pid, "0");
    }
}
