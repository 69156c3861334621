//! The shared table of cases: what each row, as text, becomes in every kind of
//! source, and that all of them say the same.

use std::time::Duration;

use rust_decimal::Decimal;
use time::macros::date;
use tributary::clock;
use tributary::domain::item::ItemSet;
use tributary::domain::reason::Reason as Stated;
use tributary::domain::section::{Absence, SectionStatus};
use tributary::domain::value::{CodeIndex, Value};
use tributary::source::{Held, Holdings};

use crate::site::{Cells, Kind, Site};
use crate::town::{held, item, numbers, subject};

pub const ALL: &[u32] = &[1, 2, 3, 4, 5, 6, 70, 71, 72, 73];
const JOB: &[u32] = &[1, 2, 3, 4, 5, 6, 70];

pub async fn ask(holdings: &Holdings, person: &str, items: &[u32]) -> Held {
    let items: ItemSet = items.iter().map(|number| item(*number)).collect();
    holdings.fetch(&subject(person), &items, clock::now() + Duration::from_secs(60)).await
}

pub fn text(cell: &str) -> Option<String> {
    Some(cell.to_owned())
}

/// A row of `job` in which every cell fits.
pub fn job(person: &str) -> Cells {
    let cells = ["1", "G", "2020-02-29", "1234550", "7", "0.1", "60", "2025-01-15"];
    std::iter::once(person).chain(cells).map(text).collect()
}

