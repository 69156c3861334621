//! A subject column in many forms: each is read as it is stated, or named by the look
//! at its rows, masked; nobody in it is NO_RECORD. All numbers are of a region that does
//! not exist.

use std::os::unix::fs::PermissionsExt as _;

use tributary::domain::subject::SubjectFormat;
use tributary::domain::value::Value;
use tributary::source::{Held, Looked};

use crate::shared::ask;
use crate::site::{Kind, Site};
use crate::town::held;

const PERSON: &str = "99000019940906000X";
/// Born before 1999, with a number that was once of fifteen digits.
const ELDER: &str = "990000196105190012";

/// HMAC-SHA-256 of `PERSON` by the key below, of Python's `hmac`.
const KEY: &[u8] = b"a synthetic key of the tests";

/// What becomes of a person whose number the column writes in a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    /// The value.
    Right,
    /// Named by the look, and INVALID.
    Named,
}

struct Form {
    name: &'static str,
    kinds: &'static [Kind],
    /// The column's type where there are types.
    column: &'static str,
    /// A literal, or the text of a file's cell.
    written: String,
    person: &'static str,
    /// The mapping's lines.
    lines: &'static str,
    want: Want,
}

fn hash() -> String {
    let script = "import hmac, sys; print(hmac.new(sys.argv[1].encode(), \
                  sys.argv[2].encode(), 'sha256').hexdigest())";
    let key = std::str::from_utf8(KEY).unwrap();
    let told = std::process::Command::new("python3").args(["-c", script, key, PERSON]).output();
    String::from_utf8(told.unwrap().stdout).unwrap().trim().to_owned()
}

fn forms() -> Vec<Form> {
    use Kind::{Csv, Mariadb, Postgres, Sqlite};
    use Want::{Named, Right};
    const ALL: &[Kind] = &[Sqlite, Postgres, Mariadb, Csv];
    const EXACT: &[Kind] = &[Sqlite, Postgres, Csv];
    let form = |name, kinds, column, written: &str, person, lines, want| Form {
        name,
        kinds,
        column,
        written: written.to_owned(),
        person,
        lines,
        want,
    };
    let text = "varchar(80)";
    let small = "99000019940906000x";
    let blank = "990000196105190012 ";
    vec![
        form("exact", ALL, text, PERSON, PERSON, "", Right),
        form("blank", EXACT, text, blank, ELDER, "", Named),
        form("blank, trimmed", ALL, text, blank, ELDER, "subject_form = ['trim']", Right),
        form(
            "many blanks",
            EXACT,
            text,
            &format!("{ELDER}       "),
            ELDER,
            "subject_form = ['trim']",
            Named,
        ),
        form("small x", EXACT, text, small, PERSON, "", Named),
        form("small x, upper", ALL, text, small, PERSON, "subject_form = ['upper']", Right),
        form("fifteen", ALL, text, "990000610519001", ELDER, "", Named),
        form(
            "fifteen, lengthened",
            ALL,
            text,
            "990000610519001",
            ELDER,
            "subject_form = ['digits15to18']",
            Right,
        ),
        form("Excel's", ALL, text, "9.90000196105190E+17", ELDER, "", Named),
        form(
            "hash",
            ALL,
            text,
            &hash().to_uppercase(),
            PERSON,
            "subject_form = [{ hash = { algorithm = 'hmac-sha-256', key_file = 'hash.key' } }]",
            Right,
        ),
        form(
            "several steps",
            ALL,
            text,
            "99000019940906000x ",
            PERSON,
            "subject_form = ['trim', 'upper']",
            Right,
        ),
        form("char(20)", &[Postgres, Mariadb], "char(20)", PERSON, PERSON, "", Right),
        form(
            "bigint",
            &[Sqlite, Postgres, Mariadb],
            "bigint",
            ELDER,
            ELDER,
            "subject_type = 'integer'",
            Right,
        ),
        form("blob", &[Sqlite], "blob", &format!("cast('{PERSON}' as blob)"), PERSON, "", Named),
        form("real", &[Sqlite], "real", ELDER, ELDER, "", Named),
    ]
}

