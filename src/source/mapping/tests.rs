//! Tests of [`super`].

use super::*;
use crate::config::mapping::LocalEndpoint;
use crate::source::testing::{WHOLE, compile};

/// The findings of `WHOLE` with one text put for another, as people read them.
fn faults(from: &str, to: &str) -> Vec<String> {
    let text = WHOLE.replacen(from, to, 1);
    assert_ne!(text, WHOLE, "`{from}` is not in the mapping");
    match compile(&text) {
        Ok(_) => panic!("`{to}` was accepted"),
        Err(found) => found.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_mapping_that_fits_compiles() {
    let mapping = compile(WHOLE).unwrap();
    assert_eq!(mapping.items().len(), 8);
    assert!(matches!(&mapping.place, Place::Sqlite(path) if path == Path::new("/nowhere/work.db")));
    let query = &mapping.queries[0];
    assert_eq!(query.layout.first_item, 5);
    assert_eq!(&*query.selected[0], "person_id");
    assert_eq!(&*query.selected[5], "employed");
    assert_eq!(&*query.selected[12], "defaults");
}

#[test]
fn each_fault_names_its_line_and_remedy() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "\"work.job.level\"",
            "\"job.level\"",
            &[":18:", "not in the catalogue", "did you mean `work.job.level`"],
        ),
        ("\"work.job.level\"", "\"zzz\"", &[":18:", "take the id from"]),
        (
            "\"work.job.level\"",
            "\"work.job.courses\"",
            &[":18:", "does not own", "`education`", "remove the line"],
        ),
        (
            "{ G = \"public\"",
            "{ G = \"state\"",
            &[":15:", "no code `state`", "`public`, `private`"],
        ),
        (
            "{ column = \"sector\", codes = { G = \"public\", \"2\" = \"private\" } }",
            "{ column = \"sector\", codes = {} }",
            &[":15:", "empty"],
        ),
        (
            "= \"level\"",
            "= { column = \"level\", codes = { a = \"public\" } }",
            &[":18:", "type integer", "remove it"],
        ),
        (
            ", currency = \"CNY\"",
            "",
            &[":17:", "state the column's currency", "currency = \"CNY\""],
        ),
        ("\"CNY\"", "\"USD\"", &[":17:", "in CNY, the column in USD"]),
        (
            "= \"level\"",
            "= { column = \"level\", currency = \"CNY\" }",
            &[":18:", "remove `currency`"],
        ),
        (
            "= \"level\"",
            "= { column = \"level\", scale = 2 }",
            &[":18:", "`scale` is for decimal and money"],
        ),
        ("scale = 2", "scale = 10", &[":17:", "use 0 to 9"]),
        ("ended = \"ended_on\"\n", "", &[":20:", "adverse", "12 months", "ended = \"ended_on\""]),
        (
            "where person_id in {subjects}",
            "",
            &[":7:", "not bounded by subject is refused", "{subjects}"],
        ),
        ("where person_id", "where 'x' in {subjects} and person_id", &[":7:", "2 times"]),
        ("\"person_id\"", "\"\"", &[":8:", "not a column's name"]),
        (
            "= \"level\"",
            "= \"max(level) as \\\"l\\\"\"",
            &[":18:", "not a column's name", "as name"],
        ),
        ("name = \"job\"", "name = \"a job\"", &[":6:", "use letters"]),
        ("name = \"job\"", "name = \"\"", &[":6:", "1 to 64"]),
        ("sqlite:work.db", "oracle://reader:hunter2@db/hr", &[":3:", "`oracle:`", "use `sqlite:`"]),
        (
            "\"started_on\"",
            "{ column = \"started_on\", dates = \"unix\" }",
            &[":16:", "is a moment", "zone = \"Asia/Shanghai\""],
        ),
        (
            "= \"level\"",
            "= { column = \"level\", true = [\"Y\"] }",
            &[":18:", "`true` and `false` are for booleans"],
        ),
        (
            "\"employed\"",
            "{ column = \"employed\", true = [\"Y\"], false = [\"Y\"] }",
            &[":14:", "one word twice"],
        ),
        (
            "\"employed\"",
            "{ column = \"employed\", codes = { Y = \"yes\" } }",
            &[":14:", "neither `true` nor `false`"],
        ),
        (
            "\"share\"",
            "{ column = \"share\", thousands = \".\" }",
            &[":19:", "one sign: state both"],
        ),
        (
            "= \"level\"",
            "= { column = \"level\", places = 2 }",
            &[":18:", "`places` is for decimal"],
        ),
        (
            "\"disputed\"",
            "{ column = \"disputed\", places = 2 }",
            &[":11:", "`disputed` says yes or no"],
        ),
        (
            "as_of =",
            "subject_form = [{ hash = { algorithm = \"sha-256\" } }, \"trim\"]\nas_of =",
            &[":9:", "`hash` is the last step"],
        ),
        (
            "as_of =",
            "subject_form = [{ hash = { algorithm = \"hmac-sha-256\" } }]\nas_of =",
            &[":9:", "name its `key_file`"],
        ),
        ("as_of =", "subject_form = [{ zero_pad = 65 }]\nas_of =", &[":9:", "use 1 to 64"]),
        ("as_of =", "subject_form = [\"trim\", \"trim\"]\nas_of =", &[":9:", "there twice"]),
        ("as_of =", "subject_others = 1.0\nas_of =", &["from 0 to below 1"]),
        ("\"sqlite:work.db\"", "\"sqlite:work.db\"\npool = 0", &[":2:", "`pool` is 0"]),
        ("\"sqlite:work.db\"", "\"sqlite:work.db\"\nmax_batch = 100000", &[":2:", "`max_batch`"]),
        (
            "\"sqlite:work.db\"",
            "\"sqlite:work.db\"\nstatement_timeout = \"5m\"",
            &[":2:", "`statement_timeout`"],
        ),
        (
            "where person_id in",
            "where level > ? and person_id in",
            &[":7:", "bound by `{subjects}` alone"],
        ),
    ];
    for (from, to, phrases) in cases {
        let found = faults(from, to);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("employment.toml:"), "{found:?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
        for phrase in *phrases {
            assert!(found[0].contains(phrase), "`{}` lacks `{phrase}`", found[0]);
        }
    }
}

