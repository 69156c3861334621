//! Audit logs that go on in another folder while the federation runs: peers follow by the
//! notes that they pinned, no request is lost, and the old and the new log say together what
//! one log would have said.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use toml_edit::DocumentMut;
use tributary::wire::proto::pb;

use crate::kit::demo::City;
use crate::kit::files::replace;
use crate::kit::process::{Process, binary, signal};
use crate::kit::waiting::UNHURRIED as DEADLINE;
use crate::kit::waiting::{becomes, until};

const AGENCY: &str = "employment";
const ITEMS: [&str; 2] = ["employment.current.started_on", "lending.card.utilisation_ratio"];

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// A house whose log turns.
struct House<'a> {
    city: &'a City,
    /// As its files are named.
    domain: &'a str,
    config: &'a Path,
    /// Where its log is.
    log: PathBuf,
}

impl House<'_> {
    fn key(&self, name: &str) -> PathBuf {
        self.city.home.join("certs/dev").join(self.domain).join(name)
    }

    fn next(&self) -> PathBuf {
        self.log.with_file_name(format!("{}-2027", self.log.file_name().unwrap().display()))
    }

    /// Makes the next log ready, and gives the section for the configuration.
    fn make_ready(&self) -> String {
        let mut rotate = binary();
        rotate.args(["audit", "--json", "rotate", "--origin"]).arg(format!("{}/2027", self.domain));
        rotate.arg("--config").arg(self.config).arg("--folder").arg(self.next());
        let made = rotate.arg("--out").arg(self.key("audit-2027")).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        let told: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
        told["section"].as_str().unwrap().to_owned()
    }

    /// Every peer that pins its log pins the note too.
    fn hand_over(&self) {
        let (old, note) = (format!("{}/audit.vkey\"", self.domain), "audit-2027.successor");
        for file in configurations(&self.city.home) {
            let text = std::fs::read_to_string(&file).unwrap();
            let mut changed = String::new();
            for line in text.split_inclusive('\n') {
                match line.find(&old).filter(|_| line.trim_start().starts_with("logs")) {
                    None => changed.push_str(line),
                    Some(at) => {
                        let begin = line[..at].rfind('"').unwrap();
                        let end = at + old.len();
                        let path = &line[begin..end];
                        let next = path.replace("audit.vkey", note);
                        changed.push_str(&format!("{}, {next}{}", &line[..end], &line[end..]));
                    }
                }
            }
            if changed != text {
                replace(&file, &changed);
            }
        }
    }

    /// Puts the section in the place of the same keys.
    fn turn(&self, section: &str) {
        let mut document: DocumentMut =
            std::fs::read_to_string(self.config).unwrap().parse().unwrap();
        let section: DocumentMut = section.parse().unwrap();
        for (key, value) in section["audit"].as_table().unwrap() {
            document["audit"][key] = value.clone();
        }
        replace(self.config, &document.to_string());
    }

    fn verifies(&self) {
        for (log, key) in [(self.log.clone(), "audit.vkey"), (self.next(), "audit-2027.vkey")] {
            let verified = audit(&["verify"], &[&log, "--key".as_ref(), &self.key(key)]);
            assert_eq!(verified.status.code(), Some(0), "{}", said(&verified));
        }
    }
}

fn audit(args: &[&str], more: &[&Path]) -> Output {
    binary().arg("audit").args(args).args(more).output().unwrap()
}

/// Every configuration of the federation.
fn configurations(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(configurations(&path));
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            found.push(path);
        }
    }
    found
}

/// A receipt of a profile, as a file.
fn receipt(city: &City, name: &str) -> PathBuf {
    let file = city.home.join(name);
    let mut get = binary();
    get.args(["profile", "get", "--json", "--deadline", "60s", "--subject"]);
    get.arg(&city.described.subjects[0]);
    get.arg("--federation").arg(city.home.join("federation.json")).arg("--receipt").arg(&file);
    let got = get.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(got.status.code(), Some(0), "{}", said(&got));
    file
}

/// Whether the agency's section came.
async fn answers(city: &City, grant: &str) -> bool {
    let Ok(mut client) = city.try_client("scoring-service").await else {
        return false;
    };
    let answer = client.profile(grant, vec![ITEMS[0].to_owned()], DEADLINE).await;
    answer.is_ok_and(|answer| answer.sections.iter().all(|s| s.status() == pb::SectionStatus::Ok))
}