/// Column of `job`, what is written in it, and what is read.
type Case = (usize, Option<&'static str>, Result<Value, Absence>);

fn cases() -> Vec<Case> {
    use Absence::{Invalid, NotRecorded};
    let long: &'static str = Box::leak("G".repeat(3900).into_boxed_str());
    let money = |units, scale| Ok(Value::Money(Decimal::new(units, scale)));
    vec![
        (1, Some("0"), Ok(Value::Boolean(false))),
        (1, Some("true"), Ok(Value::Boolean(true))),
        (1, Some("2"), Err(Invalid)),
        (1, Some("perhaps"), Err(Invalid)),
        (1, None, Err(NotRecorded)),
        (2, Some("P"), Ok(Value::Code(CodeIndex(1)))),
        (2, Some("g"), Err(Invalid)),
        (2, Some("G "), Err(Invalid)),
        (2, Some("\u{7}G"), Err(Invalid)),
        (2, Some("G\u{202e}"), Err(Invalid)),
        (2, Some(long), Err(Invalid)),
        (2, None, Err(NotRecorded)),
        (3, Some("2020-02-29 08:00:00"), Ok(Value::Date(date!(2020 - 02 - 29)))),
        (3, Some("2020-02-29T23:59:59.5+08:00"), Ok(Value::Date(date!(2020 - 02 - 29)))),
        (3, Some("0000-00-00"), Err(Invalid)),
        (3, Some("2023-02-30"), Err(Invalid)),
        (3, Some("29.02.2020"), Err(Invalid)),
        (3, Some("infinity"), Err(Invalid)),
        (4, Some("0"), money(0, 0)),
        (4, Some("12.5"), money(125, 3)),
        (4, Some("100000000"), money(1_000_000, 0)),
        (4, Some("100000001"), Err(Invalid)),
        (4, Some("-1"), Err(Invalid)),
        (4, Some("1,000"), Err(Invalid)),
        (4, Some("99999999999999999999999999999999"), Err(Invalid)),
        (5, Some("20"), Ok(Value::Integer(20))),
        (5, Some("21"), Err(Invalid)),
        (5, Some("1.5"), Err(Invalid)),
        (5, Some("senior"), Err(Invalid)),
        (5, Some("9223372036854775808"), Err(Invalid)),
        (5, None, Err(NotRecorded)),
        (6, Some("-0.25"), Ok(Value::Decimal(Decimal::new(-25, 2)))),
        (6, Some("NaN"), Err(Invalid)),
        (6, Some("Infinity"), Err(Invalid)),
        (6, Some("1e3"), Err(Invalid)),
        (6, Some("0x1"), Err(Invalid)),
        (7, Some("0"), Ok(Value::Months(0))),
        (7, Some("601"), Err(Invalid)),
        (7, Some("-1"), Err(Invalid)),
    ]
}

fn expected(column: usize) -> (u32, Value) {
    let values = [
        (1, Value::Boolean(true)),
        (2, Value::Code(CodeIndex(0))),
        (3, Value::Date(date!(2020 - 02 - 29))),
        (4, Value::Money(Decimal::new(1_234_550, 2))),
        (5, Value::Integer(7)),
        (6, Value::Decimal(Decimal::new(1, 1))),
        (70, Value::Months(60)),
    ];
    values[column - 1]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_source_says_the_same_of_every_case() {
    for site in Site::each(Kind::ALL, "the shared table").await {
        let kind = site.kind;
        let cases = cases();
        let rows: Vec<Cells> = cases
            .iter()
            .enumerate()
            .map(|(at, (column, cell, _))| {
                let mut row = job(&format!("p{at}"));
                row[*column] = cell.map(str::to_owned);
                row
            })
            .collect();
        site.put("job", &rows).await;
        let holdings = site.holdings();
        // All at once: answers of one statement do not meddle with each other.
        let answers = futures_util::future::join_all((0..cases.len()).map(|at| {
            let holdings = &holdings;
            async move { ask(holdings, &format!("p{at}"), JOB).await }
        }));
        for ((column, cell, wanted), answer) in cases.iter().zip(answers.await) {
            let case = format!("{kind:?}: column {column} = {cell:?}");
            let (items, missing) = held(answer);
            let found: Vec<_> = items
                .iter()
                .map(|item| (u32::from(item.number.get()), *item.value.expose()))
                .collect();
            let mut all: Vec<(u32, Value)> = (1..=7).map(expected).collect();
            let (number, _) = expected(*column);
            all.retain(|(other, _)| *other != number || wanted.is_ok());
            for (other, value) in &mut all {
                if let (true, Ok(wanted)) = (*other == number, wanted) {
                    *value = *wanted;
                }
            }
            assert_eq!(found, all, "{case}");
            let gone: Vec<_> = wanted.err().map(|absence| (number, absence)).into_iter().collect();
            assert_eq!(numbers(&missing), gone, "{case}");
            assert!(items.iter().all(|item| item.as_of == date!(2025 - 01 - 15)), "{case}");
        }
    }
}

#[tokio::test]
async fn horizons_disputes_and_statements_are_the_same() {
    let today = clock::today();
    for site in Site::each(Kind::ALL, "horizons").await {
        let kind = site.kind;
        let two_years_ago = format!("{}-{:02}-01", today.year() - 2, u8::from(today.month()));
        for (person, ended, disputed) in [
            ("ongoing", None, text("1")),
            ("recent", Some(today.to_string()), text("0")),
            ("old", Some(two_years_ago), None),
            ("unreadable", text("some day"), None),
            ("odd", None, text("maybe")),
        ] {
            let updated = text("2025-01-15");
            let row = vec![text(person), text("2"), ended, disputed, text("S-2025/17"), updated];
            site.put("defaults", &[row]).await;
        }
        let holdings = site.holdings();
        for (person, disputed) in [("ongoing", true), ("recent", false)] {
            let (items, _) = held(ask(&holdings, person, &[71]).await);
            assert_eq!(*items[0].value.expose(), Value::Integer(2), "{kind:?} {person}");
            assert_eq!(items[0].disputed, disputed, "{kind:?} {person}");
            let statement = items[0].statement.as_ref().map(|text| &**text.expose());
            assert_eq!(statement, Some("S-2025/17"), "{kind:?} {person}");
        }
        for (person, absence) in
            [("old", Absence::Lapsed), ("unreadable", Absence::Invalid), ("odd", Absence::Invalid)]
        {
            let (items, missing) = held(ask(&holdings, person, &[71]).await);
            assert_eq!(
                (items.len(), numbers(&missing)),
                (0, vec![(71, absence)]),
                "{kind:?} {person}"
            );
        }
    }
}

#[tokio::test]
async fn unknown_people_two_rows_and_hostile_subjects_are_the_same() {
    for site in Site::each(Kind::ALL, "subjects").await {
        let kind = site.kind;
        site.put("job", &[job("p1"), job("twice"), job("twice"), job("p-2")]).await;
        let holdings = site.holdings();
        assert_eq!(ask(&holdings, "nobody", ALL).await, Held::NoRecord, "{kind:?}");
        for hostile in [
            "x');drop/**/table/**/job;--",
            "'or'1'='1",
            "p1'--",
            "?1",
            "$1",
            "{subjects}",
            "%",
            "p1\"",
            "p_",
            "p1,p-2",
            "p1\\",
            "*",
            "../job.csv",
            "p1%27",
            "[\"p1\"]",
        ] {
            assert_eq!(ask(&holdings, hostile, JOB).await, Held::NoRecord, "{kind:?} {hostile}");
        }
        let (items, missing) = held(ask(&holdings, "p1", ALL).await);
        assert_eq!(items.len(), 7, "{kind:?}");
        assert_eq!(
            numbers(&missing),
            [(71, Absence::NotRecorded), (72, Absence::NotRecorded), (73, Absence::NotOffered)],
            "{kind:?}"
        );
        let (items, missing) = held(ask(&holdings, "twice", &[5, 71]).await);
        assert_eq!((items.len(), numbers(&missing)[0]), (0, (5, Absence::Invalid)), "{kind:?}");
        assert_eq!(holdings.counts()[0].duplicate, 1, "{kind:?}");
    }
}

/// Whoever is found by one number and carries another is nobody; those asked about
/// in the same statement are answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_persons_row_costs_only_whoever_was_asked_about() {
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| kind.can_mislabel()).collect();
    for site in Site::each(&kinds, "another person's row").await {
        let kind = site.kind;
        let row = |asked: &str, person: &str| -> Cells {
            vec![text(asked), text(person), text("100"), None, text("2025-01-15")]
        };
        let mut rows: Vec<Cells> =
            (0..40).map(|at| row(&format!("p{at}"), &format!("p{at}"))).collect();
        rows[17] = row("p17", "someone else");
        site.put("amounts", &rows).await;
        let holdings = site.holdings();
        let asking = (0..40).map(|at| {
            let holdings = &holdings;
            async move { ask(holdings, &format!("p{at}"), &[72]).await }
        });
        let invalid =
            Held::Failed { status: SectionStatus::Invalid, reason: Stated::SourceInvalid };
        for (at, answer) in futures_util::future::join_all(asking).await.into_iter().enumerate() {
            match at {
                17 => assert_eq!(answer, invalid, "{kind:?} p{at}"),
                _ => assert_eq!(held(answer).0.len(), 1, "{kind:?} p{at}"),
            }
        }
        assert!(holdings.counts()[2].foreign > 0, "{kind:?}");
    }
}

