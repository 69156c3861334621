//! What an agency's administrator does: `agency init`, `agency check`, and the
//! commands of docs/adding-an-agency.md as they are written there.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::kit::sqlite_file;

const BINARY: &str = env!("CARGO_BIN_EXE_tributary");

/// The server's address, or a line that says that a test is skipped.
fn server(test: &str) -> Option<String> {
    let server = std::env::var("TRIBUTARY_TEST_POSTGRES").ok();
    if server.is_none() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: TRIBUTARY_TEST_POSTGRES is not set; use scripts/test-postgres"
        );
    }
    server
}

fn agency(folder: &Path, args: &[&str]) -> Output {
    Command::new(BINARY).arg("agency").args(args).current_dir(folder).output().unwrap()
}

fn sqlite(folder: &Path, statements: &str) {
    sqlite_file::run(&folder.join("work.db"), statements);
}

/// Writes a mapping of the agency `education` beside the catalogue.
fn write_mapping(folder: &Path, source: &str, query: &str) {
    let catalogue = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/city/catalogue");
    let text = format!("id = \"education\"\ncatalogue = \"{catalogue}\"\n{source}\n{query}");
    std::fs::write(folder.join("m.toml"), text).unwrap();
}

const SQLITE: &str = "[source.sql]\nurl = \"sqlite:work.db\"";

/// From line 5 on.
const DIPLOMA: &str = r#"[[query]]
name = "diploma"
sql = "select * from diploma where person_id in {subjects}"
subject = "person_id"
as_of = "read_on"
[query.items]
"education.attainment.graduated_on" = "graduated"
"education.attainment.schooling_years" = "years"
"#;

/// The findings that are no notes about the rest of the file, by line.
fn findings(output: &Output) -> Vec<(String, u64, String)> {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| {
            (
                found["severity"].as_str().unwrap().to_owned(),
                found["line"].as_u64().unwrap(),
                found["message"].as_str().unwrap().to_owned(),
            )
        })
        .filter(|(_, _, message)| !message.contains("cannot be started with this file yet"))
        .collect()
}

#[test]
fn check_names_the_line_of_each_fault() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    sqlite(
        folder,
        "create table diploma (person_id text primary key, graduated text, years real, read_on text);
         insert into diploma values ('p1', '2019-06-30', 16, '2025-01-15');
         create table heap (person_id text, graduated text, years real, read_on text)",
    );
    let check = ["check", "-c", "m.toml", "--json"];
    write_mapping(folder, SQLITE, DIPLOMA);
    let output = agency(folder, &check);
    assert_eq!((output.status.code(), findings(&output)), (Some(0), vec![]));
    for (from, to, line, phrase) in [
        ("= \"graduated\"", "= \"gradated\"", 11, "no column `gradated`"),
        ("as_of = \"read_on\"", "as_of = \"read\"", 9, "no column `read`"),
        ("graduated_on\"", "graduated_in\"", 11, "is not in the catalogue"),
        ("in {subjects}", "in {subjects} or 1", 7, "asked about nobody"),
        ("where person_id in {subjects}", "", 7, "not bounded by subject"),
        ("from diploma", "from diplomas", 7, "no such table"),
    ] {
        assert!(DIPLOMA.contains(from), "{from}");
        write_mapping(folder, SQLITE, &DIPLOMA.replace(from, to));
        let output = agency(folder, &check);
        let found = findings(&output);
        assert_eq!(output.status.code(), Some(1), "{to}: {found:?}");
        let right = |(severity, at, message): &(String, u64, String)| {
            severity == "error" && *at == line && message.contains(phrase)
        };
        assert!(found.iter().any(right), "{to}: {found:?}");
    }
    write_mapping(folder, SQLITE, &DIPLOMA.replace("from diploma", "from heap"));
    let output = agency(folder, &check);
    assert_eq!(output.status.code(), Some(0), "a warning is no error");
    let found = findings(&output);
    assert_eq!((found[0].0.as_str(), found[0].1), ("warning", 7), "{found:?}");
    assert!(found[0].2.contains("whole of `heap`"), "{found:?}");

    std::fs::remove_file(folder.join("work.db")).unwrap();
    write_mapping(folder, SQLITE, DIPLOMA);
    assert_eq!(agency(folder, &check).status.code(), Some(3), "the source is away");
    assert_eq!(agency(folder, &["check", "-c", "m.toml", "--offline"]).status.code(), Some(0));
    let text = agency(folder, &["check", "-c", "m.toml"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("m.toml:7: error: SOURCE_DOWN"), "{text}");
    assert_eq!(agency(folder, &["check", "-c", "none.toml"]).status.code(), Some(1));
    assert_eq!(agency(folder, &["check"]).status.code(), Some(2));
}

