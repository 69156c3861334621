//! Many logs at once, in any of the ways in which they are named: two gateways, of which
//! one began a second log, and two agencies. What the tools hold does not grow with the
//! logs.
//!
//! `TRIBUTARY_TEST_SIZE` sets the records of each of the five logs, `TRIBUTARY_TEST_BINARY`
//! another program than that of this build; memory and rate of each tool are printed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use time::OffsetDateTime;
use tributary::config::policy::read_texts;
use tributary::domain::audit::{
    Blind, CountRecord, Counted, Decision, GrantId, Record, RequestId, RuleSet, SectionRecord,
    SigningKey, SubjectTag, Timestamp,
};
use tributary::domain::catalogue::AgencyId;
use tributary::domain::flows::federation::Federation;
use tributary::domain::item::ItemSet;
use tributary::domain::policy::engine::Engine;
use tributary::domain::purpose::{LegalBasis, PurposeCode};
use tributary::domain::section::SectionStatus;
use tributary::store::audit_log::{AuditLog, Options};
use tributary::store::enforced::Keeper;

use crate::support::{City, SCORING, stdout};

const SEED: [u8; 32] = [9; 32];

/// The tag of the one person whose page is written; they are in each log a few times.
const MINE: [u8; 32] = [7; 32];

/// What each log is about: its folder and origin, and of which agencies it has records.
/// The requests of the second begin where those of the first end.
const LOGS: [(&str, &str, &[&str], u64); 5] = [
    ("gateways/east-2026", "east.city.example/2026", &["lending", "education"], 0),
    ("gateways/east-2027", "east.city.example/2027", &["lending", "education"], 1),
    ("gateways/west", "west.city.example/2026", &["traffic"], 5),
    ("agencies/lending", "lending.city.example/2026", &["lending"], 0),
    ("agencies/education", "education.city.example/2026", &["education"], 0),
];

/// Five logs with so many records each, and all that the tools need beside them.
struct Many {
    city: City,
    federation: Federation,
    records: u64,
    /// When the first request was.
    began: u64,
}

impl Many {
    fn write(records: u64) -> Self {
        let city = City::new();
        let federation = city.load();
        // A log raises the times of its records to that at which it was begun.
        let began = Timestamp::new(tributary::clock::utc() + Duration::from_secs(3600)).0;
        let many = Self { city, federation, records, began };
        for (folder, origin, agencies, part) in LOGS {
            many.log(&many.city.path().join("audit").join(folder), origin, agencies, part);
        }
        let tag: String = MINE.iter().map(|byte| format!("{byte:02x}")).collect();
        many.city.write("tags", &tag);
        many
    }

    fn engine(&self, of: &str) -> &Engine {
        match self.federation.agencies.iter().find(|agency| agency.id.as_str() == of) {
            Some(agency) => &agency.own.as_ref().unwrap().house.engine,
            None => &self.federation.gateway.engine,
        }
    }

    fn log(&self, folder: &Path, origin: &str, agencies: &[&str], part: u64) {
        let of =
            if folder.parent().unwrap().ends_with("agencies") { agencies[0] } else { "gateway" };
        let engine = self.engine(of);
        std::fs::create_dir_all(folder).unwrap();
        let keeper = Keeper::new(folder, None);
        let texts = read_texts(&self.city.path().join("catalogue"), "toml").unwrap();
        keeper.know(engine.catalogue().digest(), texts);
        keeper.keep(engine, OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap()).unwrap();
        let options = Options {
            publish_every: Duration::from_millis(50),
            segment_bytes: 256 * 1024,
            ..Options::default()
        };
        let signing = SigningKey::from_seed(&SEED).unwrap();
        let log = AuditLog::open_with(folder, &origin.parse().unwrap(), signing, options).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let each = agencies.len() as u64;
        let first = part * self.records / each;
        let requests: Vec<u64> = (first..first + self.records / each).collect();
        for some in requests.chunks(400) {
            let appends = some.iter().map(|number| {
                let record = |agency: &&str| self.record(*number, agency, of, engine);
                log.append(agencies.iter().map(record).collect())
            });
            runtime.block_on(join_all(appends)).into_iter().for_each(|done| drop(done.unwrap()));
        }
        let sealed = || {
            let segments = std::fs::read_dir(folder.join("wal")).unwrap().count();
            let published = log.published().checkpoint().size == log.latest().checkpoint().size;
            published && segments <= 2
        };
        let end = tributary::clock::now() + Duration::from_secs(60);
        while !sealed() {
            assert!(tributary::clock::now() < end, "{folder:?} is not sealed");
            std::thread::sleep(Duration::from_millis(5));
        }
        log.close().unwrap();
    }

