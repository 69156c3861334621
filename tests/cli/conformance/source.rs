//! Level `source` against the example in Python, and against variants of it with
//! one thing broken in each: every one fails the check that is about it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use toml_edit::{DocumentMut, value};

use super::kit::{Findings, check_at, checks, python, script};
use crate::kit::process::Process;

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
mapping = "employment.toml"
known = ["900000000000000011", "900000000000000027"]
unknown = "900000000000000035"
deadline = "8s"
[[source.expect]]
query = "job"
subject = "900000000000000011"
cells = { level = 3, share = 0.5, sector = "G", started_on = "2020-02-29" }
"#;

/// What the demo's agency asks of its service, but for a catalogue of its own.
const QUERY: &str = r#"
[source.grpc]
endpoint = "unix:elsewhere.sock"
[[query]]
name = "job"
subject = "person_id"
as_of = "updated_on"
[query.items]
"work.job.level" = "level"
"work.job.share" = "share"
"work.job.started_on" = "started_on"
"work.job.sector" = { column = "sector", codes = { G = "public", P = "private" } }
"#;

/// Each broken variant, and the check that is about it. Others may see the same
/// fault from another side.
const BROKEN: &[(&str, u64)] = &[
    ("AllOrNothing", 115),
    ("BatchedOtherwise", 116),
    ("CellMissing", 120),
    ("ColumnWithheld", 140),
    ("ControlCharacter", 124),
    ("DuplicateRow", 113),
    ("EveryoneForNobody", 117),
    ("EverythingForNoColumn", 132),
    ("FirstTen", 134),
    ("ForeignRow", 112),
    ("Forgetful", 110),
    ("GoesAway", 137),
    ("Late", 134),
    ("Lenient", 138),
    ("LonelyColumn", 127),
    ("MisfitValue", 141),
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

fn database(folder: &Path) -> PathBuf {
    let path = folder.join("work.db");
    crate::kit::sqlite_file::run(&path, SCHEMA);
    path
}

/// The plan, and the agency's file that it names.
fn plan(folder: &Path) -> PathBuf {
    let catalogue = folder.join("catalogue");
    std::fs::create_dir(&catalogue).unwrap();
    std::fs::copy(script("tests/source/catalogue.toml"), catalogue.join("work.toml")).unwrap();
    let text = std::fs::read_to_string(script("examples/city/agencies/employment.toml")).unwrap();
    let mut agency: DocumentMut = text.parse().unwrap();
    agency["catalogue"] = value("catalogue");
    // Numbers that are nobody's have no right check digit.
    agency["subject"].as_table_mut().unwrap().remove("check_digit");
    let own: DocumentMut = QUERY.parse().unwrap();
    for key in ["source", "query"] {
        agency[key] = own[key].clone();
    }
    std::fs::write(folder.join("employment.toml"), agency.to_string()).unwrap();
    let plan = folder.join("plan.toml");
    std::fs::write(&plan, PLAN).unwrap();
    plan
}

impl Sources {
    fn start(python: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path());
        plan(folder.path());
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
    let sources = Sources::start(&python);
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
    let mut unseen = checks("source");
    unseen.retain(|number| !BROKEN.iter().any(|(_, about)| about == number));
    assert_eq!(unseen, Vec::<u64>::new(), "checks that no broken source fails");
    assert_eq!(sources.names.len(), BROKEN.len() + 1, "a variant without its checks");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_passes_and_its_end_is_a_finding() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let database = database(folder.path());
    let plan = plan(folder.path());
    let endpoint = format!("unix:{}", folder.path().join("source.sock").display());
    // Ended with the test, also when it fails.
    let mut source = Command::new(&python);
    source.arg(script("examples/python/agency.py")).arg(&endpoint).arg(&database);
    let source = Process::listening(&mut source);
    let found = check_at(&endpoint, "source", &plan);
    assert_eq!((found.code, found.failed()), (0, vec![]), "{found:?}");
    assert!(found.of("PASSED").len() >= 30, "{found:?}");
    // What is not announced or not in the plan is skipped, and said.
    assert_eq!(found.of("SKIPPED"), [125]);
    drop(source);
    let gone = check_at(&endpoint, "source", &plan);
    assert_eq!(gone.failed(), [101, 140, 141]);
    assert!(gone.why(110).contains("see check 101"), "{gone:?}");
}
