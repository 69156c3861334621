//! A mapping, its statements, and what each kind of bad data or bad weather becomes.
//! Here SQLite alone; in `shared` and `weather` every kind.

use std::task::Poll;
use std::time::Duration;

use crate::town::{Town, held, item, numbers, subject};
use rust_decimal::Decimal;
use time::macros::date;
use tributary::clock;
use tributary::domain::reason::Reason as Stated;
use tributary::domain::section::{Absence, SectionStatus};
use tributary::domain::value::{CodeIndex, Value};
use tributary::source::{Held, Reason};

const JOB: &[(&str, &str)] = &[
    ("employed", "1"),
    ("sector", "'G'"),
    ("started_on", "'2020-02-29'"),
    ("pay_fen", "1234550"),
    ("level", "7"),
    ("share", "0.1"),
    ("tenure", "60"),
];

#[tokio::test]
async fn every_type_comes_back_as_it_was_recorded() {
    let town = Town::new().await;
    town.job("p1", JOB).await;
    let holdings = town.holdings();
    let (items, missing) = held(town.fetch(&holdings, "p1").await);
    let expected = [
        (1, Value::Boolean(true)),
        (2, Value::Code(CodeIndex(0))),
        (3, Value::Date(date!(2020 - 02 - 29))),
        (4, Value::Money(Decimal::new(1_234_550, 2))),
        (5, Value::Integer(7)),
        (6, Value::Decimal(Decimal::new(1, 1))),
        (70, Value::Months(60)),
    ];
    let found: Vec<_> =
        items.iter().map(|item| (item.number.get(), *item.value.expose())).collect();
    assert_eq!(found, expected);
    assert!(items.iter().all(|item| item.as_of == date!(2025 - 01 - 15) && !item.disputed));
    // The other two queries answered and know nothing; one item is not offered.
    assert_eq!(
        numbers(&missing),
        [(71, Absence::NotRecorded), (72, Absence::NotRecorded), (73, Absence::NotOffered)]
    );
}