impl Form {
    fn literal(&self) -> String {
        let plain = matches!(self.column, "bigint" | "blob" | "real");
        if plain { self.written.clone() } else { format!("'{}'", self.written) }
    }
}

#[tokio::test]
async fn row_53_subject_columns_in_every_form_are_right_or_named() {
    let format = SubjectFormat::new("[0-9]{17}[0-9X]", None).unwrap();
    for site in
        Site::each(&[Kind::Sqlite, Kind::Postgres, Kind::Mariadb, Kind::Csv], "row_53").await
    {
        let key = site.folder().join("hash.key");
        std::fs::write(&key, KEY).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        for (at, form) in forms().into_iter().enumerate() {
            if !form.kinds.contains(&site.kind) {
                continue;
            }
            let (case, table) = (format!("{:?}: {}", site.kind, form.name), format!("form{at}"));
            let asks = if site.kind.is_sql() {
                site.run(&format!(
                    "create table {table} (person_id {}, level varchar(9), updated_on varchar(20)); \
                     insert into {table} values ({}, '7', '2025-01-15')",
                    form.column,
                    form.literal()
                ))
                .await;
                site.let_read(&table).await;
                format!("sql = 'select * from {table} where person_id in {{subjects}}'")
            } else {
                let text = format!("person_id,level,updated_on\n{},7,2025-01-15\n", form.written);
                site.replace_file(&table, &text);
                format!("file = '{table}.csv'")
            };
            let query = format!(
                "[[query]]\nname = 'form'\n{asks}\nsubject = 'person_id'\nas_of = 'updated_on'\n{}\n\
                 [query.items]\n'work.job.level' = 'level'\n",
                form.lines
            );
            let holdings = site.open(&(site.source(&site.url, "") + &query));
            let Looked { faults, again } = holdings.look(&format).await;
            assert!(!again, "{case}");
            let answer = ask(&holdings, form.person, &[5]).await;
            assert_ne!(answer, Held::NoRecord, "{case}");
            let said: String = faults.iter().map(ToString::to_string).collect();
            match form.want {
                Want::Right => {
                    assert_eq!(said, "", "{case}");
                    let (items, _) = held(answer);
                    assert_eq!(items[0].value.expose(), &Value::Integer(7), "{case}");
                }
                Want::Named => {
                    assert!(
                        said.contains("`person_id`") && said.contains("1 of 1"),
                        "{case}: {said}"
                    );
                    for digits in ["99000019", "1961", "9.9000"] {
                        assert!(!said.contains(digits), "{case}: {said}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn whoever_is_found_has_a_value_and_nobody_else_is_no_record_while_rows_are_lost() {
    let format = SubjectFormat::new("[0-9]{17}[0-9X]", None).unwrap();
    for site in Site::each(&[Kind::Sqlite, Kind::Csv], "lost rows").await {
        let row = |person: &str| {
            let cells = [person, "1", "G", "2020-02-29", "1", "7", "0.1", "1", "2025-01-15"];
            cells.map(|cell| Some(cell.to_owned())).to_vec()
        };
        site.put("job", &[row(PERSON), row("990000196105190012 ")]).await;
        let query =
            |lines: &str| site.query("job").replace("as_of =", &format!("{lines}\nas_of ="));
        let source = site.source(&site.url, "");
        for (lines, nobody) in [
            ("", false),
            ("subject_others = 0.4", false),
            ("subject_others = 0.5", true),
            ("subject_form = ['trim']", true),
        ] {
            let holdings = site.open(&format!("{source}{}", query(lines)));
            // Nothing was looked at yet.
            assert_eq!(ask(&holdings, "990000200001010005", &[5]).await, Held::NoRecord);
            let faults = holdings.look(&format).await.faults;
            assert_eq!(faults.is_empty(), nobody, "{lines}: {faults:?}");
            let (items, _) = held(ask(&holdings, PERSON, &[5]).await);
            assert_eq!(items.len(), 1, "{:?} {lines}", site.kind);
            let unknown = ask(&holdings, "990000200001010005", &[5]).await;
            assert_eq!(unknown == Held::NoRecord, nobody, "{:?} {lines}: {unknown:?}", site.kind);
        }
    }
}