#[tokio::test]
async fn check_knows_a_servers_types_indexes_and_rights() {
    let Some(server) = server("check_knows_a_servers_types") else { return };
    let name = format!("checked_{}", std::process::id());
    let run = async |address: &str, statements: String| {
        let mut connection = PgConnection::connect(address).await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await.unwrap();
    };
    let (head, _) = server.rsplit_once('/').unwrap();
    let (_, host) = head.rsplit_once('@').unwrap();
    let owner = format!("{head}/{name}");
    run(&server, format!("create database {name} template template0")).await;
    run(
        &owner,
        format!(
            "create table diploma (person_id bigint primary key, graduated date, years bytea,
               read_on timestamptz);
             create table heap (person_id text, graduated date, years numeric, read_on timestamptz);
             create role {name} login password 'synthetic-word';
             grant select on diploma, heap to {name}"
        ),
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let check = ["check", "-c", "m.toml", "--json"];
    let source = format!(
        "[source.sql]\nzone = \"Asia/Shanghai\"\nurl = \"postgres://{name}:synthetic-word@{host}/{name}\""
    );
    write_mapping(folder, &source, DIPLOMA);
    let output = agency(folder, &check);
    let found = findings(&output);
    assert_eq!(output.status.code(), Some(1), "{found:?}");
    assert!(found.iter().any(|(_, line, m)| *line == 8 && m.contains("subject_type")), "{found:?}");
    let counted = DIPLOMA.replace("subject =", "subject_type = \"integer\"\nsubject =");
    write_mapping(folder, &source, &counted);
    let found = findings(&agency(folder, &check));
    assert!(found.iter().any(|(_, line, m)| *line == 14 && m.contains("`years`")), "{found:?}");
    let no_day =
        counted.replace("\"read_on\"", "\"years\"").replace("schooling_years", "graduated_on2");
    write_mapping(
        folder,
        &source,
        &no_day.replace("\"education.attainment.graduated_on2\" = \"years\"\n", ""),
    );
    let found = findings(&agency(folder, &check));
    assert!(found.iter().any(|(_, line, m)| *line == 11 && m.contains("`as_of`")), "{found:?}");

    write_mapping(folder, &source, &DIPLOMA.replace("from diploma", "from heap"));
    let output = agency(folder, &check);
    let found = findings(&output);
    assert_eq!(output.status.code(), Some(0), "{found:?}");
    let whole = |(severity, _, message): &(String, u64, String)| {
        severity == "warning" && message.contains("`heap`") && message.contains("plan's cost is")
    };
    assert!(found.iter().any(whole), "{found:?}");
    run(&owner, "create index on heap (person_id)".to_owned()).await;
    let found = findings(&agency(folder, &check));
    assert!(found.iter().all(|(severity, ..)| severity == "note"), "{found:?}");

    let nowhere = source.replace("zone = \"Asia/Shanghai\"\n", "");
    write_mapping(folder, &nowhere, &DIPLOMA.replace("from diploma", "from heap"));
    let output = agency(folder, &check);
    assert_eq!(output.status.code(), Some(1), "a moment without a zone");
    let found = findings(&output);
    let moment = |(severity, line, message): &(String, u64, String)| {
        severity == "error" && *line == 9 && message.contains("state the source's `zone`")
    };
    assert!(found.iter().any(moment), "{found:?}");

    run(&owner, format!("grant update on heap to {name}")).await;
    let output = agency(folder, &check);
    let found = findings(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        found.iter().any(|(_, line, m)| *line == 3 && m.contains("write table heap")),
        "{found:?}"
    );
    let told = format!("{source}\naccount_may_write = true");
    write_mapping(folder, &told, &DIPLOMA.replace("from diploma", "from heap"));
    assert_eq!(agency(folder, &check).status.code(), Some(0));

    let wrong = source.replace("synthetic-word", "hunter2");
    write_mapping(folder, &wrong, DIPLOMA);
    let output = agency(folder, &check);
    assert_eq!(output.status.code(), Some(3));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"));

    let from = format!("postgres://{name}@{host}/{name}");
    let output = agency(folder, &["init", "--from", &from.replace('@', ":hunter2@")]);
    assert_eq!(output.status.code(), Some(1), "no password is written into a mapping");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
    run(&server, format!("drop database {name} with (force); ")).await;
}