#[tokio::test]
async fn only_what_is_asked_for_comes_back() {
    let town = Town::new().await;
    town.job("p1", JOB).await;
    let holdings = town.holdings();
    let (items, missing) = held(town.fetch_items(&holdings, "p1", &[5, 3]).await);
    assert_eq!(items.iter().map(|item| item.number.get()).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(missing, []);
    assert_eq!(holdings.statements(), 1, "queries without an asked item do not run");
    let none = town.fetch_items(&holdings, "p1", &[73]).await;
    assert_eq!(
        none,
        Held::Answered { items: vec![], missing: vec![(item(73), Absence::NotOffered)] }
    );
}

#[tokio::test]
async fn a_person_without_a_row_is_no_record() {
    let town = Town::new().await;
    town.job("p1", JOB).await;
    let holdings = town.holdings();
    assert_eq!(town.fetch(&holdings, "p2").await, Held::NoRecord);
}

#[tokio::test]
async fn null_is_not_recorded() {
    let town = Town::new().await;
    town.job("p1", &[("level", "3")]).await;
    let holdings = town.holdings();
    let (items, missing) = held(town.fetch_items(&holdings, "p1", &[1, 2, 3, 4, 5, 6, 70]).await);
    assert_eq!(items.len(), 1);
    assert_eq!(missing.len(), 6);
    assert!(missing.iter().all(|(_, absence)| *absence == Absence::NotRecorded));
}

#[tokio::test]
async fn a_cell_that_does_not_fit_is_invalid_and_the_rest_is_fine() {
    let town = Town::new().await;
    let bad = [
        ("employed", "2", 1),
        ("employed", "'perhaps'", 1),
        ("sector", "'X'", 2),
        ("sector", "'G' || char(0)", 2),
        ("sector", "char(7) || 'G'", 2),
        ("sector", "x'47'", 2),
        ("started_on", "'0000-00-00'", 3),
        ("started_on", "'2023-02-30'", 3),
        ("started_on", "20230101", 3),
        ("pay_fen", "-1", 4),
        ("pay_fen", "100000001", 4),
        ("level", "'senior'", 5),
        ("level", "21", 5),
        ("level", "1.5", 5),
        ("share", "9e999", 6),
        ("share", "'9e999'", 6),
        ("share", "'NaN'", 6),
        ("share", "1e300", 6),
        ("tenure", "-1", 70),
        ("tenure", "601", 70),
        ("sector", "hex(zeroblob(3000))", 2),
    ];
    for (at, (column, cell, _)) in bad.iter().enumerate() {
        let mut cells = JOB.to_vec();
        cells.iter_mut().filter(|(name, _)| name == column).for_each(|pair| pair.1 = cell);
        town.job(&format!("p{at}"), &cells).await;
    }
    let holdings = town.holdings();
    for (at, (column, cell, number)) in bad.iter().enumerate() {
        let person = format!("p{at}");
        let (items, missing) =
            held(town.fetch_items(&holdings, &person, &[1, 2, 3, 4, 5, 6, 70]).await);
        assert_eq!(numbers(&missing), [(*number, Absence::Invalid)], "{column} = {cell}");
        assert_eq!(items.len(), 6);
    }
    assert_eq!(holdings.counts()[0].unfit, bad.len() as u64);
}

#[tokio::test]
async fn an_adverse_fact_lapses_at_its_horizon() {
    let town = Town::new().await;
    let today = clock::today();
    let year = |years| today.year() - years;
    let month = u8::from(today.month());
    for (person, ended) in [
        ("ongoing", "null".to_owned()),
        ("recent", format!("'{today}'")),
        ("old", format!("'{}-{month:02}-01'", year(2))),
        ("unreadable", "'some day'".to_owned()),
    ] {
        town.default(person, &ended, "1", "'S-2025/17'").await;
    }
    let holdings = town.holdings();
    for person in ["ongoing", "recent"] {
        let (items, _) = held(town.fetch_items(&holdings, person, &[71]).await);
        assert_eq!(*items[0].value.expose(), Value::Integer(2), "{person}");
        assert!(items[0].disputed);
        assert_eq!(items[0].statement.as_ref().map(|text| &**text.expose()), Some("S-2025/17"));
    }
    let (items, missing) = held(town.fetch_items(&holdings, "old", &[71]).await);
    assert_eq!((items.len(), numbers(&missing)), (0, vec![(71, Absence::Lapsed)]));
    let (items, missing) = held(town.fetch_items(&holdings, "unreadable", &[71]).await);
    assert_eq!((items.len(), numbers(&missing)), (0, vec![(71, Absence::Invalid)]));
}

#[tokio::test]
async fn two_rows_for_one_person_are_invalid_for_that_person_alone() {
    let town = Town::new().await;
    town.default("twice", "null", "0", "null").await;
    town.default("twice", "null", "0", "null").await;
    town.default("once", "null", "0", "null").await;
    town.job("twice", JOB).await;
    let holdings = town.holdings();
    let (items, missing) = held(town.fetch_items(&holdings, "twice", &[5, 71]).await);
    assert_eq!(items[0].number, item(5), "the other query's item is delivered");
    assert_eq!(numbers(&missing), [(71, Absence::Invalid)]);
    let (items, _) = held(town.fetch_items(&holdings, "once", &[71]).await);
    assert_eq!(items.len(), 1);
    assert_eq!(holdings.counts()[1].duplicate, 1);
}

#[tokio::test]
async fn another_persons_row_is_never_passed_on() {
    let town = Town::new().await;
    town.job("p1", JOB).await;
    town.amount("p1", "p2").await;
    let holdings = town.holdings();
    let (items, missing) = held(town.fetch_items(&holdings, "p1", &[5, 72]).await);
    assert_eq!(items[0].number, item(5));
    assert_eq!(numbers(&missing), [(72, Absence::Invalid)]);
    let alone = town.fetch_items(&holdings, "p1", &[72]).await;
    let invalid = Held::Failed { status: SectionStatus::Invalid, reason: Stated::SourceInvalid };
    assert_eq!(alone, invalid);
    assert_eq!(holdings.counts()[2].foreign, 2);
}

#[tokio::test]
async fn a_subject_is_bound_and_never_part_of_the_statement() {
    let town = Town::new().await;
    town.job("p1", JOB).await;
    let holdings = town.holdings();
    for hostile in ["x');drop/**/table/**/job;--", "'or'1'='1", "?1", "{subjects}", "%", "p1\""] {
        assert_eq!(town.fetch(&holdings, hostile).await, Held::NoRecord, "{hostile}");
    }
    let (items, _) = held(town.fetch(&holdings, "p1").await);
    assert_eq!(items.len(), 7);
}

#[tokio::test]
async fn a_database_that_is_away_comes_back_by_itself() {
    let town = Town::new().await;
    town.job("p1", JOB).await;
    let away = town.database().with_extension("away");
    std::fs::rename(town.database(), &away).unwrap();
    let holdings = town.holdings();
    let down = Held::Failed { status: SectionStatus::Unavailable, reason: Stated::SourceDown };
    assert_eq!(town.fetch(&holdings, "p1").await, down);
    std::fs::rename(&away, town.database()).unwrap();
    assert_eq!(held(town.fetch(&holdings, "p1").await).0.len(), 7);
    std::fs::rename(town.database(), &away).unwrap();
    assert_eq!(town.fetch(&holdings, "p1").await, down, "no deleted file is read");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_down() {
    let town = Town::new().await;
    std::fs::write(town.database(), "this is no database, whatever its name says".repeat(50))
        .unwrap();
    let holdings = town.holdings();
    let down = Held::Failed { status: SectionStatus::Unavailable, reason: Stated::SourceDown };
    assert_eq!(town.fetch(&holdings, "p1").await, down);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_share_few_statements_and_none_their_answers() {
    let town = Town::new().await;
    for person in 0..100 {
        let level = (person % 21).to_string();
        town.job(&format!("p{person}"), &[("level", &level), ("tenure", &person.to_string())])
            .await;
    }
    let holdings = std::sync::Arc::new(town.holdings());
    // The first statements find the file held, and everybody else comes meanwhile.
    let lock = town.lock();
    let fetches = (0..300u32).map(|at| {
        let (holdings, person) = (holdings.clone(), at % 100);
        async move {
            let deadline = clock::now() + Duration::from_secs(60);
            // Two of three ask for another item of the same person.
            let asked = if at < 200 { item(70) } else { item(5) };
            let subject = subject(&format!("p{person}"));
            let asked = [asked].into_iter().collect();
            let (items, _) = held(holdings.fetch(&subject, &asked, deadline).await);
            let expected = if at < 200 {
                Value::Months(person)
            } else {
                Value::Integer(i64::from(person % 21))
            };
            assert_eq!(items.len(), 1);
            assert_eq!(*items[0].value.expose(), expected);
        }
    });
    let mut fetches = std::pin::pin!(futures_util::future::join_all(fetches));
    let begun = std::future::poll_fn(|context| Poll::Ready(fetches.as_mut().poll(context)));
    assert!(begun.await.is_pending());
    drop(lock);
    fetches.await;
    let statements = holdings.statements();
    assert!(statements <= 60, "{statements} statements for 300 requests");
}

#[tokio::test]
async fn a_slow_query_meets_its_deadline_and_stops_no_other() {
    let town = Town::new().await;
    town.job("p1", JOB).await;
    let holdings = town.holdings_with(crate::town::SLOW);
    let asked = [item(5), item(71)].into_iter().collect();
    let late = |reason| Held::Failed { status: SectionStatus::Timeout, reason };
    // Time enough for the one that ends, at last, and never for the other.
    for millis in [200, 2_000, 5_000, 25_000] {
        let deadline = clock::now() + Duration::from_millis(millis);
        let answer = holdings.fetch(&subject("p1"), &asked, deadline).await;
        let why = if millis < 1_000 { Stated::Deadline } else { Stated::SourceTimeout };
        if answer == late(why) && millis < 25_000 {
            continue;
        }
        let (items, missing) = held(answer);
        assert_eq!(items[0].number, item(5));
        assert_eq!(numbers(&missing), [(71, Absence::SourceMissing)]);
        break;
    }
    let begun = clock::now();
    let deadline = begun + Duration::from_millis(100);
    let alone = holdings.fetch(&subject("p1"), &[item(71)].into_iter().collect(), deadline).await;
    // The caller's own time was too short; that is no fault of the source.
    assert_eq!(alone, late(Stated::Deadline));
    // The statement's own limit is a minute.
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    let past = holdings.fetch(&subject("p1"), &asked, begun).await;
    assert_eq!(past, late(Stated::Deadline));

    // The statement's own limit frees the pool while a patient caller waits on.
    let holdings = town.holdings_for("400ms", crate::town::SLOW);
    for _ in 0..3 {
        assert_eq!(town.fetch_items(&holdings, "p1", &[71]).await, late(Stated::SourceTimeout));
    }
    let other = async || town.fetch_items(&holdings, "p1", &[5]).await;
    let late = late(Stated::SourceTimeout);
    let answer =
        crate::kit::waiting::until("the other's answer", other, |answer| *answer != late).await;
    assert_eq!(held(answer).0.len(), 1);
}

#[tokio::test]
async fn a_mapping_that_does_not_fit_the_database_says_what_to_do() {
    let town = Town::new().await;
    town.job("p1", JOB).await;
    town.holdings().check().await.unwrap();
    for (sql, phrases) in [
        ("select * from jobs where person_id in {subjects}", &["no such table: jobs"][..]),
        (
            "select person_id, updated_on from job where person_id in {subjects}",
            &["no column `level`", "person_id, updated_on"],
        ),
        ("select * from job where person_id in {subjects} or 1", &["asked about nobody"]),
        ("select * from job -- where person_id in {subjects}", &["nowhere", "outside comments"]),
        ("insert into job (person_id) values {subjects}", &["near \"insert\""]),
        ("select * from job where person_id in {subjects}; drop table job", &["near \";\""]),
    ] {
        let holdings = town.holdings_with(&crate::town::level_from(sql));
        let errors = holdings.check().await.unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].reason, Reason::Schema);
        let text = errors[0].to_string();
        assert!(text.starts_with("SOURCE_SCHEMA: query `level`: "), "{text}");
        for phrase in phrases {
            assert!(text.contains(phrase), "`{text}` lacks `{phrase}`");
        }
        let answer = town.fetch_items(&holdings, "p2", &[5]).await;
        assert!(matches!(answer, Held::Failed { .. }), "{sql}: {answer:?}");
    }
    assert_eq!(held(town.fetch(&town.holdings(), "p1").await).0.len(), 7, "nothing was written");
}
