//! `agency init` for each kind of source, and the example files for CSV files and web
//! services: what init writes is taken by check once the TODOs are decided, wherever
//! the file lies. Synthetic people.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::kit::sqlite_file;

const BINARY: &str = env!("CARGO_BIN_EXE_tributary");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn agency(folder: &Path, args: &[&str]) -> Output {
    Command::new(BINARY).arg("agency").args(args).current_dir(folder).output().unwrap()
}

/// What is printed, whatever the exit code.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn done(folder: &Path, args: &[&str]) -> String {
    let output = agency(folder, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of a mapping's queries.
fn names(text: &str) -> Vec<String> {
    let file: toml::Table = toml::from_str(text).unwrap();
    let queries = file["query"].as_array().unwrap();
    queries.iter().map(|query| query["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn init_names_each_query_and_writes_paths_for_where_the_file_lies() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    sqlite_file::run(
        &folder.join("records.db"),
        "create table 学生 (person_no text primary key, updated_on text, left_on text);
         create table 成绩 (person_no text primary key, updated_on text, years real)",
    );
    std::fs::create_dir_all(folder.join("start")).unwrap();
    std::fs::create_dir_all(folder.join("agencies")).unwrap();
    let catalogue = format!("{ROOT}/examples/city/catalogue");
    std::os::unix::fs::symlink(&catalogue, folder.join("catalogue")).unwrap();
    let roles = ["--subject", "person_no", "--as-of", "updated_on"];
    let owner = ["--id", "education", "--catalogue", "../catalogue", "--out", "../agencies/m.toml"];
    let from = ["init", "--from", "sqlite:../records.db"];
    let args: Vec<&str> = from.iter().chain(&roles).chain(&owner).copied().collect();
    done(&folder.join("start"), &args);
    let text = std::fs::read_to_string(folder.join("agencies/m.toml")).unwrap();
    assert_eq!(names(&text), ["学生", "成绩"], "{text}");
    assert!(text.contains("url = \"sqlite:../records.db\""), "{text}");
    // Decided, it is taken as it lies there.
    let decided = text
        .replace("# \"TODO\" = \"left_on\"", "\"education.attainment.graduated_on\" = \"left_on\"")
        .replace("# \"TODO\" = \"years\"", "\"education.attainment.schooling_years\" = \"years\"");
    assert_ne!(decided, text);
    std::fs::write(folder.join("agencies/m.toml"), decided).unwrap();
    done(folder, &["check", "-c", "agencies/m.toml"]);
}

#[test]
fn init_from_a_csv_file_is_taken_by_check_and_shows_no_cell() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir_all(folder.join("extracts")).unwrap();
    let catalogue = format!("{ROOT}/examples/city/catalogue");
    let gbk = b"\xcd\xb3\xbc\xc6\xb1\xed,,\n\xd6\xa4\xbc\xfe\xba\xc5,read_on,years\n\
                990000196105190012,2024-01-02,19\n";
    std::fs::write(folder.join("extracts/students.csv"), gbk).unwrap();
    let from = ["init", "--from", "csv:extracts/students.csv"];
    let refused = agency(folder, &from);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("not in UTF-8"), "{}", said(&refused));
    let how =
        ["--encoding", "gbk", "--skip-lines", "1", "--subject", "证件号", "--as-of", "read_on"];
    let owner = ["--id", "education", "--catalogue", &catalogue, "--out", "m.toml"];
    let args: Vec<&str> = from.iter().chain(&how).chain(&owner).copied().collect();
    done(folder, &args);
    let text = std::fs::read_to_string(folder.join("m.toml")).unwrap();
    assert!(!text.contains("990000"), "{text}");
    assert!(text.contains("# \"TODO\" = \"years\"   # whole numbers in 1 rows"), "{text}");
    let decided = text
        .replace("# \"TODO\" = \"years\"", "\"education.attainment.schooling_years\" = \"years\"");
    std::fs::write(folder.join("m.toml"), decided).unwrap();
    done(folder, &["check", "-c", "m.toml"]);
    // A row in the place of the header is no header, and is not shown.
    std::fs::write(folder.join("bare.csv"), "990000196105190012,2024-01-02,19\n").unwrap();
    let refused = agency(folder, &["init", "--from", "csv:bare.csv"]);
    assert_eq!(refused.status.code(), Some(1));
    let text = said(&refused);
    assert!(text.contains("--skip-lines") && !text.contains("990000"), "{text}");
}

