//! `agency check` on real rows: what fits, what does not and why, and a test person
//! item by item. All people are synthetic: their region does not exist.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::kit::sqlite_file;

const BINARY: &str = env!("CARGO_BIN_EXE_tributary");

const PERSON: &str = "990000196105190012";

fn check(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["agency", "check", "-c", "m.toml"]).args(args).current_dir(folder);
    command.output().unwrap()
}

/// A mapping of the agency `education`, with the format of numbers.
fn write(folder: &Path, source: &str, rest: &str) {
    let catalogue = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/city/catalogue");
    let text = format!(
        "id = \"education\"\ncatalogue = \"{catalogue}\"\n\
         subject = {{ pattern = \"[0-9]{{17}}[0-9X]\", check_digit = \"gb11643\" }}\n\
         {source}\n[[query]]\nname = \"papers\"\n{rest}"
    );
    std::fs::write(folder.join("m.toml"), text).unwrap();
}

const SQLITE: &str = "[source.sql]\nurl = \"sqlite:work.db\"\nzone = \"Asia/Shanghai\"";

const SQL: &str = "sql = \"select * from papers where person_no in {subjects}\"\n\
    subject = \"person_no\"\nas_of = \"updated_on\"\n";

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    })
}

/// The finding whose message names this.
fn finding<'a>(report: &'a Value, names: &str) -> (&'a str, &'a str) {
    let found = report["findings"].as_array().unwrap().iter().find_map(|found| {
        let message = found["message"].as_str()?;
        message.contains(names).then(|| (found["severity"].as_str().unwrap(), message))
    });
    found.unwrap_or_else(|| panic!("nothing says `{names}`: {report:#}"))
}

#[test]
fn what_does_not_fit_is_named_with_how_many_and_why_and_without_a_cell() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    sqlite_file::run(
        &folder.join("work.db"),
        "create table papers (person_no text, updated_on text, n, second text, mean, left_on text);
         insert into papers values ('990000196105190012', '2024-01-02', 7, 'Yea', 3.5, '2019/6/3');
         insert into papers values ('99000019940906000X', '2024-01-02', 7.5, 'Nay', 0.1 + 0.2, '2019/6/4');
         insert into papers values ('99000020000229001X', null, 9, null, 3, '2019/6/5')",
    );
    let items = "[query.items]\n\
        \"education.performance.publications_count\" = \"n\"\n\
        \"education.attainment.second_degree\" = \"second\"\n\
        \"education.performance.grade_average\" = \"mean\"\n\
        \"education.attainment.graduated_on\" = \"left_on\"\n";
    write(folder, SQLITE, &format!("{SQL}{items}"));
    let output = check(folder, &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let seen = report(&output);
    let (severity, message) = finding(&seen, "publications_count`, column `n`");
    assert!(severity == "warning" && message.contains("1 of 3 sampled cells"), "{message}");
    let (severity, message) = finding(&seen, "second_degree`, column `second`");
    assert!(severity == "error" && message.contains("2 of 2") && message.contains("true = ["));
    let (severity, message) = finding(&seen, "grade_average`, column `mean`");
    assert!(severity == "warning" && message.contains("`places`"), "{message}");
    let (severity, message) = finding(&seen, "graduated_on`, column `left_on`");
    assert!(severity == "error" && message.contains("3 of 3"), "{message}");
    let (severity, message) = finding(&seen, "`as_of`, column `updated_on`: 1 of 3");
    assert!(severity == "warning" && message.contains("empty (NULL)"), "{message}");
    let text = String::from_utf8(output.stdout).unwrap();
    let plain = String::from_utf8(check(folder, &[]).stdout).unwrap();
    for cell in ["Yea", "Nay", "7.5", "2019/6", "0.30000", "990000"] {
        assert!(!text.contains(cell) && !plain.contains(cell), "{cell}: {text}{plain}");
    }
    assert!(plain.contains("column n: 2 fit, 1 do not, 0 are NULL"), "{plain}");

    // As it is stated, it fits.
    sqlite_file::run(&folder.join("work.db"), "update papers set n = 7, updated_on = '2024-01-02'");
    let stated = items
        .replace("\"second\"", "{ column = \"second\", true = [\"Yea\"], false = [\"Nay\"] }")
        .replace("\"mean\"", "{ column = \"mean\", places = 2 }")
        .replace("\"left_on\"", "{ column = \"left_on\", dates = \"YYYY/M/D\" }");
    write(folder, SQLITE, &format!("{SQL}{stated}"));
    let output = check(folder, &["--json"]);
    let seen = report(&output);
    assert_eq!(output.status.code(), Some(0), "{seen:#}");
    let fit: Vec<u64> =
        seen["sample"].as_array().unwrap().iter().map(|i| i["fit"].as_u64().unwrap()).collect();
    assert_eq!((fit.len(), fit.iter().sum::<u64>()), (4, 11), "{seen:#}");
}