/// Requests without a pause; each section of each must be OK.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn start(city: &City) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = Vec::new();
        for person in 0..4 {
            let (mut client, grant) = (city.client().await, city.grant(person));
            let (stop, answered) = (stop.clone(), answered.clone());
            tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    let items = ITEMS.map(str::to_owned).to_vec();
                    let answer = client.profile(&grant, items, DEADLINE).await.unwrap();
                    for section in &answer.sections {
                        assert_eq!(section.status(), pb::SectionStatus::Ok, "{section:?}");
                    }
                    assert_eq!(answer.sections.len(), ITEMS.len());
                    assert!(answer.receipt.is_some(), "no record, no data");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { stop, answered, tasks }
    }

    async fn goes_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        let count = async || self.answered.load(Ordering::Relaxed);
        until("more answers", count, |now| *now >= before + 20).await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_71_logs_turn_under_load_and_peers_follow_by_the_notes_that_they_pinned() {
    let city = City::of(20, &["--grant-uses", "1000000"]);
    let gateway = House {
        city: &city,
        domain: "gateway.city.example",
        config: &city.described.gateway.config,
        log: city.home.join("audit/gateway"),
    };
    let domain = format!("{AGENCY}.city.example");
    let agency = House {
        city: &city,
        domain: &domain,
        config: city.config_of(AGENCY),
        log: city.home.join("audit").join(AGENCY),
    };
    let load = Load::start(&city).await;
    let seen = async |origin: String| city.health(&format!("log/{origin}")).await;
    becomes("the agency's log", "SERVING", async || seen(format!("{domain}/2026")).await).await;
    let before = receipt(&city, "before.json");

    for (house, process) in [(&agency, AGENCY), (&gateway, "gateway")] {
        let section = house.make_ready();
        house.hand_over();
        load.goes_on().await;
        house.turn(&section);
        city.logs(process, "the audit log goes on in another folder", 1).await;
        load.goes_on().await;
    }
    // The gateway has seen the agency's next log, and that it goes on from the one before.
    becomes("the agency's next log", "SERVING", async || seen(format!("{domain}/2027")).await)
        .await;
    let after = receipt(&city, "after.json");
    load.goes_on().await;
    load.end().await;
    for (process, wrong) in ["gateway", AGENCY].into_iter().flat_map(|process| {
        ["LOG_NOT_PINNED", "LOG_FORKED", "LOG_KEPT", "LOG_NOT_SIGNED"].map(|w| (process, w))
    }) {
        let log = city.log(process);
        assert!(!log.contains(wrong), "{process}: {wrong}\n{log}");
    }

    // What belongs to the next log takes a restart from now on, as it did with the old one.
    let changed = std::fs::read_to_string(agency.config).unwrap();
    let mut document: DocumentMut = changed.parse().unwrap();
    document["audit"]["key"] = toml_edit::value("elsewhere.seed");
    replace(agency.config, &document.to_string());
    city.logs(AGENCY, "RESTART_NEEDED", 1).await;
    replace(agency.config, &changed);
    city.logs(AGENCY, "every key that takes a restart is as it is in force", 1).await;

    // Receipts of both sides of the turn.
    for (receipt, key) in [(&before, "audit.vkey"), (&after, "audit-2027.vkey")] {
        let checked = audit(&["check-receipt"], &[receipt, "--key".as_ref(), &gateway.key(key)]);
        assert!(checked.status.success(), "{}", said(&checked));
    }
    // Both logs of both verify, and together they say the same of each other.
    for house in [&gateway, &agency] {
        house.verifies();
    }
    let lending = House {
        city: &city,
        domain: "lending.city.example",
        config: city.config_of("lending"),
        log: city.home.join("audit/lending"),
    };
    let mut reconcile = vec![gateway.log.clone(), agency.log.clone(), agency.next()];
    reconcile.extend([lending.log.clone(), "--gateway".into(), gateway.next()]);
    let keys = [&gateway, &agency]
        .into_iter()
        .flat_map(|house| ["audit.vkey", "audit-2027.vkey"].map(|name| house.key(name)));
    let keys: Vec<PathBuf> = keys.chain([lending.key("audit.vkey")]).collect();
    reconcile.extend(keys.iter().flat_map(|key| ["--key".into(), key.clone()]));
    let reconcile: Vec<&Path> = reconcile.iter().map(PathBuf::as_path).collect();
    // The last records of the running ones are published within a second or so.
    let agree = async || {
        let reconciled = audit(&["reconcile"], &reconcile);
        (reconciled.status.code(), said(&reconciled))
    };
    until("logs that agree", agree, |(code, _)| *code == Some(0)).await;

    // Nor does any release in either log lie outside of what the rules declare.
    let mut drift = vec!["--log".into(), gateway.log.clone(), "--log".into(), gateway.next()];
    for log in [agency.log.clone(), agency.next(), lending.log.clone()] {
        drift.extend(["--agency-log".into(), log]);
    }
    drift.extend(keys.iter().flat_map(|key| ["--key".into(), key.clone()]));
    let declared = async || {
        said(&binary().args(["review", "drift"]).arg(&city.home).args(&drift).output().unwrap())
    };
    let nothing = "0 undeclared, 0 unreconciled";
    until("no drift", declared, |said| said.contains(nothing)).await;
}

/// It was killed with the new section in its file: the old log is ended at the start, what it
/// has of uses is counted, and the next one goes on from it.
#[tokio::test(flavor = "multi_thread")]
async fn row_71_a_process_that_was_killed_turns_its_log_at_the_next_start() {
    let city = City::of(20, &["--grant-uses", "3"]);
    let domain = format!("{AGENCY}.city.example");
    let agency = House {
        city: &city,
        domain: &domain,
        config: city.config_of(AGENCY),
        log: city.home.join("audit").join(AGENCY),
    };
    let grant = city.grant(0);
    for _ in 0..2 {
        assert!(answers(&city, &grant).await);
    }
    let section = agency.make_ready();
    agency.hand_over();
    let pid = city.entry(AGENCY).pid;
    signal(pid, "KILL");
    agency.turn(&section);
    let again = Process::role("agency", agency.config);
    becomes("the agency's next log", "SERVING", async || {
        city.health(&format!("log/{domain}/2027")).await
    })
    .await;
    // The third use is the last: none was given back.
    until("its section", async || answers(&city, &grant).await, |came| *came).await;
    assert!(!answers(&city, &grant).await);
    drop(again);
    agency.verifies();
}