/// Answers every request: a token to who asks for one, else this.
fn serve(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || while respond(&stream, &answer).is_some() {});
        }
    });
    url
}

fn respond(stream: &TcpStream, answer: &str) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let token = line.contains("/token");
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|read| *read > 2)?;
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if reader.fill_buf().ok()?.starts_with(b"\r\n") {
            reader.consume(2);
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (status, answer) = match token {
        true => (200, r#"{"access_token": "t", "token_type": "Bearer", "expires_in": 60}"#),
        // Nobody is known but who is in the answer.
        false if String::from_utf8_lossy(&body).contains("990000196105190012") => (200, answer),
        false => (200, r#"{"code": 0, "data": {"list": [], "next": null}}"#),
    };
    let mut stream = stream;
    let head = format!("HTTP/1.1 {status} OK\r\ncontent-length: {}\r\n\r\n", answer.len());
    stream.write_all((head + answer).as_bytes()).ok()
}

#[test]
fn init_from_an_answer_is_taken_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let answer = std::fs::read_to_string(format!("{ROOT}/examples/agencies/answer.json")).unwrap();
    std::fs::write(folder.join("answer.json"), &answer).unwrap();
    let from = format!("{}/v1/people/{{subject}}", serve(answer));
    let catalogue = format!("{ROOT}/examples/city/catalogue");
    let no_sample = agency(folder, &["init", "--from", &from]);
    assert!(said(&no_sample).contains("--sample"), "{}", said(&no_sample));
    let how = ["--sample", "answer.json", "--subject", "person_no", "--as-of", "updated_on"];
    let owner = ["--id", "education", "--catalogue", &catalogue, "--out", "m.toml"];
    let from = ["init", "--from", &from];
    let args: Vec<&str> = from.iter().chain(&how).chain(&owner).copied().collect();
    done(folder, &args);
    let text = std::fs::read_to_string(folder.join("m.toml")).unwrap();
    assert!(text.contains("rows = \"$.data.list[*]\"") && !text.contains("990000"), "{text}");
    assert!(text.contains("# success = { path = \"$.code\""), "{text}");
    let decided = text
        .replace("# \"TODO\" = \"years\"", "\"education.attainment.schooling_years\" = \"years\"");
    std::fs::write(folder.join("m.toml"), decided).unwrap();
    let told = done(folder, &["check", "-c", "m.toml"]);
    assert!(told.contains("warning") && told.contains("stands in the path"), "{told}");
}

/// The examples load, and check passes against their samples.
#[test]
fn the_example_files_fit_their_samples() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let examples = Path::new(ROOT).join("examples");
    let copied = Command::new("cp").arg("-r").arg(&examples).arg(folder).status().unwrap();
    assert!(copied.success());
    let file = "examples/agencies/education-csv.toml";
    let told = done(folder, &["check", "-c", file]);
    assert!(told.contains("3 of 64 items mapped; 0 errors, 0 warnings"), "{told}");
    let file = folder.join("examples/agencies/education-http.toml");
    let answer = std::fs::read_to_string(folder.join("examples/agencies/answer.json")).unwrap();
    let url = serve(answer);
    let text = std::fs::read_to_string(&file).unwrap();
    let ca = text.lines().find(|line| line.starts_with("ca = ")).unwrap();
    let near = text
        .replace("https://records.education.example:8443", &url)
        .replace("https://login.education.example", &url)
        .replace(ca, "");
    std::fs::write(&file, near).unwrap();
    let secret = folder.join("examples/agencies/client.secret");
    std::fs::write(&secret, "not-a-secret\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let told = done(folder, &["check", "-c", "examples/agencies/education-http.toml"]);
    assert!(told.contains("3 of 64 items mapped; 0 errors, 0 warnings"), "{told}");
}