/// Whatever a subject is made of, it is bound: it finds nobody and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_subject_reaches_a_statement_unbound() {
    const PARTS: &[&str] = &[
        "'",
        "\"",
        "`",
        ";",
        "--",
        "/*",
        "*/",
        "drop",
        "table",
        "or",
        "1=1",
        "$1",
        "?1",
        "?",
        "\\",
        "%",
        "_",
        "(",
        ")",
        "p1",
        "{subjects}",
        "U&'",
        "E'",
        "0x27",
        "$$",
        "#",
        ",",
        "\\'",
        "union",
        "select",
        "::text",
        "@@",
        "/",
        "&",
        "..",
    ];
    for site in Site::each(Kind::ALL, "bound subjects").await {
        let kind = site.kind;
        site.put("job", &[job("p1")]).await;
        let holdings = site.holdings();
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let strategy = proptest::collection::vec(proptest::sample::select(PARTS), 1..8);
        let subjects: Vec<String> = (0..300)
            .map(|_| {
                let tree = proptest::strategy::Strategy::new_tree(&strategy, &mut runner).unwrap();
                proptest::strategy::ValueTree::current(&tree).concat()
            })
            .filter(|subject| subject != "p1" && subject.len() <= 64)
            .collect();
        for chunk in subjects.chunks(30) {
            let asking = chunk.iter().map(|subject| ask(&holdings, subject, JOB));
            for (subject, answer) in chunk.iter().zip(futures_util::future::join_all(asking).await)
            {
                assert_eq!(answer, Held::NoRecord, "{kind:?} {subject}");
            }
        }
        assert_eq!(held(ask(&holdings, "p1", JOB).await).0.len(), 7, "{kind:?}");
        assert_eq!(holdings.counts()[0].failed, 0, "{kind:?}");
    }
}