#[test]
fn init_writes_what_is_there_and_leaves_the_rest_to_be_stated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    sqlite(
        folder,
        "create table diploma (person_id text primary key, graduated text, years real, read_on text);
         create table other (a integer); insert into diploma values ('secret-person', '2020-01-01', 1, '2025-01-15')",
    );
    let catalogue = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/city/catalogue");
    let from = ["init", "--from", "sqlite:work.db", "--table", "diploma"];
    let output = agency(folder, &from);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("subject = \"TODO\"") && text.contains("as_of = \"TODO\""), "{text}");
    assert!(text.contains("# \"TODO\" = \"years\"   # REAL, may be NULL"), "{text}");
    assert!(!text.contains("other") && !text.contains("secret-person"), "{text}");

    let stated = ["--subject", "person_id", "--as-of", "read_on", "--id", "education"];
    let rest = ["--catalogue", catalogue, "--out", "m.toml"];
    let args: Vec<&str> = from.iter().chain(&stated).chain(&rest).copied().collect();
    let output = agency(folder, &args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(agency(folder, &args).status.code(), Some(1), "no file is written over");
    let text = std::fs::read_to_string(folder.join("m.toml")).unwrap();
    assert!(text.contains("education.attainment.graduated_on\"   # date"), "{text}");
    // As it is, it is refused; with the one decision that is left, it fits.
    let text =
        text.replace("catalogue = \"../catalogue\"", &format!("catalogue = \"{catalogue}\""));
    std::fs::write(folder.join("m.toml"), &text).unwrap();
    let check = ["check", "-c", "m.toml"];
    assert_eq!(agency(folder, &check).status.code(), Some(1));
    let decided = text.replace(
        "# \"TODO\" = \"graduated\"",
        "\"education.attainment.graduated_on\" = \"graduated\"",
    );
    assert_ne!(decided, text);
    std::fs::write(folder.join("m.toml"), decided).unwrap();
    let output = agency(folder, &check);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    let output = agency(folder, &["init", "--from", "sqlite:work.db", "--table", "nothing"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there are diploma, other"));
}

/// The commands of the document, one after the other, in an empty folder.
#[test]
fn the_documents_commands_lead_to_a_first_section() {
    let Some(server) = server("the_documents_commands") else { return };
    let document = include_str!("../../docs/adding-an-agency.md");
    let blocks: Vec<&str> =
        document.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 5, "the document has lost its commands");
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT\n{}",
        blocks.concat()
    );
    std::fs::write(folder.path().join("script"), script).unwrap();
    let path = format!(
        "{}:{}",
        Path::new(BINARY).parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("timeout")
        .args(["240", "bash", "script"])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("OWNER", server)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let log = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stdout);
    let told = format!(
        "{said}\n{}\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        log("demo.log"),
        log("agency.log")
    );
    assert!(output.status.success(), "{told}");
    let answer = log("answer.txt").to_lowercase();
    for word in ["master", "full", "education"] {
        assert!(answer.contains(word), "`{word}` is not in the answer\n{answer}");
    }
    // What the administrator asked for with a grant of their own.
    let own = log("own.txt").to_lowercase();
    for word in ["master", "full", "2019-06-30", "no answer from employment (not granted)"] {
        assert!(own.contains(word), "`{word}` is not in the answer to one's own grant\n{own}");
    }
    assert!(!own.contains("provisional"), "{own}");
}

#[test]
fn the_demo_runs_on_postgresql_and_leaves_nothing_there() {
    let Some(server) = server("the_demo_runs_on_postgresql") else { return };
    let output = Command::new(BINARY)
        .args(["demo", "--json", "--people", "60", "--deadline", "60s", "--postgres", &server])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sections = shown["stages"][0]["sections"].as_array().unwrap();
    assert_eq!(sections.len(), 7);
    assert!(sections.iter().all(|section| section["status"] == "OK"), "{sections:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let left: i64 = runtime.block_on(async {
        let mut connection = PgConnection::connect(&server).await.unwrap();
        let left = "select (select count(*) from pg_database where datname like 'tributary_demo%') \
                    + (select count(*) from pg_roles where rolname like 'tributary_demo%')";
        sqlx::query_scalar(left).fetch_one(&mut connection).await.unwrap()
    });
    assert_eq!(left, 0, "databases or accounts are left");
}