#[test]
fn a_second_query_must_differ_in_name_and_items() {
    let second = WHOLE.split_once("[[query]]").unwrap().1;
    let found = compile(&format!("{WHOLE}\n[[query]]{second}")).unwrap_err();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 9, "{found:#?}");
    assert!(found[0].contains("two queries are named `job`"), "{found:#?}");
    assert!(found[1].contains("`work.job.employed` is mapped twice, in `job` and `job`"));
}

#[test]
fn every_fault_is_reported_not_just_the_first() {
    let text = WHOLE
        .replacen("sqlite:", "oracle:", 1)
        .replacen("{subjects}", "('x')", 1)
        .replacen("\"work.job.level\"", "\"work.job.levle\"", 1)
        .replacen("\"CNY\"", "\"EUR\"", 1);
    let lines: Vec<usize> = compile(&text).unwrap_err().iter().map(|found| found.line).collect();
    assert_eq!(lines, [3, 7, 17, 18]);
}

#[test]
fn a_query_without_items_is_refused() {
    let head = WHOLE.split_once("[query.items]").unwrap().0;
    let found = compile(&format!("{head}[query.items]\n")).unwrap_err();
    assert!(found[0].to_string().contains("maps no item"), "{found:?}");
}

#[test]
fn a_service_is_asked_by_name_and_stands_on_this_machine() {
    let sql = "sql = \"select * from job where person_id in {subjects}\"\n";
    let service = "[source.grpc]\nendpoint = \"unix:run/source.sock\"";
    let text =
        WHOLE.replacen("[source.sql]\nurl = \"sqlite:work.db\"", service, 1).replacen(sql, "", 1);
    let mapping = compile(&text).unwrap();
    let socket = LocalEndpoint::Socket("/nowhere/run/source.sock".into());
    assert!(matches!(&mapping.place, Place::Grpc(endpoint) if *endpoint == socket));
    assert!(matches!(mapping.queries[0].ask, Ask::Name));
    let fault = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "`{from}` is not in the mapping");
        compile(&changed).unwrap_err()[0].to_string()
    };
    let as_of = "as_of = ";
    let with_sql = fault(as_of, &format!("{sql}{as_of}"));
    assert!(with_sql.contains("`sql` is for another kind of source"), "{with_sql}");
    assert!(fault("unix:run/source.sock", "10.0.0.1:7").contains("not a loopback address"));
    let two = fault(service, &format!("[source.sql]\nurl = \"sqlite:work.db\"\n{service}"));
    assert!(two.contains("state one source"), "{two}");
}
