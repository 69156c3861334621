//! Level `source` against the example in Python, and against variants of it with
//! one thing broken in each: every one fails the check that is about it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::kit::{Findings, check_at, python, script};

const SCHEMA: &str = "
create table job (person_id text not null primary key, level integer, share real, sector text,
  started_on text, updated_on text);
create table defaults (person_id text not null primary key, defaults integer, updated_on text);
insert into job values
  ('900000000000000011', 3, 0.5, 'G', '2020-02-29', '2025-01-15'),
  ('900000000000000027', 4, 1.5, 'P', null, '2025-01-15'),
  ('900000000000000043', 5, 2.5, 'P', '2021-01-01', '2025-01-15');
insert into defaults values ('900000000000000011', 0, '2025-01-15');
";

const PLAN: &str = r#"
[source]
known = ["900000000000000011", "900000000000000027"]
unknown = "900000000000000035"
deadline = "8s"
[[source.expect]]
query = "job"
subject = "900000000000000011"
cells = { level = 3, share = 0.5, sector = "G", started_on = "2020-02-29" }
"#;

/// Each broken variant, and the check that is about it. Others may see the same
/// fault from another side.
const BROKEN: &[(&str, u64)] = &[
    ("AllOrNothing", 115),
    ("CellMissing", 120),
    ("ControlCharacter", 124),
    ("DuplicateRow", 113),
    ("EveryoneForNobody", 117),
    ("FirstTen", 134),
    ("ForeignRow", 112),
    ("GoesAway", 137),
    ("Late", 134),
    ("Mixing", 136),
    ("NewDescription", 104),
    ("NoSuchDay", 125),
    ("NobodyIsAnError", 114),
    ("NotANumber", 123),
    ("NumbersAsText", 122),
    ("NumericSubject", 111),
    ("OrderIgnored", 121),
    ("PaddedSubject", 111),
    ("QueryTwice", 102),
    ("Restless", 126),
    ("SilentDescription", 101),
    ("Spliced", 119),
    ("SubjectAlone", 103),
    ("Talkative", 133),
    ("Trimming", 118),
    ("UnknownColumnNull", 131),
    ("UnknownKind", 105),
    ("UnknownQueryEmpty", 130),
    ("WithoutBound", 135),
    ("WrongValue", 142),
];

/// The variants, all served by one process.
struct Sources {
    folder: tempfile::TempDir,
    names: Vec<String>,
    child: Child,
}

impl Drop for Sources {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn database(folder: &Path) -> PathBuf {
    use sqlx::{ConnectOptions, Executor};

    let path = folder.join("work.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    options.connect().await.unwrap().execute(sqlx::raw_sql(SCHEMA)).await.unwrap();
    path
}

impl Sources {
    async fn start(python: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path()).await;
        std::fs::write(folder.path().join("plan.toml"), PLAN).unwrap();
        let mut child = Command::new(python)
            .arg(script("tests/python/broken_source.py"))
            .arg(folder.path())
            .arg(&database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let names: Vec<String> =
            lines.map(Result::unwrap).take_while(|line| line != "done").collect();
        assert!(!names.is_empty(), "the sources did not start");
        Self { folder, names, child }
    }

    fn check(&self, name: &str) -> Findings {
        let socket = self.folder.path().join(format!("{name}.sock"));
        let endpoint = format!("unix:{}", socket.display());
        check_at(&endpoint, "source", &self.folder.path().join("plan.toml"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_source_fails_the_check_that_is_about_it() {
    let Some(python) = python() else { return };
    let sources = Sources::start(&python).await;
    let honest = sources.check("Honest");
    assert_eq!((honest.code, honest.failed()), (0, vec![]), "{honest:?}");

    let mut wrong = String::new();
    for name in sources.names.iter().filter(|name| *name != "Honest") {
        let found = sources.check(name);
        let about = BROKEN.iter().find(|(known, _)| known == name).map(|(_, number)| *number);
        if !about.is_some_and(|about| found.failed().contains(&about)) || found.code != 3 {
            wrong += &format!("{name}: {:?}, without {about:?}\n", found.failed());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(BROKEN.len() >= 12, "{}", BROKEN.len());
    assert_eq!(sources.names.len(), BROKEN.len() + 1, "a variant without its checks");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_passes_and_its_end_is_a_finding() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path()).await;
    let plan = folder.path().join("plan.toml");
    std::fs::write(&plan, PLAN).unwrap();
    let endpoint = format!("unix:{}", folder.path().join("source.sock").display());
    let mut child = Command::new(&python)
        .arg(script("examples/python/agency.py"))
        .args([&endpoint, database.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on"), "{line}");
    let found = check_at(&endpoint, "source", &plan);
    assert_eq!((found.code, found.failed()), (0, vec![]), "{found:?}");
    assert!(found.of("PASSED").len() >= 30, "{found:?}");
    // What is not announced or not in the plan is skipped, and said.
    assert_eq!(found.of("SKIPPED"), [125, 140, 141]);
    child.kill().unwrap();
    child.wait().unwrap();
    let gone = check_at(&endpoint, "source", &plan);
    assert_eq!(gone.failed(), [101]);
    assert!(gone.why(110).contains("see check 101"), "{gone:?}");
}