    fn record(&self, number: u64, agency: &str, of: &str, engine: &Engine) -> Record {
        let items: ItemSet = match agency {
            "lending" => self.federation.catalogue.select("lending.history.clean_months"),
            "education" => {
                self.federation.catalogue.select("education.award.competition_awards_count")
            }
            _ => self.federation.catalogue.select("traffic.licence.status"),
        }
        .unwrap();
        let mut blind = [0; 16];
        blind[..8].copy_from_slice(&number.to_be_bytes());
        let mut tag = [3; 32];
        tag[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let mine = number % (self.records / 4).max(1) == 1;
        SectionRecord {
            // Of the agencies a moment before the gateway's.
            time: Timestamp(self.began + number * 1_000 + u64::from(of == "gateway") * 300),
            request: RequestId::new(&format!(
                "{:016x}",
                number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ))
            .unwrap(),
            consumer: SCORING.parse().unwrap(),
            purpose: Some(PurposeCode::new("credit_profile").unwrap()),
            basis: Some(LegalBasis::Consent),
            grant: Some(GrantId::new(&format!("grant-{number}")).unwrap()),
            agency: AgencyId::new(agency),
            items,
            catalogue: self.federation.catalogue.digest(),
            decision: Decision::Section(SectionStatus::Ok),
            rules: Some(RuleSet::new(engine.digest().0, Vec::new()).unwrap()),
            subject: Some(SubjectTag::new(if mine { MINE } else { tag })),
            count: (of != "gateway").then(|| CountRecord {
                issuer: "spiffe://consent.city.example/issuer/consent".parse().unwrap(),
                window: 1,
                expires: 2_000_000_000,
                counted: Counted::Use(1),
            }),
            blind: Blind(blind),
        }
        .into()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.city.path().join(name)
    }

    fn keys(&self) -> Vec<String> {
        let key = |(_, origin, ..): &(&str, &str, &[&str], u64)| {
            let signing = SigningKey::from_seed(&SEED).unwrap();
            let key = signing.verifying_key(&origin.parse().unwrap()).unwrap().to_string();
            ["--key".to_owned(), key]
        };
        LOGS.iter().flat_map(key).collect()
    }

    /// Runs a command, `@` before a name for a path within the city; gives its output and
    /// the most memory that it had, in KiB.
    fn run(&self, arguments: &[&str]) -> (Output, u64) {
        let program = std::env::var("TRIBUTARY_TEST_BINARY");
        let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_tributary").to_owned());
        let argument = |text: &&str| match text.strip_prefix('@') {
            Some(name) => self.path(name).to_str().unwrap().to_owned(),
            None => (*text).to_owned(),
        };
        let out = self.path("out");
        let mut child = Command::new(program)
            .args(arguments.iter().map(argument))
            .args(self.keys())
            .stdout(std::fs::File::create(&out).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A peak only rises, so the last that is seen of it is the highest.
        let (mut peak, status) = (0, format!("/proc/{}/status", child.id()));
        while child.try_wait().unwrap().is_none() {
            let told = std::fs::read_to_string(&status).unwrap_or_default();
            let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            peak = peak.max(kib.unwrap_or(0));
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut output = child.wait_with_output().unwrap();
        output.stdout = std::fs::read(&out).unwrap();
        (output, peak)
    }
}

/// The four tools over all the logs, with their exit codes.
const TOOLS: [(&str, &[&str], i32); 4] = [
    ("audit verify", &["audit", "verify", "@audit"], 0),
    ("audit reconcile", &["audit", "reconcile", "--json", "@audit/gateways", "@audit/agencies"], 0),
    (
        "review drift",
        &["review", "drift", "@", "--log", "@audit/gateways", "--agency-log", "@audit"],
        // Some of what is declared was never released.
        2,
    ),
    (
        "subject report",
        &[
            "subject",
            "report",
            "--log",
            "@audit/gateways",
            "--log",
            "@audit/agencies",
            "--tags",
            "@tags",
            "--catalogue",
            "@catalogue",
            "-o",
            "@report.html",
        ],
        0,
    ),
];

/// The peak of each tool.
fn peaks(many: &Many) -> [u64; 4] {
    TOOLS.map(|(name, arguments, code)| {
        let began = tributary::clock::now();
        let (output, peak) = many.run(arguments);
        let took = began.elapsed().as_secs_f64();
        let told = stdout(&output);
        assert_eq!(output.status.code(), Some(code), "{name}: {told}");
        let records = many.records * LOGS.len() as u64;
        println!(
            "{name}: {records} records in {took:.1} s, {:.0} a second; peak {} MiB",
            records as f64 / took,
            peak / 1024
        );
        peak
    })
}

#[test]
fn the_tools_do_not_grow_with_the_logs() {
    if let Some(records) = std::env::var("TRIBUTARY_TEST_SIZE").ok().and_then(|is| is.parse().ok())
    {
        let peaks = peaks(&Many::write(records));
        assert!(peaks.iter().all(|peak| *peak <= 200 * 1024), "{peaks:?} KiB");
        return;
    }
    let (few, more) = (400, 6_000);
    let [small, large] = [few, more].map(|records| peaks(&Many::write(records)));
    // What grows with the records is 24 bytes each, and twice that of those that were
    // counted; a record that is held takes a kilobyte.
    let grown = (more - few) * LOGS.len() as u64 * 2 * 48 / 1024;
    let noise = 8 * 1024;
    for (((name, ..), small), large) in TOOLS.iter().zip(small).zip(large) {
        assert!(large <= small + grown + noise, "{name}: from {small} to {large} KiB");
    }
}

#[test]
fn five_logs_are_one_federation_however_they_are_named() {
    let many = Many::write(40);
    let (output, _) = many.run(&["audit", "verify", "@audit"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let origins: Vec<&str> = text.lines().filter_map(|line| line.strip_suffix(": sound")).collect();
    let mut sorted = LOGS.map(|(folder, origin, ..)| (folder, origin));
    sorted.sort_unstable();
    assert_eq!(origins, sorted.map(|(_, origin)| origin));
    assert!(text.ends_with("5 of 5 logs are sound\n"), "{text}");

    let reconcile = |logs: &[&str]| {
        let (output, _) = many.run(&[&["audit", "reconcile", "--json"], logs].concat());
        let report: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        (output.status.code(), report)
    };
    let whole = reconcile(&["@audit/gateways", "@audit/agencies"]);
    assert_eq!((whole.0, &whole.1["matched"]), (Some(0), &80.into()), "{whole:?}");
    let named = [
        "@audit/gateways/east-2027",
        "@audit/agencies/education",
        "@audit/agencies/lending",
        "@audit/agencies",
        "--gateway",
        "@audit/gateways/west",
        "--gateway",
        "@audit/gateways/east-2026",
    ];
    assert_eq!(reconcile(&named), whole);
    // Without the log of a year its releases are missing.
    let (code, report) = reconcile(&["@audit/gateways/east-2027", "@audit/agencies"]);
    assert_eq!((code, &report["omitted"]), (Some(2), &40.into()), "{report}");

    let (output, _) = many.run(TOOLS[2].1);
    let text = stdout(&output);
    assert!(text.contains("coverage    200 of 200 releases"), "{text}");
    assert!(text.contains("\n0 undeclared, 0 unreconciled"), "{text}");
    assert!(text.contains("Logs read: gateway, gateway (east.city.example/2027)"), "{text}");

    let (output, _) = many.run(TOOLS[3].1);
    assert!(output.status.success(), "{output:?}");
    let page = std::fs::read_to_string(many.path("report.html")).unwrap();
    for (_, origin, ..) in LOGS {
        assert!(page.contains(&format!("Log {origin},")), "{origin}");
    }

    // Each record says of which log it is.
    let mine: String = MINE.iter().map(|byte| format!("{byte:02x}")).collect();
    let search = ["audit", "search", "@audit/gateways", "--log", "@audit/agencies", "--tag", &mine];
    let (indexed, _) = many.run(&search);
    let (scanned, _) = many.run(&[&search[..], &["--scan"]].concat());
    assert_eq!(indexed.stdout, scanned.stdout);
    let text = stdout(&indexed);
    for (_, origin, agencies, _) in LOGS {
        let lines = text.lines().filter(|line| line.starts_with(&format!("{origin} "))).count();
        assert_eq!(lines, 4 / agencies.len() * agencies.len(), "{origin}: {text}");
    }
    let subject = ["audit", "subject", "@audit/gateways", "--tag", &mine, "--json"];
    let (output, _) = many.run(&subject);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let requests = report["requests"].as_array().unwrap();
    let logs: Vec<&str> =
        requests.iter().map(|asked| asked["agencies"][0]["log"].as_str().unwrap()).collect();
    assert!(logs.contains(&"east.city.example/2026") && logs.contains(&"west.city.example/2026"));
}

#[test]
fn one_bad_log_among_several_is_named_and_the_others_are_still_verified() {
    let many = Many::write(40);
    std::fs::write(many.path("audit/agencies/lending/checkpoint"), "no note").unwrap();
    let tile = many.path("audit/gateways/west/tile/0");
    let partial = std::fs::read_dir(tile.join("000.p")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&partial).unwrap();
    std::fs::write(&partial, vec![0; bytes.len()]).unwrap();
    let (output, _) = many.run(&["audit", "verify", "@audit"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let (text, errors) = (stdout(&output), String::from_utf8_lossy(&output.stderr));
    assert!(errors.contains("agencies/lending"), "{errors}");
    assert!(text.contains("west.city.example/2026: TAMPERED"), "{text}");
    assert!(text.ends_with("3 of 5 logs are sound\n"), "{text}");
    for (named, expected) in [
        (
            vec!["audit", "verify", "@policies"],
            "holds no audit log, and neither does a folder in it",
        ),
        (vec!["audit", "verify", "@audit", "@policies"], "policies"),
        (vec!["audit", "reconcile", "@audit/gateways", "@audit/agencies"], "agencies/lending"),
    ] {
        let (output, _) = many.run(&named);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{named:?} {output:?}");
        assert!(errors.contains(expected), "{named:?}: {errors}");
    }
}

#[test]
fn a_log_and_its_copy_are_not_counted_twice() {
    let many = Many::write(40);
    crate::kit::files::copy(
        &many.path("audit/gateways/west"),
        &many.path("audit/gateways/west-copy"),
    );
    // Each can be verified.
    let (output, _) = many.run(&["audit", "verify", "@audit", "--log", "@audit/gateways/west"]);
    assert!(stdout(&output).ends_with("6 of 6 logs are sound\n"), "{output:?}");
    for arguments in [
        vec!["audit", "search", "@audit"],
        vec!["audit", "reconcile", "@audit/gateways", "@audit/agencies"],
        vec!["review", "drift", "@", "--log", "@audit/gateways"],
    ] {
        let (output, _) = many.run(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert!(errors.contains("are both the log `west.city.example/2026`"), "{errors}");
    }
}