#[test]
fn a_test_person_is_shown_item_by_item() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    sqlite_file::run(
        &folder.join("work.db"),
        "create table papers (person_no text, updated_on text, n, second text, mean, level text);
         insert into papers values ('990000610519001', '2024-01-02', 7, 'Y', 0.1 + 0.2, 'MA')",
    );
    let query = format!(
        "{SQL}subject_form = [\"digits15to18\"]\n[query.items]\n\
         \"education.performance.publications_count\" = \"n\"\n\
         \"education.attainment.second_degree\" = {{ column = \"second\", true = [\"Y\"] }}\n\
         \"education.performance.grade_average\" = \"mean\"\n\
         \"education.attainment.highest_level\" = {{ column = \"level\", codes = {{ MA = \"master\" }} }}\n"
    );
    write(folder, SQLITE, &query);
    let output = check(folder, &["--subject", PERSON]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "one is invalid: {text}");
    for line in [
        "education.performance.publications_count = 7",
        "education.attainment.second_degree = true as of 2024-01-02 (query papers, column second)",
        "education.attainment.highest_level = master",
        "education.performance.grade_average: INVALID: the number has the noise",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains(PERSON) && !text.contains("990000610519001"), "{text}");
    write(folder, SQLITE, &query.replace("\"mean\"", "{ column = \"mean\", places = 2 }"));
    let output = check(folder, &["--subject", PERSON, "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let shown = report(&output)["subject"].clone();
    let mean = shown.as_array().unwrap().iter().find(|item| item["column"] == "mean").unwrap();
    assert_eq!(
        (&mean["value"], &mean["invalid"]),
        (&"0.3 percent".into(), &false.into()),
        "{shown:#}"
    );
    // Nobody else has a row, and no row is no fault of the mapping.
    let output = check(folder, &["--subject", "99000019940906000X"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("no row of this person"), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
    let output = check(folder, &["--subject", "990000196105190013"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && told.contains("check digit"), "{told}");
    assert!(!told.contains("19610519"), "{told}");
    let output = check(folder, &["--subject", PERSON, "--offline"]);
    assert_eq!(output.status.code(), Some(2), "nobody is asked about offline");
}

#[test]
fn of_many_rows_a_bounded_part_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    sqlite_file::run(
        &folder.join("work.db"),
        "create table papers (person_no text primary key, updated_on text, n integer);
         with recursive c(i) as (select 0 union all select i + 1 from c where i < 99999)
         insert into papers select printf('9900001961051%05d', i), '2024-01-02', i % 7 from c",
    );
    let lines: String =
        (0..100_000).map(|at| format!("9900001961051{at:05},2024-01-02,{}\n", at % 7)).collect();
    std::fs::write(folder.join("papers.csv"), format!("person_no,updated_on,n\n{lines}")).unwrap();
    let items = "[query.items]\n\"education.performance.publications_count\" = \"n\"\n";
    let csv = "[source.csv]\nfolder = \".\"\nstatement_timeout = \"60s\"";
    let file = "file = \"papers.csv\"\nsubject = \"person_no\"\nas_of = \"updated_on\"\n";
    for (source, asks) in [(SQLITE, SQL), (csv, file)] {
        // Most of these have no right check digit: they are not the federation's.
        write(folder, source, &format!("{asks}subject_others = 0.99\n{items}"));
        let output = check(folder, &["--json"]);
        let seen = report(&output);
        assert_eq!(output.status.code(), Some(0), "{seen:#}");
        let sample = &seen["sample"][0];
        assert_eq!(sample["fit"], 1000, "{seen:#}");
        assert!(finding(&seen, "`subject_others").1.contains("of 1000 sampled rows"));
    }
}
